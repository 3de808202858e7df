import type { InstantQuery, Sample } from './prometheus.ts';

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
  const base = new Map(before.map((s) => [keyOf(s), s.value]));
  return after.map((sample) => ({ labels: sample.labels, count: grown(base.get(keyOf(sample)), sample.value) }));
}

/** A series that was not there before grew by all it has; one that fell was restarted, and grew by what it has since. */
const grown = (before: number | undefined, now: number): number =>
  before === undefined || now < before ? now : now - before;

function keyOf({ labels }: Sample): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
