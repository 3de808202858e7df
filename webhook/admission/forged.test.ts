import jsonpatch from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import * as keys from '../../canary/annotations.ts';
import { templateHash } from '../../canary/hash.ts';
import { type Run, type RunPhase, runAnnotations, runOf } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import { statusAnnotation } from '../../canary/status.ts';
import type { Deployment } from '../../kube/types.ts';
import { decide } from './decide.ts';
import type { Outcome, Reads } from './types.ts';

// State that somebody else writes: none of it may come through, whoever sends it and whatever else the request does.

const NOW = new Date('2026-01-01T12:00:00Z');
const ANALYZER = 'system:serviceaccount:sidestep-system:sidestep-analyzer';
const SETTINGS = { analyzerUser: ANALYZER, specDefaults: {} };
const ENABLED = { [keys.CANARY]: keys.ENABLED };

const template = (version: string) => ({ spec: { containers: [{ name: 'main', image: `reviews:${version}` }] } });
const hashOf = (version: string): string => templateHash(template(version));

const run = (phase: RunPhase, change: Partial<Run> = {}): Run => ({
  id: 'r2',
  phase,
  hash: hashOf('v2'),
  stable: hashOf('v1'),
  requester: 'bob',
  time: '2026-01-01T11:00:00Z',
  spec: readSpec({}, { name: 'reviews' }).spec!,
  ...change,
});

function deployment(version: string, annotations: Record<string, string>, change: Partial<Deployment['spec']> = {}) {
  return {
    metadata: { name: 'reviews', namespace: 'shop', uid: 'u1', generation: 4, annotations },
    spec: { replicas: 2, selector: { matchLabels: { app: 'reviews' } }, template: template(version), ...change },
    status: {
      observedGeneration: 4,
      replicas: 2,
      updatedReplicas: 2,
      availableReplicas: 2,
      conditions: [{ type: 'Available', status: 'True' }],
    },
  } satisfies Deployment;
}

const READS: Reads = {
  configMap: async () => undefined,
  deployment: async () => deployment('v1', ENABLED),
  replicaSets: async () => [],
};

const ask = (object: Deployment, oldObject: Deployment | undefined, username = 'mallory', reads = READS) =>
  decide(
    {
      uid: 'u',
      operation: oldObject ? 'UPDATE' : 'CREATE',
      namespace: 'shop',
      name: object.metadata.name,
      object,
      ...(oldObject ? { oldObject } : {}),
      requester: { username },
      fieldManager: 'kubectl',
      dryRun: false,
      now: NOW,
    },
    reads,
    SETTINGS,
  );

function stored(object: Deployment, outcome: Outcome): Deployment {
  if (!outcome.allowed) throw new Error(outcome.message);
  return jsonpatch.applyPatch(structuredClone(object), structuredClone(outcome.patch), true).newDocument;
}

const state = ({ metadata: { annotations = {} } }: Deployment) =>
  Object.fromEntries(keys.STATE_ANNOTATIONS.flatMap((key) => (key in annotations ? [[key, annotations[key]]] : [])));

const report = statusAnnotation({
  run: 'r2',
  attempt: 1,
  phase: 'Succeeded',
  weight: 100,
  step: 9,
  steps: 9,
  failedChecks: 0,
  threshold: 1,
  message: 'all good',
  startedAt: '',
  updatedAt: '',
  replicas: 2,
});

const FORGED: [string, Record<string, string>][] = [
  ['a run that is promoting', runAnnotations(run('promoting', { id: 'mine' }))],
  ['a run with the stable version for its own', runAnnotations(run('held', { stable: hashOf('v2') }))],
  ['a run of another namespace, replayed', runAnnotations(run('held', { id: 'other', hash: hashOf('v9') }))],
  ['an earlier run of its own, replayed', runAnnotations(run('rejected', { id: 'r1' }))],
  ['a phase alone', { [keys.PHASE]: 'promoting' }],
  ['a version as promoted before', { [keys.PROMOTED]: JSON.stringify([{ hash: hashOf('v2'), time: '2026' }]) }],
  ['a report', report],
  ['the mark of an opt-out', { [keys.PAUSED_BY]: keys.PAUSED_BY_OPT_OUT }],
  ['a record that cannot be read', { [keys.RUN]: '{"id":"x"}' }],
  ...(['promote', 'complete', 'rollback', 'restore'] as const).map((verdict): [string, Record<string, string>] => [
    `the decision ${verdict}`,
    { [keys.DECISION]: JSON.stringify({ run: 'r2', verdict }) },
  ]),
];

