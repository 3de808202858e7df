import type { PromotedReason } from '../../canary/conditions.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Context } from './context.ts';
import { report } from './report.ts';

/**
 * Enters the rollback: reason and message are on the object before anything is undone, so that an attempt that takes over
 * goes on undoing instead of starting again.
 */
export async function fail(ctx: Context, reason: PromotedReason, message: string): Promise<AnalyzerPhase> {
  await report(ctx, { phase: 'RollingBack', message }, { status: 'Unknown', reason });
  return 'RollingBack';
}
