import { rolloutComplete } from '../../canary/conditions.ts';
import { runOf } from '../../canary/run.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Deployment } from '../../kube/types.ts';
import { availableOf, capacityDuringRollout, isObserved, servesAsInRollout, VersionGone } from '../workload/primary.ts';
import type { Context, Settling } from './context.ts';
import { eraseReport } from './report.ts';
import { leftToSettle, versionToKeep } from './settling.ts';
import { settleFor } from './wait.ts';
import { withdraw } from './withdraw.ts';

/** Kubernetes' own default of `progressDeadlineSeconds`. */
const DEADLINE_SECONDS = 600;
const LOOK_MS = 500;

/** The run is over without a verdict: another version, a revert, an opt-out, a deletion. Everything of it goes. */
export async function cancelling(ctx: Context): Promise<AnalyzerPhase> {
  await leaveMidway(ctx);
  await withdraw(ctx);
  await eraseReport(ctx);
  ctx.ports.event('Normal', 'CanaryCancelled', `canary run ${ctx.ref.id} of ${ctx.ref.name} cancelled`);
  return 'Cancelled';
}

/**
 * A promotion, or the settling after one that failed, is left midway, by a revert, an opt-out or another version: the canary goes on
 * serving until the primary has pods enough for all requests and none of a rejected version, or gets no further for as long as a rollout
 * of it may take.
 */
async function leaveMidway(ctx: Context): Promise<void> {
  const midway = ctx.status.promotingSince !== undefined;
  if (!midway && !ctx.settling) return;
  let most = -1;
  let movedMs = ctx.clock.now().getTime();
  let known: number | undefined;
  for (;;) {
    const primary = ctx.view.current();
    if (!primary || primary.metadata.uid !== ctx.ref.deploymentUid) return;
    const left = await leftToSettle(ctx, primary);
    if (!left && (!midway || hasCapacity(primary))) break;
    const nowMs = ctx.clock.now().getTime();
    const got = podsOf(primary);
    if (got > most) movedMs = nowMs;
    most = Math.max(most, got);
    if (nowMs - movedMs >= (primary.spec.progressDeadlineSeconds ?? DEADLINE_SECONDS) * 1000) return;
    known = await bringOn(ctx, primary, left, known);
    await settleFor(ctx, Math.max(LOOK_MS, ctx.propagationMs / 2));
  }
  // Their pods may be new, and every proxy must know them before all requests return to them.
  if (ctx.status.weight > 0) await settleFor(ctx, ctx.propagationMs / 2);
  await forgetLeft(ctx);
}

/** Pods that serve, and pods of the version that is wanted: both grow while a rollout gets on. */
const podsOf = (primary: Deployment): number =>
  availableOf(primary) + (isObserved(primary) ? (primary.status?.updatedReplicas ?? 0) : 0);

/** Whether it has all its pods, and keeps them: one that is about to take down those of another version counts only once it is through. */
function hasCapacity(primary: Deployment): boolean {
  const wanted = primary.spec.replicas ?? 1;
  if (availableOf(primary) < wanted) return false;
  return primary.spec.paused === true || capacityDuringRollout(primary) >= wanted || rolloutComplete(primary);
}

/**
 * A step of a primary that the pause froze between two versions, where nobody but us brings it to one that serves.
 * @returns ready pods of the version that is kept, as far as that was looked at
 */
async function bringOn(
  ctx: Context,
  primary: Deployment,
  left: Settling | undefined,
  known: number | undefined,
): Promise<number | undefined> {
  const run = runOf(primary);
  if (!primary.spec.paused || !(run || left)) return known;
  const keep = left?.keep ?? (await versionToKeep(ctx, primary, run!));
  try {
    if (left && (ctx.status.promotingSince === undefined || servesAsInRollout(primary)))
      return (await ctx.ports.settleGently(primary, keep, known)).ready;
    await ctx.ports.settle(primary, keep);
  } catch (e) {
    if (!(e instanceof VersionGone)) throw e;
    ctx.log.warn('the primary cannot be brought to one version', { error: e.message });
  }
  return known;
}

/** The next run forgets what was rejected before it; after an opt-out there is none. */
async function forgetLeft(ctx: Context): Promise<void> {
  const primary = ctx.view.current();
  if (!primary?.spec.paused || runOf(primary)) return;
  for (const hash of ctx.settling?.leaving ?? []) await ctx.ports.forget(primary, hash);
}
