import type { Run } from '../../../canary/run.ts';
import type { CanarySpec } from '../../../canary/spec.ts';
import type { Facts } from '../facts.ts';
import { roomProblem } from '../room.ts';
import { workloadProblem } from '../spec.ts';
import { stableHash } from '../stable.ts';
import type { Denied } from '../types.ts';
import { passThrough } from './native.ts';
import { nextRunId, type RowOutcome, recorded, timeOf } from './row.ts';

/** Each of them has been held in its turn, and its analyzer has seen to those before it; only the last few can have been too fast for that. */
const MAX_REJECTED = 5;

/** Row 13: a new version. It is held behind the pause in the same write that brings it, and a run begins. */
export async function hold(facts: Facts): Promise<RowOutcome | Denied> {
  const { spec, denied } = await facts.analysis();
  if (denied) return denied;
  const stable = await stableHash(facts);
  if (stable === undefined)
    return passThrough(
      facts,
      `no pod of ${facts.input.name} is available, so there is nothing to protect: it rolls out without canary analysis`,
    );
  if (stable === facts.hash)
    return passThrough(
      facts,
      `this version of ${facts.input.name} is the one that serves: it rolls out without canary analysis`,
    );
  const problem = workloadProblem(facts, spec);
  if (problem) return problem;
  const run = newRun(facts, spec, stable);
  const tooLarge = roomProblem(facts, run);
  if (tooLarge) return tooLarge;
  return { change: recorded(run), warnings: [announce(facts, run)], audit: { run: run.id } };
}

function newRun(facts: Facts, spec: CanarySpec, stable: string): Run {
  const { input, hash, run } = facts;
  const interrupted = run?.phase === 'promoting' ? run.hash : run?.interrupted;
  return {
    id: nextRunId(facts, hash),
    phase: 'held',
    hash,
    stable,
    requester: input.requester.username,
    time: timeOf(input.now),
    spec,
    // A version that comes again is what this run judges: it is no version to fall back to.
    ...(interrupted === undefined || interrupted === stable || interrupted === hash ? {} : { interrupted }),
    ...rejectedBefore(run, [stable, hash]),
  };
}

/**
 * The run that is replaced may be one whose failed promotion is still being undone: its version is remembered, and the next analyzer sees
 * to it that nothing of it is left.
 */
function rejectedBefore(run: Run | undefined, others: string[]): Pick<Run, 'rejectedBefore'> {
  const all = [...(run?.phase === 'rejected' ? [run.hash] : []), ...(run?.rejectedBefore ?? [])];
  const known = [...new Set(all)].filter((hash) => !others.includes(hash)).slice(0, MAX_REJECTED);
  return known.length > 0 ? { rejectedBefore: known } : {};
}

function announce({ input, run: before }: Facts, run: Run): string {
  const replaced = before && before.phase !== 'rejected' ? ', in place of the version before it' : '';
  return `canary of ${input.name} started: run ${run.id}${replaced}; the stable version goes on serving. Follow it with: kubectl rollout status deployment/${input.name}`;
}
