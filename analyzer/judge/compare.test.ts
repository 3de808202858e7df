import { describe, expect, test } from 'vitest';
import { readSpec } from '../../canary/spec.ts';
import { addLook, judge, type Look, startCompare } from './compare.ts';
import { lnE, noEvidence, WORSE, weigh } from './e-process.ts';
import type { Counted } from './events.ts';
import type { ComparePlan, MetricLook } from './metric-evidence.ts';
import { kayentaMetricOf, plansOf, scoringOf } from './plans.ts';

const errors: ComparePlan = { name: 'e', kind: 'errors', ratio: 1.5, minErrors: 1 };
const latency: ComparePlan = { name: 'd', kind: 'latency', ratio: 1.5, minErrors: 1 };
const counts = (x: number, nc: number, y: number, ns: number): MetricLook => ({
  canary: { errors: x, requests: nc },
  primary: { errors: y, requests: ns },
});
const buckets = (...pairs: [le: number, count: number][]): Counted => ({
  buckets: pairs.map(([le, count]) => ({ le, count })),
});
const judged = (plans: ComparePlan[], looks: Look[], alpha = 0.05) =>
  judge(looks.reduce(addLook, startCompare(plans, alpha)));

describe('errors', () => {
  test('roll back when the evidence reaches its threshold, with the numbers that say so', () => {
    const judgement = judged([errors], [{ e: counts(3, 100, 0, 900) }]);
    expect(judgement).toMatchObject({ verdict: 'roll back', lnThreshold: Math.log(20) });
    expect(judgement.lnE).toBeCloseTo(4.477777, 6);
    expect(judgement.leading).toMatchObject({ name: 'e', used: 1 });
    expect(judgement.leading?.leading?.total).toEqual({
      canaryEvents: 3,
      canaryRequests: 100,
      primaryEvents: 0,
      primaryRequests: 900,
    });
  });

  test('go on below it, and below the least number of errors', () => {
    expect(judged([errors], [{ e: counts(2, 1000, 20, 9000) }]).verdict).toBe('continue');
    const plan = { ...errors, minErrors: 4 };
    expect(judged([plan], [{ e: counts(3, 100, 0, 900) }])).toMatchObject({ verdict: 'continue', lnE: -Infinity });
    expect(judged([plan], [{ e: counts(3, 100, 0, 900) }, { e: counts(1, 100, 0, 900) }]).verdict).toBe('roll back');
  });

  test('no look that counts is no evidence, and so is a last look that does not', () => {
    expect(judged([errors], []).verdict).toBe('no evidence');
    expect(judged([], []).verdict).toBe('no evidence');
    const bad: [MetricLook, string][] = [
      [{ skipped: 'Prometheus is down' }, 'Prometheus is down'],
      [counts(0, 0, 1, 900), 'no requests to the canary'],
      [counts(1, 10, 0, 0), 'no requests to the primary'],
      [counts(11, 10, 0, 900), 'a value is no count'],
      [counts(Number.NaN, 10, 0, 900), 'a value is no count'],
      [{ canary: buckets([1, 2]), primary: buckets([1, 2]) }, 'counts of errors expected, buckets given'],
    ];
    for (const [look, reason] of bad)
      expect(judged([errors], [{ e: counts(0, 100, 0, 900) }, { e: look }])).toMatchObject({
        verdict: 'no evidence',
        metrics: [{ used: 1, skipped: { [reason]: 1 }, lastSkipped: reason }],
      });
    expect(judged([errors], [{}]).metrics[0]).toMatchObject({ lastSkipped: 'not looked at' });
  });

  test('many reasons do not fill the memory of a run', () => {
    const looks = Array.from({ length: 100 }, (_, i) => ({ e: { skipped: `reason ${i}` } }));
    const { skipped } = judged([errors], looks).metrics[0]!;
    expect(Object.keys(skipped)).toHaveLength(21);
    expect(Object.values(skipped).reduce((a, b) => a + b)).toBe(100);
  });
});

