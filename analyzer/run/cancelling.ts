import { runOf } from '../../canary/run.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Deployment } from '../../kube/types.ts';
import type { Context } from './context.ts';
import { eraseReport } from './report.ts';
import { versionToKeep } from './rolling-back.ts';
import { settleFor } from './wait.ts';
import { withdraw } from './withdraw.ts';

/** Kubernetes' own default of `progressDeadlineSeconds`. */
const DEADLINE_SECONDS = 600;
const LOOK_MS = 500;

/** The run is over without a verdict: another version, a revert, an opt-out, a deletion. Everything of it goes. */
export async function cancelling(ctx: Context): Promise<AnalyzerPhase> {
  await awaitCapacity(ctx);
  await withdraw(ctx);
  await eraseReport(ctx);
  ctx.ports.event('Normal', 'CanaryCancelled', `canary run ${ctx.ref.id} of ${ctx.ref.name} cancelled`);
  return 'Cancelled';
}

/**
 * A promotion that is left midway, by a revert or by another version: the canary goes on serving until the primary has pods enough for
 * all requests, or gets no further for as long as a rollout of it may take.
 */
async function awaitCapacity(ctx: Context): Promise<void> {
  if (ctx.status.promotingSince === undefined) return;
  let most = -1;
  let movedMs = ctx.clock.now().getTime();
  for (;;) {
    const primary = ctx.view.current();
    if (!primary || primary.metadata.uid !== ctx.ref.deploymentUid) return;
    const available = availableOf(primary);
    if (available >= (primary.spec.replicas ?? 1)) return;
    const nowMs = ctx.clock.now().getTime();
    if (available > most) movedMs = nowMs;
    most = Math.max(most, available);
    if (nowMs - movedMs >= (primary.spec.progressDeadlineSeconds ?? DEADLINE_SECONDS) * 1000) return;
    await settleFrozen(ctx, primary);
    await settleFor(ctx, LOOK_MS);
  }
}

/** A status from before the last change says nothing about what is there now. */
const availableOf = ({ metadata, status }: Deployment): number =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) ? (status?.availableReplicas ?? 0) : 0;

/** Another version is held now: the pause froze the primary between two versions, and nobody but us brings it to one that serves. */
async function settleFrozen(ctx: Context, primary: Deployment): Promise<void> {
  const run = runOf(primary);
  if (!primary.spec.paused || !run) return;
  await ctx.ports.settle(primary, await versionToKeep(ctx, run));
}
