import { describe, expect, test } from 'vitest';
import { VIRTUAL_SERVICES } from '../../kube/resources.ts';
import * as fixtures from '../fixtures/manifests.ts';
import { eventually, must, sleep, start } from './support/cluster.ts';
import { answersOf, binomialBounds, failedAnswers, failures, seen, shareOf, total } from './support/load.ts';
import { inScenario, QUICK, THRESHOLDS } from './support/scenario.ts';

/** With the tutorial's own limit: P99 at most 500 ms. */
const TUTORIAL = {
  ...THRESHOLDS,
  analysis: {
    ...THRESHOLDS.analysis,
    metrics: [{ name: 'request-duration', thresholdRange: { max: 500 }, interval: '3s' }],
  },
};

// The tutorial: one annotation, kubectl apply, analysis, promotion or rollback. What counts is what the users' requests saw.
describe('tutorial', () => {
  test('T1 opt-in of a running Deployment replaces no pod and fails no request', () =>
    inScenario('t1', { optIn: false }, async (s) => {
      const before = (await s.pods()).map((p) => p.metadata.uid).sort();
      s.options.optIn = true;
      await s.apply({ version: 'v1' });
      await sleep(5000);
      const primary = await s.primary();
      expect((await s.pods()).map((p) => p.metadata.uid).sort()).toEqual(before);
      expect(primary.spec.paused).toBeUndefined();
      expect(await s.run()).toBeUndefined();
      expect(await s.jobs()).toEqual([]);
      await s.nothingLeft(1000);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  test('T2 a good version is promoted step by step without a failed request', () =>
    inScenario('t2', { rate: 100 }, async (s) => {
      const follow = start('kubectl', ['-n', s.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=180s']);
      const applied = await s.apply({ version: 'v2' });
      expect(applied.stderr).toMatch(/Warning: canary of reviews started: run [0-9a-f]{10}/);
      const waiting = start('kubectl', [
        '-n',
        s.namespace,
        'rollout',
        'status',
        'deployment/reviews',
        '--timeout=180s',
      ]);
      const steps: { weight: number; atMs: number }[] = [];
      await eventually('the end', 150_000, async () => {
        const status = await s.status();
        if (status && status.weight > (steps.at(-1)?.weight ?? 0))
          steps.push({ weight: status.weight, atMs: Date.now() });
        if (status?.phase === 'Failed') throw new Error(status.message);
        return status?.phase === 'Succeeded';
      });
      await s.nothingLeft();
      const stats = await s.load.stats();
      expect(steps.map(({ weight }) => weight)).toEqual([10, 20, 30, 40, 50]);
      for (const [i, { weight, atMs }] of steps.slice(0, -1).entries()) {
        // A second for the proxies to learn the weight; the next step ends the window.
        const { share, requests } = shareOf(stats, 'v2', atMs + 1000, steps[i + 1]!.atMs);
        const { low, high } = binomialBounds(weight / 100, requests);
        expect(requests, `requests at weight ${weight}`).toBeGreaterThan(50);
        expect(share, `share at weight ${weight}`).toBeGreaterThanOrEqual(low);
        expect(share, `share at weight ${weight}`).toBeLessThanOrEqual(high);
      }
      expect(failedAnswers(stats)).toEqual({});
      await s.load.reset();
      await sleep(2000);
      const after = await s.load.stats();
      expect(answersOf(after, 'v2')).toBe(total(after));
      expect(await s.find(VIRTUAL_SERVICES, 'reviews')).toBeUndefined();
      expect((await waiting.done).code).toBe(0);
      expect((await follow.done).code).toBe(0);
      await must('kubectl', [
        '-n',
        s.namespace,
        'wait',
        '--for=condition=Promoted',
        'deployment/reviews',
        '--timeout=5s',
      ]);
      const promoted = await s.primary();
      expect(promoted.spec.paused).toBeUndefined();
      expect(promoted.metadata.annotations).not.toHaveProperty(['sidestep.dev/run']);
    }));

  test('T4 a slow version is rolled back', () =>
    inScenario('t4', { rate: 50, spec: TUTORIAL }, async (s) => {
      await s.apply({ version: 'v2', env: { DELAY_MS: '800' } });
      const status = await s.ended('Failed');
      await s.nothingLeft();
      expect(status.message).toMatch(/P99/);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  for (const [what, version] of [
    ['its image does not exist', { version: 'v2', image: 'localhost/does-not-exist:v2' }],
    ['it crashes', { version: 'v2', env: { CRASH_AFTER_MS: '100', NEVER_READY: '1' } }],
    ['it never gets ready', { version: 'v2', env: { NEVER_READY: '1' } }],
  ] as const) {
    test(`T5 a version that never runs gets no request: ${what}`, () =>
      inScenario('t5', { spec: { ...QUICK, progressDeadlineSeconds: 12 } }, async (s) => {
        await s.apply(version);
        const status = await s.ended('Failed');
        await s.nothingLeft();
        expect(status.message).toMatch(/0 of 1 canary pods ready after 1\d s \(progressDeadlineSeconds\)/);
        const stats = await s.load.stats();
        expect(seen(stats, 'v2')).toBeUndefined();
        expect(failures(stats), JSON.stringify(stats.totals)).toBe(0);
      }));
  }

  test('T6 without any request the run holds and says so', () =>
    inScenario('t6', { rate: 0 }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.reported(
        'waiting for traffic',
        60_000,
        (r) => r.phase === 'Progressing' && /no requests/.test(r.message),
      );
      await sleep(10_000);
      const status = (await s.status())!;
      expect(status).toMatchObject({ phase: 'Progressing', weight: 10, step: 1, failedChecks: 0 });
      const condition = (await s.primary()).status?.conditions?.find((c) => c.type === 'Promoted');
      expect(condition).toMatchObject({ status: 'Unknown', reason: 'WaitingForTraffic' });
      expect(await s.phase()).toBe('held');
    }));

  test('T7 the load-test hook of the tutorial drives the traffic instead of users', () =>
    inScenario('t7', { rate: 0, objects: (namespace) => fixtures.loadtester({ namespace }) }, async (s) => {
      await s.kubectl('rollout', 'status', 'deployment/loadtester', '--timeout=60s');
      const webhooks = [
        {
          name: 'load-test',
          url: `http://loadtester.${s.namespace}/`,
          timeout: '5s',
          metadata: { cmd: `hey -z 1m -q 10 -c 2 http://reviews-canary.${s.namespace}:9080/health` },
        },
      ];
      await s.apply({ version: 'v2', spec: { ...QUICK, analysis: { ...QUICK.analysis, maxWeight: 20, webhooks } } });
      await s.ended('Succeeded');
      await s.nothingLeft();
    }));
});
