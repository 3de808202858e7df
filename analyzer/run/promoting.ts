import { isDeadlineExceeded, rolloutComplete } from '../../canary/conditions.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Deployment } from '../../kube/types.ts';
import { capacityDuringRollout } from '../workload/primary.ts';
import type { Context } from './context.ts';
import { fail } from './failure.ts';
import { becomeReady, onlyUndo, prepareCanary } from './preparing.ts';
import { scaleFor } from './progressing.ts';
import { report } from './report.ts';
import { sendDecision } from './send-decision.ts';
import { type Standing, standingOf } from './standing.ts';
import { expectStanding, pause, primaryOf, runOnPrimary } from './wait.ts';
import { stepsOf } from './weights.ts';

/** The primary is looked at on each of its changes; without any, this often, for the deadline's sake. */
const LOOK_MS = 1000;

/** Releases the held version and follows the primary's own rollout. Complete: Finalising. Without progress for too long: RollingBack. */
export async function promoting(ctx: Context): Promise<AnalyzerPhase> {
  const standing = standingOf(ctx.view.current(), ctx.ref);
  if (standing === 'held' || standing === 'ordered') {
    const failed = await release(ctx, standing);
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

async function release(ctx: Context, standing: 'held' | 'ordered'): Promise<AnalyzerPhase | undefined> {
  const failed = (standing === 'ordered' ? await takeOrder(ctx) : undefined) ?? (await coverRollout(ctx, standing));
  if (failed) return failed;
  const { promotedBy } = ctx.status;
  const because = promotedBy === undefined ? 'analysis passed' : byOrderOf(promotedBy);
  await report(
    ctx,
    { phase: 'Promoting', promotingSince: ctx.clock.now().toISOString(), message: `promoting: ${because}` },
    { status: 'Unknown', reason: 'Promoting' },
  );
  ctx.ports.event('Normal', 'CanaryPromoting', `${because}, ${ctx.ref.name} rolls to the new version`);
  expectStanding(ctx, standing);
  await sendDecision(ctx, 'promote');
  return undefined;
}

/**
 * A promotion by order, perhaps without a single check, or without a canary: a rejected version has none. Where the canary serves, or is
 * to serve while the primary rolls, it must be ready all the same.
 */
async function takeOrder(ctx: Context): Promise<AnalyzerPhase | undefined> {
  expectStanding(ctx, 'ordered');
  const undo = await onlyUndo(ctx);
  if (undo) return undo;
  const { spec, order } = runOnPrimary(ctx);
  const promotedBy = order!.requester;
  await report(
    ctx,
    {
      phase: 'Promoting',
      promotedBy,
      steps: stepsOf(spec.analysis),
      threshold: spec.analysis.threshold,
      message: byOrderOf(promotedBy),
    },
    { status: 'Unknown', reason: 'Promoting' },
  );
  if (ctx.status.weight === 0 && !needsCover(ctx)) return undefined;
  if (!ctx.canary) await prepareCanary(ctx);
  const failed = await becomeReady(ctx, 'ordered');
  if (failed) return failed;
  await ctx.canary!.router.setWeight(ctx.status.weight);
  return undefined;
}

const byOrderOf = (requester: string): string => `promoted by order of ${requester}`;

function needsCover(ctx: Context): boolean {
  const primary = primaryOf(ctx);
  const needed = Math.ceil(((primary.spec.replicas ?? 1) * (100 - ctx.status.weight)) / 100);
  return capacityDuringRollout(primary) < needed;
}

/**
 * Where the primary's own strategy may leave it fewer ready pods than its share of the requests needs, the canary carries all of them
 * while the primary rolls.
 */
async function coverRollout(ctx: Context, standing: Standing): Promise<AnalyzerPhase | undefined> {
  if (!needsCover(ctx)) return undefined;
  const { spec } = runOnPrimary(ctx);
  const problem = await scaleFor(ctx, 100, spec.progressDeadlineSeconds * 1000, standing);
  if (problem) return fail(ctx, problem.runnable ? 'CanaryNotReady' : 'CanaryNotRunnable', problem.message);
  await report(ctx, { weight: 100, message: 'the canary serves all requests while the primary rolls' });
  await ctx.canary!.router.setWeight(100);
  await pause(ctx, ctx.propagationMs, standing);
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
    const stopped = primary.spec.paused === true;
    if (stopped !== (ctx.status.message === STOPPED)) await sayStopped(ctx, stopped);
    const progress = progressOf(primary);
    if (progress !== seen || stopped) movedAt = ctx.clock.now().getTime();
    seen = progress;
    const idleMs = ctx.clock.now().getTime() - movedAt;
    if (idleMs >= deadlineMs || (!stopped && isDeadlineExceeded(primary) && observed(primary))) {
      return `${progress} after ${Math.round(idleMs / 1000)} s without progress`;
    }
    await ctx.view.nextChange(LOOK_MS);
  }
}

const STOPPED = 'the promotion is paused by spec.paused; go on with: kubectl rollout resume';

/** Users may pause the rollout of a promotion as any other; it has its whole deadline once it goes on. */
const sayStopped = (ctx: Context, stopped: boolean): Promise<void> =>
  report(
    ctx,
    { message: stopped ? STOPPED : 'promoting' },
    { status: 'Unknown', reason: stopped ? 'Paused' : 'Promoting' },
  );

const observed = (d: Deployment): boolean => (d.status?.observedGeneration ?? 0) >= (d.metadata.generation ?? 0);

function progressOf({ spec, status }: Deployment): string {
  const { updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
  return `${updatedReplicas} of ${spec.replicas ?? 1} pods updated, ${availableReplicas} available`;
}