describe.each(FORGED)('%s', (_what, forged) => {
  test('in a new Deployment, opted in or not, is gone', async () => {
    for (const annotations of [forged, { ...ENABLED, ...forged }]) {
      const object = deployment('v1', annotations);
      expect(state(stored(object, await ask(object, undefined)))).toEqual({});
    }
  });

  test.each<[string, Record<string, string>, boolean]>([
    ['at rest', ENABLED, false],
    ['with a version held', { ...ENABLED, ...runAnnotations(run('held')) }, true],
    ['with a version rejected', { ...ENABLED, ...runAnnotations(run('rejected')) }, true],
    ['while promoting', { ...ENABLED, ...runAnnotations(run('promoting')) }, false],
  ])('in an update %s changes nothing', async (_state, annotations, paused) => {
    const old = deployment('v2', annotations, paused ? { paused } : {});
    const object = deployment('v2', { ...annotations, ...forged }, paused ? { paused } : {});
    const after = stored(object, await ask(object, old));
    expect(state(after)).toEqual(state(old));
    expect(after.spec.paused ?? false).toBe(paused);
  });

  test('that stood there before the opt-in is gone with it', async () => {
    const object = deployment('v1', { ...ENABLED, ...forged });
    expect(state(stored(object, await ask(object, deployment('v1', forged))))).toEqual({});
  });

  test('does not let a new version through, with the opt-in in the same request or before', async () => {
    for (const before of [ENABLED, {}, forged]) {
      const object = deployment('v2', { ...ENABLED, ...forged });
      const after = stored(object, await ask(object, deployment('v1', before)));
      expect(after.spec.paused).toBe(true);
      expect(runOf(after)).toMatchObject({
        phase: 'held',
        hash: hashOf('v2'),
        stable: hashOf('v1'),
        requester: 'mallory',
      });
      expect(runOf(after)?.id).not.toMatch(/^(r1|r2|mine|other)$/);
    }
  });
});

describe('decisions', () => {
  const old = deployment('v2', { ...ENABLED, ...runAnnotations(run('held')) }, { paused: true });
  const decided = (text: string) =>
    deployment('v2', { ...old.metadata.annotations, [keys.DECISION]: text }, { paused: true });
  const decision = (id: string, verdict = 'promote') => JSON.stringify({ run: id, verdict });

  test('only the account of the analyzer, to the letter', async () => {
    for (const username of [
      'mallory',
      `${ANALYZER} `,
      ANALYZER.toUpperCase(),
      `${ANALYZER}2`,
      'sidestep-analyzer',
      '',
    ]) {
      const object = decided(decision('r2'));
      expect(runOf(stored(object, await ask(object, old, username)))?.phase).toBe('held');
    }
    const object = decided(decision('r2'));
    expect(runOf(stored(object, await ask(object, old, ANALYZER)))?.phase).toBe('promoting');
  });

  test.each(['r1', '', 'R2', 'r2 ', 'r22'])('for run %j is refused while r2 is on', async (id) => {
    expect(await ask(decided(decision(id)), old, ANALYZER)).toMatchObject({ allowed: false });
  });

  test.each(['constructor', '__proto__', 'Promote', 'promote held', ''])('the verdict %j is none', async (verdict) => {
    expect(await ask(decided(decision('r2', verdict)), old, ANALYZER)).toMatchObject({ allowed: false, code: 400 });
  });

  test('with another template in the same request: only the decision is not enough to let that one out', async () => {
    const object = decided(decision('r2'));
    const changed = { ...object, spec: { ...object.spec, template: template('v3') } };
    const after = stored(changed, await ask(changed, old, ANALYZER));
    // The analyzer may write Deployments as it is; what it must not become is a way around the analysis for others.
    expect(state(after)[keys.DECISION]).toBeUndefined();
    expect(runOf(after)?.hash).toBe(hashOf('v2'));
  });
});

describe('keys with characters that JSON pointers write otherwise', () => {
  const odd = { 'a.example/b': '1', 'a~b': '2', 'a~0b': '3', 'a~1b': '4', '~1': '5', 'sidestep.dev~1run': '6' };
  test('stay as they are, whatever is done to ours beside them', async () => {
    const object = deployment('v2', { ...ENABLED, ...odd, [keys.COMMAND]: 'x' });
    expect(await ask(object, deployment('v1', { ...ENABLED, ...odd }))).toMatchObject({ allowed: false });
    const held = deployment('v2', { ...ENABLED, ...odd, [keys.PHASE]: 'x' });
    const after = stored(held, await ask(held, deployment('v1', { ...ENABLED, ...odd })));
    expect(after.metadata.annotations).toMatchObject(odd);
    expect(after.spec.paused).toBe(true);
  });
});

