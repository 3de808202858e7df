import { parseDuration } from '../../canary/duration.ts';
import type { MetricName } from '../../canary/spec.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { HookResult } from '../checks/hooks.ts';
import { kayentaVerdict } from '../judge/kayenta/verdict.ts';
import { plansOf } from '../judge/plans.ts';
import { type CheckVerdict, judgeCheck } from '../judge/thresholds.ts';
import type { Context } from './context.ts';
import { fail } from './failure.ts';
import { warnOfLostStable } from './lost-stable.ts';
import { awaitReady } from './preparing.ts';
import { report } from './report.ts';
import { expectStanding, pause, primaryOf, runOnPrimary, settleEndpoints } from './wait.ts';
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
  let checkAt = ctx.clock.now().getTime();
  for (;;) {
    checkAt = nextCheck(ctx, checkAt);
    const hooks = ctx.ports.callHooks(ctx.canary!, runOnPrimary(ctx));
    await Promise.all([pause(ctx, checkAt - ctx.clock.now().getTime(), 'held'), hooks]);
    const next = await check(ctx, await hooks);
    if (next) return next;
  }
}

/** What a check takes comes off the interval after it, so that N steps take N intervals; a longer wait, for pods or evidence, does not. */
const MAX_CATCH_UP = 0.1;

function nextCheck(ctx: Context, lastMs: number): number {
  const intervalMs = parseDuration(runOnPrimary(ctx).spec.analysis.interval)!;
  const nowMs = ctx.clock.now().getTime();
  return Math.max(lastMs + intervalMs, nowMs + intervalMs * (1 - MAX_CATCH_UP));
}

/** One check and what follows from it; a phase if the run leaves this one. */
async function check(ctx: Context, hooks: HookResult[]): Promise<AnalyzerPhase | undefined> {
  expectStanding(ctx, 'held');
  const { spec } = runOnPrimary(ctx);
  warnOfLostStable(ctx);
  // Whoever applied the routes anew since the last look took the weight out of them.
  await ctx.canary!.router.setWeight(ctx.status.weight);
  const verdict = await look(ctx, hooks);
  switch (verdict.outcome) {
    case 'fail':
      return failedCheck(ctx, verdict);
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

async function look(ctx: Context, hooks: HookResult[]): Promise<CheckVerdict> {
  const since = new Date(ctx.status.trafficSince ?? ctx.clock.now());
  const { readings, requests } = await ctx.ports.evaluate(ctx.canary!, runOnPrimary(ctx).spec, since);
  const verdict = judgeCheck({ readings, requests, hooks });
  return verdict.outcome === 'fail' ? unlessShared(ctx, verdict, hooks, since) : scored(ctx, verdict);
}

/** Where the spec asks for Kayenta's judge, a check that would advance needs its score besides: marginal on the way, pass at the end. */
function scored(ctx: Context, verdict: CheckVerdict): CheckVerdict {
  const judged = verdict.outcome === 'advance' ? ctx.guard?.kayenta() : undefined;
  if (!judged) return verdict;
  const last = ctx.status.weight >= runOnPrimary(ctx).spec.analysis.maxWeight;
  return kayentaVerdict(verdict, judged, last);
}

/**
 * A metric that is out of its range on the primary too says nothing about the new version: something that both depend on is broken. Only
 * for metrics that are compared; a canary that is worse still is the comparison's to find.
 */
async function unlessShared(
  ctx: Context,
  verdict: CheckVerdict,
  hooks: HookResult[],
  since: Date,
): Promise<CheckVerdict> {
  const { spec } = runOnPrimary(ctx);
  const compared = new Set(plansOf(spec.analysis).map(({ name }) => name));
  const failed = verdict.readings.filter((r) => r.verdict === 'fail');
  if (hooks.some(({ passed }) => !passed) || !failed.every(({ name }) => compared.has(name as MetricName)))
    return verdict;
  const primary = await ctx.ports.evaluatePrimary(ctx.canary!, spec, since);
  const shared = failed.map((r) => primary.readings.find((p) => p.name === r.name && p.verdict === 'fail'));
  if (shared.some((reading) => reading === undefined)) return verdict;
  const of = shared.map((reading) => reading!.message).join('; ');
  return { ...verdict, outcome: 'hold', message: `${verdict.message}; the primary does no better: ${of}` };
}

async function failedCheck(ctx: Context, { message, readings }: CheckVerdict): Promise<AnalyzerPhase | undefined> {
  const failedChecks = ctx.status.failedChecks + 1;
  const counted = `check failed (${failedChecks} of ${ctx.status.threshold}): ${message}`;
  if (failedChecks >= ctx.status.threshold) {
    ctx.status = { ...ctx.status, failedChecks, metrics: readings };
    return fail(ctx, 'RolledBack', message);
  }
  ctx.ports.event('Warning', 'CanaryCheckFailed', counted);
  await report(
    ctx,
    { failedChecks, metrics: readings, message: counted, evidenceAt: ctx.clock.now().toISOString() },
    { status: 'Unknown', reason: 'Analysing' },
  );
  return undefined;
}

/** No evidence is neither success nor failure: the run waits for it, up to `holdTimeout`, and its interval begins anew with it. */
async function hold(ctx: Context, first: CheckVerdict): Promise<AnalyzerPhase | undefined> {
  const { spec } = runOnPrimary(ctx);
  const timeoutMs = parseDuration(spec.analysis.holdTimeout)!;
  const since = Date.parse(ctx.status.evidenceAt ?? ctx.status.trafficSince ?? ctx.status.startedAt);
  const pollMs = Math.min(parseDuration(spec.analysis.interval)!, EVIDENCE_POLL_MS);
  let verdict = first;
  while (verdict.outcome === 'hold') {
    if (verdict.message !== ctx.status.message) await sayWaiting(ctx, verdict);
    if (ctx.clock.now().getTime() - since >= timeoutMs) {
      return fail(ctx, 'RolledBack', `no evidence within holdTimeout ${spec.analysis.holdTimeout}: ${verdict.message}`);
    }
    await pause(ctx, pollMs, 'held');
    verdict = await look(ctx, []);
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
  const problem = await scaleFor(ctx, weight, spec.progressDeadlineSeconds * 1000);
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
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
): Promise<{ runnable: boolean; message: string } | undefined> {
  ctx.status.replicas = Math.max(ctx.status.replicas, primaryOf(ctx).spec.replicas ?? 1);
  const wanted = replicasFor(weightPercent, ctx.status.replicas);
  const before = await ctx.canary!.readiness();
  if (wanted > before.wanted) await ctx.canary!.scale(wanted);
  if (wanted <= before.wanted && before.ready >= before.wanted) return undefined;
  const problem = await awaitReady(ctx, deadlineMs);
  if (!problem) await settleEndpoints(ctx);
  return problem;
}
