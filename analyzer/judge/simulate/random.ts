/** Numbers from 0 up to but not including 1. */
export type Uniform = () => number;

/** A generator that gives the same numbers for the same seed (xoshiro128**, Blackman & Vigna 2018; seeded by splitmix32). */
export function seeded(seed: number): Uniform {
  let mixed = seed | 0;
  const next = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [next(), next(), next(), next()];
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result / 2 ** 32;
  };
}

/** A standard normal variable (Box & Muller 1958). */
export const normal = (u: Uniform): number => Math.sqrt(-2 * Math.log(1 - u())) * Math.cos(2 * Math.PI * u());

const SMALL_FACTORIALS = [0, 0];
for (let n = 2; n < 64; n++) SMALL_FACTORIALS.push(SMALL_FACTORIALS[n - 1]! + Math.log(n));

/** ln n!, by Stirling's series beyond a table. */
function lnFactorial(n: number): number {
  const small = SMALL_FACTORIALS[n];
  if (small !== undefined) return small;
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * n) - 1 / (360 * n ** 3);
}

/** Below this mean counting up is exact and fast; above it rejection is. */
const SMALL_MEAN = 10;

/** A Poisson variable; by transformed rejection (PTRS, Hörmann 1993) for large means. */
export function poisson(mean: number, u: Uniform): number {
  if (!(mean > 0)) return 0;
  if (mean < SMALL_MEAN) {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = u(); product > limit; product *= u()) count++;
    return count;
  }
  const b = 0.931 + 2.53 * Math.sqrt(mean);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const accepted = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const [v, w] = [u() - 0.5, 1 - u()];
    const s = 0.5 - Math.abs(v);
    const k = Math.floor(((2 * a) / s + b) * v + mean + 0.43);
    if (s >= 0.07 && w <= accepted) return k;
    if (k < 0 || (s < 0.013 && w > s)) continue;
    if (Math.log((w * inverseAlpha) / (a / (s * s) + b)) <= k * Math.log(mean) - mean - lnFactorial(k)) return k;
  }
}

/** A binomial variable; by transformed rejection (BTRS, Hörmann 1993) for large means. */
export function binomial(n: number, p: number, u: Uniform): number {
  if (n === 0 || !(p > 0)) return 0;
  if (p >= 1) return n;
  if (p > 0.5) return n - binomial(n, 1 - p, u);
  return n * p < SMALL_MEAN ? rareBinomial(n, p, u) : commonBinomial(n, p, u);
}

/** Jumps from event to event by the geometric distribution of the gaps. */
function rareBinomial(n: number, p: number, u: Uniform): number {
  const lnMiss = Math.log1p(-p);
  let count = -1;
  for (let at = 0; at <= n; count++) at += Math.floor(Math.log(1 - u()) / lnMiss) + 1;
  return count;
}

function commonBinomial(n: number, p: number, u: Uniform): number {
  const deviation = Math.sqrt(n * p * (1 - p));
  const b = 1.15 + 2.53 * deviation;
  const a = -0.0873 + 0.0248 * b + 0.01 * p;
  const accepted = 0.92 - 4.2 / b;
  const alpha = (2.83 + 5.1 / b) * deviation;
  const mode = Math.floor((n + 1) * p);
  const lnOdds = Math.log(p / (1 - p));
  const peak = lnFactorial(mode) + lnFactorial(n - mode);
  for (;;) {
    const [v, w] = [u() - 0.5, 1 - u()];
    const s = 0.5 - Math.abs(v);
    const k = Math.floor(((2 * a) / s + b) * v + n * p + 0.5);
    if (s >= 0.07 && w <= accepted) return k;
    if (k < 0 || k > n) continue;
    const likelihood = peak - lnFactorial(k) - lnFactorial(n - k) + (k - mode) * lnOdds;
    if (Math.log((w * alpha) / (a / (s * s) + b)) <= likelihood) return k;
  }
}
