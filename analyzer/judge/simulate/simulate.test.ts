import { describe, expect, test } from 'vitest';
import { lnE, logSpaced, noEvidence, SLOWER, WORSE, weigh } from '../e-process.ts';
import { evidence, kayentaOnce, thresholds } from './judges.ts';
import { type Panel, plotOf } from './plot.ts';
import { binomial, normal, poisson, seeded } from './random.ts';
import { simulate, summarise } from './simulate.ts';
import { tableOf } from './table.ts';
import { type Scenario, traffic } from './traffic.ts';

const MINUTE_MS = 60_000;
const HEALTHY: Scenario = {
  requestsPerSecond: 100,
  weights: [10],
  errors: 0.005,
  factor: 1,
  sigma: 0,
  durationMs: 15 * MINUTE_MS,
  lookMs: 10_000,
};
const RUNS = 2000;
/** Three standard deviations of a binomial count; the seed is fixed. */
const atMost = (share: number, runs: number): number => share + 3 * Math.sqrt((share * (1 - share)) / runs);

describe('random numbers', () => {
  const draws = (count: number, draw: () => number) => {
    const values = Array.from({ length: count }, draw);
    const mean = values.reduce((a, b) => a + b, 0) / count;
    return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / count };
  };
  const near = (value: number, expected: number, deviation: number) =>
    expect(Math.abs(value - expected)).toBeLessThan(5 * deviation + 1e-12);

  test.each([0.01, 0.5, 9, 11, 90, 5000])('a Poisson variable of mean %d has that mean and variance', (mean) => {
    const u = seeded(7);
    const got = draws(20_000, () => poisson(mean, u));
    near(got.mean, mean, Math.sqrt(mean / 20_000));
    near(got.variance, mean, Math.sqrt((2 * mean * mean + mean) / 20_000));
  });

  test.each([
    [10, 0.0001],
    [1000, 0.005],
    [90, 0.2],
    [50, 0.5],
    [300, 0.9],
    [100_000, 0.01],
    [7, 0],
    [7, 1],
    [0, 0.5],
  ])('a binomial variable of %d at %d has its mean and variance', (n, p) => {
    const u = seeded(11);
    const got = draws(20_000, () => binomial(n, p, u));
    const variance = n * p * (1 - p);
    near(got.mean, n * p, Math.sqrt(variance / 20_000));
    near(got.variance, variance, Math.sqrt((2 * variance * variance + variance) / 20_000));
  });

  test('a normal variable is standard, and a seed repeats itself', () => {
    const u = seeded(3);
    const got = draws(20_000, () => normal(u));
    near(got.mean, 0, 1 / Math.sqrt(20_000));
    near(got.variance, 1, Math.sqrt(2 / 20_000));
    const [a, b] = [seeded(5), seeded(5)];
    expect(Array.from({ length: 9 }, a)).toEqual(Array.from({ length: 9 }, b));
    expect(seeded(5)()).not.toBe(seeded(6)());
  });
});

describe('traffic', () => {
  test('follows the weights, tells their changes, and hits both sides in an incident', () => {
    const scenario = {
      ...HEALTHY,
      durationMs: 20 * MINUTE_MS,
      weights: [10, 50],
      incident: { fromMs: 5 * MINUTE_MS, toMs: 6 * MINUTE_MS, errors: 0.5 },
    };
    const ticks = [...traffic(scenario, seeded(1))];
    expect(ticks).toHaveLength(120);
    expect(ticks.flatMap(({ weightChanged }, i) => (weightChanged ? [i] : []))).toEqual([60]);
    const share = (from: number, to: number) => {
      const part = ticks.slice(from, to);
      const canary = part.reduce((sum, { arms }) => sum + arms.canaryRequests, 0);
      return canary / part.reduce((sum, { arms }) => sum + arms.canaryRequests + arms.primaryRequests, 0);
    };
    expect(share(0, 60)).toBeCloseTo(0.1, 1);
    expect(share(60, 120)).toBeCloseTo(0.5, 1);
    const failed = (side: 'canary' | 'primary') =>
      ticks.slice(30, 36).reduce((sum, { arms }) => sum + arms[`${side}Events`] / arms[`${side}Requests`], 0) / 6;
    expect(failed('canary')).toBeCloseTo(0.5, 1);
    expect(failed('primary')).toBeCloseTo(0.5, 1);
  });

  test('swings with a mean of one', () => {
    const scenario = { ...HEALTHY, errors: 0.05, sigma: 0.6, durationMs: 600 * MINUTE_MS, lookMs: MINUTE_MS };
    const ticks = [...traffic(scenario, seeded(2))];
    const mean = ticks.reduce((sum, { arms }) => sum + arms.primaryEvents / arms.primaryRequests, 0) / ticks.length;
    expect(mean).toBeCloseTo(0.05, 2);
  });
});

