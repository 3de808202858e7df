import { expect, test } from 'vitest';
import type { Deployment, EndpointSlice, Pod } from '../../kube/types.ts';
import { readinessOf, readyEndpoints } from './readiness.ts';

const canary = (status: object, replicas = 2): Deployment =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'reviews-canary', generation: 2 },
    spec: { replicas },
    status,
  }) as unknown as Deployment;

const pod = (status: object): Pod =>
  ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, status }) as unknown as Pod;

test('only pods of the canary that are available and of the newest template count', () => {
  expect(readinessOf(canary({ observedGeneration: 2, updatedReplicas: 2, availableReplicas: 1 }), [])).toEqual({
    wanted: 2,
    ready: 1,
  });
});

test('a status from before the last change counts for nothing', () => {
  expect(readinessOf(canary({ observedGeneration: 1, updatedReplicas: 2, availableReplicas: 2 }), []).ready).toBe(0);
});

test.each<[string, object, RegExp]>([
  [
    'cannot be scheduled',
    { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no memory' }] },
    /Unschedulable: no memory/,
  ],
  [
    'has no image',
    {
      containerStatuses: [
        { name: 'app', state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } } },
      ],
    },
    /container app: ImagePullBackOff: no such image/,
  ],
  [
    'crashed',
    { containerStatuses: [{ name: 'app', state: { terminated: { exitCode: 3, reason: 'Error' } } }] },
    /exit code 3 \(Error\)/,
  ],
  [
    'failed to initialise',
    { initContainerStatuses: [{ name: 'init', state: { waiting: { reason: 'CrashLoopBackOff' } } }] },
    /container init: CrashLoopBackOff/,
  ],
])('a pod that %s is the problem', (_, status, problem) => {
  expect(readinessOf(canary({ observedGeneration: 2 }), [pod(status)]).problem).toMatch(problem);
});

test('pods that may not be created are a problem in the words of the API server', () => {
  const conditions = [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota' }];
  expect(readinessOf(canary({ observedGeneration: 2, conditions }), []).problem).toBe('FailedCreate: exceeded quota');
});

test('a pod that only waits is no problem', () => {
  const waiting = { containerStatuses: [{ name: 'app', state: { waiting: { reason: 'ContainerCreating' } } }] };
  expect(readinessOf(canary({ observedGeneration: 2 }), [pod(waiting)]).problem).toBeUndefined();
});

test('endpoints are counted by pod, whatever the number of slices, and only ready ones', () => {
  const endpoint = (name: string, ready: boolean) => ({ conditions: { ready }, targetRef: { kind: 'Pod', name } });
  const slice = (endpoints: EndpointSlice['endpoints']): EndpointSlice => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 's' },
    ...(endpoints === undefined ? {} : { endpoints }),
  });
  expect(readyEndpoints([])).toBe(0);
  expect(readyEndpoints([slice(null), slice(undefined)])).toBe(0);
  expect(readyEndpoints([slice([endpoint('a', true), endpoint('b', false)]), slice([endpoint('a', true)])])).toBe(1);
});
