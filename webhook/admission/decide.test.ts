import fc from 'fast-check';
import jsonpatch from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import * as keys from '../../canary/annotations.ts';
import { templateHash } from '../../canary/hash.ts';
import { type Order, type Run, type RunPhase, runAnnotations, runOf } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { decide } from './decide.ts';
import type { AdmissionInput, Outcome, Reads, Settings } from './types.ts';

// What each row answers is told by test/golden/admission; here is what holds for all of them.

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1500);

const NOW = new Date('2026-01-01T12:00:00Z');
const ANALYZER = 'system:serviceaccount:sidestep-system:sidestep-analyzer';
const SETTINGS: Settings = { analyzerUser: ANALYZER, specDefaults: {} };
const SPEC = readSpec({}, { name: 'reviews' }).spec!;

interface Shape {
  version?: string;
  name?: string;
  annotations?: Record<string, string> | undefined;
  paused?: boolean;
}

const template = (version: string) => ({
  metadata: { labels: { app: 'reviews', version } },
  spec: { containers: [{ name: 'reviews', image: `reviews:${version}` }] },
});
const hashOf = (version: string): string => templateHash(template(version));

function deployment({ version = 'v1', name = 'reviews', annotations, paused }: Shape): Deployment {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: 'u1',
      generation: 4,
      creationTimestamp: '2025-12-01T00:00:00Z',
      ...(annotations ? { annotations } : {}),
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'reviews' } },
      template: template(version),
      ...(paused ? { paused } : {}),
    },
    status: {
      observedGeneration: 4,
      replicas: 2,
      updatedReplicas: 2,
      availableReplicas: 2,
      conditions: [{ type: 'Available', status: 'True' }],
    },
  };
}

const ENABLED = { [keys.CANARY]: keys.ENABLED };

const run = (phase: RunPhase, change: Partial<Run> = {}): Run => ({
  id: 'r1',
  phase,
  hash: hashOf('v2'),
  stable: hashOf('v1'),
  requester: 'bob',
  time: '2026-01-01T11:00:00Z',
  spec: SPEC,
  ...change,
});

const ordered = (command: Order['command']): Order => ({ command, requester: 'carol', time: '2026-01-01T11:30:00Z' });

const input = (object: Deployment, oldObject?: Deployment, change: Partial<AdmissionInput> = {}): AdmissionInput => ({
  uid: 'request',
  operation: oldObject ? 'UPDATE' : 'CREATE',
  namespace: 'shop',
  name: object.metadata.name,
  object,
  ...(oldObject ? { oldObject } : {}),
  requester: { username: 'alice' },
  fieldManager: 'kubectl',
  dryRun: false,
  now: NOW,
  ...change,
});

const replicaSet = (version: string, availableReplicas: number): ReplicaSet => ({
  metadata: { name: `reviews-${version}` },
  spec: { template: template(version) },
  status: { availableReplicas },
});

function reads(change: Partial<Reads> = {}): Reads & { asked: string[] } {
  const asked: string[] = [];
  const all: Reads = {
    configMap: async () => undefined,
    deployment: async (_, name) => deployment({ name }),
    replicaSets: async () => [],
    ...change,
  };
  return {
    asked,
    configMap: (namespace, name) => {
      asked.push(`configMap ${namespace}/${name}`);
      return all.configMap(namespace, name);
    },
    deployment: (namespace, name) => {
      asked.push(`deployment ${namespace}/${name}`);
      return all.deployment(namespace, name);
    },
    replicaSets: (d) => {
      asked.push('replicaSets');
      return all.replicaSets(d);
    },
  };
}

const patched = (object: Deployment, outcome: Outcome): Deployment => {
  if (!outcome.allowed) throw new Error(outcome.message);
  return jsonpatch.applyPatch(structuredClone(object), structuredClone(outcome.patch), true).newDocument;
};

