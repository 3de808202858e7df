import jsonpatch from 'fast-json-patch';
import { expect, test } from 'vitest';
import * as keys from '../../canary/annotations.ts';
import { templateHash } from '../../canary/hash.ts';
import { type Run, runAnnotations, runOf } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import type { Deployment } from '../../kube/types.ts';
import { decide } from './decide.ts';
import type { Reads } from './types.ts';

const template = (v: string) => ({
  metadata: { labels: { app: 'r' } },
  spec: { containers: [{ name: 'r', image: v }] },
});
const hash = (v: string) => templateHash(template(v));
const deployment = (v: string, annotations: Record<string, string>, paused = false): Deployment => ({
  metadata: {
    name: 'reviews',
    namespace: 'shop',
    uid: 'u1',
    generation: 4,
    creationTimestamp: '2025-12-01T00:00:00Z',
    annotations: { [keys.CANARY]: keys.ENABLED, ...annotations },
  },
  spec: { replicas: 3, selector: { matchLabels: { app: 'r' } }, template: template(v), ...(paused ? { paused } : {}) },
  status: {
    observedGeneration: 4,
    replicas: 3,
    updatedReplicas: 3,
    availableReplicas: 3,
    conditions: [{ type: 'Available', status: 'True' }],
  },
});
const READS: Reads = {
  configMap: async () =>
    ({
      metadata: { name: 'c' },
      data: { 'canary.yaml': 'analysis:\n  webhooks:\n    - {name: h, url: "http://h/", metadata: {token: s3cret}}\n' },
    }) as never,
  deployment: async () => ({ ...deployment('v1', { [keys.SPEC_FROM]: 'c' }) }),
  replicaSets: async () => [],
};
const ask = async (object: Deployment, oldObject: Deployment) => {
  const outcome = await decide(
    {
      uid: 'x',
      operation: 'UPDATE',
      namespace: 'shop',
      name: 'reviews',
      object,
      oldObject,
      requester: { username: 'bob' },
      fieldManager: 'kubectl',
      dryRun: false,
      now: new Date('2026-01-01T12:00:00Z'),
    },
    READS,
    { analyzerUser: 'a', specDefaults: {} },
  );
  if (!outcome.allowed) throw new Error(outcome.message);
  return jsonpatch.applyPatch(structuredClone(object), outcome.patch).newDocument;
};

test('v2, v3 in the middle of its promotion, v2 again: the version under analysis is not the one to settle on', async () => {
  const promoting: Run = {
    id: 'r1',
    phase: 'promoting',
    hash: hash('v2'),
    stable: hash('v1'),
    requester: 'bob',
    time: '2026-01-01T11:00:00Z',
    spec: readSpec({}, { name: 'reviews' }).spec!,
  };
  const v2 = deployment('v2', runAnnotations(promoting));
  const v3 = await ask(deployment('v3', v2.metadata.annotations!), v2);
  expect(runOf(v3)).toMatchObject({ phase: 'held', hash: hash('v3'), interrupted: hash('v2') });
  const again = await ask(deployment('v2', v3.metadata.annotations!, true), v3);
  expect(runOf(again)).toMatchObject({ phase: 'held', hash: hash('v2') });
  // rolling-back.ts settles on `interrupted` where its pods are ready: that would be the very version that was rejected.
  expect(runOf(again)?.interrupted).not.toBe(runOf(again)?.hash);
});

test('a version that comes while the canary serves everything, because the primary is rolling, is analysed', async () => {
  const promoting: Run = {
    id: 'r1',
    phase: 'promoting',
    hash: hash('v2'),
    stable: hash('v1'),
    requester: 'bob',
    time: '2026-01-01T11:59:00Z',
    spec: readSpec({ annotation: 'allowSideBySide: true' }, { name: 'reviews' }).spec!,
  };
  const annotations = { ...runAnnotations(promoting), [keys.SPEC]: 'allowSideBySide: true' };
  const recreate = (v: string): Deployment => {
    const d = deployment(v, annotations);
    d.spec.strategy = { type: 'Recreate' };
    d.status!.availableReplicas = 0;
    // Recreate: v1's pods are gone, v2's take a minute to start. The canary has 100 %.
    d.status!.conditions = [{ type: 'Available', status: 'False', lastTransitionTime: '2026-01-01T11:59:20Z' }];
    return d;
  };
  const v3 = await ask(recreate('v3'), recreate('v2'));
  expect(runOf(v3)).toMatchObject({ phase: 'held', hash: hash('v3') });
});

test('a version that comes while the failed promotion of another is undone remembers that one, until it comes again itself', async () => {
  const rejected: Run = {
    id: 'r1',
    phase: 'rejected',
    hash: hash('v2'),
    stable: hash('v1'),
    requester: 'bob',
    time: '2026-01-01T11:00:00Z',
    spec: readSpec({}, { name: 'reviews' }).spec!,
    message: 'promotion failed',
  };
  const v2 = deployment('v2', runAnnotations(rejected), true);
  const v3 = await ask(deployment('v3', v2.metadata.annotations!, true), v2);
  expect(runOf(v3)).toMatchObject({
    phase: 'held',
    hash: hash('v3'),
    stable: hash('v1'),
    rejectedBefore: [hash('v2')],
  });
  const v4 = await ask(deployment('v4', v3.metadata.annotations!, true), v3);
  expect(runOf(v4)).toMatchObject({ hash: hash('v4'), rejectedBefore: [hash('v2')] });
  const again = await ask(deployment('v2', v4.metadata.annotations!, true), v4);
  // Not released, not what is fallen back to: analysed as any other version.
  expect(runOf(again)).toMatchObject({ phase: 'held', hash: hash('v2'), stable: hash('v1') });
  expect(runOf(again)).not.toHaveProperty('rejectedBefore');
  expect(runOf(again)).not.toHaveProperty('interrupted');
  expect(again.spec.paused).toBe(true);
});

test('only the last few rejected versions are remembered', async () => {
  const rejected = (v: string, rejectedBefore: string[]): Run => ({
    id: v,
    phase: 'rejected',
    hash: hash(v),
    stable: hash('v1'),
    requester: 'bob',
    time: '2026-01-01T11:00:00Z',
    spec: readSpec({}, { name: 'reviews' }).spec!,
    rejectedBefore,
  });
  const old = deployment('v9', runAnnotations(rejected('v9', ['a', 'b', 'c', 'd', 'e'])), true);
  const next = await ask(deployment('v10', old.metadata.annotations!, true), old);
  expect(runOf(next)?.rejectedBefore).toEqual([hash('v9'), 'a', 'b', 'c', 'd']);
});
