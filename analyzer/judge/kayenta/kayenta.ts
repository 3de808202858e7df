import { classify, type KayentaMetric, type MetricResult } from './classify.ts';
import { type KayentaScoring, type Score, scoreOf } from './score.ts';

/** A metric's values, one per moment, in the order of time. Values that are no numbers are treated by `nanStrategy`. */
export interface Series {
  metric: KayentaMetric;
  canary: readonly number[];
  control: readonly number[];
}

export interface KayentaJudgement extends Score {
  metrics: MetricResult[];
}

/**
 * Judges as Kayenta's NetflixACAJudge-v1.0 does: every metric by the rank-sum test with a band of tolerance, then a score. It has no
 * guarantee for repeated looks: judge once, at the end of a step or of the run.
 */
export function judgeKayenta(series: readonly Series[], scoring: KayentaScoring): KayentaJudgement {
  const metrics = series.map(({ metric, canary, control }) => classify(metric, canary, control));
  return { ...scoreOf(metrics, scoring), metrics };
}

export type KayentaSettings = Partial<Omit<KayentaMetric, 'name' | 'effectSize'>> & {
  effectSize?: Partial<KayentaMetric['effectSize']>;
};

/** A metric with Kayenta's defaults for what is not set. */
export function kayentaMetric(name: string, { effectSize = {}, ...settings }: KayentaSettings = {}): KayentaMetric {
  // No effect: a ratio of 1, or as many pairs in which the canary is higher as lower.
  const none = effectSize.measure === 'cles' ? 0.5 : 1;
  return {
    name,
    groups: [name],
    direction: 'either',
    nanStrategy: 'remove',
    critical: false,
    mustHaveData: false,
    outliers: { strategy: 'keep', outlierFactor: 3 },
    ...settings,
    effectSize: {
      measure: 'meanRatio',
      allowedIncrease: none,
      allowedDecrease: none,
      criticalIncrease: none,
      criticalDecrease: none,
      ...effectSize,
    },
  };
}
