import { CANARY, ENABLED } from '../../canary/annotations.ts';
import { type Run, runOf } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';

/**
 * Where a run stands by the word of the primary, which alone counts: admission may have moved it while this process looked elsewhere.
 * gone: the Deployment is deleted, opted out, reverted, promoted to the end, or has another run.
 */
export type Standing = 'held' | 'promoting' | 'rejected' | 'gone';

export interface RunRef {
  id: string;
  deploymentUid: string;
}

export function standingOf(primary: Deployment | undefined, ref: RunRef): Standing {
  return recordOf(primary, ref)?.phase ?? 'gone';
}

/** The run's record, while the primary carries it. */
export function recordOf(primary: Deployment | undefined, { id, deploymentUid }: RunRef): Run | undefined {
  if (!primary || primary.metadata.uid !== deploymentUid || primary.metadata.deletionTimestamp) return undefined;
  if (primary.metadata.annotations?.[CANARY] !== ENABLED) return undefined;
  const run = runOf(primary);
  return run?.id === id ? run : undefined;
}
