import { normalQuantile, rank, shiftInterval } from './mann-whitney.ts';

export type Classification = 'Pass' | 'High' | 'Low' | 'Nodata' | 'NodataFailMetric' | 'Error';

/** How a metric is judged; names, meaning and defaults are those of Kayenta's `analysisConfigurations.canary`. */
export interface KayentaMetric {
  name: string;
  groups: readonly string[];
  /** Which way is bad. */
  direction: 'increase' | 'decrease' | 'either';
  nanStrategy: 'remove' | 'replace';
  /** A metric that fails fails the canary. */
  critical: boolean;
  mustHaveData: boolean;
  outliers: { strategy: 'keep' | 'remove'; outlierFactor: number };
  effectSize: {
    measure: 'meanRatio' | 'cles';
    allowedIncrease: number;
    allowedDecrease: number;
    criticalIncrease: number;
    criticalDecrease: number;
  };
}

export interface MetricResult {
  name: string;
  groups: readonly string[];
  classification: Classification;
  /** The classification alone fails the canary. */
  critical: boolean;
  /** Mean of the canary over mean of the control; undefined if one of them is 0. */
  ratio?: number;
  reason: string;
}

/** Kayenta's judge has these fixed. */
export const TOLERANCE = 0.25;
export const CONFIDENCE = 0.98;

export interface Strictness {
  /** Half-width of the band in which a shift is none, as a part of the estimated shift. */
  tolerance: number;
  confidence: number;
}

/** Classifies the canary's values against the control's, one per moment. Never throws. */
export function classify(
  metric: KayentaMetric,
  canary: readonly number[],
  control: readonly number[],
  strictness: Strictness = { tolerance: TOLERANCE, confidence: CONFIDENCE },
): MetricResult {
  const x = prepare(canary, metric);
  const y = prepare(control, metric);
  if (x.length === 0 || y.length === 0) return withoutData(metric);
  if (sameValues(x, y)) return result(metric, 'Pass', 1, 'canary and control are identical');
  if (new Set([...x, ...y]).size === 1) return result(metric, 'Pass', 1, 'all values are the same');
  try {
    return compare(metric, x, y, strictness);
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return result(metric, 'Error', undefined, e.message);
  }
}

function result(
  metric: KayentaMetric,
  classification: Classification,
  ratio: number | undefined,
  reason: string,
  critical = false,
): MetricResult {
  const { name, groups } = metric;
  return { name, groups, classification, critical, ...(ratio === undefined ? {} : { ratio }), reason };
}

/** Replaced by zeros, no values are zeros on both sides, and so equal. */
function withoutData(metric: KayentaMetric): MetricResult {
  if (metric.nanStrategy === 'replace') return result(metric, 'Pass', 1, 'no values');
  const fails = metric.mustHaveData && !metric.critical;
  return result(metric, fails ? 'NodataFailMetric' : 'Nodata', 1, 'no values', !fails && metric.critical);
}

function compare(
  metric: KayentaMetric,
  canary: readonly number[],
  control: readonly number[],
  strictness: Strictness,
): MetricResult {
  const [x, y] = constant(canary) && constant(control) ? [spread(canary), spread(control)] : [canary, control];
  const { lower, upper, estimate } = shiftInterval(x, y, strictness.confidence);
  const band = strictness.tolerance * Math.abs(estimate);
  const ratio = meanRatio(x, y);
  const { measure, ...limits } = metric.effectSize;
  const effect = measure === 'cles' ? commonLanguage(x, y) : ratio;
  // An effect that has no size does not hold anything back.
  const grew = (by: number): boolean => effect === undefined || effect >= by;
  const fell = (by: number): boolean => effect === undefined || effect <= by;
  const range = `shift ${short(lower)} to ${short(upper)}, band ±${short(band)}`;
  if (metric.direction !== 'decrease' && lower > band && grew(limits.allowedIncrease))
    return result(metric, 'High', ratio, range, metric.critical && grew(limits.criticalIncrease));
  if (metric.direction !== 'increase' && upper < -band && fell(limits.allowedDecrease))
    return result(metric, 'Low', ratio, range, metric.critical && fell(limits.criticalDecrease));
  return result(metric, 'Pass', ratio, range);
}

const short = (value: number): string => value.toPrecision(3);
const constant = (values: readonly number[]): boolean => new Set(values).size === 1;
const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

function sameValues(x: readonly number[], y: readonly number[]): boolean {
  const [a, b] = [x, y].map((values) => [...values].sort((p, q) => p - q)) as [number[], number[]];
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

/** Parts of a value that two constant sides are spread by, so that they can be ranked. */
const SPREAD = 1e-5;

/** Where Kayenta adds normal noise this adds the normal distribution's own quantiles: the same size, and the same every time. */
const spread = (values: readonly number[]): number[] =>
  values.map((value, i) => {
    const p = (i + 0.5) / values.length;
    const z = p < 0.5 ? -normalQuantile(1 - p) : normalQuantile(p);
    return value + value * SPREAD * z;
  });

function meanRatio(x: readonly number[], y: readonly number[]): number | undefined {
  const [a, b] = [mean(x), mean(y)];
  return a === 0 || b === 0 ? undefined : a / b;
}

/** The chance that a value of x is above one of y (Vargha & Delaney, 2000). */
function commonLanguage(x: readonly number[], y: readonly number[]): number {
  const { ranks } = rank([...x, ...y]);
  const sum = ranks.slice(0, x.length).reduce((total, r) => total + r, 0);
  return (2 * sum - x.length * (x.length + 1)) / (2 * x.length * y.length);
}

function prepare(values: readonly number[], { nanStrategy, outliers }: KayentaMetric): number[] {
  const numbers =
    nanStrategy === 'replace'
      ? values.map((v) => (Number.isFinite(v) ? v : 0))
      : values.filter((v) => Number.isFinite(v));
  return outliers.strategy === 'keep' ? numbers : numbers.filter((v) => !isOutlier(numbers, outliers.outlierFactor)(v));
}

/** Tukey's fences, never narrower than from the 1st to the 99th percentile. */
export function isOutlier(values: readonly number[], factor: number, widened = true): (value: number) => boolean {
  const sorted = [...values].sort((a, b) => a - b);
  const [p25, p75] = [percentile(sorted, 25), percentile(sorted, 75)];
  const [low, high] = [p25 - factor * (p75 - p25), p75 + factor * (p75 - p25)];
  const lowest = widened ? Math.min(low, percentile(sorted, 1)) : low;
  const highest = widened ? Math.max(high, percentile(sorted, 99)) : high;
  return (value) => value < lowest || value > highest;
}

/** The percentile at position p·(n + 1)/100 between the sorted values, as commons-math estimates it. */
function percentile(sorted: readonly number[], p: number): number {
  if (sorted.length === 0) return Number.NaN;
  const position = (p / 100) * (sorted.length + 1);
  const below = Math.floor(position);
  if (below < 1) return sorted[0]!;
  if (below >= sorted.length) return sorted.at(-1)!;
  return sorted[below - 1]! + (position - below) * (sorted[below]! - sorted[below - 1]!);
}
