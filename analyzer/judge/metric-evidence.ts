import {
  type Arms,
  areCounts,
  type Evidence,
  lnE,
  logSumExp,
  NOT_WORSE,
  noEvidence,
  SLOWER,
  WORSE,
  weigh,
} from './e-process.ts';
import { arms, type Counted, eventsOf } from './events.ts';

/** How one metric of the canary is compared with the primary's. */
export interface ComparePlan {
  /** The metric's name in the spec. */
  name: string;
  kind: 'errors' | 'latency';
  /** The canary may have this many times the primary's share of errors or slow answers. */
  ratio: number;
  /** Events on the canary below which nothing is concluded. */
  minErrors: number;
  /** Latency only: slower than this many milliseconds is slow. Without it every bucket's bound is looked at. */
  objectiveMs?: number;
  /** A risk of a wrong rollback for this metric alone, apart from the one that the others share. */
  ownAlpha?: number;
  /** Look also for evidence that the canary is not this many times worse. */
  notWorse?: { ratio: number; beta: number };
}

/** What one look saw of a metric; or why it saw nothing that counts. */
export type MetricLook = { canary: Counted; primary: Counted } | { skipped: string };

/** One kind of event that is followed: errors, or answers slower than a bound. */
export interface Stream {
  /** Upper bound of the bucket in milliseconds; undefined for errors. */
  boundMs: number | undefined;
  worse: Evidence;
  notWorse: Evidence;
  /** Sums over the looks that counted. */
  total: Arms;
}

export interface MetricState {
  plan: ComparePlan;
  /** One for errors or an objective; one per bound otherwise. Empty before the first look that counted. */
  streams: readonly Stream[];
  /** Looks that counted. */
  used: number;
  /** Looks that did not, by reason. */
  skipped: Readonly<Record<string, number>>;
  /** Why the last look did not count. */
  lastSkipped?: string;
}

export const startMetric = (plan: ComparePlan): MetricState => ({ plan, streams: [], used: 0, skipped: {} });

/** Adds a look. Whatever is wrong with it makes it one that is skipped, named and counted; it never throws. */
export function lookAtMetric(state: MetricState, look: MetricLook): MetricState {
  if ('skipped' in look) return skip(state, look.skipped);
  const events = eventsOf(state.plan, look);
  if ('skipped' in events) return skip(state, events.skipped);
  const bounds = events.map(({ boundMs }) => boundMs);
  if (
    state.streams.length > 0 &&
    !same(
      bounds,
      state.streams.map(({ boundMs }) => boundMs),
    )
  )
    return skip(state, 'the bounds of the buckets changed during the run');
  if (!events.every(({ arms: counts }) => areCounts(counts))) return skip(state, 'a value is no count');
  const { canaryRequests, primaryRequests } = events[0]!.arms;
  if (canaryRequests === 0) return skip(state, 'no requests to the canary');
  if (primaryRequests === 0) return skip(state, 'no requests to the primary');
  const { lastSkipped: _, ...rest } = state;
  const streams = state.streams.length > 0 ? state.streams : bounds.map((boundMs) => startStream(boundMs));
  return { ...rest, used: state.used + 1, streams: streams.map((s, i) => follow(s, events[i]!.arms, state.plan)) };
}

const same = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((v, i) => v === b[i]);

const MAX_REASONS = 20;

function skip(state: MetricState, reason: string): MetricState {
  const known = reason in state.skipped || Object.keys(state.skipped).length < MAX_REASONS;
  const key = known ? reason : 'other reasons';
  return { ...state, skipped: { ...state.skipped, [key]: (state.skipped[key] ?? 0) + 1 }, lastSkipped: reason };
}

const alternativesOf = ({ kind }: ComparePlan): readonly number[] => (kind === 'errors' ? WORSE : SLOWER);

function startStream(boundMs: number | undefined): Stream {
  return { boundMs, worse: noEvidence(WORSE), notWorse: noEvidence(NOT_WORSE), total: arms(0, 0, 0, 0) };
}

function follow(stream: Stream, counts: Arms, plan: ComparePlan): Stream {
  const { total } = stream;
  return {
    ...stream,
    worse: weigh(stream.worse, counts, { ratio: plan.ratio, alternatives: alternativesOf(plan) }),
    notWorse: plan.notWorse
      ? weigh(stream.notWorse, counts, { ratio: plan.notWorse.ratio, alternatives: NOT_WORSE })
      : stream.notWorse,
    total: arms(
      total.canaryEvents + counts.canaryEvents,
      total.canaryRequests + counts.canaryRequests,
      total.primaryEvents + counts.primaryEvents,
      total.primaryRequests + counts.primaryRequests,
    ),
  };
}

/**
 * ln E of "worse". Over several bounds it is the mean of their e-values, which is an e-value whatever the dependence between the bounds.
 * A stream with fewer events than `minErrors` counts as 0: that can only make a wrong rollback rarer.
 */
export function lnWorse({ plan, streams }: MetricState): number {
  const terms = streams.map(({ worse, total }) =>
    total.canaryEvents < plan.minErrors ? Number.NEGATIVE_INFINITY : lnE(worse),
  );
  return terms.length === 0 ? Number.NEGATIVE_INFINITY : logSumExp(terms) - Math.log(terms.length);
}

/** ln E of "not worse": the least of the streams, because the claim is about all of them. */
export const lnNotWorse = ({ streams }: MetricState): number =>
  streams.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...streams.map(({ notWorse }) => lnE(notWorse)));

/** The stream that tells most: what a report shows. */
export const leadingStream = ({ streams }: MetricState): Stream | undefined =>
  streams.reduce<Stream | undefined>((best, s) => (best && lnE(best.worse) >= lnE(s.worse) ? best : s), undefined);
