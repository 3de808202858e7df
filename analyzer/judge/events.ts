import { type Bucket, quantile } from '../metrics/duration.ts';
import type { Arms } from './e-process.ts';
import type { ComparePlan } from './metric-evidence.ts';

/** One side's growth since the look before. */
export type Counted = { errors: number; requests: number } | { buckets: readonly Bucket[] };

const P99 = 0.99;

/** One side's value in the metric's unit: percent of success, or milliseconds of P99. undefined without requests. */
export function valueOfSide(counted: Counted): number | undefined {
  if ('buckets' in counted) return quantile(P99, [...counted.buckets]);
  return counted.requests > 0 ? 100 * (1 - counted.errors / counted.requests) : undefined;
}

/** The events of one kind. */
export interface Events {
  /** Upper bound in milliseconds; undefined for errors. */
  boundMs: number | undefined;
  arms: Arms;
}

export const arms = (
  canaryEvents: number,
  canaryRequests: number,
  primaryEvents: number,
  primaryRequests: number,
): Arms => ({ canaryEvents, canaryRequests, primaryEvents, primaryRequests });

/** What to follow in a look: its errors, or its answers slower than each bound that matters. */
export function eventsOf(
  plan: ComparePlan,
  { canary, primary }: { canary: Counted; primary: Counted },
): Events[] | { skipped: string } {
  if (plan.kind === 'errors') {
    if ('buckets' in canary || 'buckets' in primary) return { skipped: 'counts of errors expected, buckets given' };
    return [{ boundMs: undefined, arms: arms(canary.errors, canary.requests, primary.errors, primary.requests) }];
  }
  if (!('buckets' in canary && 'buckets' in primary)) return { skipped: 'buckets expected, counts of errors given' };
  return slowEvents(plan.objectiveMs, canary.buckets, primary.buckets);
}

function slowEvents(
  objectiveMs: number | undefined,
  canary: readonly Bucket[],
  primary: readonly Bucket[],
): Events[] | { skipped: string } {
  if (canary.length === 0) return { skipped: 'no requests to the canary' };
  if (primary.length === 0) return { skipped: 'no requests to the primary' };
  const bounds = canary.map(({ le }) => le);
  if (bounds.length !== primary.length || bounds.some((le, i) => le !== primary[i]!.le))
    return { skipped: 'the buckets of canary and primary have different bounds' };
  const finite = bounds.slice(0, -1);
  if (bounds.at(-1) !== Number.POSITIVE_INFINITY || finite.length === 0 || !finite.every(Number.isFinite))
    return { skipped: 'the buckets lack an open or a closed one' };
  const requests = { canary: canary.at(-1)!.count, primary: primary.at(-1)!.count };
  const at = objectiveMs === undefined ? finite.map((_, i) => i) : [boundOf(objectiveMs, finite)];
  return at.map((i) => ({
    boundMs: finite[i],
    arms: arms(
      requests.canary - canary[i]!.count,
      requests.canary,
      requests.primary - primary[i]!.count,
      requests.primary,
    ),
  }));
}

/** The bound that stands for an objective: the highest one not above it, or else the lowest. */
function boundOf(objectiveMs: number, finite: readonly number[]): number {
  const above = finite.findIndex((le) => le > objectiveMs);
  return above < 0 ? finite.length - 1 : Math.max(0, above - 1);
}
