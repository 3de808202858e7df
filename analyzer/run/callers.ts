import type { Reread } from '../metrics/reread.ts';
import type { Canary, Context } from './context.ts';
import { report } from './report.ts';
import { pause, runOnPrimary } from './wait.ts';

/** Longer than the longest scrape interval in common use, a minute. */
const LIMIT_MS = 90_000;
const POLL_MS = 1000;

/** From now on callers must be read again before this run sends the first request; undefined where it has sent some, or measures nothing. */
export async function noteCallers(ctx: Context, canary: Canary): Promise<Reread | undefined> {
  if (ctx.status.weight > 0 || runOnPrimary(ctx).spec.analysis.metrics.length === 0) return undefined;
  const reread = ctx.ports.callersReread(canary);
  await reread();
  return reread;
}

/** Bounded: what cannot be read by then holds the run at its first weight, where it is said and has a limit of its own. */
export async function awaitCallers(ctx: Context, reread: Reread): Promise<void> {
  const nowMs = () => ctx.clock.now().getTime();
  const endMs = nowMs() + LIMIT_MS;
  for (;;) {
    const why = await reread();
    if (why === undefined) return;
    if (nowMs() >= endMs) {
      ctx.log.warn('requests are sent although not all callers were read again', { reason: why });
      return;
    }
    const message = `no requests are sent yet: ${why}`;
    if (message !== ctx.status.message) await report(ctx, { message });
    await pause(ctx, POLL_MS, 'held');
  }
}
