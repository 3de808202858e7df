import {
  condition,
  conditionOf,
  DEADLINE_EXCEEDED,
  PROGRESSING,
  PROMOTED_CONDITION,
  type PromotedReason,
} from '../../canary/conditions.ts';
import { clip, runOf } from '../../canary/run.ts';
import type { RunStatus } from '../../canary/status.ts';
import { isConflict, isNotFound } from '../../kube/errors.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Condition, Deployment } from '../../kube/types.ts';
import { find, MAX_CONFLICTS } from '../fenced-write.ts';
import { eraseStatus, writeStatus } from '../report/status.ts';
import type { Context } from './context.ts';
import { standingOf } from './standing.ts';
import { Moved } from './wait.ts';

/** The condition `Promoted` while a run is on, or at its end. */
export interface Verdict {
  status: Condition['status'];
  reason: PromotedReason;
  /** Also makes `kubectl rollout status` and kstatus report failure. */
  failed?: boolean;
}

/**
 * Writes what the run is about to do, or what became of it, in one request: the status annotation and the conditions. Intent first:
 * an attempt that dies after this goes on from here.
 */
export async function report(ctx: Context, change: Partial<RunStatus>, verdict?: Verdict): Promise<void> {
  const evidence = ctx.guard?.evidence;
  ctx.status = {
    ...ctx.status,
    ...change,
    ...(evidence ? { evidence } : {}),
    updatedAt: ctx.clock.now().toISOString(),
  };
  ctx.status.message = clip(ctx.status.message);
  const written = await onPrimary(ctx, (primary) => {
    // Another run's report, or nobody's: it is not ours to write any more.
    if (belongsToAnother(ctx, primary)) return undefined;
    // Reverted or opted out meanwhile: what rolls there now did not fail.
    const standing = standingOf(primary, ctx.ref);
    if (verdict?.failed && standing !== 'rejected') throw new Moved(standing);
    const conditions = verdict ? conditionsOf(ctx, primary, verdict) : [];
    return writeStatus(ctx.client, primary, ctx.status, conditions, ctx.signal);
  });
  if (!written) return;
  ctx.log.info('run', {
    phase: ctx.status.phase,
    weight: ctx.status.weight,
    failedChecks: ctx.status.failedChecks,
    reason: verdict?.reason,
    detail: ctx.status.message,
  });
}

/** After a revert or an opt-out nothing of ours stays on the object; what a later run wrote is left alone. */
export async function eraseReport(ctx: Context): Promise<void> {
  await onPrimary(ctx, (primary) => (runOf(primary) ? undefined : eraseStatus(ctx.client, primary, ctx.signal)));
}

/**
 * Writes to the primary only as it was looked at: where somebody changed it since, the Lease and the run on it are looked at again.
 * @param write undefined where nothing is to be written
 * @returns whether it was written
 */
async function onPrimary(
  ctx: Context,
  write: (primary: Deployment) => Promise<Deployment> | undefined,
): Promise<boolean> {
  const { client, ref, signal, view, fence } = ctx;
  let primary = view.current();
  for (let conflicts = 0; ; conflicts++) {
    if (!primary || primary.metadata.uid !== ref.deploymentUid) return false;
    await fence.check();
    try {
      const written = await write(primary);
      if (written) view.saw(written);
      return written !== undefined;
    } catch (e) {
      if (isNotFound(e)) return false;
      if (!isConflict(e) || conflicts >= MAX_CONFLICTS) throw e;
      primary = await find<Deployment>({ client, signal }, DEPLOYMENTS, { namespace: ref.namespace, name: ref.name });
      if (primary) view.saw(primary);
    }
  }
}

function belongsToAnother({ ref }: Context, primary: Deployment): boolean {
  const run = runOf(primary);
  return run !== undefined && run.id !== ref.id;
}

function conditionsOf(
  { status, clock }: Context,
  primary: Deployment,
  { status: value, reason, failed }: Verdict,
): Condition[] {
  const now = clock.now();
  const message = clip(status.message);
  const promoted = condition(conditionOf(primary, PROMOTED_CONDITION), now, {
    type: PROMOTED_CONDITION,
    status: value,
    reason,
    message,
  });
  if (!failed) return [promoted];
  const progressing = { type: PROGRESSING, status: 'False' as const, reason: DEADLINE_EXCEEDED, message };
  return [promoted, condition(conditionOf(primary, PROGRESSING), now, progressing)];
}
