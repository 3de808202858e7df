import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../kube/errors.ts';
import type { Log } from '../kube/log.ts';
import { type Fence, FencedOut } from './fence.ts';

/** A third of what the watchman waits: one lost renewal is no sign of death. */
const RENEW_MS = 5000;

export interface HeartbeatOptions {
  fence: Pick<Fence, 'renew'>;
  log: Pick<Log, 'warn'>;
  /** Somebody else holds the Lease: the work is to be broken off. */
  lost: () => void;
  renewMs?: number;
}

/**
 * Renews the Lease for as long as the work goes on, so that the watchman knows the holder to be alive.
 * @returns what the work returns
 * @throws FencedOut instead of what broken-off work throws, where the Lease was lost
 */
export async function keepingLease<T>(options: HeartbeatOptions, work: () => Promise<T>): Promise<T> {
  const { fence, log, lost, renewMs = RENEW_MS } = options;
  const stop = new AbortController();
  let fencedOut: FencedOut | undefined;
  const renew = async () => {
    try {
      await fence.renew();
    } catch (e) {
      if (e instanceof FencedOut) {
        fencedOut = e;
        lost();
        stop.abort();
      } else log.warn('lease not renewed, trying again', { error: messageOf(e) });
    }
  };
  const beat = async () => {
    while (!stop.signal.aborted) {
      await sleep(renewMs, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      if (!stop.signal.aborted) await renew();
    }
  };
  const beating = beat();
  try {
    return await work();
  } catch (e) {
    throw fencedOut ?? e;
  } finally {
    stop.abort();
    await beating;
  }
}