describe('a version that is no worse is rolled back in at most α of the runs', () => {
  const alpha = 0.05;
  const incident = { fromMs: 5 * MINUTE_MS, toMs: 10 * MINUTE_MS, errors: 0.2 };
  const settings: [string, Partial<Scenario>][] = [
    ['errors 0.01 %', { errors: 0.0001 }],
    ['errors 0.1 %, weight 1 %', { errors: 0.001, weights: [1] }],
    ['errors 0.5 %', {}],
    ['errors 0.5 %, little traffic', { requestsPerSecond: 5 }],
    ['errors 5 %, weight 50 %', { errors: 0.05, weights: [50] }],
    ['errors 20 %, weight 1 %', { errors: 0.2, weights: [1] }],
    ['errors 20 %, weight 50 %', { errors: 0.2, weights: [50], requestsPerSecond: 20 }],
    ['weights in steps', { weights: [10, 20, 30, 40, 50], errors: 0.01 }],
    ['weights in steep steps', { weights: [1, 50, 1, 50], errors: 0.02 }],
    ['an incident that hits both sides', { incident }],
    ['an incident and weights in steps', { incident, weights: [5, 25, 50], requestsPerSecond: 20 }],
  ];

  test.each(settings)('%s', (_what, over) => {
    // At the edge of the null hypothesis, without the guard of a least number of errors: nothing but the evidence protects.
    const outcomes = simulate(
      { ...HEALTHY, ...over },
      [evidence({ alpha, ratio: 1, minErrors: 1, metrics: 1 })],
      RUNS,
      seeded(42),
    );
    const { aborted } = summarise(outcomes[0]!);
    expect(aborted).toBeLessThanOrEqual(atMost(alpha, RUNS));
  });

  test('one that is as bad as it may be', () => {
    const scenario = { ...HEALTHY, factor: 1.5, errors: 0.01 };
    const outcomes = simulate(scenario, [evidence({ alpha, ratio: 1.5, minErrors: 1, metrics: 1 })], RUNS, seeded(43));
    expect(summarise(outcomes[0]!).aborted).toBeLessThanOrEqual(atMost(alpha, RUNS));
  });

  test.each([0.3, 0.6])('even if each side swings by itself with σ = %d, at the default ratio', (sigma) => {
    const ours = evidence({ alpha, ratio: 1.5, minErrors: 5, metrics: 2 });
    const outcomes = simulate({ ...HEALTHY, sigma }, [ours], RUNS, seeded(45));
    expect(summarise(outcomes[0]!).aborted).toBeLessThanOrEqual(alpha);
  });

  test('also by the mean of several bounds of a histogram, which depend on each other', () => {
    const random = seeded(44);
    // Slow beyond each bound: each share is part of the one before.
    const within = [0.3, 0.2, 0.5];
    const cut = (slow: number) => within.map((share) => (slow = binomial(slow, share, random)));
    let aborted = 0;
    for (let run = 0; run < RUNS; run++) {
      let streams = within.map(() => noEvidence(SLOWER));
      let reached = false;
      for (let i = 0; i < 60 && !reached; i++) {
        const [canaryRequests, primaryRequests] = [poisson(50, random), poisson(450, random)];
        const [canary, primary] = [cut(canaryRequests), cut(primaryRequests)];
        streams = streams.map((s, b) =>
          weigh(
            s,
            { canaryEvents: canary[b]!, canaryRequests, primaryEvents: primary[b]!, primaryRequests },
            { ratio: 1, alternatives: SLOWER },
          ),
        );
        reached = streams.reduce((sum, s) => sum + Math.exp(lnE(s)), 0) / streams.length >= 1 / alpha;
      }
      if (reached) aborted++;
    }
    expect(aborted / RUNS).toBeLessThanOrEqual(atMost(alpha, RUNS));
    expect(WORSE).toEqual(logSpaced(1.2, 50, 24));
  });
});

