import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Readiness } from '../workload/workload.ts';
import { awaitCallers, noteCallers } from './callers.ts';
import type { Canary, Context } from './context.ts';
import { fail } from './failure.ts';
import { report } from './report.ts';
import { withoutStrangers } from './settling.ts';
import type { Standing } from './standing.ts';
import { expectStanding, primaryOf, runOnPrimary, settleEndpoints, until } from './wait.ts';
import { nextWeight, replicasFor, stepsOf } from './weights.ts';

/**
 * The canary runs, ready, behind routes that give it the weight it had: 0 at first, and Prometheus knows what callers sent to earlier ones.
 * Ends in Progressing, or in RollingBack when the
 * target is unfit or the canary does not get ready in time.
 */
export async function preparing(ctx: Context): Promise<AnalyzerPhase> {
  expectStanding(ctx, 'held');
  const { spec } = runOnPrimary(ctx);
  const failed = await onlyUndo(ctx);
  if (failed) return failed;
  const resumed = ctx.status.phase === 'Paused';
  if (resumed) ctx.ports.event('Normal', 'CanaryResumed', `canary run ${ctx.ref.id} of ${ctx.ref.name} goes on`);
  withoutPromotion(ctx);
  await report(
    ctx,
    {
      phase: 'Preparing',
      // What a pause took does not count as waiting for evidence.
      ...(resumed && ctx.status.trafficSince ? { evidenceAt: ctx.clock.now().toISOString() } : {}),
      steps: stepsOf(spec.analysis),
      threshold: spec.analysis.threshold,
      message: 'preparing the canary',
    },
    { status: 'Unknown', reason: 'Analysing' },
  );
  await withoutStrangers(ctx);
  const canary = await prepareCanary(ctx);
  const reread = await noteCallers(ctx, canary);
  const unready = await becomeReady(ctx, 'held');
  if (unready) return unready;
  if (reread) await awaitCallers(ctx, reread);
  // What a canary that was not ready did not answer must not be counted once it has a weight.
  const again = ctx.guard?.strays ? await noteCallers(ctx, canary) : undefined;
  if (again) await awaitCallers(ctx, again);
  return 'Progressing';
}

/** An attempt after too many that died judges nothing any more. */
export async function onlyUndo(ctx: Context): Promise<AnalyzerPhase | undefined> {
  if (!ctx.ref.rollbackOnly) return undefined;
  return fail(ctx, 'RolledBack', `the analysis did not survive ${ctx.ref.attempt - 1} attempts`);
}

/** A held version is not being promoted, whatever an attempt that died, or an order, had begun. */
export function withoutPromotion(ctx: Context): void {
  const { promotingSince: _since, promotedBy: _by, ...status } = ctx.status;
  ctx.status = status;
}

/** The canary's pods are ready, and every proxy knows them before any request is sent their way; else the run goes into its rollback. */
export async function becomeReady(ctx: Context, expected: Standing): Promise<AnalyzerPhase | undefined> {
  const { spec } = runOnPrimary(ctx);
  const problem = await awaitReady(ctx, spec.progressDeadlineSeconds * 1000, expected);
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
  await settleEndpoints(ctx, expected);
  return undefined;
}

export async function prepareCanary(ctx: Context): Promise<Canary> {
  const primary = primaryOf(ctx);
  const { spec } = runOnPrimary(ctx);
  ctx.status.replicas = Math.max(ctx.status.replicas, primary.spec.replicas ?? 1);
  const canary = await ctx.ports.planCanary(primary, spec);
  ctx.canary = canary;
  ctx.guard ??= ctx.ports.guard(canary, runOnPrimary(ctx), ctx.status.evidence);
  const weight = Math.max(ctx.status.weight, nextWeight(0, spec.analysis));
  await canary.prepare(replicasFor(weight, ctx.status.replicas));
  await canary.router.prepare();
  return canary;
}

/** @returns what keeps the canary from being ready after the deadline, or undefined once it is */
export async function awaitReady(
  ctx: Context,
  deadlineMs: number,
  expected: Standing,
): Promise<{ runnable: boolean; message: string } | undefined> {
  let last: Readiness = { wanted: 0, ready: 0 };
  const ready = await until(ctx, deadlineMs, expected, async () => {
    last = await ctx.canary!.readiness();
    return last.ready >= last.wanted && last.wanted > 0;
  });
  if (ready) return undefined;
  const counts = `${last.ready} of ${last.wanted} canary pods ready after ${Math.round(deadlineMs / 1000)} s (progressDeadlineSeconds)`;
  return { runnable: last.problem === undefined, message: last.problem ? `${counts}: ${last.problem}` : counts };
}
