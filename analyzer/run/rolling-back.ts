import type { PromotedReason } from '../../canary/conditions.ts';
import { conditionOf, PROMOTED_CONDITION } from '../../canary/conditions.ts';
import type { Run } from '../../canary/run.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Context } from './context.ts';
import { report } from './report.ts';
import { sendDecision } from './send-decision.ts';
import { primaryOf, runOnPrimary, settleFor, until } from './wait.ts';
import { withdraw } from './withdraw.ts';

/**
 * Rejects the version. Out of the analysis: the users leave it at once, then it is rejected. Out of a promotion: it goes on serving
 * as the canary until the stable version is back at full size.
 */
export async function rollingBack(ctx: Context): Promise<AnalyzerPhase> {
  const fromPromotion = ctx.status.promotingSince !== undefined;
  if (!fromPromotion) await ctx.ports.restoreRoutes();
  await reject(ctx);
  const run = runOnPrimary(ctx);
  if (fromPromotion) {
    await settlePrimary(ctx, run);
    // As in a promotion: pods that are new to the proxies.
    await settleFor(ctx, ctx.propagationMs / 2);
  }
  await withdraw(ctx);
  // A promotion that this run interrupted left two versions behind; the canary is no help there, so it went first.
  if (!fromPromotion && (await ctx.ports.mixed(primaryOf(ctx)))) await settlePrimary(ctx, run);
  if (fromPromotion) await ctx.ports.forget(primaryOf(ctx), run.hash);
  const message = run.message ?? ctx.status.message;
  await report(ctx, { phase: 'Failed', message }, { status: 'False', reason: reasonOf(ctx, run), failed: true });
  ctx.ports.event('Warning', 'CanaryRolledBack', `${ctx.ref.name} rolled back: ${message}`);
  return 'Failed';
}

async function reject(ctx: Context): Promise<void> {
  const { phase } = runOnPrimary(ctx);
  if (phase === 'held') await sendDecision(ctx, 'rollback', ctx.status.message);
  if (phase === 'promoting') await sendDecision(ctx, 'restore', ctx.status.message);
}

/** Never the version that was just rejected, also where it is the one whose promotion had been interrupted. */
export async function versionToKeep(ctx: Context, { interrupted, hash, stable }: Run): Promise<string> {
  if (interrupted === undefined || interrupted === hash) return stable;
  return (await ctx.ports.versionReady(primaryOf(ctx), interrupted)) ? interrupted : stable;
}

/** A primary that stopped between two versions is brought to one: the one whose promotion was interrupted if it is ready, else the stable one. */
async function settlePrimary(ctx: Context, run: Run): Promise<void> {
  const keep = await versionToKeep(ctx, run);
  await report(ctx, { message: ctx.status.message });
  // Without a limit: until the kept version is at full size, the canary is what serves.
  await until(ctx, Number.POSITIVE_INFINITY, 'rejected', () => ctx.ports.settle(primaryOf(ctx), keep));
}

/** The reason was written when the rollback was entered; an abort came from the user instead. */
function reasonOf({ view }: Context, run: Run): PromotedReason {
  if (run.message?.startsWith('aborted by ')) return 'Aborted';
  const current = view.current();
  const reason = current && conditionOf(current, PROMOTED_CONDITION)?.reason;
  const failures: (string | undefined)[] = [
    'RolledBack',
    'CanaryNotReady',
    'CanaryNotRunnable',
    'PromotionFailed',
    'InvalidTarget',
  ];
  return failures.includes(reason) ? (reason as PromotedReason) : 'RolledBack';
}
