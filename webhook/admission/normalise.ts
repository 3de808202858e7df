import * as keys from '../../canary/annotations.ts';
import type { Change } from './change.ts';
import type { Facts } from './facts.ts';

/**
 * What is put right in every request before the table decides: our state annotations are as stored (the analyzer's decision is the one
 * thing that a request may bring, and commands are consumed), and the label that watches select by agrees with the opt-in.
 */
export function normalise(facts: Facts): Change {
  return { annotations: { ...keptState(facts), [keys.COMMAND]: null }, labels: watchLabel(facts) };
}

function keptState({ object, old, wasOptedIn, leftPaused }: Facts): Record<string, string | null> {
  const kept: Record<string, string | null> = {};
  for (const key of keys.STATE_ANNOTATIONS) {
    const guarded = wasOptedIn || (leftPaused && key === keys.PAUSED_BY);
    const stored = guarded ? old!.metadata.annotations![key] : undefined;
    if (key === keys.DECISION) kept[key] = null;
    // A mark without its pause would take the user's next pause for ours.
    else if (key === keys.PAUSED_BY && !object.spec.paused) kept[key] = null;
    else kept[key] = stored ?? null;
  }
  return kept;
}

function watchLabel({ optedIn }: Facts): Record<string, string | null> {
  return { [keys.WATCHED_LABEL]: optedIn ? 'true' : null };
}
