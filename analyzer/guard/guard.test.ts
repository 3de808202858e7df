import { describe, expect, test } from 'vitest';
import { readSpec } from '../../canary/spec.ts';
import { type InstantQuery, MetricsError, type Sample } from '../metrics/prometheus.ts';
import { Guard } from './guard.ts';
import { createRunGuard } from './run-guard.ts';

const NAMES = {
  namespace: 'shop',
  service: 'reviews',
  canaryService: 'reviews-canary',
  workload: 'reviews',
  canaryWorkload: 'reviews-canary',
};

/** A Prometheus with the counters of one caller. */
function counters() {
  const values = new Map<string, number>();
  const asked: string[] = [];
  let broken: string | undefined;
  const ask: InstantQuery = async (query) => {
    asked.push(query);
    if (broken) throw new MetricsError(broken);
    return [...values].map(([key, value]): Sample => {
      const [service, code] = key.split(' ') as [string, string];
      const labels = { reporter: 'source', destination_service_name: service, response_code: code, pod: 'caller' };
      return { labels, value };
    });
  };
  const add = (service: string, code: string, n: number) =>
    values.set(`${service} ${code}`, (values.get(`${service} ${code}`) ?? 0) + n);
  return { ask, add, asked, breakDown: (why: string | undefined) => (broken = why) };
}

const ERRORS_ONLY = 'analysis: {metrics: [{name: request-success-rate, thresholdRange: {min: 99}}]}';
const analysis = (yaml = ERRORS_ONLY) => readSpec({ annotation: yaml }, { name: 'reviews' }).spec!.analysis;
const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000);

function guarded(yaml?: string) {
  const prometheus = counters();
  const guard = new Guard({ ask: prometheus.ask, analysis: analysis(yaml), names: NAMES, run: 'run1' });
  return { ...prometheus, guard };
}

describe('the guard', () => {
  test('finds a version that fails every request in the second look after the weight, against steady traffic', async () => {
    const { guard, add } = guarded();
    add('reviews', '200', 5000);
    expect((await guard.look(at(0), 0)).verdict).toBe('no evidence');
    guard.weightChanged();
    add('reviews', '200', 180);
    add('reviews-canary', '500', 20);
    expect((await guard.look(at(2), 10)).verdict).toBe('no evidence');
    add('reviews', '200', 180);
    add('reviews-canary', '500', 20);
    const judgement = await guard.look(at(4), 10);
    expect(judgement.verdict).toBe('roll back');
    expect(judgement.leading?.leading?.total).toMatchObject({ canaryEvents: 20, canaryRequests: 20, primaryEvents: 0 });
  });

  test('what others send to a canary without a weight, and it does not answer, is no evidence', async () => {
    const { guard, add } = guarded();
    add('reviews', '200', 5000);
    await guard.look(at(0), 0);
    expect(guard.strays).toBe(false);
    for (const second of [2, 4]) {
      add('reviews', '200', 200);
      add('reviews-canary', '503', 40);
      const { verdict, metrics } = await guard.look(at(second), 0);
      expect(verdict).toBe('no evidence');
      expect(metrics[0]?.lastSkipped).toBe('no requests are sent to the canary yet');
    }
    expect(guard.strays).toBe(true);
    guard.weightChanged();
    for (const second of [6, 8]) {
      add('reviews', '200', 180);
      add('reviews-canary', '200', 60);
      expect((await guard.look(at(second), 10)).verdict).not.toBe('roll back');
    }
    expect(guard.report.metrics[0]).toMatchObject({ canary: [0, 60], primary: [0, 180], looks: 1 });
  });

  test('errors that both sides have are no evidence against the canary', async () => {
    const { guard, add } = guarded();
    add('reviews', '200', 100);
    add('reviews-canary', '200', 1);
    await guard.look(at(0), 10);
    for (let i = 1; i <= 20; i++) {
      add('reviews', '503', 180);
      add('reviews-canary', '503', 20);
      expect((await guard.look(at(2 * i), 10)).verdict).toBe('continue');
    }
  });

  test('asks one query for each metric and look', async () => {
    const { guard, asked } = guarded('analysis: {}');
    await guard.look(at(0), 0);
    expect(asked).toHaveLength(2);
    await guard.look(at(2), 0);
    expect(asked).toHaveLength(4);
  });

  test('a Prometheus that is down makes looks that count nothing and say why', async () => {
    const { guard, add, breakDown } = guarded();
    add('reviews', '200', 100);
    await guard.look(at(0), 10);
    breakDown('no answer in time');
    const judgement = await guard.look(at(2), 10);
    expect(judgement).toMatchObject({ verdict: 'no evidence', metrics: [{ lastSkipped: 'no answer in time' }] });
    expect(guard.report.looks.at(-1)?.metrics).toEqual({ 'request-success-rate': { skipped: 'no answer in time' } });
  });

  test('keeps counts, evidence and queries of its looks', async () => {
    const { guard, add } = guarded();
    add('reviews', '200', 10);
    add('reviews-canary', '200', 1);
    await guard.look(at(0), 10);
    add('reviews', '200', 90);
    add('reviews-canary', '200', 9);
    add('reviews-canary', '503', 1);
    await guard.look(at(2), 10);
    expect(guard.report).toMatchObject({
      run: 'run1',
      alpha: 0.05,
      metrics: [{ name: 'request-success-rate', canary: [1, 10], primary: [0, 90], looks: 1 }],
      looks: [{}, { at: at(2).toISOString(), weight: 10, metrics: { 'request-success-rate': { canary: [1, 10] } } }],
    });
    expect(guard.report.metrics[0]?.queries.canary).toMatch(/^istio_requests_total/);
  });

  test('follows nothing where comparing is off, and scores where Kayenta is asked for', async () => {
    const off = guarded('analysis: {compare: {enabled: false}}');
    await off.guard.look(at(0), 10);
    expect(off.asked).toEqual([]);
    expect(off.guard.kayenta()).toBeUndefined();
    const { guard, add } = guarded(`${ERRORS_ONLY.slice(0, -1)}, judge: kayenta}`);
    add('reviews', '200', 1);
    add('reviews-canary', '200', 1);
    await guard.look(at(0), 10);
    for (let i = 1; i <= 30; i++) {
      add('reviews', '200', 90);
      add('reviews', '500', i % 3);
      add('reviews-canary', '200', 10);
      add('reviews-canary', '500', 3 + (i % 4));
      await guard.look(at(2 * i), 10);
    }
    expect(guard.kayenta()).toMatchObject({ classification: 'Fail', score: 0 });
  });
});

