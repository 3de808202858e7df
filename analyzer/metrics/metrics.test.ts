import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MetricSpec } from '../../canary/spec.ts';
import { growth } from './counters.ts';
import { bucketsOf, quantile } from './duration.ts';
import { evaluateMetrics } from './evaluate.ts';
import { type InstantQuery, MetricsError, type Sample, samplesOf } from './prometheus.ts';
import { quote, requestsQuery } from './queries.ts';
import { successRate } from './success-rate.ts';

const NOW = new Date('2026-01-01T00:01:00Z');
const sample = (value: number, labels: Record<string, string>): Sample => ({ value, labels });
const vector = (...values: [Record<string, string>, unknown][]) =>
  JSON.stringify({
    status: 'success',
    data: { resultType: 'vector', result: values.map(([metric, v]) => ({ metric, value: [1, v] })) },
  });

describe('answers of Prometheus', () => {
  test.each([
    ['NaN', vector([{}, 'NaN'])],
    ['+Inf', vector([{}, '+Inf'])],
    ['an empty string', vector([{}, ''])],
    ['a negative count', vector([{}, '-1'])],
    ['a number instead of a string', vector([{}, 5])],
    ['a scalar', JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '2'] } })],
    ['a string', JSON.stringify({ status: 'success', data: { resultType: 'string', result: [1, 'x'] } })],
    ['an error with status 200', JSON.stringify({ status: 'error', error: 'bad query' })],
    ['null', 'null'],
    ['no JSON', '<html>'],
  ])('%s is an error and no count', (_what, body) => {
    expect(() => samplesOf(body)).toThrow(MetricsError);
  });

  test('a vector is read', () => {
    expect(samplesOf(vector([{ a: 'b' }, '3']))).toEqual([{ labels: { a: 'b' }, value: 3 }]);
    expect(samplesOf(vector())).toEqual([]);
  });

  test('any text is read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
        try {
          samplesOf(body);
        } catch (e) {
          expect(e).toBeInstanceOf(MetricsError);
        }
      }),
    );
  });
});

test('label values cannot leave their quotes', () => {
  expect(quote('a"} or up{x="\\\n')).toBe('"a\\"} or up{x=\\"\\\\\\n"');
  expect(requestsQuery('callers', { namespace: 'n', service: 's', workload: 'w' })).toBe(
    'istio_requests_total{reporter="source",destination_service_name="s",destination_service_namespace="n"}',
  );
});

test('growth: born, grown, restarted, gone', async () => {
  const ask: InstantQuery = async (_q, at) =>
    at === NOW
      ? [sample(7, { pod: 'born' }), sample(15, { pod: 'grown' }), sample(4, { pod: 'restarted' })]
      : [sample(10, { pod: 'grown' }), sample(90, { pod: 'restarted' }), sample(50, { pod: 'gone' })];
  expect((await growth(ask, 'q', new Date(0), NOW)).map(({ labels, count }) => [labels['pod'], count])).toEqual([
    ['born', 7],
    ['grown', 5],
    ['restarted', 4],
  ]);
});

test('growth: a series that was stale when the window began grew from its last value, whatever it is called then', async () => {
  const ask: InstantQuery = async (q, at) => {
    if (at === NOW) return [sample(15, { __name__: 'requests', pod: 'a' })];
    return q === 'last_over_time(requests{}[5m])' ? [sample(10, { pod: 'a' })] : [];
  };
  expect((await growth(ask, 'requests{}', new Date(0), NOW)).map(({ count }) => count)).toEqual([5]);
});

test('only failures is a rate of 0, no requests is none', () => {
  expect(successRate([{ labels: { response_code: '503' }, count: 12 }])).toEqual({ percent: 0, requests: 12 });
  expect(
    successRate([
      { labels: { response_code: '0' }, count: 1 },
      { labels: { response_code: '404' }, count: 3 },
    ]),
  ).toEqual({ percent: 75, requests: 4 });
  expect(
    successRate([
      { labels: { response_code: '200', grpc_response_status: '14' }, count: 1 },
      { labels: { response_code: '200', grpc_response_status: '0' }, count: 1 },
    ]),
  ).toEqual({ percent: 50, requests: 2 });
  expect(successRate([{ labels: { response_code: '200' }, count: 0 }])).toBeUndefined();
});

test.each([
  // Values of Prometheus' own histogram_quantile for the same buckets.
  [
    0.5,
    [
      [10, 10],
      [20, 20],
      [Infinity, 20],
    ],
    10,
  ],
  [
    0.75,
    [
      [10, 10],
      [20, 20],
      [Infinity, 20],
    ],
    15,
  ],
  [
    0.99,
    [
      [10, 0],
      [20, 100],
      [Infinity, 100],
    ],
    19.9,
  ],
  [
    0.99,
    [
      [10, 1],
      [20, 2],
      [Infinity, 100],
    ],
    20,
  ],
  [
    0.5,
    [
      [10, 10],
      [Infinity, 10],
    ],
    5,
  ],
] as const)('quantile %s of %j is %s', (q, buckets, expected) => {
  expect(
    quantile(
      q,
      buckets.map(([le, count]) => ({ le, count })),
    ),
  ).toBeCloseTo(expected, 9);
});

