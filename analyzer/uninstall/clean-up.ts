import { STATUS } from '../../canary/annotations.ts';
import { DEPLOYMENTS, LEASES } from '../../kube/resources.ts';
import type { Deployment, Lease } from '../../kube/types.ts';
import { LEASE_SECONDS, takeFence, type Workload } from '../fence.ts';
import { find } from '../fenced-write.ts';
import { removeMirrors, restoreRoutes } from '../traffic/router.ts';
import { removeCanary } from '../workload/workload.ts';
import { isPromoting } from './let-go.ts';
import type { UninstallDeps } from './uninstall.ts';

export const HOLDER = 'uninstall';

const LOOK_MS = 500;
/** How long each try waits for a primary that rolls out. */
const CARRY_LIMIT_MS = 80_000;

/**
 * Routes as before the run, and no canary. An analyzer at work does that itself once its run is gone; where it falls silent, or was dead
 * before, it is done here.
 */
export async function cleanUp(deps: UninstallDeps, seen: Lease, workload: Workload): Promise<void> {
  const { client, settings, log, signal, now, sleep } = deps;
  const { namespace, deployment } = workload;
  const asRead = await released(deps, seen);
  if (asRead === undefined) return;
  await awaitCapacity(deps, workload);
  const fence = await takeFence({
    client,
    namespace: settings.ownNamespace,
    workload,
    holder: HOLDER,
    asRead,
    now,
    signal,
  });
  await restoreRoutes({ client, fence, log, signal }, namespace, deployment);
  await sleep(settings.propagationMs);
  await removeCanary({ client, fence, signal }, namespace, deployment);
  await removeMirrors({ client, fence, signal }, namespace, deployment);
  await forgetReport(deps, workload);
  await fence.release();
  log.info('cleaned up', { namespace, deployment });
}

/** Waits until nobody works under the Lease. @returns its version, or undefined if it is gone */
async function released({ client, signal, now, sleep }: UninstallDeps, seen: Lease): Promise<string | undefined> {
  const ref = { namespace: seen.metadata.namespace!, name: seen.metadata.name };
  let beat: string | undefined;
  let sinceMs = now().getTime();
  for (;;) {
    const lease = await find<Lease>({ client, signal }, LEASES, ref);
    if (!lease) return undefined;
    const { resourceVersion } = lease.metadata;
    if (!lease.spec?.holderIdentity) return resourceVersion;
    if (resourceVersion !== beat) sinceMs = now().getTime();
    beat = resourceVersion;
    // By our own clock: the holder's may be another one.
    if (now().getTime() - sinceMs >= LEASE_SECONDS * 1000) return resourceVersion;
    await sleep(LOOK_MS);
  }
}

const primaryOf = ({ client, signal }: UninstallDeps, { namespace, deployment }: Workload) =>
  find<Deployment>({ client, signal }, DEPLOYMENTS, { namespace, name: deployment });

/**
 * In the middle of a promotion the canary may be what serves: it stays until the primary has pods enough for all requests.
 * @throws Error if that does not come: a canary that is left does less harm than requests that nobody answers
 */
async function awaitCapacity(deps: UninstallDeps, workload: Workload): Promise<void> {
  const endMs = deps.now().getTime() + CARRY_LIMIT_MS;
  while (deps.now().getTime() < endMs) {
    const primary = await primaryOf(deps, workload);
    if (!primary || !isPromoting(primary)) return;
    if (canCarry(primary)) return;
    await deps.sleep(LOOK_MS);
  }
  throw new Error('the primary has too few pods to do without its canary');
}

function canCarry({ metadata, spec, status }: Deployment): boolean {
  // What the controller has not seen yet may bring pods down.
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
  return (status?.availableReplicas ?? 0) >= (spec.replicas ?? 1);
}

/** What the analyzer would have removed with its own hand. */
async function forgetReport(deps: UninstallDeps, workload: Workload): Promise<void> {
  const primary = await primaryOf(deps, workload);
  if (primary?.metadata.annotations?.[STATUS] === undefined) return;
  const { namespace, name, uid } = primary.metadata;
  const body = { metadata: { uid, annotations: { [STATUS]: null } } };
  await deps.client.patch(DEPLOYMENTS, { namespace, name }, 'merge', body, { signal: deps.signal });
}
