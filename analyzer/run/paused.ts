import type { AnalyzerPhase } from '../../canary/status.ts';
import { failedCheck, nextCheck } from './checking.ts';
import type { Context } from './context.ts';
import { becomeReady, onlyUndo, prepareCanary, withoutPromotion } from './preparing.ts';
import { report } from './report.ts';
import { expectStanding, pause, runOnPrimary } from './wait.ts';
import { earnedWeight } from './weights.ts';

/** Any change of the primary ends the wait; without one there is nothing to look at. */
const LOOK_MS = 60_000;

/**
 * A user paused the run: it stays at its weight, and no clock that would move it on goes: neither steps nor `holdTimeout`, and before the
 * first request no deadline of the canary. Requests that reach the canary are checked all the same: the failed check that reaches
 * the threshold rolls back. Ends there, or with another order (`Moved`).
 */
export async function paused(ctx: Context): Promise<AnalyzerPhase> {
  expectStanding(ctx, 'paused');
  const undo = await onlyUndo(ctx);
  if (undo) return undo;
  await sayPaused(ctx);
  if (ctx.status.weight === 0) return idle(ctx);
  return (await takeUp(ctx)) ?? (await watchOver(ctx));
}

async function sayPaused(ctx: Context): Promise<void> {
  const { spec, order } = runOnPrimary(ctx);
  // The canary may have been about to help the primary out with more than it has earned.
  const weight = Math.min(ctx.status.weight, earnedWeight(ctx.status.step, spec.analysis));
  const message = `paused by ${order!.requester} at weight ${weight} %`;
  if (ctx.status.phase !== 'Paused') ctx.ports.event('Normal', 'CanaryPaused', message);
  withoutPromotion(ctx);
  await report(ctx, { phase: 'Paused', weight, message }, { status: 'Unknown', reason: 'Paused' });
}

async function idle(ctx: Context): Promise<never> {
  // It may have been about to help the primary out, ahead of any step.
  await ctx.ports.restoreRoutes();
  for (;;) await pause(ctx, LOOK_MS, 'paused');
}

/** Canary and routes as the weight takes them: this attempt may have found them without their weight. */
async function takeUp(ctx: Context): Promise<AnalyzerPhase | undefined> {
  if (!ctx.canary) {
    await prepareCanary(ctx);
    const failed = await becomeReady(ctx, 'paused');
    if (failed) return failed;
  }
  await ctx.canary!.router.setWeight(ctx.status.weight);
  ctx.guard?.weightChanged();
  return undefined;
}

async function watchOver(ctx: Context): Promise<AnalyzerPhase> {
  const { message } = ctx.status;
  let checkedMs = ctx.clock.now().getTime();
  for (;;) {
    const { atMs, verdict } = await nextCheck(ctx, checkedMs, 'paused');
    if (verdict.outcome === 'fail') {
      const failed = await failedCheck(ctx, verdict, 'Paused', `${message}; `);
      if (failed) return failed;
    } else await report(ctx, { metrics: verdict.readings, message }, { status: 'Unknown', reason: 'Paused' });
    checkedMs = atMs;
  }
}
