import { expect, test } from 'vitest';
import type { ReplicaSet } from '../../kube/types.ts';
import { stableFromReplicaSets } from './stable.ts';

const replicaSet = (name: string, availableReplicas?: number, day?: number): ReplicaSet => ({
  metadata: { name, ...(day === undefined ? {} : { creationTimestamp: `2026-01-0${day}T00:00:00Z` }) },
  spec: { template: { spec: { containers: [] } } },
  ...(availableReplicas === undefined ? {} : { status: { availableReplicas } }),
});

test.each<[what: string, replicaSets: ReplicaSet[], name: string | undefined]>([
  ['none', [], undefined],
  ['none with a pod', [replicaSet('a', 0, 1), replicaSet('b', undefined, 2)], undefined],
  ['the only one with pods', [replicaSet('a', 0, 1), replicaSet('b', 1, 2), replicaSet('c', undefined, 3)], 'b'],
  ['most pods, the older', [replicaSet('a', 3, 1), replicaSet('b', 2, 2)], 'a'],
  ['most pods, the newer', [replicaSet('a', 2, 1), replicaSet('b', 3, 2)], 'b'],
  ['most pods, the last', [replicaSet('a', 1, 1), replicaSet('b', 2, 2), replicaSet('c', 3, 3)], 'c'],
  ['two equals, the older first', [replicaSet('a', 2, 1), replicaSet('b', 2, 2)], 'a'],
  ['two equals, the older last', [replicaSet('a', 2, 2), replicaSet('b', 2, 1)], 'b'],
  ['two equals, one of unknown age', [replicaSet('a', 2, 1), replicaSet('b', 2)], 'b'],
])('of %s', (_, replicaSets, name) => {
  expect(stableFromReplicaSets(replicaSets)?.metadata.name).toBe(name);
});