describe('latency', () => {
  const look = (canarySlow: number, primarySlow: number): MetricLook => ({
    canary: buckets([100, 100 - canarySlow], [500, 100 - canarySlow], [Infinity, 100]),
    primary: buckets([100, 900 - primarySlow], [500, 900], [Infinity, 900]),
  });

  test('an objective is judged by its own bucket', () => {
    const plan = { ...latency, objectiveMs: 500 };
    const judgement = judged([plan], [{ d: look(6, 50) }]);
    expect(judgement.verdict).toBe('roll back');
    expect(judgement.leading?.leading).toMatchObject({ boundMs: 500, total: { canaryEvents: 6, primaryEvents: 0 } });
  });

  test.each([
    [500, 500],
    [400, 100],
    [50, 100],
    [9000, 500],
  ])('an objective of %d ms takes the bucket of %d ms', (objectiveMs, boundMs) => {
    expect(judged([{ ...latency, objectiveMs }], [{ d: look(6, 50) }]).leading?.leading?.boundMs).toBe(boundMs);
  });

  test('without one the bounds are combined by their mean', () => {
    const judgement = judged([latency], [{ d: look(6, 50) }]);
    const one = (y: number) => {
      const plan = { ...latency, objectiveMs: y === 0 ? 500 : 100 };
      return Math.exp(judged([plan], [{ d: look(6, 50) }]).lnE);
    };
    expect(Math.exp(judgement.lnE)).toBeCloseTo((one(0) + one(50)) / 2, 9);
    expect(judgement.leading?.leading?.boundMs).toBe(500);
  });

  test.each([
    [buckets([100, 1], [400, 1], [Infinity, 1]), 'the buckets of canary and primary have different bounds'],
    [buckets([100, 1], [Infinity, 1]), 'the buckets of canary and primary have different bounds'],
    [buckets(), 'no requests to the canary'],
    [{ errors: 1, requests: 2 }, 'buckets expected, counts of errors given'],
  ])('a canary with %j is skipped, because: %s', (canary, reason) => {
    const primary = (look(0, 0) as { primary: Counted }).primary;
    expect(judged([latency], [{ d: { canary, primary } }]).metrics[0]).toMatchObject({ lastSkipped: reason, used: 0 });
  });

  test('bounds that change on both sides during the run are skipped', () => {
    const other = buckets([200, 50], [500, 90], [Infinity, 100]);
    const judgement = judged([latency], [{ d: look(0, 0) }, { d: { canary: other, primary: other } }]);
    expect(judgement.metrics[0]).toMatchObject({
      lastSkipped: 'the bounds of the buckets changed during the run',
      used: 1,
    });
  });
});

describe('several metrics', () => {
  const two = [errors, { ...errors, name: 'f' }];

  test('share the risk by the mean of their e-values', () => {
    const judgement = judged(two, [{ e: counts(3, 100, 0, 900), f: counts(0, 100, 5, 900) }]);
    const e = (x: number, y: number) =>
      Math.exp(
        lnE(
          weigh(
            noEvidence(WORSE),
            { canaryEvents: x, canaryRequests: 100, primaryEvents: y, primaryRequests: 900 },
            { ratio: 1.5, alternatives: WORSE },
          ),
        ),
      );
    // f has no errors of the canary: below the least number it says nothing.
    expect(Math.exp(judgement.lnE)).toBeCloseTo((e(3, 0) + 0) / 2, 9);
    expect(judgement.verdict).toBe('roll back');
    expect(judgement.leading?.name).toBe('e');
    expect(judgement.metrics[1]?.verdict).toBe('continue');
  });

  test('roll back together where none would alone', () => {
    const look = counts(2, 100, 0, 900);
    const alone = judged([errors], [{ e: look }]);
    expect(alone.lnE).toBeGreaterThan(Math.log(10));
    const alpha = 1 / Math.exp(alone.lnE - 0.01);
    const together = judged(two, [{ e: look, f: look }], alpha);
    expect(together.metrics.every(({ lnE: own, lnThreshold }) => own < lnThreshold)).toBe(true);
    expect(together.verdict).toBe('roll back');
    expect(judged(two, [{ e: look, f: counts(0, 100, 0, 900) }], alpha).verdict).toBe('continue');
  });

  test('one with a risk of its own is judged apart', () => {
    const own = [errors, { ...errors, name: 'f', ownAlpha: 1e-6 }];
    expect(judged(own, [{ e: counts(0, 100, 0, 900), f: counts(3, 100, 0, 900) }]).verdict).toBe('continue');
    expect(judged(own, [{ e: counts(0, 100, 0, 900), f: counts(30, 100, 0, 900) }])).toMatchObject({
      verdict: 'roll back',
      leading: { name: 'f' },
    });
  });

  test('say nothing unless each says something', () => {
    expect(judged(two, [{ e: counts(0, 100, 0, 900) }])).toMatchObject({
      verdict: 'no evidence',
      metrics: [{ verdict: 'continue' }, { verdict: 'no evidence', lastSkipped: 'not looked at' }],
    });
  });
});

