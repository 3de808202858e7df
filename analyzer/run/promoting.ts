import { isDeadlineExceeded, rolloutComplete } from '../../canary/conditions.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Deployment } from '../../kube/types.ts';
import { capacityDuringRollout } from '../workload/primary.ts';
import type { Context } from './context.ts';
import { fail } from './failure.ts';
import { scaleFor } from './progressing.ts';
import { report } from './report.ts';
import { sendDecision } from './send-decision.ts';
import { standingOf } from './standing.ts';
import { expectStanding, pause, primaryOf, runOnPrimary } from './wait.ts';

/** The primary is looked at on each of its changes; without any, this often, for the deadline's sake. */
const LOOK_MS = 1000;

/** Releases the held version and follows the primary's own rollout. Complete: Finalising. Without progress for too long: RollingBack. */
export async function promoting(ctx: Context): Promise<AnalyzerPhase> {
  if (standingOf(ctx.view.current(), ctx.ref) === 'held') {
    const failed = await release(ctx);
    if (failed) return failed;
  }
  const { spec } = runOnPrimary(ctx);
  const stuck = await followRollout(ctx, spec.progressDeadlineSeconds * 1000);
  if (stuck === undefined) return 'Finalising';
  const message = `promotion failed: ${stuck}`;
  const next = await fail(ctx, 'PromotionFailed', message);
  await sendDecision(ctx, 'restore', message);
  return next;
}

async function release(ctx: Context): Promise<AnalyzerPhase | undefined> {
  const failed = await coverRollout(ctx);
  if (failed) return failed;
  await report(
    ctx,
    { phase: 'Promoting', promotingSince: ctx.clock.now().toISOString(), message: 'promoting' },
    { status: 'Unknown', reason: 'Promoting' },
  );
  ctx.ports.event('Normal', 'CanaryPromoting', `analysis passed, ${ctx.ref.name} rolls to the new version`);
  expectStanding(ctx, 'held');
  await sendDecision(ctx, 'promote');
  return undefined;
}

/**
 * Where the primary's own strategy may leave it fewer ready pods than its share of the requests needs, the canary carries all of them
 * while the primary rolls.
 */
async function coverRollout(ctx: Context): Promise<AnalyzerPhase | undefined> {
  const primary = primaryOf(ctx);
  const { spec } = runOnPrimary(ctx);
  const needed = Math.ceil(((primary.spec.replicas ?? 1) * (100 - ctx.status.weight)) / 100);
  if (capacityDuringRollout(primary) >= needed) return undefined;
  const problem = await scaleFor(ctx, 100, spec.progressDeadlineSeconds * 1000);
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
  await report(ctx, { weight: 100, message: 'the canary serves all requests while the primary rolls' });
  await ctx.canary!.router.setWeight(100);
  await pause(ctx, ctx.propagationMs, 'held');
  return undefined;
}

/** @returns what the rollout is stuck at, or undefined once it is complete */
async function followRollout(ctx: Context, deadlineMs: number): Promise<string | undefined> {
  let seen = '';
  let movedAt = ctx.clock.now().getTime();
  for (;;) {
    expectStanding(ctx, 'promoting');
    const primary = primaryOf(ctx);
    if (rolloutComplete(primary)) return undefined;
    const progress = progressOf(primary);
    if (progress !== seen) movedAt = ctx.clock.now().getTime();
    seen = progress;
    const idleMs = ctx.clock.now().getTime() - movedAt;
    if (idleMs >= deadlineMs || (isDeadlineExceeded(primary) && observed(primary))) {
      return `${progress} after ${Math.round(idleMs / 1000)} s without progress`;
    }
    await ctx.view.nextChange(LOOK_MS);
  }
}

const observed = (d: Deployment): boolean => (d.status?.observedGeneration ?? 0) >= (d.metadata.generation ?? 0);

function progressOf({ spec, status }: Deployment): string {
  const { updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
  return `${updatedReplicas} of ${spec.replicas ?? 1} pods updated, ${availableReplicas} available`;
}
