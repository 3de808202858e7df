import { type InstantQuery, MetricsError, type Sample } from './prometheus.ts';

/** A counter's growth over a window. */
export interface Growth {
  labels: Record<string, string>;
  count: number;
}

/**
 * How much each series of a selector grew between two moments, from its raw values. Not `rate()` or `increase()`: those extrapolate, and leave out
 * the first values of a series that is born within the window, which is just what the series of a new canary's errors are.
 */
export async function growth(ask: InstantQuery, query: string, from: Date, to: Date): Promise<Growth[]> {
  const [after, before] = await Promise.all([ask(query, to), ask(lastKnown(query), from)]);
  if (before.length === 0 && after.length > 0) await requireSamples(ask, from, to);
  const base = new Map(before.map((s) => [keyOf(s), s.value]));
  return after.map((sample) => ({ labels: sample.labels, count: grown(base.get(keyOf(sample)), sample.value) }));
}

/** As far back as Prometheus itself looks for the value of a series. */
const LOOK_BACK = '5m';

/**
 * The last values before a moment, of series that a failed scrape ended just then, too: a caller that is missing at the beginning of a
 * window would count with all that it ever sent to canaries of this name.
 */
const lastKnown = (selector: string): string => `last_over_time(${selector}[${LOOK_BACK}])`;

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

/** Functions may drop the name of the metric, which is the same for all of them. */
function keyOf({ labels }: Sample): string {
  const named = Object.entries(labels).filter(([name]) => name !== '__name__');
  return JSON.stringify(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}
