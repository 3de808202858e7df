import fc from 'fast-check';
import jsonpatch, { type Operation } from 'fast-json-patch';
import { expect, test } from 'vitest';
import * as keys from '../canary/annotations.ts';
import { type Run, type RunPhase, runAnnotations } from '../canary/run.ts';
import { readSpec } from '../canary/spec.ts';
import type { Deployment, ReplicaSet } from '../kube/types.ts';
import { decide } from './admission/decide.ts';
import type { Outcome, Settings } from './admission/types.ts';
import { formatReview, parseReview } from './server/review.ts';

// A review from its bytes to the bytes of the answer, as the handler does it, with reviews that are almost right. `npm run fuzz` runs it for
// longer: FUZZ_RUNS is how many.

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1200);
/** Of one review's own time, not the wall's: other tests run beside this one. The API server waits 3 s. */
const MAX_MS = 2000;
const TIMEOUT_MS = 60_000 + 100 * RUNS;

const NOW = new Date('2026-01-01T12:00:00Z');
const ANALYZER = 'system:serviceaccount:sidestep-system:sidestep-analyzer';
const SETTINGS: Settings = { analyzerUser: ANALYZER, specDefaults: {} };

const deployment = (annotations: Record<string, string>, image: string, paused: boolean): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'reviews',
    namespace: 'shop',
    uid: 'u1',
    generation: 4,
    resourceVersion: '7',
    creationTimestamp: '2025-12-01T00:00:00Z',
    labels: { app: 'reviews', [keys.WATCHED_LABEL]: 'true' },
    annotations,
  },
  spec: {
    replicas: 2,
    revisionHistoryLimit: 10,
    strategy: { type: 'RollingUpdate' },
    selector: { matchLabels: { app: 'reviews' } },
    ...(paused ? { paused } : {}),
    template: {
      metadata: { labels: { app: 'reviews' }, annotations: { a: 'b' }, creationTimestamp: null },
      spec: {
        containers: [{ name: 'main', image, ports: [{ containerPort: 9080 }] }],
        volumes: [{ name: 'tmp', emptyDir: {} }],
      },
    },
  },
  status: {
    observedGeneration: 4,
    replicas: 2,
    updatedReplicas: 2,
    availableReplicas: 2,
    conditions: [{ type: 'Available', status: 'True', lastTransitionTime: '2025-12-01T00:01:00Z' }],
  },
});

const run = (phase: RunPhase): Run => ({
  id: 'r1',
  phase,
  hash: 'v1-00000000000000000000',
  stable: 'v1-11111111111111111111',
  requester: 'bob',
  time: '2026-01-01T11:00:00Z',
  spec: readSpec({}, { name: 'reviews' }).spec!,
});

const SPECS = ['analysis: {threshold: 2}', 'analysis: {stepWeight: 0}', 'skipAnalysis: true', '{', 'a: &a [*a]'];
const annotations = fc
  .record(
    {
      [keys.CANARY]: fc.constantFrom('enabled', 'enabled', 'no'),
      [keys.SPEC]: fc.constantFrom(...SPECS),
      [keys.SPEC_FROM]: fc.constantFrom('settings', 'missing', '../x'),
      [keys.COMMAND]: fc.constantFrom('abort', 'retry', 'constructor'),
      [keys.DECISION]: fc
        .constantFrom('promote', 'complete', 'rollback', 'restore', 'toString')
        .map((verdict) => JSON.stringify({ run: 'r1', verdict })),
      [keys.PAUSED_BY]: fc.constantFrom('opt-out', 'me'),
      [keys.PROMOTED]: fc.constantFrom('[]', '[null]', '{'),
      record: fc.constantFrom<RunPhase[]>('held', 'promoting', 'rejected'),
    },
    { requiredKeys: [keys.CANARY] },
  )
  .map(({ record, ...rest }) => ({
    ...(rest as Record<string, string>),
    ...(record ? runAnnotations(run(record)) : {}),
  }));
const object = fc
  .tuple(annotations, fc.constantFrom('reviews:1', 'reviews:2'), fc.boolean())
  .map(([a, image, paused]) => deployment(a, image, paused));

const review = fc
  .record({
    object,
    oldObject: object,
    operation: fc.constantFrom('UPDATE', 'UPDATE', 'CREATE'),
    username: fc.constantFrom('alice', ANALYZER),
    uid: fc.string(),
  })
  .map(({ username, ...request }) => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
      namespace: 'shop',
      name: 'reviews',
      userInfo: { username, groups: ['dev'], extra: { scopes: ['x'] } },
      options: { fieldManager: 'kubectl' },
      dryRun: false,
      ...request,
    },
  }));

/** Stands for a value of this depth, which JSON.stringify could not write. */
const DEPTHS = [20, 5000, 50_000];
const deep = (depth: number): string => `@deep ${depth}@`;
const deepened = (text: string): string =>
  DEPTHS.reduce((t, depth) => t.replaceAll(`"${deep(depth)}"`, '['.repeat(depth) + ']'.repeat(depth)), text);
const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(null, '', 0, -1, 1e308, [], {}, [null], { a: null }, true),
  fc.constantFrom<unknown>('Infinity', '0x10', '__proto__', 'constructor', '\u0000\u009f\ud800', 'x'.repeat(70_000)),
  fc.constantFrom(...DEPTHS).map(deep),
);
const key = fc.constantFrom('__proto__', 'constructor', 'toString', 'a/b', 'a~b', 'a~0b', 'a~1b', '', 'length', '0');

