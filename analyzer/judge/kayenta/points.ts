import type { CanarySpec } from '../../../canary/spec.ts';
import { valueOfSide } from '../events.ts';
import type { MetricLook } from '../metric-evidence.ts';
import { kayentaMetricOf, scoringOf } from '../plans.ts';
import { judgeKayenta, type KayentaJudgement } from './kayenta.ts';

/** The values of a metric so far, one per interval and side; NaN where there were no requests. */
export interface Points {
  canary: readonly number[];
  control: readonly number[];
}

export const NO_POINTS: Points = { canary: [], control: [] };

/** Adds what an interval's look saw. One that was skipped is a moment without values on both sides. */
export function addPoint({ canary, control }: Points, look: MetricLook): Points {
  const [x, y] = 'skipped' in look ? [undefined, undefined] : [valueOfSide(look.canary), valueOfSide(look.primary)];
  return { canary: [...canary, x ?? Number.NaN], control: [...control, y ?? Number.NaN] };
}

/** Kayenta's judgement of a run, from the points of each metric of its spec by name. */
export function judgePoints(
  analysis: CanarySpec['analysis'],
  points: Readonly<Record<string, Points>>,
): KayentaJudgement {
  const series = analysis.metrics.map((metric) => ({
    metric: kayentaMetricOf(metric),
    ...(Object.hasOwn(points, metric.name) ? points[metric.name]! : NO_POINTS),
  }));
  return judgeKayenta(series, scoringOf(analysis));
}
