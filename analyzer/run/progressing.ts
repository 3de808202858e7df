import { parseDuration } from '../../canary/duration.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { CheckVerdict } from '../judge/thresholds.ts';
import { failedCheck, look, nextCheck } from './checking.ts';
import type { Context } from './context.ts';
import { fail } from './failure.ts';
import { awaitReady } from './preparing.ts';
import { report } from './report.ts';
import type { Standing } from './standing.ts';
import { expectStanding, pause, primaryOf, runOnPrimary, settleEndpoints, whileWatched } from './wait.ts';
import { nextWeight, replicasFor } from './weights.ts';

/** While nothing can be judged, how often to look whether that has changed: not slower than a usual scrape. */
const EVIDENCE_POLL_MS = 5000;

/**
 * Raises the weight step by step; after each interval one check. Passed at the highest weight: Promoting. The check that reaches the
 * threshold: RollingBack, at once. Without evidence the run holds where it is.
 */
export async function progressing(ctx: Context): Promise<AnalyzerPhase> {
  if (ctx.status.weight === 0) {
    const failed = await raise(ctx);
    if (failed) return failed;
  } else {
    // Written before, perhaps without the route that belongs to it.
    await ctx.canary!.router.setWeight(ctx.status.weight);
  }
  let checkedMs = ctx.clock.now().getTime();
  for (;;) {
    const { atMs, verdict } = await nextCheck(ctx, checkedMs, 'held');
    const next = await follow(ctx, verdict);
    if (next) return next;
    checkedMs = atMs;
  }
}

/** What follows from a check; a phase if the run leaves this one. */
async function follow(ctx: Context, verdict: CheckVerdict): Promise<AnalyzerPhase | undefined> {
  if (verdict.outcome === 'fail') return failedCheck(ctx, verdict, 'Analysing');
  // A user may have paused the run while the metrics were asked.
  expectStanding(ctx, 'held');
  const { spec } = runOnPrimary(ctx);
  switch (verdict.outcome) {
    case 'hold':
      return await hold(ctx, verdict);
    case 'advance':
      if (ctx.status.weight >= spec.analysis.maxWeight || ctx.guard?.earlyPromote) {
        await report(ctx, {
          message: verdict.message,
          metrics: verdict.readings,
          evidenceAt: ctx.clock.now().toISOString(),
        });
        return 'Promoting';
      }
      await report(ctx, { metrics: verdict.readings, evidenceAt: ctx.clock.now().toISOString() });
      return raise(ctx, verdict.message);
  }
}

/** No evidence is neither success nor failure: the run waits for it, up to `holdTimeout`, and its interval begins anew with it. */
async function hold(ctx: Context, first: CheckVerdict): Promise<AnalyzerPhase | undefined> {
  const { spec } = runOnPrimary(ctx);
  const timeoutMs = parseDuration(spec.analysis.holdTimeout)!;
  const intervalMs = parseDuration(spec.analysis.interval)!;
  const nowMs = () => ctx.clock.now().getTime();
  const lastEvidence = Date.parse(ctx.status.evidenceAt ?? ctx.status.trafficSince ?? ctx.status.startedAt);
  // The interval before this look was none of waiting.
  const since = Math.max(lastEvidence, Math.min(nowMs(), lastEvidence + intervalMs));
  const pollMs = Math.min(intervalMs, EVIDENCE_POLL_MS);
  let hooksAt = nowMs();
  let verdict = first;
  while (verdict.outcome === 'hold') {
    if (verdict.message !== ctx.status.message) await sayWaiting(ctx, verdict);
    if (nowMs() - since >= timeoutMs) {
      return fail(ctx, 'RolledBack', `no evidence within holdTimeout ${spec.analysis.holdTimeout}: ${verdict.message}`);
    }
    // A hook may be what drives the traffic that is waited for.
    const due = nowMs() - hooksAt >= intervalMs;
    if (due) hooksAt = nowMs();
    const hooks = due ? ctx.ports.callHooks(ctx.canary!, runOnPrimary(ctx)) : Promise.resolve([]);
    await Promise.all([pause(ctx, pollMs, 'held'), whileWatched(ctx, hooks)]);
    verdict = await look(ctx, await hooks);
  }
  await report(
    ctx,
    { message: 'evidence arrives again', evidenceAt: ctx.clock.now().toISOString() },
    { status: 'Unknown', reason: 'Analysing' },
  );
  return undefined;
}

async function sayWaiting(ctx: Context, { message, readings, requests }: CheckVerdict): Promise<void> {
  const reason =
    requests === 0 && readings.every((r) => r.verdict === 'no-data' && !r.error)
      ? 'WaitingForTraffic'
      : 'MetricsUnavailable';
  ctx.ports.event('Warning', 'CanaryWaiting', message);
  await report(ctx, { message, metrics: readings }, { status: 'Unknown', reason });
}

/** The next weight: pods first, ready, then requests. */
async function raise(ctx: Context, because?: string): Promise<AnalyzerPhase | undefined> {
  const { spec } = runOnPrimary(ctx);
  const weight = nextWeight(ctx.status.weight, spec.analysis);
  const problem = await scaleFor(ctx, weight, spec.progressDeadlineSeconds * 1000, 'held');
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
  expectStanding(ctx, 'held');
  const message = `weight ${weight} %${because ? ` after: ${because}` : ''}`;
  const step = ctx.status.step + 1;
  const trafficSince = ctx.status.trafficSince ?? ctx.clock.now().toISOString();
  await report(
    ctx,
    { phase: 'Progressing', weight, step, trafficSince, message },
    { status: 'Unknown', reason: 'Analysing' },
  );
  expectStanding(ctx, 'held');
  await ctx.canary!.router.setWeight(weight);
  ctx.guard?.weightChanged();
  ctx.ports.event('Normal', 'CanaryWeight', message);
  return undefined;
}

/** The canary has the pods that this weight takes, counted from the largest size of the primary since the run began: an HPA shrinks it meanwhile. */
export async function scaleFor(
  ctx: Context,
  weightPercent: number,
  deadlineMs: number,
  expected: Standing,
): Promise<{ runnable: boolean; message: string } | undefined> {
  ctx.status.replicas = Math.max(ctx.status.replicas, primaryOf(ctx).spec.replicas ?? 1);
  const wanted = replicasFor(weightPercent, ctx.status.replicas);
  const before = await ctx.canary!.readiness();
  if (wanted > before.wanted) await ctx.canary!.scale(wanted);
  if (wanted <= before.wanted && before.ready >= before.wanted) return undefined;
  const problem = await awaitReady(ctx, deadlineMs, expected);
  if (!problem) await settleEndpoints(ctx, expected);
  return problem;
}
