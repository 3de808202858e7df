import { expect, test } from 'vitest';
import { type Pod, podTargets, workload } from './pod-targets.ts';

function pod(name: string, owner?: { kind: string; name: string }, hash?: string): Pod {
  return {
    metadata: {
      name,
      namespace: 'demo',
      ...(hash ? { labels: { 'pod-template-hash': hash } } : {}),
      ...(owner ? { ownerReferences: [{ ...owner, controller: true }] } : {}),
    },
    spec: { containers: [{ name: 'app' }], initContainers: [{ name: 'istio-proxy' }] },
    status: { podIP: '10.244.0.7' },
  };
}

test.each([
  ['its Deployment', pod('reviews-5d-x', { kind: 'ReplicaSet', name: 'reviews-5d' }, '5d'), 'reviews'],
  ['its canary', pod('reviews-canary-5d-x', { kind: 'ReplicaSet', name: 'reviews-canary-5d' }, '5d'), 'reviews-canary'],
  ['a ReplicaSet of nobody', pod('reviews-x', { kind: 'ReplicaSet', name: 'reviews' }), 'reviews'],
  ['a ReplicaSet whose name ends otherwise', pod('r-x', { kind: 'ReplicaSet', name: 'r-5d' }, '6e'), 'r-5d'],
  ['its Job', pod('run-x', { kind: 'Job', name: 'run' }), 'run'],
  ['itself', pod('alone'), 'alone'],
])('a pod counts for %s', (_, example, expected) => {
  expect(workload(example)).toBe(expected);
});

test('only pods with a sidecar and an address are scraped, in the order of their names', () => {
  const plain: Pod = { ...pod('plain'), spec: { containers: [{ name: 'app' }] } };
  const pending: Pod = { ...pod('pending'), status: {} };
  const targets = podTargets([pod('b'), plain, pending, pod('a')]);
  expect(targets).toEqual(
    ['a', 'b'].map((name) => ({
      targets: ['10.244.0.7:15090'],
      labels: { namespace: 'demo', pod: name, workload: name },
    })),
  );
});