test('at weight 0 nothing is found; with traffic, evidence comes before what the pods do', async () => {
  const { guard, add } = guarded();
  let nowS = 0;
  let restarts = 0;
  const runGuard = createRunGuard({
    guard,
    now: () => at(nowS),
    pods: async () => [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'a' },
        spec: { containers: [] },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [{ name: 'app', restartCount: restarts }],
        },
      } as never,
    ],
  });
  add('reviews', '200', 100);
  add('reviews-canary', '200', 1);
  expect(await runGuard.look(0)).toBeUndefined();
  expect(runGuard.dueMs).toBe(at(2).getTime());
  nowS = 2;
  restarts = 1;
  expect(await runGuard.look(0)).toBeUndefined();
  nowS = 4;
  restarts = 2;
  add('reviews', '200', 100);
  expect(await runGuard.look(10)).toMatchObject({
    reason: 'CanaryNotReady',
    message: expect.stringMatching(/ended under traffic/),
  });
  nowS = 6;
  restarts = 3;
  add('reviews', '200', 100);
  add('reviews-canary', '500', 30);
  expect(await runGuard.look(10)).toMatchObject({
    reason: 'RolledBack',
    message: expect.stringMatching(/^30 of 30 canary answers failed/),
  });
  expect(runGuard.evidence?.looks).toHaveLength(4);
});

test('a look that is asked for while one is under way is that one', async () => {
  const { guard, add, asked } = guarded();
  add('reviews', '200', 100);
  const runGuard = createRunGuard({ guard, now: () => at(0), pods: async () => [] });
  await Promise.all([runGuard.look(10), runGuard.look(10)]);
  expect(runGuard.evidence?.looks).toHaveLength(1);
  const queries = asked.length;
  await runGuard.look(10);
  expect(runGuard.evidence?.looks).toHaveLength(2);
  expect(asked).toHaveLength(2 * queries);
});