type Edit = { at: number; how: 'replace' | 'remove' | 'add'; value: unknown; key: string };
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('replace', 'replace', 'remove', 'add'),
  value: junk,
  key,
});

/** Does something to one of the places of a value, counted through all of it. */
function apply(root: unknown, { at, how, value, key: name }: Edit): void {
  const places: [Record<string, unknown>, string][] = [];
  const walk = (v: unknown, depth: number): void => {
    if (typeof v !== 'object' || v === null || depth > 12) return;
    for (const [k, inner] of Object.entries(v)) {
      places.push([v as Record<string, unknown>, k]);
      walk(inner, depth + 1);
    }
  };
  walk(root, 0);
  if (places.length === 0) return;
  const [parent, k] = places[at % places.length]!;
  if (how === 'remove') delete parent[k];
  else if (how === 'add' && Array.isArray(parent)) parent.push(value);
  // `__proto__` as JSON has it: a field like any other.
  else if (how === 'add')
    Object.defineProperty(parent, name, { value, enumerable: true, configurable: true, writable: true });
  else parent[k] = value;
}

const broken = fc.tuple(review, fc.array(edit, { maxLength: 4 })).map(([value, edits]) => {
  for (const e of edits) apply(value, e);
  return value;
});

const replicaSets = (): ReplicaSet[] => [
  { metadata: { name: 'a' }, spec: { template: { spec: { containers: [] } } }, status: { availableReplicas: 2 } },
];

/** No Deployment of the API server's is that deep: the one error that is left to the handler, which answers it as one of ours. */
function tooDeep(e: unknown): Outcome {
  if (!(e instanceof RangeError)) throw e;
  return { allowed: false, code: 500, message: e.message };
}

/** As `mutate.ts` does it, without a net below: what is thrown fails the test. */
async function answerTo(body: Buffer): Promise<{ text: string; sent: Deployment | undefined; ms: number }> {
  const before = process.threadCpuUsage();
  const { uid, input, problem } = parseReview(body, NOW);
  const reads = {
    configMap: async (_: string, name: string) =>
      name === 'settings'
        ? { metadata: { name }, data: { [keys.SPEC_FROM_KEY]: 'analysis: {threshold: 3}' } }
        : undefined,
    deployment: async () => deployment({}, 'reviews:1', false),
    replicaSets: async () => replicaSets(),
  };
  const outcome = problem ?? (await decide(input, reads, SETTINGS).catch(tooDeep));
  return { text: formatReview(uid, outcome), sent: input?.object, ms: process.threadCpuUsage(before).user / 1000 };
}

const deeper = (body: Buffer): boolean => body.includes('['.repeat(1000));

async function check(body: Buffer, uid: unknown): Promise<void> {
  const { text, sent, ms } = await answerTo(body);
  expect(ms).toBeLessThan(MAX_MS);
  const { response } = JSON.parse(text) as { response: Record<string, unknown> };
  expect(response['uid']).toBe(typeof uid === 'string' ? uid : '');
  expect(typeof response['allowed']).toBe('boolean');
  if (response['allowed'] === false) {
    const { code, message } = response['status'] as { code: number; message: string };
    expect([400, 409, 422, ...(deeper(body) ? [500] : [])]).toContain(code);
    expect(message.length).toBeGreaterThan(0);
    expect(message.length).toBeLessThan(5000);
    return;
  }
  for (const warning of (response['warnings'] ?? []) as string[]) {
    expect(warning.length).toBeLessThanOrEqual(256);
    expect(warning).not.toMatch(/\p{Cc}/u);
  }
  if (response['patch'] === undefined) return;
  const patch = JSON.parse(Buffer.from(response['patch'] as string, 'base64').toString()) as Operation[];
  // Only what patches are about is copied: a deep template could not be.
  const { metadata, spec } = sent!;
  const maps = { labels: metadata.labels, annotations: metadata.annotations };
  const copy = { ...sent, spec: { ...spec }, metadata: { ...metadata, ...structuredClone(maps) } };
  for (const key of ['labels', 'annotations'] as const) if (!maps[key]) delete copy.metadata[key];
  jsonpatch.applyPatch(copy, patch, true);
  expect(copy.spec.template).toBe(spec.template);
}

test(
  'reviews that are almost right',
  async () => {
    await fc.assert(
      fc.asyncProperty(broken, async (value) => {
        const body = Buffer.from(deepened(JSON.stringify(value)));
        const request = (JSON.parse(body.toString()) as { request?: { uid?: unknown } }).request;
        await check(body, typeof request === 'object' && request !== null ? request.uid : undefined);
      }),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

test(
  'reviews whose bytes are damaged',
  async () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(review, damage, fc.option(fc.nat(), { nil: undefined }), async (value, bytes, cut) => {
        const whole = Buffer.from(JSON.stringify(value));
        for (const [at, byte] of bytes) whole[at % whole.length] = byte;
        const body = cut === undefined ? whole : whole.subarray(0, cut % whole.length);
        const { text, ms } = await answerTo(body);
        expect(ms).toBeLessThan(MAX_MS);
        expect(typeof (JSON.parse(text) as { response: { allowed: unknown } }).response.allowed).toBe('boolean');
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    );
  },
  TIMEOUT_MS,
);