describe('early promotion', () => {
  const plan: ComparePlan = { ...errors, notWorse: { ratio: 2, beta: 0.05 } };
  test('takes evidence that the canary is not so much worse', () => {
    expect(judged([plan], [{ e: counts(10, 10_000, 90, 90_000) }]).earlyPromote).toBe(false);
    expect(judged([plan], [{ e: counts(40, 100_000, 900, 900_000) }]).earlyPromote).toBe(true);
    expect(judged([plan], [{ e: counts(200, 100_000, 900, 900_000) }]).earlyPromote).toBe(false);
  });
  test('takes it of every metric, and is off unless it is asked for', () => {
    const good = counts(40, 100_000, 900, 900_000);
    expect(judged([plan, { ...plan, name: 'f' }], [{ e: good }]).earlyPromote).toBe(false);
    expect(judged([errors], [{ e: good }]).earlyPromote).toBe(false);
    expect(judged([], []).earlyPromote).toBe(false);
  });
});

describe('what a spec says', () => {
  const analysis = (yaml: string) => {
    const { spec, problems } = readSpec({ annotation: yaml }, { name: 'reviews' });
    expect(problems).toBeUndefined();
    return spec!.analysis;
  };

  test('by default both metrics are compared', () => {
    expect(plansOf(analysis(''))).toEqual([
      { name: 'request-success-rate', kind: 'errors', ratio: 1.5, minErrors: 5 },
      { name: 'request-duration', kind: 'latency', ratio: 1.5, minErrors: 5, objectiveMs: 500 },
    ]);
  });

  test('off for all, for one, or for Kayenta', () => {
    expect(plansOf(analysis('analysis: {compare: {enabled: false}}'))).toEqual([]);
    expect(plansOf(analysis('analysis: {judge: kayenta}'))).toEqual([]);
    const one = `
analysis:
  compare: {ratio: 2, minErrors: 9, earlyPromote: {enabled: true}}
  metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, compare: {enabled: false}}
    - {name: request-duration, thresholdRange: {min: 1}, compare: {alpha: 0.01, ratio: 3}}
    - {name: request-duration, thresholdRange: {max: 5}}`;
    expect(plansOf(analysis(one))).toEqual([
      {
        name: 'request-duration',
        kind: 'latency',
        ratio: 3,
        minErrors: 9,
        ownAlpha: 0.01,
        notWorse: { ratio: 2, beta: 0.05 },
      },
    ]);
  });

  test("Kayenta's settings", () => {
    const spec = analysis(`
analysis:
  judge: kayenta
  kayenta: {groupWeights: {errors: 70}, scoreThresholds: {pass: 80}}
  metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, kayenta: {groups: [errors], critical: true, effectSize: {measure: cles, allowedDecrease: 0.3}}}
    - {name: request-duration, thresholdRange: {max: 500}}`);
    expect(scoringOf(spec)).toEqual({ groupWeights: { errors: 70 }, pass: 80, marginal: 75 });
    expect(scoringOf(analysis(''))).toEqual({ groupWeights: {}, pass: 95, marginal: 75 });
    expect(kayentaMetricOf(spec.metrics[0]!)).toMatchObject({
      direction: 'decrease',
      groups: ['errors'],
      critical: true,
      effectSize: { measure: 'cles', allowedIncrease: 0.5, allowedDecrease: 0.3, criticalDecrease: 0.5 },
    });
    expect(kayentaMetricOf(spec.metrics[1]!)).toMatchObject({
      direction: 'increase',
      groups: ['request-duration'],
      effectSize: { measure: 'meanRatio', allowedIncrease: 1 },
    });
  });
});
