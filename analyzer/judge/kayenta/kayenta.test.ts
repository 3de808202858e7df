import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Classification, classify, isOutlier, type MetricResult } from './classify.ts';
import { judgeKayenta, type KayentaSettings, kayentaMetric } from './kayenta.ts';
import { normalQuantile, rank, rankStatistic, shiftInterval } from './mann-whitney.ts';
import * as data from './published.testing.ts';
import { scoreOf } from './score.ts';

/** The strictness of most of Kayenta's published tests of its classifier. */
const STRICT = { tolerance: 0.1, confidence: 0.95 };
const LOOSE = { tolerance: 0.2, confidence: 0.98 };
const limits = (allowedDecrease: number, allowedIncrease: number) => ({ allowedDecrease, allowedIncrease });
const effect = (effectSize: KayentaSettings['effectSize'] & object): KayentaSettings => ({ effectSize });

describe('the shift and its interval, as published', () => {
  test('tie out with R: the published values to 1e-6', () => {
    const first = shiftInterval(data.TIED_CANARY, data.TIED_CONTROL, 0.95);
    expect(Math.abs(first.lower - -0.500002521696696)).toBeLessThan(1e-6);
    expect(Math.abs(first.upper - -3.486287505871302e-5)).toBeLessThan(1e-6);
    const second = shiftInterval(data.TIED_CANARY_2, data.TIED_CONTROL_2, 0.98);
    expect(Math.abs(second.lower - -0.4999173250549087)).toBeLessThan(1e-6);
    expect(Math.abs(second.upper - -6.912685789769486e-6)).toBeLessThan(1e-6);
  });

  test('tie out intermediate variables', () => {
    const [x, y] = [data.SPARSE_MORE, data.SPARSE_LESS];
    const z = normalQuantile(0.975);
    expect(z).toBeCloseTo(1.9599639845400536, 12);
    expect(Math.abs(rankStatistic(x, y, -3.124999999999986) - z - 17.090968923762254)).toBeLessThan(1e-6);
    expect(Math.abs(rankStatistic(x, y, 5.555555555555557) - z - -20.997687930433106)).toBeLessThan(1e-6);
    const { lower, upper, estimate } = shiftInterval(x, y, 0.95);
    expect(Math.abs(lower - 3.521755377702165e-5)).toBeLessThan(1e-6);
    expect(Math.abs(upper - 2.02456461662334e-5)).toBeLessThan(1e-6);
    expect(Math.abs(estimate - 2.6279243045155653e-5)).toBeLessThan(1e-6);
  });

  test('the interval of a pure shift holds the shift', () => {
    const y = data.AROUND_10;
    const { lower, upper, estimate } = shiftInterval(
      y.map((v) => v + 3),
      y,
      0.98,
    );
    expect(lower).toBeLessThan(3);
    expect(upper).toBeGreaterThan(3);
    expect(estimate).toBeCloseTo(3, 1);
  });
});

