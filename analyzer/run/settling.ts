import { PAUSED_BY, PAUSED_BY_OPT_OUT } from '../../canary/annotations.ts';
import { type Run, runOf } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';
import { Refusal } from '../refusal.ts';
import type { GentleLook } from '../workload/gentle.ts';
import { VersionGone } from '../workload/primary.ts';
import type { Context, Settling } from './context.ts';
import { report } from './report.ts';
import type { Standing } from './standing.ts';
import { expectStanding, pause, primaryOf, runOnPrimary } from './wait.ts';

/**
 * The version that a primary between two is brought to: the one whose promotion was interrupted if it is ready, else the stable one. Never
 * the version under analysis, which may have been rejected.
 */
export async function versionToKeep({ ports }: Context, primary: Deployment, run: Run): Promise<string> {
  const { interrupted, hash, stable } = run;
  if (interrupted === undefined || interrupted === hash) return stable;
  return (await ports.versionReady(primary, interrupted)) ? interrupted : stable;
}

/** Versions that have pods in the primary although the run knows them neither as stable nor as interrupted. */
export async function strangersIn({ ports }: Context, primary: Deployment, run: Run): Promise<string[]> {
  const { interrupted, hash, stable } = run;
  const known = [stable, ...(interrupted === hash ? [] : [interrupted])];
  const hashes = (await ports.versions(primary)).map((version) => version.hash);
  return [...new Set(hashes)].filter((h) => !known.includes(h));
}

/**
 * Before the first weight of a version: pods of one whose promotion failed, and that was replaced before the stable version was back in
 * full, leave the primary, and its ReplicaSet goes. Throws `Refusal` where too few pods of the stable version get ready for that.
 */
export async function withoutStrangers(ctx: Context): Promise<void> {
  if (ctx.status.weight > 0) return;
  const run = runOnPrimary(ctx);
  const strangers = await strangersIn(ctx, primaryOf(ctx), run);
  if (strangers.length > 0) await removeStrangers(ctx, run, strangers);
  await forgetRejected(ctx, run, strangers);
}

async function removeStrangers(ctx: Context, run: Run, leaving: string[]): Promise<void> {
  const keep = await versionToKeep(ctx, primaryOf(ctx), run);
  await report(ctx, { message: 'pods of a version that was not promoted leave the primary first' });
  if (await settleGently(ctx, { keep, leaving }, 'held')) return;
  throw new Refusal(
    `the primary still has pods of a version that was not promoted, and too few of the stable one got ready within ${run.spec.progressDeadlineSeconds} s (progressDeadlineSeconds) to do without them`,
  );
}

/** Deletes the ReplicaSets of versions that were rejected, by this run or before it: a primary scaled up from 0 could take one of them. */
export async function forgetRejected({ ports, view }: Context, run: Run, others: string[] = []): Promise<void> {
  for (const hash of new Set([...others, ...(run.rejectedBefore ?? [])])) {
    const primary = view.current();
    if (primary) await ports.forget(primary, hash);
  }
}

/**
 * Brings the primary to one version without a canary's help. A version that has no ReplicaSet any more cannot be waited for.
 * @returns false when no further pod of it got ready for as long as a rollout may take
 */
export async function settleGently(ctx: Context, settling: Settling, expected: Standing): Promise<boolean> {
  ctx.settling = settling;
  const done = await looks(ctx, settling.keep, runOnPrimary(ctx).spec.progressDeadlineSeconds * 1000, expected);
  delete ctx.settling;
  return done;
}

async function looks(ctx: Context, keep: string, deadlineMs: number, expected: Standing): Promise<boolean> {
  let known: number | undefined;
  let most = -1;
  let movedMs = ctx.clock.now().getTime();
  for (;;) {
    expectStanding(ctx, expected);
    const look = await lookOrGone(ctx, keep, known);
    if (look.settled) return true;
    const nowMs = ctx.clock.now().getTime();
    if (look.ready > most) movedMs = nowMs;
    most = Math.max(most, look.ready);
    if (nowMs - movedMs >= deadlineMs) return false;
    known = look.ready;
    // Until every proxy knows the pods that are ready now.
    await pause(ctx, ctx.propagationMs / 2, expected);
  }
}

async function lookOrGone(ctx: Context, keep: string, known: number | undefined): Promise<GentleLook> {
  try {
    return await ctx.ports.settleGently(primaryOf(ctx), keep, known);
  } catch (e) {
    if (!(e instanceof VersionGone)) throw e;
    ctx.log.warn('the primary cannot be brought to one version', { error: e.message });
    return { settled: true, ready: 0 };
  }
}

/**
 * What is left of a settling in a primary whose run this one no longer is: another version was pushed, or the user opted out. Both leave
 * the primary behind our pause, where nobody but us can bring it to one version. Undefined where there is nothing left, or it is not ours
 * to do: a revert, say, rolls by itself.
 */
export async function leftToSettle(ctx: Context, primary: Deployment): Promise<Settling | undefined> {
  if (!primary.spec.paused) return undefined;
  const next = runOf(primary);
  if (next) {
    // Without a canary of ours that helps, the next run does better by itself.
    if (next.phase === 'promoting' || ctx.status.promotingSince === undefined) return undefined;
    const leaving = await strangersIn(ctx, primary, next);
    return leaving.length > 0 ? { keep: await versionToKeep(ctx, primary, next), leaving } : undefined;
  }
  if (primary.metadata.annotations?.[PAUSED_BY] !== PAUSED_BY_OPT_OUT || !ctx.settling) return undefined;
  const { keep } = ctx.settling;
  const mixed = (await ctx.ports.versions(primary)).some(({ hash }) => hash !== keep);
  return mixed ? ctx.settling : undefined;
}
