import { COMMAND } from '../../../canary/annotations.ts';
import { templateHash } from '../../../canary/hash.ts';
import { clip, type Run } from '../../../canary/run.ts';
import { statusOf } from '../../../canary/status.ts';
import type { Facts } from '../facts.ts';
import { stableFromReplicaSets } from '../stable.ts';
import { type RowOutcome, released } from './row.ts';

/** So that how to go on still fits into the warning. */
const MAX_REASON = 80;

/** Row 6: the template stays as stored. What is held or rejected stays behind the pause, whatever else the request asks. */
export async function unchanged(facts: Facts): Promise<RowOutcome | undefined> {
  const { templateChanged, run } = facts;
  if (templateChanged) return undefined;
  if (run) return stays(facts, run);
  return (await releasesUnseenVersion(facts)) ? undefined : {};
}

/**
 * A Deployment that its user had paused is unpaused: what was changed meanwhile has not been compared with anything yet, so the later
 * rows look at it as they look at a changed template.
 */
async function releasesUnseenVersion({ old, wasPaused, asksForPause, reads, hash }: Facts): Promise<boolean> {
  if (!wasPaused || asksForPause) return false;
  const replicaSets = await reads.replicaSets(old!);
  const stable = stableFromReplicaSets(replicaSets);
  if (stable) return templateHash(stable.spec.template) !== hash;
  // While no pod is available, a version that has a ReplicaSet has been seen before.
  return !replicaSets.some((rs) => templateHash(rs.spec.template) === hash);
}

/** Row 7: back to the version that serves. */
export function revert(facts: Facts): RowOutcome | undefined {
  const { run, hash, input } = facts;
  if (!run || run.stable !== hash) return undefined;
  return {
    change: released(facts),
    warnings: [`canary of ${input.name} cancelled: back to the stable version`],
    audit: { run: run.id },
  };
}

/** Row 8: the held, promoting or rejected version once more, although some other byte of the template differs. */
export function sameVersion(facts: Facts): RowOutcome | undefined {
  const { run, hash } = facts;
  return run?.hash === hash ? stays(facts, run) : undefined;
}

/** Row 9: `kubectl rollout restart` is no new version. */
export function restartOnly({
  run,
  hash,
  oldHash,
  leftPaused,
  wasPaused,
  asksForPause,
}: Facts): RowOutcome | undefined {
  const unpaused = wasPaused && !asksForPause;
  return !run && !leftPaused && !unpaused && hash === oldHash ? {} : undefined;
}

function stays(facts: Facts, run: Run): RowOutcome {
  const warnings = [describe(facts, run)];
  return run.phase === 'promoting' ? { warnings } : { change: { paused: true }, warnings };
}

function describe({ input, old }: Facts, run: Run): string {
  if (run.phase === 'rejected') {
    const why = run.message ? `: ${clip(run.message, MAX_REASON)}` : '';
    return `this version of ${input.name} was rejected at ${run.time}${why}; it stays held. Try again with: kubectl annotate deployment/${input.name} ${COMMAND}=retry`;
  }
  if (run.phase === 'promoting') return `this version of ${input.name} is being promoted`;
  const status = statusOf(old!);
  const weight = status?.run === run.id ? `${status.phase}, ${status.weight} % of the requests` : 'starting';
  if (run.order?.command === 'pause')
    return `canary of ${input.name} is paused by ${run.order.requester} (run ${run.id}: ${weight}); go on with: kubectl annotate deployment/${input.name} ${COMMAND}=resume`;
  return `canary of ${input.name} is on (run ${run.id}: ${weight}); follow it with: kubectl rollout status deployment/${input.name}`;
}
