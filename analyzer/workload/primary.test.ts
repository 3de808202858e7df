import { expect, test } from 'vitest';
import { templateHash } from '../../canary/hash.ts';
import { memoryLog } from '../../kube/log.ts';
import { REPLICA_SETS } from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { settleGently } from './gentle.ts';
import { capacityDuringRollout, carriesMost, forgetVersion, settleOn, VersionGone, versionsOf } from './primary.ts';

const template = (version: string) => ({ metadata: { labels: { version } }, spec: { containers: [] } });

const replicaSet = (version: string, replicas: number, readyReplicas = replicas): ReplicaSet => ({
  metadata: { name: `reviews-${version}` },
  spec: { replicas, template: template(version) },
  status: { replicas, readyReplicas },
});

// A promotion from v1 to v2, interrupted: is the primary to be settled on v2?
test.each<[string, ReplicaSet[], boolean]>([
  ['nearly through', [replicaSet('v1', 1), replicaSet('v2', 9)], true],
  ['half-way', [replicaSet('v1', 2), replicaSet('v2', 2)], true],
  ['just begun', [replicaSet('v1', 9), replicaSet('v2', 1)], false],
  ['nearly through, with a pod that is not ready', [replicaSet('v1', 1), replicaSet('v2', 9, 8)], false],
  ['before its first pod', [replicaSet('v1', 3), replicaSet('v2', 0)], false],
  ['without its ReplicaSet', [replicaSet('v1', 3)], false],
])('a promotion that was interrupted %s', (_when, sets, expected) => {
  expect(carriesMost(sets, templateHash(template('v2')))).toBe(expected);
});

const primary = (replicas: number | undefined, strategy?: Deployment['spec']['strategy']): Deployment => ({
  metadata: { name: 'reviews' },
  spec: {
    selector: {},
    template: template('v1'),
    ...(replicas === undefined ? {} : { replicas }),
    ...(strategy ? { strategy } : {}),
  },
});
const rolling = (maxUnavailable: number | string, maxSurge: number | string) => ({
  type: 'RollingUpdate',
  rollingUpdate: { maxUnavailable, maxSurge },
});

test.each<[string, Deployment, number]>([
  ["Kubernetes' default, one pod", primary(undefined), 1],
  ["Kubernetes' default, four pods", primary(4), 3],
  ['Recreate', primary(4, { type: 'Recreate' }), 0],
  ['all may be unavailable', primary(2, rolling('100%', 0)), 0],
  ['more may be unavailable than there are', primary(2, rolling(5, 1)), 0],
  ['percent of unavailable is rounded down', primary(10, rolling('25%', '25%')), 8],
  ['neither: Kubernetes lets one be unavailable', primary(3, rolling(0, 0)), 2],
  ['percent of surge is rounded up, so none is unavailable', primary(3, rolling('10%', '10%')), 3],
])('pods that are left while the primary rolls: %s', (_what, deployment, expected) => {
  expect(capacityDuringRollout(deployment)).toBe(expected);
});

/** A Deployment's ReplicaSets in a cluster whose controllers are the test. */
function cluster(sets: [name: string, version: string, replicas: number, restarted?: string][]) {
  const owner: Deployment = { ...primary(3), metadata: { name: 'reviews', namespace: 'shop', uid: 'u1' } };
  const fake = new FakeCluster(
    sets.map(([name, version, replicas, restarted], i) => {
      const { metadata, spec } = template(version);
      const annotations = restarted ? { 'kubectl.kubernetes.io/restartedAt': restarted } : {};
      return {
        kind: 'ReplicaSet',
        metadata: {
          name,
          namespace: 'shop',
          creationTimestamp: `2026-01-0${i + 1}T00:00:00Z`,
          ownerReferences: [{ uid: 'u1', kind: 'Deployment', name: 'reviews', apiVersion: 'apps/v1' }],
        },
        spec: { replicas, template: { metadata: { ...metadata, annotations }, spec } },
        status: { replicas, readyReplicas: replicas },
      };
    }),
  );
  const fence = { token: 1, check: async () => {}, guard: () => {}, renew: async () => {}, release: async () => {} };
  const deps = { client: fake.client, fence, log: memoryLog(), signal: new AbortController().signal };
  const size = (name: string) => fake.find<ReplicaSet>(REPLICA_SETS, 'shop', name)?.spec.replicas;
  return { deps, owner, sizes: () => Object.fromEntries(sets.map(([name]) => [name, size(name)])) };
}
const V1 = templateHash(template('v1'));
const V2 = templateHash(template('v2'));

test('of two ReplicaSets of the stable version, which a restart made, the one that serves is kept', async () => {
  const { deps, owner, sizes } = cluster([
    ['a', 'v1', 0],
    ['b', 'v1', 2, '2026-01-01T00:00:00Z'],
    ['c', 'v2', 2],
  ]);
  expect(await settleOn(deps, owner, V1)).toBe(false);
  expect(sizes()).toEqual({ a: 0, b: 2, c: 0 });
});

test('gently, nothing moves at the first look, and then what ready pods allow', async () => {
  const { deps, owner, sizes } = cluster([
    ['a', 'v1', 2],
    ['b', 'v2', 2],
  ]);
  expect(await settleGently(deps, owner, V1)).toEqual({ settled: false, ready: 2 });
  expect(sizes()).toEqual({ a: 2, b: 2 });
  expect((await versionsOf(deps, owner)).map(({ hash }) => hash)).toEqual([V1, V2]);
  await settleGently(deps, owner, V1, 2);
  expect(sizes()).toEqual({ a: 2, b: 1 });
});

test('a version without a ReplicaSet is no version to settle on', async () => {
  const { deps, owner, sizes } = cluster([['b', 'v2', 3]]);
  await expect(settleOn(deps, owner, V1)).rejects.toThrow(VersionGone);
  await expect(settleGently(deps, owner, V1, 3)).rejects.toThrow(VersionGone);
  expect(sizes()).toEqual({ b: 3 });
});

test('all ReplicaSets of a version that is forgotten go, but none with pods', async () => {
  const { deps, owner, sizes } = cluster([
    ['a', 'v1', 3],
    ['b', 'v2', 0],
    ['c', 'v2', 0, '2026-01-01T00:00:00Z'],
    ['d', 'v2', 1, '2026-01-02T00:00:00Z'],
  ]);
  await forgetVersion(deps, owner, V2);
  expect(sizes()).toEqual({ a: 3, b: undefined, c: undefined, d: 1 });
});