test('a quantile without requests, without buckets or without an open bucket is none', () => {
  expect(quantile(0.99, [])).toBeUndefined();
  expect(
    quantile(0.99, [
      { le: 10, count: 0 },
      { le: Infinity, count: 0 },
    ]),
  ).toBeUndefined();
  expect(quantile(0.99, [{ le: 10, count: 5 }])).toBeUndefined();
});

test('a quantile lies within the bounds for any counts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1000), { minLength: 2, maxLength: 20 }),
      fc.double({ min: 0.01, max: 0.999, noNaN: true }),
      (steps, q) => {
        let count = 0;
        const grow = (step: number): number => {
          count += step;
          return count;
        };
        const buckets = steps.map((step, i) => ({
          le: i === steps.length - 1 ? Infinity : (i + 1) * 10,
          count: grow(step),
        }));
        const value = quantile(q, buckets);
        if (count === 0) expect(value).toBeUndefined();
        else expect(value! >= 0 && value! <= (steps.length - 1) * 10).toBe(true);
      },
    ),
  );
});

test('buckets of several pods are added up and never fall', () => {
  const growths = [
    ['10', 3],
    ['20', 2],
    ['+Inf', 4],
    ['10', 1],
    ['x', 9],
  ].map(([le, count]) => ({ labels: { le: String(le) }, count: Number(count) }));
  expect(bucketsOf(growths)).toEqual([
    { le: 10, count: 4 },
    { le: 20, count: 4 },
    { le: Infinity, count: 4 },
  ]);
});

describe('evaluate', () => {
  const names = { namespace: 'shop', service: 'reviews-canary', workload: 'reviews-canary' };
  const rate: MetricSpec = { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' };
  const p99: MetricSpec = { name: 'request-duration', thresholdRange: { max: 500 }, interval: '30s' };
  const evaluate = (ask: InstantQuery, metrics = [rate], trafficSince = new Date(0)) =>
    evaluateMetrics({ ask, metrics, names, trafficSince, now: NOW });
  const at =
    (samples: (query: string) => Sample[]): InstantQuery =>
    async (query, when) => {
      if (query === 'count(up)') return [{ labels: {}, value: 3 }];
      return when === NOW ? samples(query) : [];
    };

  test('a canary that fails every request is judged 0 %, not without data', async () => {
    const { readings, requests } = await evaluate(at(() => [sample(20, { response_code: '500' })]));
    expect(readings).toEqual([
      {
        name: 'request-success-rate',
        value: 0,
        verdict: 'fail',
        message: 'success rate 0 % of 20 requests in 60s, minimum 99 %',
      },
    ]);
    expect(requests).toBe(20);
  });

  test("the window never reaches back before the run's first request", async () => {
    const asked: number[] = [];
    const ask: InstantQuery = async (_q, when) => {
      asked.push(when!.getTime());
      return [];
    };
    await evaluate(ask, [rate], new Date(NOW.getTime() - 5000));
    expect(Math.min(...asked)).toBe(NOW.getTime() - 5000);
  });

  test("without callers' counts the canary's own are taken; with any, they are not", async () => {
    const own = at((q) => (q.includes('destination_workload=') ? [sample(10, { response_code: '200' })] : []));
    expect((await evaluate(own)).readings[0]).toMatchObject({ verdict: 'pass', value: 100 });
    const both = at((q) => [sample(10, { response_code: q.includes('reporter="source"') ? '503' : '200' })]);
    expect((await evaluate(both)).readings[0]).toMatchObject({ verdict: 'fail', value: 0 });
  });

  test('no requests and no Prometheus are both no data, and told apart', async () => {
    expect((await evaluate(async () => [])).readings[0]).toEqual({
      name: 'request-success-rate',
      verdict: 'no-data',
      message: 'no requests reached the canary in 60s',
    });
    const down = await evaluate(() => Promise.reject(new MetricsError('Prometheus could not be reached')));
    expect(down.readings[0]).toMatchObject({ verdict: 'no-data', error: true });
    expect(down.requests).toBe(0);
  });

  test('slow answers fail the duration', async () => {
    const slow = at(() => [sample(0, { le: '500' }), sample(50, { le: '1000' }), sample(50, { le: '+Inf' })]);
    const { readings } = await evaluate(slow, [p99]);
    expect(readings[0]).toMatchObject({ verdict: 'fail', message: 'P99 995 ms of 50 requests in 30s, maximum 500 ms' });
  });

  test('99.996 % is not shown as 100 %', async () => {
    const { readings } = await evaluate(
      at(() => [sample(99_996, { response_code: '200' }), sample(4, { response_code: '500' })]),
    );
    expect(readings[0]!.message).toContain('success rate 99.99 %');
  });
});
