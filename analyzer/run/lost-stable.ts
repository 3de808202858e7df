import type { Context } from './context.ts';
import { primaryOf } from './wait.ts';

/**
 * Says so when the primary has no pod at all although it wants some: somebody deleted the stable version's ReplicaSet, and a paused
 * Deployment makes none anew. The run goes on: the canary's pods are the only ones there are, and a promotion mends it.
 */
export function warnOfLostStable(ctx: Context): void {
  const { metadata, spec, status } = primaryOf(ctx);
  const observed = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  if (!observed || (spec.replicas ?? 1) === 0 || (status?.replicas ?? 0) > 0) return;
  ctx.ports.event(
    'Warning',
    'StableVersionGone',
    `the stable version of ${metadata.name} has no pods any more, and none are made while a version is held: was its ReplicaSet deleted? Apply the stable version again to bring it back at once`,
  );
}

/** Says so when a failed promotion cannot go back: the canary's pods and what the primary has go on serving. */
export function sayStableGone(ctx: Context): void {
  const { name } = primaryOf(ctx).metadata;
  ctx.ports.event(
    'Warning',
    'StableVersionGone',
    `${name} cannot go back to its stable version: the ReplicaSet is gone; was it deleted? The canary serves until you apply the stable version, or a new one`,
  );
}
