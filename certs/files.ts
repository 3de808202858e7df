import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../kube/log.ts';
import type { KeyPair } from './authority.ts';
import type { Certificates } from './certificates.ts';
import { matchingPair, validityOf } from './material.ts';

/**
 * The kubelet brings a changed Secret into the volume within about a minute, by exchanging a symbolic link that file watches miss;
 * reading two small files is cheap, and half that time is soon enough.
 */
const POLL_MS = 30_000;
/** Until there is a first certificate, a start-up waits for it. */
const FIRST_POLL_MS = 500;

export interface FileCertificatesOptions {
  /** Folder with `tls.crt` and `tls.key`, as cert-manager's Secret is mounted. */
  folder: string;
  serve: (pair: KeyPair) => void;
  signal: AbortSignal;
  log: Log;
}

/** Serves a certificate that somebody else keeps, and takes up each new one. The CA in the webhook's configuration is theirs, too. */
export function startFileCertificates({ folder, serve, signal, log }: FileCertificatesOptions): Certificates {
  let serving: KeyPair | undefined;
  let problem = '';
  let timer: NodeJS.Timeout | undefined;
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  const poll = async (): Promise<void> => {
    const found = await readPair(folder);
    if (typeof found === 'string') {
      if (found !== problem) log.warn('certificate files cannot be used', { folder, reason: found });
      problem = found;
    } else {
      problem = '';
      if (found.certificate !== serving?.certificate || found.key !== serving.key) {
        serving = found;
        serve(found);
        log.info('certificate served', { folder, expires: new Date(validityOf(found.certificate).toMs).toISOString() });
      }
    }
    if (!signal.aborted) timer = setTimeout(() => void poll(), serving ? POLL_MS : FIRST_POLL_MS);
  };
  void poll();
  return {
    pending: () => (serving ? [] : ['certificate']),
    expiresAt: () => (serving ? new Date(validityOf(serving.certificate).toMs) : undefined),
  };
}

/** The pair, or why there is none. A chain stays whole: only its first certificate is compared with the key. */
async function readPair(folder: string): Promise<KeyPair | string> {
  try {
    const [certificate, key] = await Promise.all([
      readFile(join(folder, 'tls.crt'), 'utf8'),
      readFile(join(folder, 'tls.key'), 'utf8'),
    ]);
    return matchingPair(certificate, key) ?? 'tls.crt and tls.key cannot be read, or do not belong together';
  } catch (e) {
    return e instanceof Error && 'code' in e ? `cannot be read: ${String(e.code)}` : 'cannot be read';
  }
}
