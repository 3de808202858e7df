import { logSumExp } from './e-process.ts';
import {
  type ComparePlan,
  leadingStream,
  lnNotWorse,
  lnWorse,
  lookAtMetric,
  type MetricLook,
  type MetricState,
  type Stream,
  startMetric,
} from './metric-evidence.ts';

/** The memory of the comparison over a run. Plain data: it can be kept as JSON but for −∞. */
export interface CompareState {
  /** Risk of a wrong rollback that all metrics without one of their own share. */
  alpha: number;
  metrics: readonly MetricState[];
}

/** One look at everything, by name of the metric. A metric that it lacks counts as skipped. */
export type Look = Readonly<Record<string, MetricLook>>;

export type CompareVerdict = 'continue' | 'roll back' | 'no evidence';

export interface MetricJudgement {
  name: string;
  verdict: CompareVerdict;
  /** Natural logarithm of the metric's own e-value; −∞ before anything counts. */
  lnE: number;
  /** What it alone would have to reach for a rollback. */
  lnThreshold: number;
  ratio: number;
  minErrors: number;
  /** Sums over the run of what tells most. */
  leading?: Stream;
  used: number;
  skipped: Readonly<Record<string, number>>;
  /** Why the last look said nothing. */
  lastSkipped?: string;
}

export interface Judgement {
  /**
   * roll back: the evidence reached its threshold. no evidence: the last look said nothing of at least one metric. continue: it said
   * something of each, and nothing is wrong so far, which is no proof that the version is good.
   */
  verdict: CompareVerdict;
  /** Of the metrics that share `alpha`: the mean of their e-values. */
  lnE: number;
  /** ln 1/α. */
  lnThreshold: number;
  metrics: MetricJudgement[];
  /** What to show: what made it roll back, or else the metric with the most evidence. */
  leading?: MetricJudgement;
  /**
   * ln E of what is said about the leading metric, with the price of having looked at the others that share α. Where no metric alone
   * reached its threshold it is that of all together.
   */
  lnDecisive: number;
  /** Only all together reached the threshold. */
  together: boolean;
  /** The evidence says of every metric that it is not `notWorse.ratio` times worse. False where that is not asked for. */
  earlyPromote: boolean;
}

export const startCompare = (plans: readonly ComparePlan[], alpha: number): CompareState => ({
  alpha,
  metrics: plans.map(startMetric),
});

const NOT_LOOKED_AT: MetricLook = { skipped: 'not looked at' };

/** Adds a look at all metrics. Never throws. */
export const addLook = (state: CompareState, look: Look): CompareState => ({
  ...state,
  metrics: state.metrics.map((m) =>
    lookAtMetric(m, Object.hasOwn(look, m.plan.name) ? look[m.plan.name]! : NOT_LOOKED_AT),
  ),
});

/**
 * What the evidence says after the last look.
 *
 * The metrics that share α are combined by the mean of their e-values. Splitting α, the other way, rolls back when one of m metrics has
 * E ≥ m/α; then the mean is at least (m/α)/m = 1/α as well. So the mean rolls back whenever the split does, and also when several metrics
 * each say a little, with the same guarantee under any dependence (errors and slowness come together). A metric with an α of its own is
 * judged apart, and the risk of the run is the sum.
 *
 * A metric that says nothing counts as E = 0 in the mean, which keeps the guarantee.
 */
export function judge(state: CompareState): Judgement {
  const lnThreshold = -Math.log(state.alpha);
  const shared = state.metrics.filter(({ plan }) => plan.ownAlpha === undefined);
  const pooled =
    shared.length === 0 ? Number.NEGATIVE_INFINITY : logSumExp(shared.map(lnWorse)) - Math.log(shared.length);
  const pooledReached = pooled >= lnThreshold;
  const own = state.metrics.map((metric) => judgeMetric(metric, lnThreshold + Math.log(shared.length || 1)));
  const leader = (metrics: MetricJudgement[]) =>
    metrics.reduce<MetricJudgement | undefined>((best, m) => (best && lead(best) >= lead(m) ? best : m), undefined);
  // Several metrics may have reached it together though none did alone: the one that says most is named.
  const first = pooledReached ? leader(own.filter((_, i) => state.metrics[i]!.plan.ownAlpha === undefined)) : undefined;
  const metrics = own.map((m) => (m === first ? { ...m, verdict: 'roll back' as const } : m));
  const leading = leader(metrics.filter(({ verdict }) => verdict === 'roll back')) ?? leader(metrics);
  const together = leading?.verdict === 'roll back' && leading.lnE < leading.lnThreshold;
  const apart = state.metrics.find(({ plan }) => plan.name === leading?.name)?.plan.ownAlpha !== undefined;
  const alone = (leading?.lnE ?? Number.NEGATIVE_INFINITY) - (apart ? 0 : Math.log(shared.length));
  return {
    verdict: overall(metrics),
    lnE: pooled,
    lnThreshold,
    metrics,
    ...(leading ? { leading } : {}),
    lnDecisive: together ? pooled : alone,
    together,
    earlyPromote: state.metrics.length > 0 && state.metrics.every(isNotWorse),
  };
}

/** How far beyond its threshold: comparable between metrics with different ones. */
const lead = ({ lnE, lnThreshold }: MetricJudgement): number => lnE - lnThreshold;

function judgeMetric(state: MetricState, sharedThreshold: number): MetricJudgement {
  const { plan, used, skipped, lastSkipped } = state;
  const lnThreshold = plan.ownAlpha === undefined ? sharedThreshold : -Math.log(plan.ownAlpha);
  const lnE = lnWorse(state);
  const leading = leadingStream(state);
  const idle = used === 0 || lastSkipped !== undefined;
  return {
    name: plan.name,
    verdict: lnE >= lnThreshold ? 'roll back' : idle ? 'no evidence' : 'continue',
    lnE,
    lnThreshold,
    ratio: plan.ratio,
    minErrors: plan.minErrors,
    ...(leading ? { leading } : {}),
    used,
    skipped,
    ...(lastSkipped === undefined ? {} : { lastSkipped }),
  };
}

function overall(metrics: readonly MetricJudgement[]): CompareVerdict {
  if (metrics.some(({ verdict }) => verdict === 'roll back')) return 'roll back';
  return metrics.length === 0 || metrics.some(({ verdict }) => verdict === 'no evidence') ? 'no evidence' : 'continue';
}

/** Each metric is tested at its full β: to be wrong about "none is worse" the test of the one that is must be wrong. */
function isNotWorse(state: MetricState): boolean {
  const { notWorse } = state.plan;
  return notWorse !== undefined && lnNotWorse(state) >= -Math.log(notWorse.beta);
}