describe('reads', () => {
  test('an update at rest needs none', async () => {
    const asked = reads();
    await decide(
      input(deployment({ version: 'v2', annotations: ENABLED }), deployment({ annotations: ENABLED })),
      asked,
      SETTINGS,
    );
    expect(asked.asked).toEqual([]);
  });

  test.each<[string, string[]]>([
    ['rollbackWindow: {revisions: 0}', ['v2']],
    ['rollbackWindow: {revisions: 2}', []],
    ['rollbackWindow: {revisions: 2}', ['v3']],
  ])('the fix of a broken workload needs none: %s, promoted %j', async (spec, versions) => {
    const promoted = JSON.stringify(versions.map((v) => ({ hash: hashOf(v), time: '2026-01-01T08:00:00Z' })));
    const annotations = { ...ENABLED, [keys.SPEC]: spec, [keys.PROMOTED]: promoted };
    const old = deployment({ annotations });
    old.status = { observedGeneration: 4, replicas: 2 };
    const asked = reads();
    const outcome = await decide(input(deployment({ version: 'v2', annotations }), old), asked, SETTINGS);
    expect(outcome).toMatchObject({ allowed: true, audit: { row: 'nothing-stable' } });
    expect(asked.asked).toEqual([]);
  });

  test('a version after a rejected one needs none: what serves is recorded', async () => {
    const annotations = { ...ENABLED, ...runAnnotations(run('rejected')) };
    const asked = reads();
    const old = deployment({ version: 'v2', annotations, paused: true });
    const outcome = await decide(input(deployment({ version: 'v3', annotations, paused: true }), old), asked, SETTINGS);
    expect(runOf(patched(deployment({ annotations }), outcome))?.stable).toBe(hashOf('v1'));
    expect(asked.asked).toEqual([]);
  });

  test('each is asked once, however many rows want to know', async () => {
    const annotations = { ...ENABLED, [keys.SPEC_FROM]: 'settings' };
    const asked = reads({
      configMap: async (_, name) => ({
        metadata: { name },
        data: { [keys.SPEC_FROM_KEY]: 'analysis: {threshold: 3}' },
      }),
      replicaSets: async () => [replicaSet('v1', 2)],
    });
    const outcome = await decide(
      input(
        deployment({ version: 'v2', annotations }),
        deployment({ version: 'v2', annotations: ENABLED, paused: true }),
      ),
      asked,
      SETTINGS,
    );
    expect(asked.asked).toEqual(['configMap shop/settings', 'deployment shop/reviews', 'replicaSets']);
    expect(runOf(patched(deployment({ annotations }), outcome))?.spec.analysis.threshold).toBe(3);
  });

  test('without an answer about ReplicaSets the request is refused, to be sent again', async () => {
    const broken = reads({ replicaSets: async () => Promise.reject(new KubeError(0, 'Unreachable', 'timed out')) });
    const request = input(deployment({ annotations: ENABLED }), deployment({ annotations: ENABLED, paused: true }));
    expect(await decide(request, broken, SETTINGS)).toEqual({
      allowed: false,
      code: 503,
      message: 'the API server did not tell what the decision about reviews needs: timed out',
    });
  });

  test('without an answer about the ConfigMap, too', async () => {
    const annotations = { ...ENABLED, [keys.SPEC_FROM]: 'settings' };
    const broken = reads({ configMap: async () => Promise.reject(new KubeError(500, 'InternalError', 'etcd')) });
    const request = input(deployment({ version: 'v2', annotations }), deployment({ annotations }));
    expect(await decide(request, broken, SETTINGS)).toEqual({
      allowed: false,
      code: 503,
      message: 'annotation sidestep.dev/spec-from: ConfigMap settings could not be read: etcd',
    });
  });

  test('an error of our own is not hidden', async () => {
    const broken = reads({ replicaSets: async () => Promise.reject(new TypeError('x is undefined')) });
    const request = input(deployment({ annotations: ENABLED }), deployment({ annotations: ENABLED, paused: true }));
    await expect(decide(request, broken, SETTINGS)).rejects.toThrow('x is undefined');
  });
});