describe('room', () => {
  const LIMIT = 256 * 1024;
  const RESERVED_BYTES = 24 * 1024;
  const bytesOf = (annotations: Record<string, string>) =>
    Object.entries(annotations).reduce((sum, [k, v]) => sum + Buffer.byteLength(k + v), 0);
  /** Annotations of exactly so many bytes, in two-byte characters as far as possible. */
  const filled = (bytes: number) => {
    const left = bytes - bytesOf(ENABLED) - 1;
    return { ...ENABLED, x: 'ü'.repeat(Math.floor(left / 2)) + 'y'.repeat(left % 2) };
  };
  const holdAt = (bytes: number) => ask(deployment('v2', filled(bytes)), deployment('v1', filled(bytes)));

  test('a run is held where its record and what it writes later fit, and refused at one byte more', async () => {
    const small = await holdAt(1000);
    const record = bytesOf(runAnnotations(runOf(stored(deployment('v2', filled(1000)), small))!));
    const most = LIMIT - record - RESERVED_BYTES;
    expect(await holdAt(most)).toMatchObject({ allowed: true, audit: { row: 'hold' } });
    expect(await holdAt(most + 1)).toMatchObject({
      allowed: false,
      code: 422,
      message: expect.stringMatching(
        /^metadata\.annotations of reviews take \d+ bytes, .* allowed: 262144 bytes together/,
      ),
    });
    expect(await holdAt(LIMIT)).toMatchObject({ allowed: false, code: 422 });
  });

  test.each(['retry', 'promote'])('the rejected version gets a new run by %s where there is room', async (command) => {
    const rejected = (bytes: number) =>
      deployment('v2', { ...filled(bytes), ...runAnnotations(run('rejected')) }, { paused: true });
    const orderAt = (bytes: number) => {
      const old = rejected(bytes);
      const annotations = { ...old.metadata.annotations, [keys.COMMAND]: command };
      return ask({ ...old, metadata: { ...old.metadata, annotations } }, old);
    };
    expect(await orderAt(1000)).toMatchObject({ allowed: true, audit: { row: 'command' } });
    expect(await orderAt(LIMIT - 1000)).toMatchObject({
      allowed: false,
      code: 422,
      message: expect.stringContaining('record of a canary run'),
    });
  });

  test('nothing but a new run needs the room: opt-in, opt-out, revert and unchanged pass at the limit', async () => {
    const full = filled(LIMIT);
    const atRest = deployment('v1', full);
    expect(await ask(atRest, deployment('v1', {}))).toMatchObject({ allowed: true });
    expect(await ask(deployment('v2', { ...full, [keys.CANARY]: 'no' }), atRest)).toMatchObject({ allowed: true });
    const held = deployment('v2', { ...full, ...runAnnotations(run('held')) }, { paused: true });
    expect(await ask(deployment('v1', full), held)).toMatchObject({ allowed: true, audit: { row: 'revert' } });
    expect(await ask(held, held)).toMatchObject({ allowed: true, audit: { row: 'unchanged' } });
  });

  test('an analysis that aliases make large is refused, too', async () => {
    const hook = '{name: a, url: "http://a", metadata: *m}, ';
    const yaml = `analysis: {webhooks: [{name: a, url: "http://a", metadata: &m {x: ${'y'.repeat(14_000)}}}, ${hook.repeat(19)}]}`;
    const annotations = { ...ENABLED, [keys.SPEC]: yaml };
    const outcome = await ask(deployment('v2', annotations), deployment('v1', ENABLED));
    expect(outcome).toMatchObject({
      allowed: false,
      code: 422,
      message: expect.stringContaining('record of a canary run'),
    });
  });
});

describe('a forged review with the ConfigMap of others', () => {
  const from = { ...ENABLED, [keys.SPEC_FROM]: 'secret' };
  const reads = (uid: string | undefined): Reads => ({
    ...READS,
    configMap: async (_, name) => ({
      metadata: { name },
      data: { [keys.SPEC_FROM_KEY]: 'analysis: {webhooks: [{name: a, url: "http://a", metadata: {token: hunter2}}]}' },
    }),
    deployment: async () =>
      uid === undefined ? undefined : { ...deployment('v1', from), metadata: { name: 'reviews', uid } },
  });

  test.each([undefined, 'another'])(
    'that is not about the stored Deployment (its uid is %s): nothing is told',
    async (uid) => {
      const outcome = await ask(deployment('v2', from), deployment('v1', from), 'mallory', reads(uid));
      expect(outcome).toEqual({
        allowed: false,
        code: 409,
        message: 'the request is not about the Deployment reviews that namespace shop has',
      });
      expect(JSON.stringify(outcome)).not.toContain('hunter2');
    },
  );

  test('that creates one: nothing is told', async () => {
    const outcome = await ask(deployment('v1', from), undefined, 'mallory', reads(undefined));
    expect(JSON.stringify(outcome)).not.toContain('hunter2');
  });

  test('the stored Deployment gets its analysis', async () => {
    const outcome = await ask(deployment('v2', from), deployment('v1', from), 'alice', reads('u1'));
    expect(JSON.stringify(outcome)).toContain('hunter2');
  });
});
