import { bucketsOf } from '../metrics/duration.ts';
import type { Sample } from '../metrics/prometheus.ts';
import {
  type Growths,
  grow,
  type NewPods,
  notCounts,
  nothingRead,
  type RawCount,
  type SideGrowth,
  type SideMemory,
} from './counters.ts';
import type { MetricLook } from './metric-evidence.ts';

/** What Prometheus said of one metric at one moment. */
export interface RawLook {
  /** When it was asked, by our clock; milliseconds. */
  atMs: number;
  /** The moment that the answer is about, by Prometheus' clock, if it says so; milliseconds. */
  answeredAtMs?: number;
  canary: readonly RawCount[];
  primary: readonly RawCount[];
}

export interface LookOptions {
  kind: 'errors' | 'latency';
  /** Looks before this moment are the warm-up: milliseconds. */
  warmUpUntilMs: number;
  /** Counting from callers' proxies, both are `baseline`: those pods, and what they sent to earlier canaries, are older than the run. */
  newPods: { canary: NewPods; primary: NewPods };
}

/** The canary's pods begin with the run; a pod of the primary that is new to us may have run for months. */
export const POD_COUNTS: LookOptions['newPods'] = { canary: 'count', primary: 'baseline' };
export const CALLER_COUNTS: LookOptions['newPods'] = { canary: 'baseline', primary: 'baseline' };

/** What is remembered of a metric's counters between two looks. */
export interface LookMemory {
  canary: SideMemory;
  primary: SideMemory;
  /** Of the last look that was read. */
  atMs?: number;
  answeredAtMs?: number;
  /** Looks in a row in which counters fell a little. */
  pastLooks?: number;
  /** Why what the next look counts is thrown away. */
  discard?: string;
}

export const startLooks = (): LookMemory => ({ canary: nothingRead, primary: nothingRead });

/** Requests of two weights are mixed in the first look after a change, and proxies learn of it one by one. */
export const afterWeightChange = (memory: LookMemory): LookMemory => ({ ...memory, discard: 'the weight changed' });

/** Clocks further apart than this are told. Counts are subtracted from counts, so it does no harm to them. */
const SKEW_MS = 30_000;

/**
 * Makes a look's growth out of two readings of raw counters. A reading that cannot be trusted is skipped with its reason and leaves the
 * memory as it was, so that the next good one spans both sides' growth since the last good one. Never throws.
 */
export function takeLook(
  memory: LookMemory,
  raw: RawLook,
  options: LookOptions,
): { memory: LookMemory; look: MetricLook; notes: string[] } {
  const notes = skewOf(raw);
  const unread = unreadable(memory, raw);
  if (unread !== undefined) return { memory, look: { skipped: unread }, notes };
  const grown = growBoth(memory, raw, options.newPods);
  if ('past' in grown) {
    const pastLooks = (memory.pastLooks ?? 0) + 1;
    return { memory: { ...memory, pastLooks }, look: { skipped: grown.past }, notes };
  }
  const { canary, primary } = grown;
  const { discard, pastLooks: _, ...kept } = memory;
  const next: LookMemory = {
    ...kept,
    atMs: raw.atMs,
    ...(raw.answeredAtMs === undefined ? {} : { answeredAtMs: raw.answeredAtMs }),
    canary: canary.memory,
    primary: primary.memory,
  };
  notes.push(...canary.notes.map((n) => `canary: ${n}`), ...primary.notes.map((n) => `primary: ${n}`));
  if (memory.atMs === undefined)
    return { memory: next, look: { skipped: 'the first look only sets the baseline' }, notes };
  if (raw.atMs < options.warmUpUntilMs) return { memory: next, look: { skipped: 'warm-up' }, notes };
  if (discard !== undefined) return { memory: next, look: { skipped: discard }, notes };
  return { memory: next, look: countsOf(options.kind, canary.growths, primary.growths), notes };
}

