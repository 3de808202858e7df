import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { parseDuration } from '../../canary/duration.ts';
import type { WebhookSpec } from '../../canary/spec.ts';
import type { HookOutcome } from '../judge/thresholds.ts';
import { addressAllowed, type GuardOptions, guardHost } from './url-guard.ts';

export type HookResult = HookOutcome;

/** What Flagger sends to a `rollout` webhook, and so what its load tester reads. */
export interface HookPayload {
  name: string;
  namespace: string;
  phase: 'Progressing';
  checksum: string;
  metadata: Record<string, string>;
}

export interface HookDeps extends GuardOptions {
  signal: AbortSignal;
  /** Resolves a host once; the connection goes to the very address that was checked. */
  resolve?: (host: string) => Promise<{ address: string; family: number }>;
}

/** Hooks answer with a status; a body is read only so that the connection can end. */
const MAX_BODY_BYTES = 64 * 1024;

/** Calls a hook. Never rejects: whatever goes wrong is a hook that did not pass. The answer's body is told to nobody. */
export async function callHook(
  { name, url, timeout, metadata }: WebhookSpec,
  payload: Omit<HookPayload, 'metadata'>,
  deps: HookDeps,
): Promise<HookOutcome> {
  try {
    const target = new URL(url);
    const guarded = guardHost(target, deps);
    if ('refused' in guarded) return { name, passed: false, message: `webhook ${name}: ${guarded.refused}` };
    const address = await (deps.resolve ?? resolveOnce)(guarded.host);
    if (!addressAllowed(address.address, deps))
      return {
        name,
        passed: false,
        message: `webhook ${name}: host ${guarded.host} has an address that hooks must not call`,
      };
    const signal = AbortSignal.any([deps.signal, AbortSignal.timeout(parseDuration(timeout)!)]);
    const status = await post(
      target,
      guarded.host,
      address,
      JSON.stringify({ ...payload, metadata } satisfies HookPayload),
      signal,
    );
    const passed = status >= 200 && status < 300;
    return { name, passed, message: passed ? `webhook ${name} passed` : `webhook ${name} answered ${status}` };
  } catch (e) {
    const aborted = e instanceof Error && (e.name === 'AbortError' || e.name === 'TimeoutError');
    return {
      name,
      passed: false,
      message: `webhook ${name} ${aborted ? `did not answer within ${timeout}` : `could not be called: ${codeOf(e)}`}`,
    };
  }
}

const resolveOnce = (host: string): Promise<{ address: string; family: number }> =>
  dnsLookup(host.replace(/^\[|\]$/g, ''));

/** The system's word such as ECONNREFUSED; an error's own message may quote what the other side sent. */
const codeOf = (e: unknown): string =>
  (e as NodeJS.ErrnoException | undefined)?.code ?? (e instanceof Error ? e.name : 'error');

async function post(
  target: URL,
  host: string,
  { address, family }: { address: string; family: number },
  body: string,
  signal: AbortSignal,
): Promise<number> {
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
  // Asked for a second time the name might have another address.
  const lookup: LookupFunction = (_host, options, callback) =>
    options.all ? callback(null, [{ address, family }]) : callback(null, address, family);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const req = send(
      {
        method: 'POST',
        protocol: target.protocol,
        hostname: host,
        port: target.port,
        path: `${target.pathname}${target.search}`,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        lookup,
        signal,
        agent: false,
      },
      resolve,
    );
    req.on('error', reject);
    req.end(body);
  });
  await drain(response);
  return response.statusCode ?? 0;
}

async function drain(response: IncomingMessage): Promise<void> {
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return void response.destroy();
  }
}
