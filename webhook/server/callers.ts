import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { splitBundle } from '../../certs/material.ts';
import type { Log } from '../../kube/log.ts';
import type { CallersConfig } from '../config.ts';
import { formatReview } from './review.ts';

/** The kubelet brings a changed ConfigMap into the volume within about a minute. */
const POLL_MS = 30_000;
/** Until there is a first CA, a start-up waits for it. */
const FIRST_POLL_MS = 500;

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface Callers {
  /** What is missing before calls can succeed: names for a person; empty when ready. */
  pending(): string[];
  /** Answers strangers with 403, before a byte of their body is read. */
  guard(handler: Handler): Handler;
}

export interface CallersOptions extends CallersConfig {
  signal: AbortSignal;
  log: Log;
  /** Called with each bundle of CAs (PEM) that callers' certificates are checked against from now on. */
  changed: (ca: string) => void;
}

/** Who may ask for decisions: everybody, or those with a certificate of the CAs in a file that may change at any time. */
export function startCallers({ caFile, names, signal, log, changed }: CallersOptions): Callers {
  if (caFile === '') return { pending: () => [], guard: (handler) => handler };
  let current: string | undefined;
  let problem = '';
  let timer: NodeJS.Timeout | undefined;
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  const poll = async (): Promise<void> => {
    const found = await readCas(caFile);
    if (found.problem !== problem && found.problem)
      log.warn('client CA cannot be used', { file: caFile, reason: found.problem });
    problem = found.problem;
    // A broken file takes nothing back: calls that were good stay good.
    if (found.ca !== undefined && found.ca !== current) {
      current = found.ca;
      changed(found.ca);
      log.info('client CA in force', { file: caFile });
    }
    if (!signal.aborted) timer = setTimeout(() => void poll(), current === undefined ? FIRST_POLL_MS : POLL_MS);
  };
  void poll();
  return {
    pending: () => (current === undefined ? ['client CA'] : []),
    guard: (handler) => (request, response) => {
      if (current !== undefined && isKnown(request.socket as TLSSocket, names)) return handler(request, response);
      refuse(response);
    },
  };
}

async function readCas(file: string): Promise<{ ca?: string; problem: string }> {
  try {
    const ca = splitBundle(await readFile(file, 'utf8')).join('');
    return ca === '' ? { problem: 'has no certificate' } : { ca, problem: '' };
  } catch (e) {
    return { problem: e instanceof Error && 'code' in e ? `cannot be read: ${String(e.code)}` : 'cannot be read' };
  }
}

/** `authorized` is the verdict of the handshake: chain, dates, and a certificate that is meant for clients. */
function isKnown(socket: TLSSocket, names: readonly string[]): boolean {
  if (!socket.authorized) return false;
  return names.length === 0 || names.includes(String(socket.getPeerCertificate().subject?.CN ?? ''));
}

function refuse(response: ServerResponse): void {
  const body = formatReview('', { allowed: false, code: 403, message: 'only the API server may ask for decisions' });
  response.writeHead(403, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  });
  response.end(body);
}
