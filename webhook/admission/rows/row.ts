import { DECISION, PAUSED_BY, PHASE, RUN } from '../../../canary/annotations.ts';
import { runId } from '../../../canary/names.ts';
import { type Run, runAnnotations } from '../../../canary/run.ts';
import type { Change } from '../change.ts';
import type { Facts } from '../facts.ts';
import type { Denied } from '../types.ts';

/** What a row answers when it fits. */
export interface RowOutcome {
  change?: Change;
  warnings?: string[];
  audit?: Record<string, string>;
}

/** One row of the table: undefined means that it does not fit and the next one is asked. */
export type Row = (facts: Facts) => RowOutcome | Denied | undefined | Promise<RowOutcome | Denied | undefined>;

export const isDenied = (outcome: RowOutcome | Denied): outcome is Denied => 'allowed' in outcome;

export const deny = (code: number, message: string): Denied => ({ allowed: false, code, message });

/** Ends a run, whatever it was: nothing of it stays on the object, and Kubernetes rolls natively. */
export const ENDED: Change = { annotations: { [RUN]: null, [PHASE]: null, [DECISION]: null, [PAUSED_BY]: null } };
export const RELEASED: Change = { ...ENDED, paused: false };

/** Records a run; held and rejected ones are behind the pause, a promoting one is released. */
export const recorded = (run: Run): Change => ({
  annotations: { ...runAnnotations(run), [PAUSED_BY]: null },
  paused: run.phase !== 'promoting',
});

/** The id of the next run, from what is stored: a manifest that replaces it need not name uid and generation. */
export const nextRunId = ({ old, run }: Facts, hash: string): string =>
  runId(old!.metadata.uid ?? '', old!.metadata.generation ?? 0, hash, run?.id ?? '');

/** Times in warnings and annotations: RFC 3339, whole seconds. */
export const timeOf = (now: Date): string => now.toISOString().replace(/\.\d+Z/, 'Z');

/** Ends a run; a pause of the user's own, which only a promotion can have, stays. */
export const released = (facts: Facts): Change => (pauseIsOurs(facts) ? RELEASED : ENDED);

/** The pause in force is ours and not the user's own. */
export const pauseIsOurs = ({ run, leftPaused }: Facts): boolean =>
  leftPaused || run?.phase === 'held' || run?.phase === 'rejected';
