import { expect, test } from 'vitest';
import { evaluateMetrics } from './evaluate.ts';
import type { InstantQuery } from './prometheus.ts';

const LABELS = (code: string) => ({ reporter: 'source', response_code: code, pod: 'gateway-1' });
const at = (s: number) => new Date(Date.UTC(2026, 0, 1) + s * 1000);
const names = { namespace: 'shop', service: 'reviews-canary', workload: 'reviews-canary' };
const metrics = [{ name: 'request-success-rate' as const, thresholdRange: { min: 99 }, interval: '1m' }];

/** A Prometheus that scrapes at these moments (seconds) the counts that a caller's proxy had of the canary Service. */
const prometheus =
  (scrapes: [s: number, ok: number, errors: number][]): InstantQuery =>
  async (query, moment) => {
    const s = (moment!.getTime() - at(0).getTime()) / 1000;
    const last = scrapes.filter(([t]) => t <= s && s - t < 300).at(-1);
    if (query === 'count(up)') return last ? [{ labels: {}, value: 9 }] : [];
    if (!query.includes('reporter="source"')) return [];
    return last
      ? [
          { labels: LABELS('200'), value: last[1] },
          { labels: LABELS('503'), value: last[2] },
        ]
      : [];
  };

test('after Prometheus was away, what callers counted of earlier canaries is not counted of this one', async () => {
  // 5000 errors of canaries of last month; this one answers all of its requests well. Prometheus was away until second 1000.
  const ask = prometheus([
    [1000, 100, 5000],
    [1030, 160, 5000],
  ]);
  const { readings } = await evaluateMetrics({ ask, metrics, names, trafficSince: at(500), now: at(1040) });
  expect(readings[0]?.verdict).not.toBe('fail');
});

test('nor do the good answers of earlier canaries hide that this one fails', async () => {
  const ask = prometheus([
    [1000, 50_000, 10],
    [1030, 50_000, 100],
  ]);
  const { readings } = await evaluateMetrics({ ask, metrics, names, trafficSince: at(500), now: at(1040) });
  expect(readings[0]?.verdict).not.toBe('pass');
});
