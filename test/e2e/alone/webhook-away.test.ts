import { expect, test } from 'vitest';
import { DEPLOYMENTS, PODS } from '../../../kube/resources.ts';
import type { Deployment, Pod } from '../../../kube/types.ts';
import { eventually, must, run, sleep } from '../support/cluster.ts';
import { NAMESPACE } from '../support/install.ts';
import { failedAnswers, seen } from '../support/load.ts';
import { inScenario, QUICK, type Scenario } from '../support/scenario.ts';

/** Steps enough for all that happens meanwhile. */
const STEPS = { ...QUICK, analysis: { ...QUICK.analysis, interval: '8s', stepWeight: 20, maxWeight: 80 } };

test('R8 webhook pods gone: the run goes on, opted-in updates are refused clearly, all others are unaffected; the analyzer gone too: the canary is out of the traffic within 30 s, and the run goes on once it can', () =>
  inScenario('r8', { spec: STEPS, rate: 100 }, async (s) => {
    await s.kubectlApply(otherDeployment(s.namespace, 'v1'));
    await s.apply({ version: 'v2' });
    await s.weight(20);
    await scaleWebhook(0);
    try {
      const refused = await run('kubectl', ['apply', '-f', '-'], JSON.stringify(s.manifest({ version: 'v3' })));
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/failed calling webhook .*sidestep/);
      await s.kubectlApply(otherDeployment(s.namespace, 'v2'));
      const { weight } = (await s.status())!;
      await s.weight(weight + 20);
      // Without the webhook nobody starts another attempt.
      const killedMs = await killAnalyzerForGood(s);
      await eventually('the canary taken out', 40_000, async () => (await routedWeight(s)) === 0);
      await sleep(3000);
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
    expect(failedAnswers(await s.load.stats())).toEqual({});
  }));

async function scaleWebhook(replicas: number): Promise<void> {
  const kubectl = (...args: string[]) => must('kubectl', ['-n', NAMESPACE, ...args]);
  await kubectl('scale', 'deployment/sidestep-webhook', `--replicas=${replicas}`);
  if (replicas > 0) await kubectl('rollout', 'status', 'deployment/sidestep-webhook', '--timeout=60s');
  const selector = 'app.kubernetes.io/component=webhook';
  await eventually('as many webhook pods', 60_000, async () => {
    const { stdout } = await kubectl('get', 'pods', '-l', selector, '-o', 'name');
    return stdout.split('\n').filter((name) => name !== '').length === replicas;
  });
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

const otherDeployment = (namespace: string, version: string): Deployment => ({
  apiVersion: DEPLOYMENTS.apiVersion,
  kind: DEPLOYMENTS.kind,
  metadata: { name: 'other', namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: 'other' } },
    template: {
      metadata: { labels: { app: 'other', version } },
      spec: { containers: [{ name: 'app', image: 'localhost/other:v1' }] },
    },
  },
});
