import * as keys from '../../canary/annotations.ts';
import { combine, toPatch } from './change.ts';
import { type Facts, factsOf } from './facts.ts';
import { normalise } from './normalise.ts';
import { command } from './rows/command.ts';
import { decision } from './rows/decision.ts';
import { restartOnly, revert, sameVersion, unchanged } from './rows/held.ts';
import { hold } from './rows/hold.ts';
import { nothingStable, pausedByUser, skipAnalysis } from './rows/native.ts';
import { created, notOptedIn, optOut } from './rows/opt-in.ts';
import { isDenied, type Row } from './rows/row.ts';
import { specFor, workloadProblem } from './spec.ts';
import type { AdmissionInput, Denied, Outcome, Reads, Settings } from './types.ts';

/** The table: the first row that fits decides. The last one always does. */
const TABLE: readonly (readonly [name: string, row: Row])[] = [
  ['not-opted-in', notOptedIn],
  ['created', created],
  ['decision', decision],
  ['opt-out', optOut],
  ['command', command],
  ['unchanged', unchanged],
  ['revert', revert],
  ['same-version', sameVersion],
  ['restart-only', restartOnly],
  ['paused-by-user', pausedByUser],
  ['skip-analysis', skipAnalysis],
  ['nothing-stable', nothingStable],
  ['hold', hold],
];

/**
 * Decides about one write of a Deployment, without side effects: the same input and the same reads give the same answer, so that a
 * dry run, a retry and a second replica agree. First the object is normalised, then exactly one row of the table decides.
 * Rejects only where a read rejects.
 */
export async function decide(input: AdmissionInput, reads: Reads, settings: Settings): Promise<Outcome> {
  const facts = factsOf(input, reads, settings);
  // An object on its way out is only losing its finalizers; nothing of it will run again.
  if (facts.old?.metadata.deletionTimestamp)
    return { allowed: true, patch: [], warnings: [], audit: { row: 'deleting' } };
  const refused = await checkNewSpec(facts);
  if (refused) return refused;
  for (const [name, row] of TABLE) {
    const outcome = await row(facts);
    if (outcome === undefined) continue;
    if (isDenied(outcome)) return outcome;
    const { change = {}, warnings = [], audit = {} } = outcome;
    return {
      allowed: true,
      patch: toPatch(input.object, combine(normalise(facts), change)),
      warnings,
      audit: { row: name, ...audit },
    };
  }
  throw new Error('the table has no row for the request');
}

/** A mistake in a spec is told to whoever writes it, not to whoever pushes the next version weeks later. */
async function checkNewSpec(facts: Facts): Promise<Denied | undefined> {
  const { object, old, optedIn, wasOptedIn } = facts;
  if (!optedIn) return undefined;
  const changed = (key: string) => object.metadata.annotations?.[key] !== old?.metadata.annotations?.[key];
  if (wasOptedIn && !changed(keys.SPEC) && !changed(keys.SPEC_FROM)) return undefined;
  const { spec, denied } = await specFor(facts);
  if (denied) return denied;
  return wasOptedIn ? undefined : workloadProblem(facts, spec);
}