describe('classification, as published', () => {
  const ones = [1, 1, 1, 1, 1];
  const zeros = [0, 0, 0, 0, 0];
  const up = [20, 22, 21, 25, 30];
  const down = [1, 2.2, 1.1, 2.5, 3];
  const fifty = [54.9, 54.5, 55.1, 55.6, 57.4];
  type Case = [string, number[], number[], KayentaSettings, typeof STRICT, Classification, boolean];
  const cases: Case[] = [
    ['pass', data.AROUND_10, data.AROUND_10_TOO, {}, STRICT, 'Pass', false],
    ['high', data.AROUND_20, data.AROUND_10_TOO, {}, STRICT, 'High', false],
    ['low', data.AROUND_10, data.AROUND_20_TOO, {}, STRICT, 'Low', false],
    ['low where only up is bad', data.AROUND_10, data.AROUND_20_TOO, { direction: 'increase' }, STRICT, 'Pass', false],
    [
      'high where only down is bad',
      data.AROUND_20,
      data.AROUND_10_TOO,
      { direction: 'decrease' },
      STRICT,
      'Pass',
      false,
    ],
    ['high where up is bad', data.AROUND_20, data.AROUND_10_TOO, { direction: 'increase' }, STRICT, 'High', false],
    ['low where down is bad', data.AROUND_10, data.AROUND_20_TOO, { direction: 'decrease' }, STRICT, 'Low', false],
    ['high, large input', data.SPARSE_MORE, data.SPARSE_LESS, {}, STRICT, 'High', false],
    ['mean ratio: high', up, down, effect(limits(0.8, 1.2)), STRICT, 'High', false],
    [
      'mean ratio: low',
      data.AROUND_10,
      data.AROUND_20_TOO,
      { direction: 'decrease', ...effect(limits(0.8, 1.2)) },
      STRICT,
      'Low',
      false,
    ],
    ['mean ratio: pass', [10, 12.2, 10.1, 12.5, 23], up, effect(limits(0.5, 1)), STRICT, 'Pass', false],
    ['mean ratio: pass, large input', data.SPARSE_MORE, data.SPARSE_LESS, effect(limits(1, 5)), STRICT, 'Pass', false],
    [
      'CLES: high',
      data.RATES_HIGH,
      data.RATES_LOW,
      effect({ measure: 'cles', ...limits(0.2, 0.8) }),
      LOOSE,
      'High',
      false,
    ],
    [
      'CLES: low',
      data.AROUND_21,
      data.AROUND_25,
      effect({ measure: 'cles', ...limits(0.2, 0.8) }),
      LOOSE,
      'Low',
      false,
    ],
    ['critical high', up, down, { critical: true, ...effect({ criticalIncrease: 1.2 }) }, STRICT, 'High', true],
    [
      'critical low',
      [2, 2, 2, 2, 3],
      [10, 20.2, 10.1, 20.5, 30],
      { critical: true, ...effect({ criticalDecrease: 1.2 }) },
      STRICT,
      'Low',
      true,
    ],
    [
      'high, not critically',
      up,
      down,
      { critical: true, ...effect({ allowedIncrease: 5, criticalIncrease: 13 }) },
      STRICT,
      'High',
      false,
    ],
    [
      'critical, below what is allowed',
      up,
      down,
      { critical: true, ...effect({ allowedIncrease: 13, criticalIncrease: 15 }) },
      STRICT,
      'Pass',
      false,
    ],
    ['critical by default', up, down, { critical: true }, STRICT, 'High', true],
    ['tied', [1, 1, 1], [1, 1], { direction: 'decrease' }, STRICT, 'Pass', false],
    ['identical populations', [1, 2, 3, 4, 5], [5, 4, 3, 2, 1], { direction: 'decrease' }, STRICT, 'Pass', false],
    ['a leading zero', [0, 1, 1, 1, 1], ones, { direction: 'decrease' }, STRICT, 'Pass', false],
    ['no data', [], [1, 2, 3, 4, 5], {}, STRICT, 'Nodata', false],
    ['no data, critical', [], [1, 2, 3, 4, 5], { critical: true }, STRICT, 'Nodata', true],
    ['no data, replaced', [], [1, 2, 3, 4, 5], { nanStrategy: 'replace' }, STRICT, 'Pass', false],
    ['no data, required', [], [1, 2, 3, 4, 5], { mustHaveData: true }, STRICT, 'NodataFailMetric', false],
    ['mostly tied', [1, 1, 1, 1, 10], ones, {}, STRICT, 'Pass', false],
    ['tied ranks', [10, 10, 10, 10, 10], ones, {}, STRICT, 'High', false],
    ['tied ranks with zeros', [10, 10, 10, 10, 10], zeros, {}, STRICT, 'High', false],
    ['zero mean of the control', fifty, zeros, effect(limits(0.8, 1.2)), STRICT, 'High', false],
    ['zero mean of the canary', zeros, fifty, effect(limits(0.8, 1.2)), STRICT, 'Low', false],
    ['zeros on both sides', zeros, zeros, {}, STRICT, 'Pass', false],
    [
      'zero mean, critical',
      [
        0.05000000074505806, 0.05000000074505806, 0.01666666753590107, 0.01666666753590107, 0.01666666753590107,
        0.05000000074505806, 0.03333333507180214, 0.05000000260770321, 0.05000000260770321, 0.13333333656191826,
      ],
      [...zeros, ...zeros],
      { critical: true, nanStrategy: 'replace', ...effect({ criticalDecrease: 0.8, criticalIncrease: 1.2 }) },
      STRICT,
      'High',
      true,
    ],
  ];
  test.each(cases)('%s', (_what, canary, control, settings, strictness, classification, critical) => {
    expect(classify(kayentaMetric('m', settings), canary, control, strictness)).toMatchObject({
      classification,
      critical,
    });
  });

  test('a ratio by 0 is none', () => {
    expect(classify(kayentaMetric('m'), fifty, zeros)).not.toHaveProperty('ratio');
    expect(classify(kayentaMetric('m'), zeros, zeros)).toMatchObject({ ratio: 1 });
  });
});

