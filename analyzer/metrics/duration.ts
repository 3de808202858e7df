import type { Growth } from './counters.ts';
import { parseCount } from './prometheus.ts';

/** Requests up to a bound. */
export interface Bucket {
  /** Upper bound in milliseconds; the last one is +Infinity. */
  le: number;
  /** Requests that took at most `le`: cumulative, as Prometheus keeps them. */
  count: number;
}

/** The buckets of all pods together. A bound that is no number is left out. */
export function bucketsOf(growths: Growth[]): Bucket[] {
  const counts = new Map<number, number>();
  for (const { labels, count } of growths) {
    const le = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : parseCount(labels['le']);
    if (!Number.isNaN(le)) counts.set(le, (counts.get(le) ?? 0) + count);
  }
  const buckets = [...counts].map(([le, count]) => ({ le, count })).sort((a, b) => a.le - b.le);
  // Scrapes of one histogram's buckets are not atomic everywhere: counts never fall towards higher bounds.
  for (let i = 1; i < buckets.length; i++) buckets[i]!.count = Math.max(buckets[i]!.count, buckets[i - 1]!.count);
  return buckets;
}

/**
 * The quantile as Prometheus' `histogram_quantile` finds it: linear within the bucket that it falls in, from 0 in the first one; in the
 * last, open one it is the highest finite bound.
 * @returns milliseconds, or undefined without requests or without an open bucket
 */
export function quantile(q: number, buckets: Bucket[]): number | undefined {
  const last = buckets.at(-1);
  if (last === undefined || last.le !== Number.POSITIVE_INFINITY || last.count === 0 || buckets.length < 2)
    return undefined;
  const rank = q * last.count;
  const at = buckets.findIndex(({ count }) => count >= rank);
  if (at === buckets.length - 1) return buckets.at(-2)!.le;
  const { le: end, count } = buckets[at]!;
  const { le: start, count: below } = at === 0 ? { le: 0, count: 0 } : buckets[at - 1]!;
  return count === below ? end : start + ((end - start) * (rank - below)) / (count - below);
}
