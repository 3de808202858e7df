import type { Run } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';
import type { Finding } from '../guard/run-guard.ts';
import type { Context } from './context.ts';
import { isWatched, recordOf, type Standing, standingOf } from './standing.ts';

/** Admission moved the run while a phase was at work: the machine looks where it stands now. */
export class Moved extends Error {
  readonly standing: Standing;
  constructor(standing: Standing) {
    super(`the run is ${standing} now`);
    this.name = 'Moved';
    this.standing = standing;
  }
}

/** The guard saw what must not be waited for any longer. */
export class Alarm extends Error {
  readonly reason: Finding['reason'];
  constructor({ reason, message }: Finding) {
    super(message);
    this.name = 'Alarm';
    this.reason = reason;
  }
}

/** The process was told to stop; the next attempt goes on from what is written. */
export class Stopped extends Error {
  constructor() {
    super('told to stop');
    this.name = 'Stopped';
  }
}

/** Milliseconds between two looks at the canary's or the primary's pods, for the few seconds that they take; a watch would cost more. */
const POLL_MS = 150;

/** Throws unless the run stands where the phase expects it. */
export function expectStanding({ view, ref, signal }: Context, expected: Standing): void {
  if (signal.aborted) throw new Stopped();
  const standing = standingOf(view.current(), ref);
  if (standing !== expected) throw new Moved(standing);
}

/**
 * What was asked about the version under analysis, unless the version is none any more before the answer is there: Prometheus may take
 * its time, and whoever ended the run wants the canary's requests to end now. Throws `Moved`, `Stopped`.
 */
export function whileWatched<T>(ctx: Context, answer: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const look = () => {
      try {
        expectWatched(ctx);
      } catch (e) {
        ignore();
        reject(e);
      }
    };
    const ignore = ctx.view.onChange(look);
    look();
    answer.finally(ignore).then(resolve, reject);
  });
}

function expectWatched({ view, ref, signal }: Context): void {
  if (signal.aborted) throw new Stopped();
  const standing = standingOf(view.current(), ref);
  if (!isWatched(standing)) throw new Moved(standing);
}

/** Milliseconds until the guard looks again; it does so while a version is analysed, whatever else is waited for. */
function untilLook({ guard, clock }: Context, expected: Standing): number {
  if (!guard || !isWatched(expected)) return Number.POSITIVE_INFINITY;
  return Math.max(0, guard.dueMs - clock.now().getTime());
}

/** Throws `Alarm` where the guard finds what ends the run. */
async function lookIfDue(ctx: Context, expected: Standing): Promise<void> {
  if (untilLook(ctx, expected) > 0) return;
  expectStanding(ctx, expected);
  const finding = await whileWatched(ctx, ctx.guard!.look(ctx.status.weight));
  // Whoever ended the run, or ordered its promotion, meanwhile has the last word.
  expectStanding(ctx, expected);
  if (finding) throw new Alarm(finding);
}

/** Waits, but no longer than the run stands where it stood. */
export async function pause(ctx: Context, ms: number, expected: Standing): Promise<void> {
  const until = ctx.clock.now().getTime() + ms;
  for (;;) {
    expectStanding(ctx, expected);
    const left = until - ctx.clock.now().getTime();
    if (left <= 0) return;
    await ctx.view.nextChange(Math.min(left, untilLook(ctx, expected)));
    await lookIfDue(ctx, expected);
  }
}

/**
 * Waits until every proxy knows pods that are among the endpoints now. Half of what a route may take: istiod pushes endpoints without
 * working anything out anew, and in one push to a proxy always before the routes that lead to them.
 */
export const settleEndpoints = (ctx: Context, expected: Standing): Promise<void> =>
  pause(ctx, ctx.propagationMs / 2, expected);

/** Waits whatever the run's standing becomes: a clean-up is finished in any case. */
export async function settleFor(ctx: Context, ms: number): Promise<void> {
  const until = ctx.clock.now().getTime() + ms;
  for (;;) {
    if (ctx.signal.aborted) throw new Stopped();
    const left = until - ctx.clock.now().getTime();
    if (left <= 0) return;
    await ctx.view.nextChange(left);
  }
}

/** Asks until the answer is true; false when `timeoutMs` is over first. */
export async function until(
  ctx: Context,
  timeoutMs: number,
  expected: Standing,
  ask: () => Promise<boolean>,
): Promise<boolean> {
  const end = ctx.clock.now().getTime() + timeoutMs;
  for (;;) {
    expectStanding(ctx, expected);
    if (await ask()) return true;
    if (ctx.clock.now().getTime() >= end) return false;
    await ctx.view.nextChange(Math.min(POLL_MS, untilLook(ctx, expected)));
    await lookIfDue(ctx, expected);
  }
}

/** The run's record on the primary. Throws `Moved` where it is not there any more. */
export function runOnPrimary(ctx: Context): Run {
  const run = recordOf(primaryOf(ctx), ctx.ref);
  if (!run) throw new Moved(standingOf(ctx.view.current(), ctx.ref));
  return run;
}

/** The primary; only to be called where the run still stands. */
export function primaryOf({ view, ref }: Context): Deployment {
  const primary = view.current();
  if (!primary || primary.metadata.uid !== ref.deploymentUid) throw new Moved('gone');
  return primary;
}
