import { findRoot } from './root.ts';

export interface ShiftInterval {
  /** Bounds of the confidence interval of the shift from y to x. */
  lower: number;
  upper: number;
  /** The Hodges–Lehmann estimate of the shift. */
  estimate: number;
}

/** R's accuracy in `wilcox.test`, and so Kayenta's. Verdicts on samples with many ties depend on it. */
const TOLERANCE = 1e-4;

/**
 * By how much `x` is shifted against `y`: the asymptotic interval of the rank-sum test with correction for continuity and ties, as R's
 * `wilcox.test` and Kayenta compute it.
 * @throws RangeError if all values are tied after a shift, so that no interval exists
 */
export function shiftInterval(x: readonly number[], y: readonly number[], confidence: number): ShiftInterval {
  const lowest = Math.min(...x) - Math.max(...y);
  const highest = Math.max(...x) - Math.min(...y);
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const solve = (quantile: number): number => {
    const f = (shift: number) => rankStatistic(x, y, shift) - quantile;
    const [atLowest, atHighest] = [f(lowest), f(highest)];
    return findRoot(f, { at: lowest, value: atLowest }, { at: highest, value: atHighest }, TOLERANCE);
  };
  const bound = (quantile: number): number => {
    if (rankStatistic(x, y, lowest) - quantile <= 0) return lowest;
    if (rankStatistic(x, y, highest) - quantile >= 0) return highest;
    return solve(quantile);
  };
  return { lower: bound(z), upper: bound(-z), estimate: solve(0) };
}

/** The standardised rank-sum statistic of `x − shift` against `y`; falls with the shift. */
export function rankStatistic(x: readonly number[], y: readonly number[], shift: number): number {
  const [m, n] = [x.length, y.length];
  const { ranks, ties } = rank([...x.map((v) => v - shift), ...y]);
  const centred = ranks.slice(0, m).reduce((sum, r) => sum + r, 0) - (m * (m + 1)) / 2 - (m * n) / 2;
  const variance = ((m * n) / 12) * (m + n + 1 - ties / ((m + n) * (m + n - 1)));
  if (!(variance > 0)) throw new RangeError('all values are tied');
  return (centred - Math.sign(centred) * 0.5) / Math.sqrt(variance);
}

/** Ranks from 1, ties by their mean; and Σ(t³ − t) over groups of t tied values. */
export function rank(values: readonly number[]): { ranks: number[]; ties: number } {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length).fill(0);
  let ties = 0;
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + 1 + to) / 2;
    ties += (to - from) ** 3 - (to - from);
    from = to;
  }
  return { ranks, ties };
}

/** Φ(z), by the series of Marsaglia, Evaluating the Normal Distribution (2004). */
function normalCdf(z: number): number {
  if (Math.abs(z) > 8) return z > 0 ? 1 : 0;
  let sum = z;
  let term = z;
  for (let i = 3; sum !== sum + term / 2; i += 2) {
    term *= (z * z) / i;
    sum += term;
  }
  return 0.5 + sum * Math.exp(-(z * z) / 2 - Math.log(2 * Math.PI) / 2);
}

/** The z with Φ(z) = p, by Newton's method, for p from 0.5 to 1 − 1e-12. */
export function normalQuantile(p: number): number {
  let z = 0;
  for (let i = 0; i < 50; i++) {
    const step = (normalCdf(z) - p) / (Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI));
    // A far step would jump over the tail.
    z -= Math.max(-1, Math.min(1, step));
    if (Math.abs(step) < 1e-14) break;
  }
  return z;
}
