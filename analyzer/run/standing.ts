import { CANARY, ENABLED } from '../../canary/annotations.ts';
import { type Order, type Run, runOf } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';

/**
 * Where a run stands by the word of the primary, which alone counts: admission may have moved it while this process looked elsewhere.
 * held: under analysis. paused: held, to stay at its weight by order of a user. ordered: held, to be promoted by order of a user.
 * gone: the Deployment is deleted, opted out, reverted, promoted to the end, or has another run.
 */
export type Standing = 'held' | 'paused' | 'ordered' | 'promoting' | 'rejected' | 'gone';

/** What is seen of the version may end the run, also while it is paused; who orders its promotion wants no more checks. */
export const isWatched = (standing: Standing): boolean => standing === 'held' || standing === 'paused';

const BY_ORDER: Record<Order['command'], Standing> = { pause: 'paused', promote: 'ordered' };

export interface RunRef {
  id: string;
  deploymentUid: string;
}

export function standingOf(primary: Deployment | undefined, ref: RunRef): Standing {
  const run = recordOf(primary, ref);
  if (!run) return 'gone';
  return run.phase === 'held' && run.order ? BY_ORDER[run.order.command] : run.phase;
}

/** The run's record, while the primary carries it. */
export function recordOf(primary: Deployment | undefined, { id, deploymentUid }: RunRef): Run | undefined {
  if (!primary || primary.metadata.uid !== deploymentUid || primary.metadata.deletionTimestamp) return undefined;
  if (primary.metadata.annotations?.[CANARY] !== ENABLED) return undefined;
  const run = runOf(primary);
  return run?.id === id ? run : undefined;
}
