import { describe, expect, test } from 'vitest';
import { PODS } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { eventually, must } from './support/cluster.ts';
import { NAMESPACE } from './support/install.ts';
import { failures, seen } from './support/load.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

/** Long enough at one weight for whatever is to be noticed meanwhile. */
const STEADY = { ...QUICK, analysis: { ...QUICK.analysis, interval: '40s', stepWeight: 20, maxWeight: 20 } };

/** The errors of a crash are evidence, too, and may be seen first. */
const UNCOMPARED = { ...STEADY, analysis: { ...STEADY.analysis, compare: { enabled: false } } };

/** The tutorial's analysis at its shortest: the checks alone would need 50 s. */
const TUTORIAL = {
  ...QUICK,
  analysis: {
    ...QUICK.analysis,
    interval: '10s',
    threshold: 5,
    metrics: [
      { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '30s' },
      { name: 'request-duration', thresholdRange: { max: 500 }, interval: '30s' },
    ],
  },
};
/** Errors alone: on a busy machine both versions are slow now and then. */
const ERRORS = { ...TUTORIAL, analysis: { ...TUTORIAL.analysis, metrics: TUTORIAL.analysis.metrics.slice(0, 1) } };

describe.concurrent('between the checks', () => {
  test('a version that fails every request is off the users within 10 s of its first bad answer', () =>
    inScenario('guard-all', { rate: 100, spec: ERRORS }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '1' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const stats = await s.load.stats();
      const { firstMs, lastMs } = seen(stats, 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(10_000);
      expect(failures(stats)).toBeLessThanOrEqual(100);
      expect(status.failedChecks).toBe(0);
      expect(status.message).toMatch(
        /^[\d,]+ of [\d,]+ canary answers failed against [\d,]+ of [\d,]+ of the primary: .* confidence$/,
      );
      expect(status.evidence!.looks.at(-1)).toMatchObject({ weight: 10, verdict: 'roll back' });
    }));

  test('a version that fails one request in five is off the users within 15 s', () =>
    inScenario('guard-fifth', { rate: 100, spec: ERRORS }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '0.2' } });
      await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const { firstMs, lastMs } = seen(await s.load.stats(), 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(15_000);
    }));

  test('a version that answers after 800 ms is off the users within 15 s', () =>
    inScenario('guard-slow', { rate: 100, spec: TUTORIAL }, async (s) => {
      await s.apply({ version: 'v2', env: { DELAY_MS: '800' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const stats = await s.load.stats();
      const { firstMs, lastMs } = seen(stats, 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(15_000);
      expect(status.message).toMatch(/canary answers took longer than 500 ms/);
      expect(failures(stats)).toBe(0);
    }));

  test('a version whose container ends under traffic is rolled back, with how it ended', () =>
    inScenario('guard-crash', { rate: 20, spec: UNCOMPARED }, async (s) => {
      await s.apply({ version: 'v2', env: { CRASH_AFTER_MS: '15000' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      expect(status.message).toMatch(/container \S+ of canary pod \S+ ended under traffic with exit code [1-9]/);
    }));

  test('a fault that both versions have is held, not rolled back', () =>
    inScenario('guard-both', { rate: 100, spec: ERRORS, env: { ERROR_RATE: '0.3' } }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '0.3' } });
      const held = await s.reported('the shared fault', 60_000, ({ message }) =>
        /the primary does no better/.test(message),
      );
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      const later = (await s.status())!;
      expect(later).toMatchObject({ phase: 'Progressing', weight: held.weight, failedChecks: 0 });
      await s.command('abort');
      await s.ended('Failed', 60_000);
    }));

  test('ten healthy versions in a row are promoted', () =>
    inScenario(
      'guard-ten',
      { rate: 100, spec: { ...QUICK, analysis: { ...QUICK.analysis, stepWeight: 25, interval: '4s' } } },
      async (s) => {
        for (let i = 2; i <= 11; i++) {
          await s.apply({ version: `v${i}` });
          await s.ended('Succeeded', 120_000);
        }
        expect(failures(await s.load.stats())).toBe(0);
      },
    ));
});

describe('the analyzer is gone and nothing replaces it', () => {
  test('the canary is out of the traffic within 30 s; the run goes on once it can', () =>
    inScenario('gone', { spec: STEADY, rate: 100 }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(20);
      await eventually('answers of v2', 20_000, async () => (seen(await s.load.stats(), 'v2')?.lastMs ?? 0) > 0);
      // Without the webhook nobody starts another attempt.
      await scaleWebhook(0);
      let killedMs: number;
      try {
        killedMs = await killAnalyzerForGood(s);
        await eventually('the canary taken out', 40_000, async () => (await routedWeight(s)) === 0);
        await new Promise((resolve) => setTimeout(resolve, 3000));
        const { lastMs } = seen(await s.load.stats(), 'v2')!;
        expect(lastMs - killedMs).toBeGreaterThan(1000);
        expect(lastMs - killedMs).toBeLessThan(30_000);
        // Nobody has judged it: it is held as before.
        expect((await s.run())?.phase).toBe('held');
      } finally {
        await scaleWebhook(2);
      }
      const { stdout } = await s.kubectl('get', 'events', '--field-selector', 'reason=CanaryWithdrawn', '-o', 'name');
      expect(stdout.trim().split('\n')).toHaveLength(1);
      await s.ended('Succeeded', 200_000);
      expect(failures(await s.load.stats())).toBe(0);
    }));
});

async function scaleWebhook(replicas: number): Promise<void> {
  await must('kubectl', ['-n', NAMESPACE, 'scale', 'deployment/sidestep-webhook', `--replicas=${replicas}`]);
  if (replicas > 0)
    await must('kubectl', ['-n', NAMESPACE, 'rollout', 'status', 'deployment/sidestep-webhook', '--timeout=60s']);
  else
    await eventually('no webhook pod', 60_000, async () => (await pods('app.kubernetes.io/component=webhook')) === 0);

  async function pods(labelSelector: string): Promise<number> {
    const { stdout } = await must('kubectl', ['-n', NAMESPACE, 'get', 'pods', '-l', labelSelector, '-o', 'name']);
    return stdout.trim() === '' ? 0 : stdout.trim().split('\n').length;
  }
}

/** @returns when, in milliseconds since the epoch */
async function killAnalyzerForGood(s: Scenario): Promise<number> {
  const { items } = await s.client.list<Pod>(
    PODS,
    { namespace: NAMESPACE },
    { query: { labelSelector: `sidestep.dev/run=${(await s.run())!.id}` } },
  );
  const pod = items.find((p) => p.status?.phase === 'Running')!;
  await must('kubectl', ['-n', NAMESPACE, 'delete', 'pod', pod.metadata.name, '--force', '--grace-period=0']);
  return Date.now();
}

/** Percent that the routes send to the canary; 0 without routes. */
async function routedWeight(s: Scenario): Promise<number> {
  const { stdout } = await s.kubectl('get', 'virtualservice', '-o', 'json');
  const { items } = JSON.parse(stdout) as {
    items: { spec: { http?: { route: { destination: { host: string }; weight?: number }[] }[] } }[];
  };
  const weights = items
    .flatMap(({ spec }) => spec.http ?? [])
    .flatMap(({ route }) => route)
    .filter(({ destination }) => destination.host.startsWith('reviews-canary'))
    .map(({ weight = 0 }) => weight);
  return Math.max(0, ...weights);
}
