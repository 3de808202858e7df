import type { CanarySpec, MetricName, MetricSpec } from '../../canary/spec.ts';
import type { KayentaMetric } from './kayenta/classify.ts';
import { kayentaMetric } from './kayenta/kayenta.ts';
import type { KayentaScoring } from './kayenta/score.ts';
import type { ComparePlan } from './metric-evidence.ts';

type Analysis = CanarySpec['analysis'];

const KINDS: Record<MetricName, ComparePlan['kind']> = {
  'request-success-rate': 'errors',
  'request-duration': 'latency',
};

/** What a spec says is to be compared by evidence: each metric once, the first of its name. Empty if comparing is off. */
export function plansOf({ judge, compare, metrics }: Analysis): ComparePlan[] {
  if (judge !== 'evidence') return [];
  const first = new Map([...metrics].reverse().map((metric) => [metric.name, metric]));
  return [...first.values()].reverse().flatMap((metric) => {
    const enabled = metric.compare?.enabled ?? compare.enabled;
    return enabled ? [planOf(metric, compare)] : [];
  });
}

function planOf({ name, thresholdRange, compare: own }: MetricSpec, compare: Analysis['compare']): ComparePlan {
  const { enabled, ratio, beta } = compare.earlyPromote;
  const kind = KINDS[name];
  return {
    name,
    kind,
    ratio: own?.ratio ?? compare.ratio,
    minErrors: own?.minErrors ?? compare.minErrors,
    // The spec says how slow is too slow: below that a difference is none of its business.
    ...(kind === 'latency' && thresholdRange.max !== undefined ? { objectiveMs: thresholdRange.max } : {}),
    ...(own?.alpha === undefined ? {} : { ownAlpha: own.alpha }),
    ...(enabled ? { notWorse: { ratio, beta } } : {}),
  };
}

/** Which way is bad. */
const DIRECTIONS: Record<MetricName, KayentaMetric['direction']> = {
  'request-success-rate': 'decrease',
  'request-duration': 'increase',
};

/** A metric as Kayenta's judge takes it: its defaults, but for the direction, which is known. */
export function kayentaMetricOf({ name, kayenta = {} }: MetricSpec): KayentaMetric {
  const { effectSize, ...settings } = kayenta;
  return kayentaMetric(name, {
    direction: DIRECTIONS[name],
    ...defined(settings),
    ...(effectSize ? { effectSize: defined(effectSize) } : {}),
  });
}

export const scoringOf = ({ kayenta }: Analysis): KayentaScoring => ({
  groupWeights: kayenta?.groupWeights ?? {},
  pass: kayenta?.scoreThresholds.pass ?? 95,
  marginal: kayenta?.scoreThresholds.marginal ?? 75,
});

/** Without the fields that are there but undefined. */
const defined = <T extends object>(settings: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