describe('a version that is worse', () => {
  const judges = [
    evidence({ alpha: 0.05, ratio: 1, minErrors: 5, metrics: 2 }),
    thresholds(99, 3, 10),
    kayentaOnce(10),
  ];
  test('twice, at 100 requests/s and 10 %: found in 5 minutes in the median', () => {
    const scenario = { ...HEALTHY, factor: 2, durationMs: 60 * MINUTE_MS };
    const [ours, , kayenta] = simulate(scenario, judges, 500, seeded(1)).map(summarise);
    expect(ours!.aborted).toBeGreaterThan(0.99);
    expect(ours!.medianMs).toBeLessThanOrEqual(5 * MINUTE_MS);
    expect(kayenta!.aborted).toBeLessThan(ours!.aborted);
  });
  test('four times: in one minute', () => {
    const [ours] = simulate({ ...HEALTHY, factor: 4 }, judges, 500, seeded(1)).map(summarise);
    expect(ours!.aborted).toBe(1);
    expect(ours!.medianMs).toBeLessThanOrEqual(MINUTE_MS);
  });
  test('little traffic makes thresholds roll back what is healthy, and not the evidence', () => {
    const scenario = { ...HEALTHY, requestsPerSecond: 10 };
    const [ours, one] = simulate(scenario, [judges[0]!, thresholds(99, 1, 10)], 500, seeded(1)).map(summarise);
    expect(one!.aborted).toBeGreaterThan(0.9);
    expect(ours!.aborted).toBeLessThan(0.05);
  });
});

describe('what is shown', () => {
  const judges = [thresholds(99, 1, 10), evidence({ alpha: 0.05, ratio: 1.5, minErrors: 5, metrics: 2 })];
  const play = () => simulate({ ...HEALTHY, factor: 10, durationMs: 5 * MINUTE_MS }, judges, 20, seeded(9));

  test('is the same for the same seed', () => {
    expect(play()).toEqual(play());
  });

  test('a table', () => {
    const rows = judges.map(({ name }, i) => ({ scenario: HEALTHY, judge: name, summary: summarise(play()[i]!) }));
    const lines = tableOf(rows).split('\n');
    expect(lines).toHaveLength(4);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    expect(lines[2]).toMatch(
      /^\| 100 +\| 10 % +\| 0\.5 % +\| the same \| threshold 99 %, 1 failed \| 100 % +\| 1\.0 min/,
    );
    const never = summarise([{ abortedMs: undefined, exposed: 5, failed: 0 }]);
    expect(tableOf([{ scenario: HEALTHY, judge: 'j', summary: never }])).toContain('| 0 %         | never  |');
  });

  test('a plot, with names that cannot break out of it', () => {
    const panels: Panel[] = [{ title: '<b> & "c"', curves: [{ judge: 'a<b', outcomes: play()[0]! }] }];
    const svg = plotOf(panels);
    expect(svg).toContain('&lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).not.toMatch(/NaN|undefined|Infinity|<b>/);
    expect(plotOf([])).toContain('</svg>');
  });
});
