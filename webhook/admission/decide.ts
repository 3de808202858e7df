import * as keys from '../../canary/annotations.ts';
import { clip } from '../../canary/run.ts';
import { isKubeError, messageOf } from '../../kube/errors.ts';
import { combine, toPatch } from './change.ts';
import { type Facts, factsOf } from './facts.ts';
import { normalise } from './normalise.ts';
import { command } from './rows/command.ts';
import { decision } from './rows/decision.ts';
import { restartOnly, revert, sameVersion, unchanged } from './rows/held.ts';
import { hold } from './rows/hold.ts';
import { nothingStable, pausedByUser, skipAnalysis } from './rows/native.ts';
import { created, notOptedIn, optOut } from './rows/opt-in.ts';
import { deny, isDenied, type Row } from './rows/row.ts';
import { historyProblem, workloadProblem } from './spec.ts';
import type { AdmissionInput, Denied, Outcome, Reads, Settings } from './types.ts';
import { droppedByUndo } from './undo.ts';

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

/** The API server may cut warnings of over 256 characters. */
const MAX_WARNING = 250;

const UNDONE = 'the annotations of canary analysis, which kubectl rollout undo would have dropped, were kept';

/**
 * Decides about one write of a Deployment, without side effects: the same input and the same reads give the same answer, so that a
 * dry run, a retry and a second replica agree. First the object is normalised, then exactly one row of the table decides.
 * A read that the API server does not answer makes a denial.
 */
export async function decide(input: AdmissionInput, reads: Reads, settings: Settings): Promise<Outcome> {
  // An object on its way out is only losing its finalizers; nothing of it will run again.
  if (input.oldObject?.metadata.deletionTimestamp)
    return { allowed: true, patch: [], warnings: [], audit: { row: 'deleting' } };
  try {
    return await byTable(factsOf(input, remembered(reads), settings));
  } catch (e) {
    if (!isKubeError(e)) throw e;
    return deny(503, `the API server did not tell what the decision about ${input.name} needs: ${messageOf(e)}`);
  }
}

async function byTable(asSent: Facts): Promise<Outcome> {
  const undone = await droppedByUndo(asSent);
  const facts = undone ? factsOf(restored(asSent.input, undone), asSent.reads, asSent.settings) : asSent;
  const refused = await checkSettings(facts);
  if (refused) return refused;
  for (const [name, row] of TABLE) {
    const outcome = await row(facts);
    if (outcome === undefined) continue;
    if (isDenied(outcome)) return outcome;
    const { change = {}, warnings = [], audit = {} } = outcome;
    const changes = combine({ annotations: undone ?? {} }, normalise(facts), change);
    return {
      allowed: true,
      patch: toPatch(asSent.object, changes),
      warnings: [...(undone ? [UNDONE] : []), ...warnings].map((text) => clip(text, MAX_WARNING)),
      audit: { row: name, ...audit },
    };
  }
  throw new Error('the table has no row for the request');
}

const restored = (input: AdmissionInput, annotations: Record<string, string>): AdmissionInput => {
  const { metadata } = input.object;
  const all = { ...metadata.annotations, ...annotations };
  return { ...input, object: { ...input.object, metadata: { ...metadata, annotations: all } } };
};

/** ReplicaSets are read once: two answers could differ. */
function remembered(reads: Reads): Reads {
  let known: ReturnType<Reads['replicaSets']> | undefined;
  return {
    ...reads,
    replicaSets: (deployment) => {
      known ??= reads.replicaSets(deployment);
      return known;
    },
  };
}

/** A mistake in the settings is told to whoever writes it, not to whoever pushes the next version weeks later. */
async function checkSettings(facts: Facts): Promise<Denied | undefined> {
  const { object, old, optedIn, wasOptedIn, run } = facts;
  if (!optedIn) return undefined;
  if (run && object.spec.revisionHistoryLimit !== old!.spec.revisionHistoryLimit) {
    const problem = historyProblem(facts);
    if (problem) return problem;
  }
  // Asked only where both are opted in, by their annotations.
  const changed = (key: string) => object.metadata.annotations![key] !== old!.metadata.annotations![key];
  if (wasOptedIn && !changed(keys.SPEC) && !changed(keys.SPEC_FROM)) return undefined;
  const { spec, denied } = await facts.analysis();
  if (denied) return denied;
  return wasOptedIn ? undefined : workloadProblem(facts, spec);
}
