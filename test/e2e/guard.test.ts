import { describe, expect, test } from 'vitest';
import { PODS } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { eventually, must } from './support/cluster.ts';
import { NAMESPACE } from './support/install.ts';
import { failures, seen } from './support/load.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

/** Long enough at one weight for whatever is to be noticed meanwhile. */
const STEADY = { ...QUICK, analysis: { ...QUICK.analysis, interval: '40s', stepWeight: 20, maxWeight: 20 } };

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
