import { templateHash } from '../../canary/hash.ts';
import { isConflict, isNotFound } from '../../kube/errors.ts';
import { REPLICA_SETS } from '../../kube/resources.ts';
import type { Deployment, KubeObject, ReplicaSet } from '../../kube/types.ts';
import type { WriteDeps } from '../fenced-write.ts';

/**
 * Fewest pods that Kubernetes keeps available while it rolls the Deployment by its own strategy. As the Deployment controller counts:
 * a percentage of maxUnavailable is rounded down, of maxSurge up, and if both come to 0, one may be unavailable.
 */
export function capacityDuringRollout({ spec }: Deployment): number {
  const replicas = spec.replicas ?? 1;
  if (spec.strategy?.type === 'Recreate') return 0;
  const { maxUnavailable = '25%', maxSurge = '25%' } = spec.strategy?.rollingUpdate ?? {};
  const unavailable = share(maxUnavailable, replicas, Math.floor);
  const none = unavailable === 0 && share(maxSurge, replicas, Math.ceil) === 0;
  return Math.max(0, replicas - (none ? 1 : unavailable));
}

/** A status from before the last change says nothing about what is there now. */
export const isObserved = ({ metadata, status }: Deployment): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);

export const availableOf = (primary: Deployment): number =>
  isObserved(primary) ? (primary.status?.availableReplicas ?? 0) : 0;

/** Whether as many pods serve as while the Deployment is rolled, and at least one. */
export const servesAsInRollout = (primary: Deployment): boolean =>
  availableOf(primary) >= Math.max(1, capacityDuringRollout(primary));

/** Pods that Kubernetes makes beyond the wanted ones while it rolls the Deployment. */
export function surgeDuringRollout({ spec }: Deployment): number {
  if (spec.strategy?.type === 'Recreate') return 0;
  return share(spec.strategy?.rollingUpdate?.maxSurge ?? '25%', spec.replicas ?? 1, Math.ceil);
}

function share(value: number | string, of: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  return round((Number.parseInt(value, 10) / 100) * of);
}

/** The ReplicaSets that the primary owns. */
export async function ownedReplicaSets({ client, signal }: WriteDeps, primary: Deployment): Promise<ReplicaSet[]> {
  const { items } = await client.list<ReplicaSet>(REPLICA_SETS, { namespace: primary.metadata.namespace! }, { signal });
  return items.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === primary.metadata.uid));
}

export const wanted = ({ spec }: ReplicaSet): number => spec.replicas ?? 0;
const pods = ({ status }: ReplicaSet): number => status?.replicas ?? 0;
export const ready = ({ status }: ReplicaSet): number => status?.readyReplicas ?? 0;

/** Pods of one version in the primary. */
export interface VersionPods {
  /** Of the version's template (`hash.ts`). */
  hash: string;
  ready: number;
}

/** The ReplicaSets that have pods, or are to have some. */
export async function versionsOf(deps: WriteDeps, primary: Deployment): Promise<VersionPods[]> {
  const active = (await ownedReplicaSets(deps, primary)).filter((rs) => wanted(rs) > 0 || pods(rs) > 0);
  return active.map((rs) => ({ hash: templateHash(rs.spec.template), ready: ready(rs) }));
}

/** The version that a primary is to be brought to has no ReplicaSet. */
export class VersionGone extends Error {
  constructor() {
    super('the ReplicaSet of the stable version is gone: it was deleted by hand');
    this.name = 'VersionGone';
  }
}

/**
 * The ReplicaSet of a version. There may be several, since a restart makes one of the same version: the one that serves, else the newest.
 */
export function replicaSetOf(sets: ReplicaSet[], hash: string): ReplicaSet | undefined {
  const created = ({ metadata }: ReplicaSet) => metadata.creationTimestamp ?? '';
  return sets
    .filter((rs) => templateHash(rs.spec.template) === hash)
    .sort((a, b) => ready(b) - ready(a) || wanted(b) - wanted(a) || created(b).localeCompare(created(a)))[0];
}

