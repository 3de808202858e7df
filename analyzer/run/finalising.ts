import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Context } from './context.ts';
import { report } from './report.ts';
import { sendDecision } from './send-decision.ts';
import { standingOf } from './standing.ts';
import { settleFor } from './wait.ts';
import { withdraw } from './withdraw.ts';

/** The primary runs the version in full: it is recorded as stable first, then the requests return to the primary and the canary goes. */
export async function finalising(ctx: Context): Promise<AnalyzerPhase> {
  if (standingOf(ctx.view.current(), ctx.ref) === 'promoting') {
    await report(ctx, { phase: 'Finalising', message: 'the primary runs the new version' });
    await sendDecision(ctx, 'complete');
  }
  // The primary's pods are new: every proxy must know them before all requests return to them.
  await settleFor(ctx, ctx.propagationMs / 2);
  await withdraw(ctx);
  const { promotedBy, step, steps, failedChecks } = ctx.status;
  const how =
    promotedBy === undefined ? `after ${steps} steps` : `by order of ${promotedBy} at step ${step} of ${steps}`;
  const message = `promoted ${how}, ${failedChecks} failed checks`;
  await report(ctx, { phase: 'Succeeded', message }, { status: 'True', reason: 'Promoted' });
  ctx.ports.event('Normal', 'CanaryPromoted', `${ctx.ref.name} ${message}`);
  return 'Succeeded';
}
