import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Context } from './context.ts';
import { eraseReport } from './report.ts';
import { settleFor } from './wait.ts';
import { withdraw } from './withdraw.ts';

/** How long a primary that rolls back natively may be waited for before the canary stops helping it out. */
const CARRY_LIMIT_MS = 120_000;
const LOOK_MS = 500;

/** The run is over without a verdict: another version, a revert, an opt-out, a deletion. Everything of it goes. */
export async function cancelling(ctx: Context): Promise<AnalyzerPhase> {
  await awaitCapacity(ctx);
  await withdraw(ctx);
  await eraseReport(ctx);
  ctx.ports.event('Normal', 'CanaryCancelled', `canary run ${ctx.ref.id} of ${ctx.ref.name} cancelled`);
  return 'Cancelled';
}

/** A revert in the middle of a promotion: the canary goes on serving until the primary has pods enough for all requests. */
async function awaitCapacity(ctx: Context): Promise<void> {
  if (ctx.status.promotingSince === undefined) return;
  const end = ctx.clock.now().getTime() + CARRY_LIMIT_MS;
  while (ctx.clock.now().getTime() < end) {
    const primary = ctx.view.current();
    if (!primary || primary.metadata.uid !== ctx.ref.deploymentUid) return;
    if ((primary.status?.availableReplicas ?? 0) >= (primary.spec.replicas ?? 1)) return;
    await settleFor(ctx, LOOK_MS);
  }
}
