import { describe, expect, test } from 'vitest';
import { readSpec } from '../../../canary/spec.ts';
import type { MetricLook } from '../metric-evidence.ts';
import { addPoint, judgePoints, NO_POINTS, type Points } from './points.ts';

const { analysis } = readSpec({ annotation: 'analysis: {judge: kayenta}' }, { name: 'reviews' }).spec!;
const errors = (x: number, y: number): MetricLook => ({
  canary: { errors: x, requests: 100 },
  primary: { errors: y, requests: 900 },
});
const latency = (canaryMs: number, primaryMs: number): MetricLook => {
  const side = (ms: number) => ({
    buckets: [10, 100, 1000, Infinity].map((le) => ({ le, count: ms <= le ? 100 : 0 })),
  });
  return { canary: side(canaryMs), primary: side(primaryMs) };
};
const over = (looks: MetricLook[]): Points => looks.reduce(addPoint, NO_POINTS);
const noise = [0, 1, 2, 1, 0, 2, 1, 0, 1, 2];
const SAME = { 'request-duration': over(noise.map(() => latency(50, 50))) };

describe('points', () => {
  test('are the values of both sides, and none where nothing was seen', () => {
    expect(over([errors(1, 9), { skipped: 'warm-up' }, errors(0, 0)])).toEqual({
      canary: [99, Number.NaN, 100],
      control: [99, Number.NaN, 100],
    });
    expect(over([latency(50, 5)])).toEqual({ canary: [expect.closeTo(99.1, 5)], control: [expect.closeTo(9.9, 5)] });
    const none: MetricLook = { canary: { errors: 0, requests: 0 }, primary: { errors: 0, requests: 1 } };
    expect(over([none]).canary).toEqual([Number.NaN]);
  });

  test('of a version like the primary pass', () => {
    const points = { ...SAME, 'request-success-rate': over(noise.map((n, i) => errors(n, 9 * noise[(i + 3) % 10]!))) };
    expect(judgePoints(analysis, points)).toMatchObject({ classification: 'Pass', score: 100 });
  });

  test('of one that fails do not', () => {
    const points = { ...SAME, 'request-success-rate': over(noise.map((n) => errors(20 + n, 9 * n))) };
    expect(judgePoints(analysis, points)).toMatchObject({
      classification: 'Fail',
      score: 50,
      metrics: [{ name: 'request-success-rate', classification: 'Low' }, { classification: 'Pass' }],
    });
  });

  test('that are missing are no pass', () => {
    expect(judgePoints(analysis, {}).classification).toBe('Fail');
    expect(judgePoints(analysis, { 'request-duration': over([{ skipped: 'down' }]) }).classification).toBe('Fail');
  });
});