function unreadable(memory: LookMemory, raw: RawLook): string | undefined {
  if (!Number.isFinite(raw.atMs) || (memory.atMs !== undefined && raw.atMs <= memory.atMs))
    return 'our clock did not go on since the last look';
  const { answeredAtMs } = raw;
  if (answeredAtMs !== undefined && !Number.isFinite(answeredAtMs)) return 'the answer has no time';
  if (answeredAtMs !== undefined && memory.answeredAtMs !== undefined && answeredAtMs <= memory.answeredAtMs)
    return 'Prometheus answered with the past';
  const bad = { canary: notCounts(raw.canary), primary: notCounts(raw.primary) };
  if (bad.canary) return `canary: ${bad.canary}`;
  if (bad.primary) return `primary: ${bad.primary}`;
  // A side that had series and has none now was not scraped: its counters do not go away.
  if (raw.canary.length === 0 && memory.canary.pods.size > 0) return 'the counters of the canary are gone';
  if (raw.primary.length === 0 && memory.primary.pods.size > 0) return 'the counters of the primary are gone';
  return undefined;
}

/** After so many looks in a row counters that fell a little were restarted after all. */
const MAX_PAST_LOOKS = 3;

function growBoth(
  { canary, primary, pastLooks = 0 }: LookMemory,
  raw: RawLook,
  newPods: LookOptions['newPods'],
): { canary: SideGrowth; primary: SideGrowth } | { past: string } {
  const impatient = pastLooks >= MAX_PAST_LOOKS;
  // Callers count both sides: one that is known from the other side and is new on this one has just begun to send here.
  const callers = newPods.canary === 'baseline' && newPods.primary === 'baseline';
  const knownOn = (other: SideMemory) => (callers ? { knownPods: new Set(other.pods.keys()) } : {});
  const c = grow(canary, raw.canary, { newPods: newPods.canary, impatient, ...knownOn(primary) });
  if ('past' in c) return { past: `canary: pod ${c.past} answered with the past` };
  const p = grow(primary, raw.primary, { newPods: newPods.primary, impatient, ...knownOn(canary) });
  if ('past' in p) return { past: `primary: pod ${p.past} answered with the past` };
  return { canary: c, primary: p };
}

function skewOf({ atMs, answeredAtMs }: RawLook): string[] {
  const apartMs = answeredAtMs === undefined ? 0 : answeredAtMs - atMs;
  if (!(Math.abs(apartMs) > SKEW_MS)) return [];
  return [`Prometheus' clock is ${Math.round(Math.abs(apartMs) / 1000)} s ${apartMs > 0 ? 'ahead' : 'behind'}`];
}

function countsOf(kind: LookOptions['kind'], canary: Growths, primary: Growths): MetricLook {
  return kind === 'errors'
    ? { canary: errorsOf(canary), primary: errorsOf(primary) }
    : { canary: { buckets: slots(canary) }, primary: { buckets: slots(primary) } };
}

const errorsOf = (growths: Growths): { errors: number; requests: number } => ({
  errors: growths.get('error') ?? 0,
  requests: [...growths.values()].reduce((sum, n) => sum + n, 0),
});

const slots = (growths: Growths) => bucketsOf([...growths].map(([le, count]) => ({ labels: { le }, count })));

/** The labels by which scrape configurations commonly name a pod, and what is left if none of them is there. */
const podOf = (labels: Record<string, string>): string =>
  labels['pod'] ?? labels['kubernetes_pod_name'] ?? labels['pod_name'] ?? labels['instance'] ?? '';

/** Reads an answer as counters; `kindOf` says what a series counts, or undefined for one that does not matter. */
export function rawCounts(
  samples: readonly Sample[],
  kindOf: (labels: Record<string, string>) => string | undefined,
): RawCount[] {
  return samples.flatMap(({ labels, value }) => {
    const kind = kindOf(labels);
    if (kind === undefined) return [];
    const series = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
    return [{ pod: podOf(labels), series, kind, value }];
  });
}
