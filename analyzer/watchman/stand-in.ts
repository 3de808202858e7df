import { runOf } from '../../canary/run.ts';
import { statusOf } from '../../canary/status.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Log } from '../../kube/log.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment, Lease } from '../../kube/types.ts';
import { FencedOut, takeFence, type Workload, workloadOf } from '../fence.ts';
import { find } from '../fenced-write.ts';
import { createEvents } from '../report/events.ts';
import { restoreRoutes } from '../traffic/router.ts';

export interface StandInDeps {
  client: KubeClient;
  log: Log;
  signal: AbortSignal;
  ownNamespace: string;
  now: () => Date;
}

export const HOLDER = 'watchman';

/**
 * Takes the canary of a run out of the traffic whose analyzer is gone: nobody would notice if it turned bad. Takes the Lease first, so
 * that an analyzer that only hung cannot put the weight back; an attempt that follows goes on where the run was.
 *
 * A promotion is left alone: its version has passed, and while the primary rolls the canary may be what serves.
 * @returns whether nothing is left to be done
 */
export async function standIn(deps: StandInDeps, lease: Lease): Promise<boolean> {
  const workload = workloadOf(lease);
  if (!workload) return true;
  const { client, log, signal, ownNamespace, now } = deps;
  const { namespace, deployment } = workload;
  const primary = await find<Deployment>({ client, signal }, DEPLOYMENTS, { namespace, name: deployment });
  if (isPromoting(primary, workload)) {
    log.info('analyzer gone while promoting, left alone', { namespace, deployment });
    return true;
  }
  try {
    const fence = await takeFence({
      client,
      namespace: ownNamespace,
      workload,
      holder: HOLDER,
      asRead: lease.metadata.resourceVersion!,
      now,
      signal,
    });
    await restoreRoutes({ client, fence, log, signal }, namespace, deployment);
    await fence.release();
  } catch (e) {
    // Another attempt is at work: just what was missing.
    if (e instanceof FencedOut) return true;
    throw e;
  }
  log.warn('analyzer gone, canary taken out of the traffic', {
    namespace,
    deployment,
    holder: lease.spec?.holderIdentity,
  });
  if (primary) {
    createEvents(client, log, { namespace, name: deployment, uid: workload.uid }, now).event(
      'Warning',
      'CanaryWithdrawn',
      'the analyzer is gone: all requests go to the stable version until another attempt goes on',
    );
  }
  return true;
}

function isPromoting(primary: Deployment | undefined, { uid }: Workload): boolean {
  if (!primary || primary.metadata.uid !== uid) return false;
  const phase = runOf(primary)?.phase;
  // A promotion that failed goes on with the canary until the stable version is back.
  return phase === 'promoting' || (phase === 'rejected' && statusOf(primary)?.promotingSince !== undefined);
}
