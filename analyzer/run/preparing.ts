import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Readiness } from '../workload/workload.ts';
import type { Canary, Context } from './context.ts';
import { fail } from './failure.ts';
import { report } from './report.ts';
import { expectStanding, primaryOf, runOnPrimary, settleEndpoints, until } from './wait.ts';
import { nextWeight, replicasFor, stepsOf } from './weights.ts';

/**
 * The canary runs, ready, behind routes that give it the weight it had: 0 at first. Ends in Progressing, or in RollingBack when the
 * target is unfit or the canary does not get ready in time.
 */
export async function preparing(ctx: Context): Promise<AnalyzerPhase> {
  expectStanding(ctx, 'held');
  const { spec } = runOnPrimary(ctx);
  if (ctx.ref.rollbackOnly)
    return fail(ctx, 'RolledBack', `the analysis did not survive ${ctx.ref.attempt - 1} attempts`);
  await report(
    ctx,
    {
      phase: 'Preparing',
      steps: stepsOf(spec.analysis),
      threshold: spec.analysis.threshold,
      message: 'preparing the canary',
    },
    { status: 'Unknown', reason: 'Analysing' },
  );
  await prepareCanary(ctx);
  const problem = await awaitReady(ctx, spec.progressDeadlineSeconds * 1000);
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
  // The proxies must know the pods that are ready now before any request is sent their way.
  await settleEndpoints(ctx);
  return 'Progressing';
}

async function prepareCanary(ctx: Context): Promise<Canary> {
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
): Promise<{ runnable: boolean; message: string } | undefined> {
  let last: Readiness = { wanted: 0, ready: 0 };
  const ready = await until(ctx, deadlineMs, 'held', async () => {
    last = await ctx.canary!.readiness();
    return last.ready >= last.wanted && last.wanted > 0;
  });
  if (ready) return undefined;
  const counts = `${last.ready} of ${last.wanted} canary pods ready after ${Math.round(deadlineMs / 1000)} s (progressDeadlineSeconds)`;
  return { runnable: last.problem === undefined, message: last.problem ? `${counts}: ${last.problem}` : counts };
}