test('warnings stay within what the API server passes on, however long names and reasons are', async () => {
  const name = 'n'.repeat(253);
  const message = 'm'.repeat(512);
  for (const phase of ['held', 'promoting', 'rejected'] as const) {
    const annotations = { ...ENABLED, ...runAnnotations(run(phase, { message })) };
    const old = deployment({ name, version: 'v2', annotations, paused: phase !== 'promoting' });
    for (const version of ['v1', 'v2', 'v3']) {
      const outcome = await decide(input(deployment({ name, version, annotations }), old), reads(), SETTINGS);
      expect(outcome.allowed && outcome.warnings.length).toBe(1);
      if (outcome.allowed) for (const warning of outcome.warnings) expect(warning.length).toBeLessThanOrEqual(250);
    }
  }
});

test('a long reason leaves room for how to go on', async () => {
  const annotations = { ...ENABLED, ...runAnnotations(run('rejected', { message: 'm'.repeat(512) })) };
  const object = deployment({ version: 'v2', annotations, paused: true });
  const outcome = await decide(input(object, object), reads(), SETTINGS);
  expect(outcome.allowed && outcome.warnings[0]).toMatch(/m…; it stays held\. Try again with: .*command=retry$/);
});

test('a dry run, a retry and another replica get the same answer', async () => {
  const request = input(deployment({ version: 'v2', annotations: ENABLED }), deployment({ annotations: ENABLED }));
  const first = await decide(request, reads(), SETTINGS);
  expect(await decide({ ...request, dryRun: true, uid: 'other' }, reads(), SETTINGS)).toEqual(first);
});

test('each hold has a run id of its own', async () => {
  const ids = new Set<string | undefined>();
  let old = deployment({ annotations: ENABLED });
  for (const version of ['v2', 'v3', 'v2', 'v3']) {
    const object = { ...structuredClone(old), spec: { ...structuredClone(old.spec), template: template(version) } };
    old = patched(object, await decide(input(object, old), reads(), SETTINGS));
    old.metadata.generation! += 1;
    ids.add(runOf(old)?.id);
  }
  expect(ids.size).toBe(4);
  expect(ids).not.toContain(undefined);
});

test('promoted versions are remembered, each once, the one that serves and ten before it, newest first', async () => {
  const entry = (hash: string) => ({ hash, time: '2025-12-01T00:00:00Z' });
  const before = [...'abcdefghij'].map(entry);
  const old = deployment({
    version: 'v2',
    annotations: {
      ...ENABLED,
      ...runAnnotations(run('promoting')),
      [keys.PROMOTED]: JSON.stringify([...before.slice(0, 3), entry(hashOf('v2')), ...before.slice(3), entry('last')]),
    },
  });
  const object = structuredClone(old);
  object.metadata.annotations![keys.DECISION] = JSON.stringify({ run: 'r1', verdict: 'complete' });
  const outcome = await decide(input(object, old, { requester: { username: ANALYZER } }), reads(), SETTINGS);
  const promoted = JSON.parse(patched(object, outcome).metadata.annotations![keys.PROMOTED]!) as object[];
  expect(promoted).toEqual([{ hash: hashOf('v2'), time: '2026-01-01T12:00:00Z' }, ...before]);
});

test('a record of promoted versions that cannot be read is begun anew', async () => {
  for (const text of ['{', '{}', 'null', '[null, 1, {"hash": 3}]']) {
    const annotations = { ...ENABLED, ...runAnnotations(run('promoting')), [keys.PROMOTED]: text };
    const old = deployment({ version: 'v2', annotations });
    const object = structuredClone(old);
    object.metadata.annotations![keys.DECISION] = JSON.stringify({ run: 'r1', verdict: 'complete' });
    const outcome = await decide(input(object, old, { requester: { username: ANALYZER } }), reads(), SETTINGS);
    expect(JSON.parse(patched(object, outcome).metadata.annotations![keys.PROMOTED]!)).toHaveLength(1);
  }
});

test('reasons are kept at a length that fits into conditions', async () => {
  const old = deployment({ version: 'v2', annotations: { ...ENABLED, ...runAnnotations(run('held')) }, paused: true });
  const sent = (key: string, value: string) => {
    const object = structuredClone(old);
    object.metadata.annotations![key] = value;
    return object;
  };
  const verdict = sent(keys.DECISION, JSON.stringify({ run: 'r1', verdict: 'rollback', message: 'm'.repeat(9999) }));
  const abort = sent(keys.COMMAND, 'abort');
  for (const [object, username] of [
    [verdict, ANALYZER],
    [abort, 'u'.repeat(9999)],
  ] as const) {
    const outcome = await decide(input(object, old, { requester: { username } }), reads(), SETTINGS);
    expect(runOf(patched(object, outcome))?.message).toHaveLength(512);
  }
});

