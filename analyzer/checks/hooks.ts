import { lookup as dnsLookup } from 'node:dns/promises';
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
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

type Send = (options: RequestOptions, use: (response: IncomingMessage) => void) => ClientRequest;

export interface HookDeps extends GuardOptions {
  signal: AbortSignal;
  /** Resolves a host once; the connection goes to the very address that was checked. */
  resolve?: (host: string) => Promise<{ address: string; family: number }>;
  /** Sends a request; by default over the network. */
  send?: Send;
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
    const signal = AbortSignal.any([deps.signal, AbortSignal.timeout(parseDuration(timeout)!)]);
    const address = await orAborted((deps.resolve ?? resolveOnce)(guarded.host), signal);
    if (!addressAllowed(address.address, deps))
      return {
        name,
        passed: false,
        message: `webhook ${name}: host ${guarded.host} has an address that hooks must not call`,
      };
    const body = JSON.stringify({ ...payload, metadata } satisfies HookPayload);
    const send = deps.send ?? (target.protocol === 'https:' ? httpsRequest : httpRequest);
    const status = await post(send, target, guarded.host, address, body, signal);
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

/** The look-up of a name cannot be ended; it can be left alone. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

const resolveOnce = (host: string): Promise<{ address: string; family: number }> =>
  dnsLookup(host.replace(/^\[|\]$/g, ''));

/** The system's word such as ECONNREFUSED; an error's own message may quote what the other side sent. */
const codeOf = (e: unknown): string =>
  (e as NodeJS.ErrnoException | undefined)?.code ?? (e instanceof Error ? e.name : 'error');

async function post(
  send: Send,
  target: URL,
  host: string,
  { address, family }: { address: string; family: number },
  body: string,
  signal: AbortSignal,
): Promise<number> {
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
    // An answer that changes the protocol ends a request without an error.
    req.on('error', reject).on('close', () => reject(new Error('closed')));
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
