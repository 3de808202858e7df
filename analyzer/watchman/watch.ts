import { setTimeout as sleep } from 'node:timers/promises';
import { MANAGED_BY, MANAGED_BY_LABEL } from '../../canary/annotations.ts';
import type { KubeClient } from '../../kube/client.ts';
import { messageOf } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { LEASES } from '../../kube/resources.ts';
import type { Lease } from '../../kube/types.ts';
import { startInformer } from '../../kube/watch.ts';
import { LEASE_SECONDS } from '../fence.ts';
import type { Settings } from '../settings.ts';
import { Expiry } from './expiry.ts';
import { standIn } from './stand-in.ts';

const TICK_MS = 500;

export interface WatchOptions {
  client: KubeClient;
  settings: Pick<Settings, 'ownNamespace'>;
  log: Log;
  signal: AbortSignal;
}

/** Watches the Leases of all runs and stands in for analyzers that fall silent; until told to stop. */
export async function watch({ client, settings, log, signal }: WatchOptions): Promise<void> {
  const expiry = new Expiry(LEASE_SECONDS * 1000);
  const nowMs = () => performance.now();
  const deps = { client, log, signal, ownNamespace: settings.ownNamespace, now: () => new Date() };
  startInformer<Lease>({
    client,
    resource: LEASES,
    target: { namespace: settings.ownNamespace },
    query: { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` },
    signal,
    onChange: (lease, deleted) => (deleted ? expiry.gone(lease) : expiry.saw(lease, nowMs())),
    onSynced: () => log.info('watchman started', { namespace: settings.ownNamespace }),
    onError: (e) => {
      expiry.deaf(nowMs());
      log.warn('watch failed, trying again', { resource: LEASES.plural, error: messageOf(e) });
    },
  });
  while (!signal.aborted) {
    await sleep(TICK_MS, undefined, { signal }).catch(() => {});
    for (const lease of expiry.due(nowMs())) {
      try {
        if (await standIn(deps, lease)) expiry.done(lease);
      } catch (e) {
        if (signal.aborted) return;
        log.error('canary not taken out of the traffic, trying again', {
          lease: lease.metadata.name,
          error: messageOf(e),
        });
      }
    }
  }
}
