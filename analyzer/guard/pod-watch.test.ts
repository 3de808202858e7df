import { expect, test } from 'vitest';
import type { Pod } from '../../kube/types.ts';
import { PodWatch } from './pod-watch.ts';

const pod = (ready: boolean, restartCount = 0, name = 'a'): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    status: {
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: [
        {
          name: 'app',
          restartCount,
          ...(restartCount > 0 ? { lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } } : {}),
        },
      ],
    },
  }) as unknown as Pod;

test('a container that ends under traffic is told, with how it ended, once', () => {
  const watch = new PodWatch();
  expect(watch.look([pod(true)], true, 0)).toBeUndefined();
  expect(watch.look([pod(true, 1)], true, 1000)).toBe(
    'container app of canary pod a ended under traffic with exit code 137 (OOMKilled)',
  );
  expect(watch.look([pod(true, 1)], true, 2000)).toBeUndefined();
});

test('restarts before there was traffic are not held against it', () => {
  const watch = new PodWatch();
  watch.look([pod(false, 2)], false, 0);
  watch.look([pod(true, 3)], false, 1000);
  expect(watch.look([pod(true, 3)], true, 2000)).toBeUndefined();
});

test('a crash before this process looked, or before the pod was ever ready, is none under traffic', () => {
  const watch = new PodWatch();
  expect(watch.look([pod(true, 4)], true, 0)).toBeUndefined();
  expect(watch.look([pod(true, 4), pod(false, 0, 'b')], true, 1000)).toBeUndefined();
  expect(watch.look([pod(true, 4), pod(false, 1, 'b')], true, 2000)).toBeUndefined();
  expect(watch.look([pod(true, 4), pod(true, 1, 'b')], true, 3000)).toBeUndefined();
  expect(watch.look([pod(true, 4), pod(true, 2, 'b')], true, 4000)).toMatch(/pod b ended under traffic/);
});

test('a pod that is new begins with no restarts', () => {
  const watch = new PodWatch();
  watch.look([pod(true, 3)], false, 0);
  expect(watch.look([pod(true, 3), pod(true, 0, 'b')], true, 1000)).toBeUndefined();
});

test('a canary without any ready pod is told after a while; one ready pod is enough', () => {
  const watch = new PodWatch();
  watch.look([pod(true)], true, 0);
  expect(watch.look([pod(false)], true, 1000)).toBeUndefined();
  expect(watch.look([pod(false), pod(true, 0, 'b')], true, 9000)).toBeUndefined();
  expect(watch.look([pod(false)], true, 10_000)).toBeUndefined();
  expect(watch.look([], true, 19_999)).toBeUndefined();
  expect(watch.look([pod(false)], true, 20_000)).toBe('no canary pod was ready for 10 s under traffic');
});

test('a canary that was never ready is not judged by it', () => {
  const watch = new PodWatch();
  watch.look([pod(false)], true, 0);
  expect(watch.look([pod(false)], true, 60_000)).toBeUndefined();
});