test("a mistake in the chart's defaults is told as theirs", async () => {
  const object = deployment({ annotations: ENABLED });
  const settings = { ...SETTINGS, specDefaults: { analysis: { threshold: 0 } } };
  expect(await decide(input(object, deployment({})), reads(), settings)).toMatchObject({
    code: 422,
    message: "the chart's defaults: analysis.threshold is 0; allowed: a whole number from 1 to 1000",
  });
});

describe('the ConfigMap that an annotation names', () => {
  const named = (name: string, change: Partial<Reads> = {}) =>
    decide(
      input(deployment({ annotations: { ...ENABLED, [keys.SPEC_FROM]: name } }), deployment({})),
      reads({ configMap: async () => ({ metadata: { name }, data: { [keys.SPEC_FROM_KEY]: '' } }), ...change }),
      SETTINGS,
    );

  test.each(['a', '0', 'a-b.c', 'a'.repeat(253)])('%s is a name', async (name) => {
    expect(await named(name)).toMatchObject({ allowed: true });
  });

  test.each(['', 'A', 'a/b', 'a b', 'a-', '.a', 'a\n', 'a'.repeat(254)])('%j is none', async (name) => {
    expect(await named(name)).toMatchObject({
      code: 422,
      message: `annotation sidestep.dev/spec-from is ${JSON.stringify(name.slice(0, 80))}; allowed: the name of a ConfigMap in namespace shop`,
    });
  });

  test('may hold nothing', async () => {
    expect(await named('settings', { configMap: async (_, name) => ({ metadata: { name } }) })).toMatchObject({
      code: 422,
      message: 'annotation sidestep.dev/spec-from: ConfigMap settings has no key canary.yaml',
    });
  });
});

test('a command that is none is quoted, as far as it tells', async () => {
  const object = deployment({ annotations: { ...ENABLED, [keys.COMMAND]: 'x'.repeat(61) } });
  expect(await decide(input(object, deployment({ annotations: ENABLED })), reads(), SETTINGS)).toMatchObject({
    message: `annotation sidestep.dev/command is "${'x'.repeat(60)}"; allowed: promote, abort, retry, pause, resume`,
  });
});

