import type { PromotedReason } from '../../canary/conditions.ts';
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
import { report } from './report.ts';
import type { Standing } from './standing.ts';
import { expectStanding, pause, runOnPrimary, whileWatched } from './wait.ts';

/** What a check takes comes off the interval after it, so that N steps take N intervals; a longer wait, for pods or evidence, does not. */
const MAX_CATCH_UP = 0.1;

/** Waits out the interval after a check, with the hooks of it, and looks. The weight is put back first: whoever applied the routes anew took it out. */
export async function nextCheck(
  ctx: Context,
  lastMs: number,
  expected: Standing,
): Promise<{ atMs: number; verdict: CheckVerdict }> {
  const atMs = dueAfter(ctx, lastMs);
  const hooks = ctx.ports.callHooks(ctx.canary!, runOnPrimary(ctx));
  await Promise.all([pause(ctx, atMs - ctx.clock.now().getTime(), expected), whileWatched(ctx, hooks)]);
  expectStanding(ctx, expected);
  warnOfLostStable(ctx);
  await ctx.canary!.router.setWeight(ctx.status.weight);
  return { atMs, verdict: await look(ctx, await hooks) };
}

function dueAfter(ctx: Context, lastMs: number): number {
  const intervalMs = parseDuration(runOnPrimary(ctx).spec.analysis.interval)!;
  const nowMs = ctx.clock.now().getTime();
  return Math.max(lastMs + intervalMs, nowMs + intervalMs * (1 - MAX_CATCH_UP));
}

export async function look(ctx: Context, hooks: HookResult[]): Promise<CheckVerdict> {
  const since = new Date(ctx.status.trafficSince ?? ctx.clock.now());
  const { readings, requests } = await whileWatched(
    ctx,
    ctx.ports.evaluate(ctx.canary!, runOnPrimary(ctx).spec, since),
  );
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
  const primary = await whileWatched(ctx, ctx.ports.evaluatePrimary(ctx.canary!, spec, since));
  const shared = failed.map((r) => primary.readings.find((p) => p.name === r.name && p.verdict === 'fail'));
  if (shared.some((reading) => reading === undefined)) return verdict;
  const of = shared.map((reading) => reading!.message).join('; ');
  return { ...verdict, outcome: 'hold', message: `${verdict.message}; the primary does no better: ${of}` };
}

/** Counts a failed check; the one that reaches the threshold rolls back at once. */
export async function failedCheck(
  ctx: Context,
  { message, readings }: CheckVerdict,
  reason: PromotedReason,
  state = '',
): Promise<AnalyzerPhase | undefined> {
  const failedChecks = ctx.status.failedChecks + 1;
  const counted = `${state}check failed (${failedChecks} of ${ctx.status.threshold}): ${message}`;
  if (failedChecks >= ctx.status.threshold) {
    ctx.status = { ...ctx.status, failedChecks, metrics: readings };
    return fail(ctx, 'RolledBack', message);
  }
  ctx.ports.event('Warning', 'CanaryCheckFailed', counted);
  await report(
    ctx,
    { failedChecks, metrics: readings, message: counted, evidenceAt: ctx.clock.now().toISOString() },
    { status: 'Unknown', reason },
  );
  return undefined;
}
