import type { PromotedReason } from '../../canary/conditions.ts';
import { conditionOf, PROMOTED_CONDITION } from '../../canary/conditions.ts';
import type { Run } from '../../canary/run.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import { servesAsInRollout, VersionGone } from '../workload/primary.ts';
import type { Context } from './context.ts';
import { sayStableGone } from './lost-stable.ts';
import { report } from './report.ts';
import { sendDecision } from './send-decision.ts';
import { forgetRejected, settleGently, strangersIn, versionToKeep } from './settling.ts';
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
  if (!fromPromotion) await settleLeftovers(ctx, run);
  await forgetRejected(ctx, run, fromPromotion ? [run.hash] : []);
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

/** Out of a promotion: a primary that stopped between two versions is brought to one, while the canary serves what it has served. */
async function settlePrimary(ctx: Context, run: Run): Promise<void> {
  const keep = await versionToKeep(ctx, primaryOf(ctx), run);
  ctx.settling = { keep, leaving: [run.hash] };
  await report(ctx, { message: ctx.status.message });
  // Without a limit: until the kept version is at full size, the canary is what serves.
  await until(ctx, Number.POSITIVE_INFINITY, 'rejected', unlessGone(ctx, settlingStep(ctx, keep)));
  delete ctx.settling;
}

/**
 * Pods of a rejected version that serve leave as those of the kept one get ready, each known to every proxy by then. Where too few serve,
 * there is nothing to spare, and all leave at once. @returns what is to be asked until it is true
 */
function settlingStep(ctx: Context, keep: string): () => Promise<boolean> {
  let known: number | undefined;
  let nextMs = Number.NEGATIVE_INFINITY;
  return async () => {
    const primary = primaryOf(ctx);
    if (!servesAsInRollout(primary)) return await ctx.ports.settle(primary, keep);
    const nowMs = ctx.clock.now().getTime();
    if (nowMs < nextMs) return false;
    nextMs = nowMs + ctx.propagationMs / 2;
    const look = await ctx.ports.settleGently(primary, keep, known);
    known = look.ready;
    return look.settled;
  };
}

/** Whoever brings the version back by hand does so in minutes. */
const GONE_POLL_MS = 5000;

/** Without the ReplicaSet of the version to keep nothing can be settled, and the canary serves until that version, or another, is applied. */
function unlessGone(ctx: Context, step: () => Promise<boolean>): () => Promise<boolean> {
  let nextMs: number | undefined;
  return async () => {
    const nowMs = ctx.clock.now().getTime();
    if (nextMs !== undefined && nowMs < nextMs) return false;
    try {
      return await step();
    } catch (e) {
      if (!(e instanceof VersionGone)) throw e;
      if (nextMs === undefined) sayStableGone(ctx);
      nextMs = nowMs + GONE_POLL_MS;
      return false;
    }
  };
}

/** Out of the analysis: what a promotion that was interrupted, or failed, before this run left in the primary. The canary is gone. */
async function settleLeftovers(ctx: Context, run: Run): Promise<void> {
  const versions = await ctx.ports.versions(primaryOf(ctx));
  if (versions.length < 2) return;
  const keep = await versionToKeep(ctx, primaryOf(ctx), run);
  await report(ctx, { message: ctx.status.message });
  const leaving = await strangersIn(ctx, primaryOf(ctx), run);
  if (await settleGently(ctx, { keep, leaving }, 'rejected')) return;
  ctx.log.warn('the primary keeps pods of several versions: too few of the one to keep get ready', {
    versions: versions.map(({ hash }) => hash),
  });
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