describe('whatever is sent', () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom(
      '',
      'enabled',
      'opt-out',
      'held',
      'rejected',
      'promote',
      'abort',
      'retry',
      'pause',
      'resume',
      'rollbackWindow: {revisions: 2}',
      JSON.stringify([{ hash: hashOf('v3'), time: '' }]),
      '{}',
      '[]',
      'analysis: {threshold: 2}',
    ),
    fc.constantFrom('held', 'promoting', 'rejected').map((phase) => JSON.stringify(run(phase))),
    fc.constantFrom('pause', 'promote').map((command) => JSON.stringify(run('held', { order: ordered(command) }))),
    fc
      .constantFrom('promote', 'complete', 'rollback', 'restore')
      .map((verdict) => JSON.stringify({ run: 'r1', verdict })),
  );
  const ours = fc.constantFrom(
    ...keys.STATE_ANNOTATIONS,
    keys.SPEC,
    keys.SPEC_FROM,
    keys.COMMAND,
    keys.CANARY,
    '__proto__',
  );
  const annotations = fc.option(
    fc
      .tuple(fc.dictionary(ours, text, { maxKeys: 4 }), fc.boolean())
      .map(([more, enabled]) => ({ ...more, ...(enabled ? ENABLED : {}) })),
    { nil: undefined },
  );
  const object = fc
    .record({
      version: fc.constantFrom('v1', 'v2', 'v3'),
      annotations,
      paused: fc.boolean(),
      replicas: fc.constantFrom(undefined, 0, 1, 2),
      status: fc.constantFrom(undefined, {}, { conditions: [] }, deployment({}).status),
      history: fc.constantFrom(undefined, 0, 10),
    })
    .map(({ replicas, status, history, ...shape }) => {
      const { spec, status: _, ...rest } = deployment(shape);
      return {
        ...rest,
        spec: {
          ...spec,
          ...(replicas === undefined ? {} : { replicas }),
          ...(history === undefined ? {} : { revisionHistoryLimit: history }),
        },
        ...(status ? { status } : {}),
      } as Deployment;
    });
  const request = fc.record({
    object,
    old: fc.option(object, { nil: undefined }),
    username: fc.constantFrom('alice', ANALYZER),
    fieldManager: fc.constantFrom('', 'kubectl'),
    replicaSets: fc.array(
      fc.tuple(fc.constantFrom('v1', 'v2', 'v3'), fc.nat(2)).map(([v, n]) => replicaSet(v, n)),
      { maxLength: 3 },
    ),
  });
  type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;
  const answer = ({ object: o, old, username, fieldManager, replicaSets }: Request) =>
    decide(
      input(o, old, { requester: { username }, fieldManager }),
      reads({ replicaSets: async () => replicaSets }),
      SETTINGS,
    );

  const check = (property: (r: Request, outcome: Outcome) => void) =>
    fc.assert(
      fc.asyncProperty(request, async (r) => property(r, await answer(r))),
      { numRuns: RUNS },
    );

  test('there is an outcome, and its patch fits the object', () =>
    check((r, outcome) => {
      if (!outcome.allowed) {
        expect([400, 409, 422]).toContain(outcome.code);
        return;
      }
      expect(outcome.audit['row']).toBeDefined();
      const { spec, metadata, ...rest } = patched(r.object, outcome);
      expect({ ...rest, spec: { ...spec, paused: undefined } }).toEqual({
        ...(({ metadata: _m, ...o }) => o)(r.object),
        spec: { ...r.object.spec, paused: undefined },
      });
      const { annotations: _a, labels: _l, ...kept } = metadata;
      const { annotations: _b, labels: _m, ...before } = r.object.metadata;
      expect(kept).toEqual(before);
    }));

  test('decision and command are gone from what is stored, and phase and run agree', () =>
    check((r, outcome) => {
      if (!outcome.allowed) return;
      const stored = patched(r.object, outcome);
      const { [keys.DECISION]: decision, [keys.COMMAND]: command } = stored.metadata.annotations ?? {};
      expect([decision, command]).toEqual([undefined, undefined]);
      const recorded = runOf(stored);
      if (recorded && !(r.old && runOf(r.old))) {
        expect(stored.metadata.annotations?.[keys.PHASE]).toBe(recorded.phase);
        expect(stored.spec.paused).toBe(true);
      }
    }));

  test('nobody but the analyzer moves a run on, and nobody without a record makes one of another version', () =>
    check((r, outcome) => {
      if (!outcome.allowed || r.username === ANALYZER) return;
      const after = runOf(patched(r.object, outcome));
      const guarded = r.old?.metadata.annotations?.[keys.CANARY] === keys.ENABLED;
      const before = guarded && r.old ? runOf(r.old) : undefined;
      if (after?.phase === 'promoting') expect(before?.phase).toBe('promoting');
      if (after?.phase === 'rejected') expect(after.order).toBeUndefined();
      if (after && after.id !== before?.id) expect(after.hash).toBe(templateHash(r.object.spec.template));
    }));

  test('what is held or rejected stays behind the pause while its template stays', () =>
    check((r, outcome) => {
      const { old } = r;
      if (
        !outcome.allowed ||
        r.username === ANALYZER ||
        !old ||
        old.metadata.annotations?.[keys.CANARY] !== keys.ENABLED
      )
        return;
      const before = runOf(old);
      const version = templateHash(r.object.spec.template);
      if (
        !before ||
        before.phase === 'promoting' ||
        before.hash !== version ||
        version !== templateHash(old.spec.template)
      )
        return;
      expect(patched(r.object, outcome).spec.paused).toBe(true);
    }));
});