export const isVersionReady = async (deps: WriteDeps, primary: Deployment, hash: string): Promise<boolean> =>
  carriesMost(await ownedReplicaSets(deps, primary), hash);

/**
 * Whether all pods of the version are ready, and no other version has more: the others' pods go at once when the primary is settled on
 * it, so that a version with one pod of ten would be left with all the requests.
 */
export function carriesMost(sets: ReplicaSet[], hash: string): boolean {
  const set = replicaSetOf(sets, hash);
  if (!set || wanted(set) === 0 || ready(set) < wanted(set)) return false;
  return sets.every((other) => ready(other) <= ready(set));
}

/** The ReplicaSet to keep, and all others. */
export interface Sides {
  keep: ReplicaSet;
  others: ReplicaSet[];
}

/** Throws `VersionGone` where the version has no ReplicaSet. */
export async function sidesOf(deps: WriteDeps, primary: Deployment, keepHash: string): Promise<Sides> {
  const sets = await ownedReplicaSets(deps, primary);
  const keep = replicaSetOf(sets, keepHash);
  if (!keep) throw new VersionGone();
  return { keep, others: sets.filter((rs) => rs !== keep) };
}

/** Whether only the kept version runs, in full. */
export const isSettled = (primary: Deployment, { keep, others }: Sides): boolean =>
  others.every((rs) => wanted(rs) === 0 && pods(rs) === 0) && ready(keep) >= (primary.spec.replicas ?? 1);

/**
 * One step towards one version in a paused primary, where a canary serves what the primary cannot: the ReplicaSets of all others go to
 * 0, and the controller, which scales the only active ReplicaSet of a paused Deployment, brings the kept one to full size.
 * Throws `VersionGone`.
 * @returns true once that is so
 */
export async function settleOn(deps: WriteDeps, primary: Deployment, keepHash: string): Promise<boolean> {
  const sides = await sidesOf(deps, primary, keepHash);
  const { keep, others } = sides;
  for (const rs of others) if (wanted(rs) > 0) await scaleReplicaSet(deps, rs, 0);
  const full = primary.spec.replicas ?? 1;
  // All at 0, the controller would choose the newest; the kept one is asked for by us then.
  if (wanted(keep) === 0 && full > 0) await scaleReplicaSet(deps, keep, full);
  return isSettled(primary, sides);
}

interface Scale extends KubeObject {
  spec: { replicas: number };
}

export async function scaleReplicaSet(
  { client, fence, signal }: WriteDeps,
  { metadata }: ReplicaSet,
  replicas: number,
): Promise<void> {
  const target = { namespace: metadata.namespace!, name: metadata.name, subresource: 'scale' as const };
  const scale = await client.get<Scale>(REPLICA_SETS, target, { signal });
  await fence.check();
  try {
    await client.update<Scale>(REPLICA_SETS, target, { ...scale, spec: { ...scale.spec, replicas } }, { signal });
  } catch (e) {
    // The next look sees what the other writer made of it.
    if (!isConflict(e)) throw e;
  }
}

/**
 * Deletes the ReplicaSets of a version once they have no pods: a paused controller that scales up from 0 prefers the held template's own
 * ReplicaSet, and so would bring the rejected version back.
 */
export async function forgetVersion(deps: WriteDeps, primary: Deployment, hash: string): Promise<void> {
  const sets = (await ownedReplicaSets(deps, primary)).filter((rs) => templateHash(rs.spec.template) === hash);
  for (const rs of sets) if (wanted(rs) === 0 && pods(rs) === 0) await deleteReplicaSet(deps, rs);
}

async function deleteReplicaSet(deps: WriteDeps, { metadata }: ReplicaSet): Promise<void> {
  await deps.fence.check();
  const { uid, resourceVersion } = metadata;
  const ref = { namespace: metadata.namespace!, name: metadata.name };
  try {
    await deps.client.delete(REPLICA_SETS, ref, { preconditions: { uid, resourceVersion } }, { signal: deps.signal });
  } catch (e) {
    if (!isNotFound(e) && !isConflict(e)) throw e;
  }
}
