import { describe, expect, test } from 'vitest';
import { templateHash } from '../../canary/hash.ts';
import { PODS, REPLICA_SETS } from '../../kube/resources.ts';
import { eventually, run } from './support/cluster.ts';
import { answersOf, failedAnswers, total } from './support/load.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

// What needs real pods: limits of the cluster that hold for a canary as for any pod, and hands that reach in.

const LONG = { ...QUICK, analysis: { ...QUICK.analysis, interval: '10s' } };

/** Pods of the second version, wherever they belong. */
const secondVersion = (s: Scenario) =>
  s.client
    .list(PODS, { namespace: s.namespace }, { query: { labelSelector: 'version=v2' } })
    .then(({ items }) => items.length);

describe('hostile', () => {
  test('a template that Pod Security forbids gets no further by a canary than by itself, and the run says so', () =>
    inScenario('pod-security', { rate: 0, spec: { ...QUICK, progressDeadlineSeconds: 10 } }, async (s) => {
      // The injector's init container changes firewall rules, which this level forbids: without a sidecar it is about our template alone.
      await s.kubectl(
        'label',
        'namespace',
        s.namespace,
        'istio-injection-',
        'pod-security.kubernetes.io/enforce=baseline',
      );
      await s.apply({
        version: 'v2',
        change: ({ spec: { template } }) => {
          template.spec.volumes = [{ name: 'host', hostPath: { path: '/' } }];
          Object.assign(template.spec.containers[0]!, { securityContext: { privileged: true } });
        },
      });
      const { message } = await s.ended('Failed', 90_000);
      expect(message).toMatch(/violates PodSecurity "baseline:latest".*(privileged|hostPath)/);
      const primary = await s.primary();
      expect(primary.status?.availableReplicas).toBe(1);
      expect(primary.status?.conditions?.find((c) => c.type === 'Promoted')).toMatchObject({
        reason: 'CanaryNotRunnable',
      });
      expect(await secondVersion(s)).toBe(0);
    }));

  test('a service account that is not there, or that a policy refuses, ends the run with those words', () =>
    inScenario('account', { rate: 0, spec: { ...QUICK, progressDeadlineSeconds: 10 } }, async (s) => {
      await s.apply({
        version: 'v2',
        change: ({ spec: { template } }) => {
          template.spec['serviceAccountName'] = 'admin';
        },
      });
      const { message } = await s.ended('Failed', 90_000);
      expect(message).toMatch(/serviceaccount "admin" not found/);
      expect((await s.primary()).status?.availableReplicas).toBe(1);
      expect(await secondVersion(s)).toBe(0);
    }));

  test('the stable ReplicaSet deleted by hand in the middle of a run: it is said, and applying the stable version mends it', () =>
    inScenario('lost-stable', { rate: 20, spec: LONG }, async (s) => {
      const stable = (await s.primary()).spec.template;
      await s.apply({ version: 'v2' });
      await s.weight(10);
      const owner = (await s.primary()).metadata.uid;
      const sets = (await s.replicaSets()).filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === owner);
      const [victim] = sets.filter(({ spec }) => templateHash(spec.template) === templateHash(stable));
      await s.client.delete(REPLICA_SETS, { namespace: s.namespace, name: victim!.metadata.name });
      await eventually('an Event about it', 60_000, async () => {
        const { stdout } = await run('kubectl', [
          '-n',
          s.namespace,
          'get',
          'events',
          '-o',
          'jsonpath={.items[*].reason}',
        ]);
        return stdout.includes('StableVersionGone');
      });
      await s.apply({ version: 'v1' });
      await eventually('the stable version at full size', 60_000, async () => {
        const { spec, status } = await s.primary();
        return spec.paused !== true && status?.availableReplicas === 1 && status.updatedReplicas === 1;
      });
      await s.nothingLeft();
      // A pod is available some moments before the users' proxies know of it, and it is the only one.
      await s.load.reset();
      await eventually('users served again', 30_000, async () => answersOf(await s.load.stats(), 'v1') > 0);
      await s.load.reset();
      await eventually('a steady load', 30_000, async () => total(await s.load.stats()) > 40);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));
});