describe('outliers, as published', () => {
  const outliers = (values: number[], factor: number, widened: boolean) =>
    values.filter(isOutlier(values, factor, widened));
  test.each([
    [[21, 23, 24, 25, 50, 29, 23, 21], [50]],
    [
      [1, 1, 1, 5, -1, -1, -1, -5],
      [5, -5],
    ],
    [[], []],
  ])('of %j are %j', (values, expected) => {
    expect(outliers(values, 1.5, false)).toEqual(expected);
  });

  test('one in eleven is none with the wider fences', () => {
    expect(outliers([1, 1, 1, 1, 1, 20, 1, 1, 1, 1, 1], 3, true)).toEqual([]);
  });
});

describe('the score, as published', () => {
  const of = (classification: Classification, group = 'g', critical = false): MetricResult => ({
    name: classification,
    groups: [group],
    classification,
    critical,
    reason: '',
  });
  const THRESHOLDS = { pass: 95, marginal: 75 };
  test.each([
    [[of('Pass')], {}, 100, 'Pass'],
    [[of('High')], {}, 0, 'Fail'],
    [[of('Pass'), of('High')], {}, 50, 'Fail'],
    [[of('Pass'), of('High'), of('Low')], {}, 33.33, 'Fail'],
    [[of('Pass', 'a'), of('Pass', 'a'), of('High', 'b')], { a: 75, b: 25 }, 75, 'Marginal'],
    [[of('Pass', 'a'), of('High', 'a'), of('High', 'b')], { a: 50, b: 50 }, 25, 'Fail'],
    [[of('Pass', 'a'), of('Nodata', 'a'), of('High', 'b')], { a: 50, b: 50 }, 50, 'Fail'],
    [[of('Nodata')], {}, 0, 'Fail'],
    [[of('Pass'), of('High', 'g', true)], {}, 0, 'Fail'],
    [[of('Low'), of('Pass', 'g', true)], {}, 50, 'Fail'],
    [[of('Pass'), of('Nodata', 'g', true)], {}, 0, 'Fail'],
    [[of('High', 'a'), of('Low', 'a'), of('Pass', 'a'), of('High', 'b')], { a: 15, b: 85 }, 5, 'Fail'],
    [[of('Pass', 'a'), of('Pass', 'b')], { a: 15 }, 100, 'Pass'],
  ])('of %j with weights %j is %d', (results, groupWeights, score, classification) => {
    expect(scoreOf(results, { groupWeights, ...THRESHOLDS })).toMatchObject({ score, classification });
  });

  test('no metrics at all are no pass', () => {
    expect(scoreOf([], { groupWeights: {}, ...THRESHOLDS }).classification).toBe('Fail');
  });
});

test('ranks share what is tied', () => {
  expect(rank([10, 20, 10, 30])).toEqual({ ranks: [1.5, 3, 1.5, 4], ties: 6 });
});

test.each([
  [0.5, 0],
  [0.975, 1.959963984540054],
  [0.99, 2.3263478740408408],
  [0.999999, 4.753424308822899],
])('the normal quantile of %d is %d', (p, z) => {
  expect(normalQuantile(p)).toBeCloseTo(z, 9);
});

test('whatever the values, every metric is classified and the score is a number from 0 to 100', () => {
  const values = fc.array(fc.oneof(fc.double(), fc.nat(3), fc.constantFrom(Number.NaN, Infinity, 1e300, -1e300)), {
    maxLength: 12,
  });
  const settings = fc.record({
    direction: fc.constantFrom('increase', 'decrease', 'either'),
    nanStrategy: fc.constantFrom('remove', 'replace'),
    critical: fc.boolean(),
    outliers: fc.record({ strategy: fc.constantFrom('keep', 'remove'), outlierFactor: fc.constantFrom(1.5, 3) }),
  });
  fc.assert(
    fc.property(values, values, settings, (canary, control, s) => {
      const { score } = judgeKayenta([{ metric: kayentaMetric('m', s), canary, control }], {
        groupWeights: {},
        pass: 95,
        marginal: 75,
      });
      expect(score >= 0 && score <= 100).toBe(true);
    }),
  );
});
