import { clip, type Run } from '../../../canary/run.ts';
import type { Change } from '../change.ts';
import type { Facts } from '../facts.ts';
import { withoutPromoted } from './promoted.ts';
import { recorded, timeOf } from './row.ts';

/** Rejects the run's version: it stays behind the pause, nothing that was ordered about it holds any more, nor does an earlier promotion of it. */
export function rejected({ order: _, ...run }: Run, facts: Facts, message?: string): Change {
  const reason = message === undefined ? {} : { message: clip(message) };
  const { annotations, ...change } = recorded({
    ...run,
    phase: 'rejected',
    time: timeOf(facts.input.now),
    ...reason,
  });
  return { ...change, annotations: { ...annotations, ...withoutPromoted(run, facts) } };
}
