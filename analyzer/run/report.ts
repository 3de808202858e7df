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
import type { Condition } from '../../kube/types.ts';
import { eraseStatus, writeStatus } from '../report/status.ts';
import type { Context } from './context.ts';

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
  const primary = ctx.view.current();
  // Another run's report, or nobody's: it is not ours to write any more.
  if (!primary || primary.metadata.uid !== ctx.ref.deploymentUid || belongsToAnother(ctx)) return;
  await ctx.fence.check();
  const written = await writeStatus(
    ctx.client,
    primary,
    ctx.status,
    verdict ? conditionsOf(ctx, verdict) : [],
    ctx.signal,
  );
  ctx.view.saw(written);
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
  const primary = ctx.view.current();
  if (!primary || primary.metadata.uid !== ctx.ref.deploymentUid || runOf(primary)) return;
  await ctx.fence.check();
  ctx.view.saw(await eraseStatus(ctx.client, primary, ctx.signal));
}

function belongsToAnother({ view, ref }: Context): boolean {
  const primary = view.current();
  const run = primary && runOf(primary);
  return run !== undefined && run.id !== ref.id;
}

function conditionsOf({ view, status, clock }: Context, { status: value, reason, failed }: Verdict): Condition[] {
  const primary = view.current()!;
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
