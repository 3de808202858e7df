/** One series of a counter as it stands, not what it grew by. */
export interface RawCount {
  /** The pod that counts. */
  pod: string;
  /** Tells this series from the pod's others: all its labels. */
  series: string;
  /** What is counted: `error` and `ok`, or a bucket's `le`. */
  kind: string;
  value: number;
}

/** What was read of one side, as far as it can be trusted. */
export interface SideMemory {
  /** Per pod, per series: the last value. */
  pods: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Pods that the last reading had. */
  last: ReadonlySet<string>;
}

/** Growth by kind. */
export type Growths = ReadonlyMap<string, number>;

export interface SideGrowth {
  memory: SideMemory;
  growths: Growths;
  /** What was odd, for the report: restarts, pods gone, answers of the past. */
  notes: string[];
}

/** A pod that was never seen before: `count` all it has, because it began with the run; or start at its `baseline`. */
export type NewPods = 'count' | 'baseline';

export const nothingRead: SideMemory = { pods: new Map(), last: new Set() };

/** A value that no counter can have, in words; undefined if all are fine. */
export function notCounts(counts: readonly RawCount[]): string | undefined {
  const bad = counts.find(({ value }) => !(value >= 0 && value <= Number.MAX_SAFE_INTEGER));
  return bad === undefined ? undefined : `a counter stands at ${bad.value}`;
}

type Pod = ReadonlyMap<string, RawCount>;

function byPod(counts: readonly RawCount[]): Map<string, Map<string, RawCount>> {
  const pods = new Map<string, Map<string, RawCount>>();
  for (const count of counts) {
    const pod = pods.get(count.pod) ?? new Map<string, RawCount>();
    pods.set(count.pod, pod.set(count.series, count));
  }
  return pods;
}

const total = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);

export interface GrowOptions {
  newPods: NewPods;
  /** Pods that are known from elsewhere, though not on this side. */
  knownPods?: ReadonlySet<string>;
  /** Takes counters that fell a little for restarted ones: they have fallen for too long. */
  impatient?: boolean;
}

/**
 * How much a side grew since it was read before. Per pod:
 * - A series that is new on a known pod was born since, and grew by all it has: Prometheus' counters start at 0.
 * - Counters that fall to less than half of what the pod had were restarted, all of that pod's at once, and grew by what they have since.
 * - Counters that fall a little were not: another replica of Prometheus answered with an older scrape.
 * - A pod that is gone keeps its place: a scrape may have failed, and it must not be counted anew when it is back.
 * @returns past: a pod answered with an older scrape; the rest is of no use then
 */
export function grow(
  memory: SideMemory,
  counts: readonly RawCount[],
  options: GrowOptions,
): SideGrowth | { past: string } {
  const growths = new Map<string, number>();
  const pods = new Map(memory.pods);
  const notes: string[] = [];
  const now = byPod(counts);
  for (const [name, pod] of now) {
    const base = baseOf(name, memory.pods.get(name), pod, options);
    if (base === 'past') return { past: name };
    pods.set(name, new Map([...pod].map(([series, { value }]) => [series, value])));
    if (base === 'new') continue;
    if (base === 'restarted') notes.push(`pod ${name} restarted its counters`);
    const from = base === 'restarted' ? undefined : base;
    for (const [series, { kind, value }] of pod)
      growths.set(kind, (growths.get(kind) ?? 0) + value - (from?.get(series) ?? 0));
  }
  const gone = [...memory.last].filter((name) => !now.has(name)).length;
  if (gone > 0) notes.push(`${gone} of ${memory.last.size} pods gone`);
  return { memory: { pods: bounded(pods), last: new Set(now.keys()) }, growths, notes };
}

type Values = ReadonlyMap<string, number>;
const NOTHING: Values = new Map();

/** What to subtract from a pod's counters; or that they start here, were restarted, or are of the past. */
function baseOf(
  name: string,
  before: Values | undefined,
  pod: Pod,
  { newPods, knownPods, impatient }: GrowOptions,
): Values | 'new' | 'restarted' | 'past' {
  if (before === undefined) return newPods === 'count' || knownPods?.has(name) ? NOTHING : 'new';
  if (![...pod].some(([series, { value }]) => value < (before.get(series) ?? 0))) return before;
  const restarted = total([...pod.values()].map(({ value }) => value)) < total(before.values()) / 2;
  return restarted || impatient ? 'restarted' : 'past';
}

/** Far more than any Service has; pods that come and go must not fill the memory of a run. */
const MAX_PODS = 5000;

/** The pods that were added first go first. */
const bounded = <T>(pods: Map<string, T>): Map<string, T> =>
  pods.size <= MAX_PODS ? pods : new Map([...pods].slice(pods.size - MAX_PODS));
