import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import type { WriteDeps } from '../fenced-write.ts';
import {
  capacityDuringRollout,
  isSettled,
  ready,
  type Sides,
  scaleReplicaSet,
  sidesOf,
  surgeDuringRollout,
  wanted,
} from './primary.ts';

/** Pods of a ReplicaSet. */
export interface Size {
  wanted: number;
  ready: number;
}

/** Pods that ReplicaSets are to have next. */
export interface NextSizes {
  keep: number;
  others: number[];
}

/** How far a primary is on its way to one version. */
export interface GentleLook {
  /** Only the kept version runs, in full. */
  settled: boolean;
  /** Ready pods of the kept version. */
  ready: number;
}

/**
 * One step towards one version in a paused primary that has no canary to help it: pods of other versions go as far as ready ones of the
 * kept version stand in for them. Throws `VersionGone`.
 * @param known ready pods of the kept version that every proxy knows: those of the last look; undefined at the first one, which
 * changes nothing
 */
export async function settleGently(
  deps: WriteDeps,
  primary: Deployment,
  keepHash: string,
  known?: number,
): Promise<GentleLook> {
  const sides = await sidesOf(deps, primary, keepHash);
  const look = { settled: isSettled(primary, sides), ready: ready(sides.keep) };
  if (known !== undefined && !look.settled) await takeStep(deps, primary, sides, Math.min(known, look.ready));
  return look;
}

async function takeStep(deps: WriteDeps, primary: Deployment, sides: Sides, known: number): Promise<void> {
  const others = sides.others.filter((rs) => wanted(rs) > 0);
  const next = nextSizes(primary, { wanted: wanted(sides.keep), ready: known }, others.map(sizeOf));
  if (next.keep !== wanted(sides.keep)) await scaleReplicaSet(deps, sides.keep, next.keep);
  for (const [i, rs] of others.entries()) {
    if (next.others[i]! < wanted(rs)) await scaleReplicaSet(deps, rs, next.others[i]!);
  }
}

const sizeOf = (rs: ReplicaSet): Size => ({ wanted: wanted(rs), ready: ready(rs) });

/**
 * The next sizes that leave as many pods ready as the primary's own rollout would, or at most one fewer.
 *
 * They go with what the Deployment controller does to a paused Deployment of several active ReplicaSets (`scale` in its sync.go): it
 * keeps their sum at replicas + maxSurge, and adds to, or takes from, the largest. A smaller one cannot be made to grow by shrinking a
 * larger one, which would get the pods back: it grows by asking for more, which the largest then loses. Once the kept one is the
 * largest, the others are shrunk, and it gets their pods. Of two equal ones the newer wins, so they are never made equal.
 */
export function nextSizes(primary: Deployment, keep: Size, others: Size[]): NextSizes {
  const full = primary.spec.replicas ?? 1;
  const needed = stillNeeded(floorOf(primary) - keep.ready, others);
  if (needed.every((n) => n === 0)) return { keep: keep.wanted === 0 ? full : keep.wanted, others: needed };
  // Here the controller leaves several active ReplicaSets alone.
  if (isRecreated(primary)) return { keep: full, others: needed };
  if (needed.every((n) => n < keep.wanted)) return { keep: keep.wanted, others: needed };
  const same = { keep: keep.wanted, others: others.map((o) => o.wanted) };
  const surge = surgeDuringRollout(primary);
  // The only active one has its full size and no more, so that these take nothing from it.
  if (keep.wanted === 0 && surge > 0) return { ...same, keep: surge };
  const largest = others.reduce((a, b, i) => (b.wanted > others[a]!.wanted ? i : a), 0);
  const size = others[largest]!.wanted;
  const growth = Math.min(size - needed[largest]!, size - 1 - keep.wanted);
  if (growth > 0) return { ...same, keep: keep.wanted + growth };
  // Nearly equal, and this is the one pod fewer.
  if (keep.wanted > 0 && keep.ready >= keep.wanted)
    return { ...same, others: needed.map((n) => Math.min(n, keep.wanted - 1)) };
  return same;
}

/** Ready pods that there have to be: those of a rollout, or all where the strategy would take all away; never none. */
function floorOf(primary: Deployment): number {
  const full = primary.spec.replicas ?? 1;
  return isRecreated(primary) ? full : Math.min(full, Math.max(1, capacityDuringRollout(primary)));
}

const isRecreated = ({ spec }: Deployment): boolean => spec.strategy?.type === 'Recreate';

/** How many pods of each other version must stay so that so many are ready; of those that are not ready none. */
function stillNeeded(missing: number, others: Size[]): number[] {
  let left = Math.max(0, missing);
  return others.map(({ wanted: size, ready: pods }) => {
    const stay = Math.min(left, size, pods);
    left -= stay;
    return stay;
  });
}
