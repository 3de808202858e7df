import { expect, test } from 'vitest';
import { templateHash } from '../../canary/hash.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { capacityDuringRollout, carriesMost } from './primary.ts';

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
