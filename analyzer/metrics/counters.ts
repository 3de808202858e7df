import { type InstantQuery, MetricsError, type Sample } from './prometheus.ts';

/** A counter's growth over a window. */
export interface Growth {
  labels: Record<string, string>;
  count: number;
}

/**
 * How much each series grew between two moments, from its raw values. Not `rate()` or `increase()`: those extrapolate, and leave out
 * the first values of a series that is born within the window, which is just what the series of a new canary's errors are.
 */
export async function growth(ask: InstantQuery, query: string, from: Date, to: Date): Promise<Growth[]> {
  const [after, before] = await Promise.all([ask(query, to), ask(query, from)]);
  if (before.length === 0 && after.length > 0) await requireSamples(ask, from, to);
  const base = new Map(before.map((s) => [keyOf(s), s.value]));
  return after.map((sample) => ({ labels: sample.labels, count: grown(base.get(keyOf(sample)), sample.value) }));
}

/** Written by Prometheus about each of its scrapes; where it is dropped, nothing is known about the past and nothing is required. */
const SCRAPES = 'count(up)';

/**
 * No series at the beginning of a window means that they were born within it; but only of a Prometheus that was there then. One that was
 * away would have everything counted that callers ever sent to canaries of this name.
 * @throws MetricsError where it was not
 */
async function requireSamples(ask: InstantQuery, from: Date, to: Date): Promise<void> {
  const [then, now] = await Promise.all([ask(SCRAPES, from), ask(SCRAPES, to)]);
  if (then.length === 0 && now.length > 0)
    throw new MetricsError('Prometheus has no samples from the beginning of the window: it was away, or has lost them');
}

/** A series that was not there before grew by all it has; one that fell was restarted, and grew by what it has since. */
const grown = (before: number | undefined, now: number): number =>
  before === undefined || now < before ? now : now - before;

function keyOf({ labels }: Sample): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
