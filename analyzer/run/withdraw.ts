import type { Context } from './context.ts';
import { settleFor } from './wait.ts';

/**
 * Takes the canary out: routes as before the run, time for every proxy to learn them and for requests under way to end, then the
 * pods. Deleting them earlier would answer somebody with an error. Works from the marks on the objects, so it can be done again,
 * by any attempt, whatever became of the primary.
 */
export async function withdraw(ctx: Context): Promise<void> {
  await ctx.ports.restoreRoutes();
  ctx.status = { ...ctx.status, weight: 0 };
  await settleFor(ctx, ctx.propagationMs);
  await ctx.ports.removeCanary();
}
