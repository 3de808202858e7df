import { must } from '../e2e/support/cluster.ts';

/** Cumulative counts of the API server's histogram of one webhook: upper bound in seconds → calls. */
export type Histogram = Map<number, number>;

export async function histogram(webhook: string): Promise<Histogram> {
  const { stdout } = await must('kubectl', ['get', '--raw', '/metrics']);
  const counts: Histogram = new Map();
  const name = 'apiserver_admission_webhook_admission_duration_seconds_bucket{';
  for (const line of stdout.split('\n')) {
    if (!line.startsWith(name) || !line.includes(`name="${webhook}"`)) continue;
    const le = /le="([^"]+)"/.exec(line)![1]!;
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    counts.set(bound, (counts.get(bound) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
  }
  return counts;
}

export const calls = (h: Histogram): number => h.get(Number.POSITIVE_INFINITY) ?? 0;

/** Percent of the calls between two readings that took no longer than a bucket's bound in ms. */
export function percentWithin(ms: number, before: Histogram, after: Histogram): number {
  const grown = (le: number) => (after.get(le) ?? 0) - (before.get(le) ?? 0);
  return Math.round((1000 * grown(ms / 1000)) / grown(Number.POSITIVE_INFINITY)) / 10;
}

/** Quantile in ms between two readings, linear within its bucket as Prometheus does it. */
export function quantileMs(q: number, before: Histogram, after: Histogram): number {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const grown = (le: number) => (after.get(le) ?? 0) - (before.get(le) ?? 0);
  const rank = q * grown(Number.POSITIVE_INFINITY);
  let start = 0;
  let below = 0;
  for (const le of bounds) {
    const count = grown(le);
    if (count >= rank)
      return le === Number.POSITIVE_INFINITY
        ? start * 1000
        : Math.round((start + ((le - start) * (rank - below)) / (count - below)) * 1e6) / 1e3;
    start = le;
    below = count;
  }
  return Number.NaN;
}
