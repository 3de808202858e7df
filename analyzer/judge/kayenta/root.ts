export interface Point {
  at: number;
  value: number;
}

const MAX_STEPS = 1001;

/**
 * A zero of a function between two points of opposite sign, by Brent's method (R. P. Brent, Algorithms for Minimization Without
 * Derivatives, 1973, chapter 4). The rank statistic is a step function, so what is found lies anywhere within the tolerance of a step,
 * and which side it is decides about Kayenta's verdict: the method's steps are part of the judge.
 */
export function findRoot(f: (at: number) => number, from: Point, to: Point, tolerance: number): number {
  if (from.value === 0) return from.at;
  if (to.value === 0) return to.at;
  let [previous, best, opposite] = [from, to, from];
  for (let i = 0; i < MAX_STEPS; i++) {
    const last = best.at - previous.at;
    if (Math.abs(opposite.value) < Math.abs(best.value)) [previous, best, opposite] = [best, opposite, best];
    const accuracy = 2 * Number.EPSILON * Math.abs(best.at) + tolerance / 2;
    const half = (opposite.at - best.at) / 2;
    if (Math.abs(half) <= accuracy || best.value === 0) break;
    const step = interpolated(previous, best, opposite, last, accuracy) ?? half;
    const at = best.at + (Math.abs(step) < accuracy ? Math.sign(step || -1) * accuracy : step);
    previous = best;
    best = { at, value: f(at) };
    if (best.value * opposite.value > 0) opposite = previous;
  }
  return best.at;
}

/** The step by secant or inverse quadratic interpolation, where it can be trusted more than halving. */
function interpolated(
  previous: Point,
  best: Point,
  opposite: Point,
  last: number,
  accuracy: number,
): number | undefined {
  if (Math.abs(last) < accuracy || Math.abs(previous.value) <= Math.abs(best.value)) return undefined;
  const width = opposite.at - best.at;
  const s = best.value / previous.value;
  let [p, q] = [width * s, 1 - s];
  if (previous.at !== opposite.at) {
    const t = previous.value / opposite.value;
    const r = best.value / opposite.value;
    p = s * (width * t * (t - r) - (best.at - previous.at) * (r - 1));
    q = (t - 1) * (r - 1) * (s - 1);
  }
  if (p > 0) q = -q;
  p = Math.abs(p);
  const trusted = p < 0.75 * width * q - Math.abs(accuracy * q) / 2 && p < Math.abs(last * q) / 2;
  return trusted ? p / q : undefined;
}
