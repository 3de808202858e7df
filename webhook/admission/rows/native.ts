import { AVAILABLE, conditionOf } from '../../../canary/conditions.ts';
import type { Facts } from '../facts.ts';
import { promotedWithin } from './promoted.ts';
import { pauseIsOurs, type RowOutcome, released } from './row.ts';

/** Shorter outages may be the workload's ordinary life: one probe missed, a node drained. */
const BROKEN_AFTER_MS = 30_000;
/** A Deployment whose Available condition never moved since it was made has never served. */
const CREATION_SLACK_MS = 10_000;

/** Row 10: what a user changes behind a pause of their own is looked at when they unpause. */
export function pausedByUser(facts: Facts): RowOutcome | undefined {
  return !facts.run && facts.asksForPause && !pauseIsOurs(facts) ? {} : undefined;
}

/**
 * Row 11: the user wants no analysis, or not of a version that has just been promoted here. A spec that cannot be read is refused at the
 * hold: it must not keep a broken workload from its fix.
 */
export async function skipAnalysis(facts: Facts): Promise<RowOutcome | undefined> {
  const { spec } = await facts.analysis();
  if (!spec) return undefined;
  const { name } = facts.input;
  if (spec.skipAnalysis) return passThrough(facts, `skipAnalysis is set: ${name} rolls out without canary analysis`);
  const promoted = await promotedWithin(spec.rollbackWindow.revisions, facts);
  if (!promoted) return undefined;
  return passThrough(
    facts,
    `this version of ${name} was promoted at ${promoted.time}, within rollbackWindow: it rolls out without canary analysis`,
  );
}

/** Row 12: a broken workload can always be fixed. */
export function nothingStable(facts: Facts): RowOutcome | undefined {
  const why = brokenBecause(facts);
  return why === undefined
    ? undefined
    : passThrough(
        facts,
        `${facts.input.name} ${why}, so there is nothing to protect: it rolls out without canary analysis`,
      );
}

/** Ends a run and lets Kubernetes roll; a pause of the user's own stays. */
export function passThrough(facts: Facts, warning: string): RowOutcome {
  return { change: released(facts), warnings: [warning] };
}

function brokenBecause({ object, old = object, run, input: { now } }: Facts): string | undefined {
  if (object.spec.replicas === 0 || old.spec.replicas === 0) return 'is scaled to 0';
  const available = conditionOf(old, AVAILABLE);
  if (!available) return 'has never been available';
  if (available.status !== 'False') return undefined;
  // While it is promoted, the canary may carry everything: it is what there is to protect.
  if (run?.phase === 'promoting') return undefined;
  const since = Date.parse(available.lastTransitionTime ?? '');
  if (since - Date.parse(old.metadata.creationTimestamp ?? '') < CREATION_SLACK_MS) return 'has never been available';
  return now.getTime() - since > BROKEN_AFTER_MS ? 'has been unavailable for over 30 s' : undefined;
}
