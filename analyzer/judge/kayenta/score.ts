import type { Classification, MetricResult } from './classify.ts';

/** What Kayenta's canary configuration says about the whole. */
export interface KayentaScoring {
  /** Percent of the score by group; groups without one share what is left of 100. */
  groupWeights: Readonly<Record<string, number>>;
  /** Scores from which a canary passes, or is marginal. */
  pass: number;
  marginal: number;
}

export interface Score {
  classification: 'Pass' | 'Marginal' | 'Fail';
  /** 0 to 100. */
  score: number;
  reason?: string;
}

/** Half of the metrics without data, and the canary fails. */
const TOO_MANY_WITHOUT_DATA = 0.5;

/** The weighted sum of the groups' shares of metrics that pass. */
export function scoreOf(results: readonly MetricResult[], scoring: KayentaScoring): Score {
  const failed = results.find(({ critical, classification }) => critical && classification !== 'Pass');
  if (failed)
    return { classification: 'Fail', score: 0, reason: `critical metric ${failed.name}: ${failed.classification}` };
  const withoutData = results.filter(({ classification }) => classification === 'Nodata').length;
  if (withoutData / Math.max(1, results.length) >= TOO_MANY_WITHOUT_DATA || results.length === 0)
    return { classification: 'Fail', score: 0, reason: `${withoutData} of ${results.length} metrics have no data` };
  const score = summary(results, scoring.groupWeights);
  const classification = score >= scoring.pass ? 'Pass' : score >= scoring.marginal ? 'Marginal' : 'Fail';
  return { classification, score };
}

function summary(results: readonly MetricResult[], weights: KayentaScoring['groupWeights']): number {
  const groups = new Map<string, Classification[]>();
  for (const { groups: names, classification } of results)
    for (const name of names) groups.set(name, [...(groups.get(name) ?? []), classification]);
  const weightless = [...groups.keys()].filter((name) => !Object.hasOwn(weights, name)).length;
  const rest = 100 - Object.values(weights).reduce((sum, w) => sum + w, 0);
  const share = (name: string): number => (Object.hasOwn(weights, name) ? weights[name]! : rest / weightless);
  const total = [...groups].reduce((sum, [name, labels]) => sum + (groupScore(labels) * share(name)) / 100, 0);
  return Math.round(total * 100) / 100;
}

/** Metrics without data do not count; a group of only such is taken for good. */
function groupScore(labels: readonly Classification[]): number {
  const counted = labels.filter((label) => label !== 'Nodata' && label !== 'Error');
  if (counted.length === 0) return 100;
  return (100 * counted.filter((label) => label === 'Pass').length) / counted.length;
}
