import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import jsonpatch, { type Operation } from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { PROMOTED, RUN } from '../../canary/annotations.ts';
import { templateHash } from '../../canary/hash.ts';
import { type Run, runAnnotations } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { decide } from '../../webhook/admission/decide.ts';
import type { AdmissionInput, Outcome, Reads, Settings } from '../../webhook/admission/types.ts';

// Each case is a request in YAML: `old` is laid over base.yaml, `object` over `old` (null removes), `run` is recorded on `old`. Beside it
// stands what admission answers. UPDATE_GOLDEN=1 writes the answers anew; a new case without an answer and an answer without its case fail.

const FOLDER = join(import.meta.dirname, 'admission');
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';
const NOW = new Date('2026-01-01T12:00:00Z');
const ANALYZER = 'system:serviceaccount:sidestep-system:sidestep-analyzer';
const SETTINGS: Settings = { analyzerUser: ANALYZER, specDefaults: {} };

interface Case {
  request?: { operation?: string; user?: string; fieldManager?: string };
  /** Over base.yaml; absent with CREATE. */
  old?: object;
  object?: object;
  /** The run on `old`; `version` and `stable` are versions of base.yaml's template. */
  run?: { phase: Run['phase']; version?: string; interrupted?: string; message?: string; order?: 'promote' | 'pause' };
  replicaSets?: { version: string; available: number }[];
  configMaps?: Record<string, Record<string, string>>;
}

const base = parse(readFileSync(join(FOLDER, 'base.yaml'), 'utf8')) as Deployment;
const names = readdirSync(FOLDER)
  .filter((f) => f.endsWith('.yaml') && !f.endsWith('.golden.yaml') && f !== 'base.yaml')
  .map((f) => f.slice(0, -5));

function over(under: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(under as object) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = over(merged[key], value);
  }
  return merged;
}

const version = (name: string): Deployment =>
  over(base, { spec: { template: { metadata: { labels: { version: name } } } } }) as Deployment;
const hashOf = (name: string): string => templateHash(version(name).spec.template);

function inputOf({ request = {}, old = {}, object = {}, run }: Case): AdmissionInput {
  const operation = request.operation ?? 'UPDATE';
  const recorded = run
    ? { metadata: { annotations: runAnnotations(runOf(run)) }, spec: run.phase === 'promoting' ? {} : { paused: true } }
    : {};
  const oldObject = hashed(over(over(run ? version(run.version ?? 'v2') : base, recorded), old) as Deployment);
  return {
    uid: 'request-1',
    operation,
    namespace: 'shop',
    name: 'reviews',
    dryRun: false,
    now: NOW,
    object: hashed(over(operation === 'CREATE' ? base : oldObject, object) as Deployment),
    ...(operation === 'CREATE' ? {} : { oldObject }),
    requester: { username: request.user ?? 'alice' },
    fieldManager: request.fieldManager ?? 'kubectl-client-side-apply',
  };
}

/** In the record of promoted versions, too, a case names versions. */
function hashed(deployment: Deployment): Deployment {
  const { [PROMOTED]: record, ...annotations } = deployment.metadata.annotations ?? {};
  if (record === undefined) return deployment;
  const hashes = record.replace(/"(v\d)"/g, (_, name: string) => `"${hashOf(name)}"`);
  return { ...deployment, metadata: { ...deployment.metadata, annotations: { ...annotations, [PROMOTED]: hashes } } };
}

const runOf = ({ phase, version: name = 'v2', interrupted, message, order }: NonNullable<Case['run']>): Run => ({
  id: '0123456789',
  phase,
  hash: hashOf(name),
  stable: hashOf('v1'),
  requester: 'bob',
  time: '2026-01-01T11:00:00Z',
  spec: readSpec({ annotation: '' }, { name: 'reviews' }).spec!,
  ...(interrupted ? { interrupted: hashOf(interrupted) } : {}),
  ...(message ? { message } : {}),
  ...(order ? { order: { command: order, requester: 'carol', time: '2026-01-01T11:30:00Z' } } : {}),
});

function readsOf({ replicaSets = [], configMaps = {} }: Case): Reads {
  return {
    configMap: async (_ns, name) => (configMaps[name] ? { metadata: { name }, data: configMaps[name] } : undefined),
    deployment: async () => base,
    replicaSets: async () =>
      replicaSets.map((rs, i): ReplicaSet => {
        const { template } = version(rs.version).spec;
        const labels = { ...template.metadata?.labels, 'pod-template-hash': `h${i}` };
        return {
          metadata: { name: `rs-${i}`, creationTimestamp: `2026-01-01T0${i}:00:00Z` },
          spec: { template: { ...template, metadata: { ...template.metadata, labels } } },
          status: { availableReplicas: rs.available },
        };
      }),
  };
}

const patched = (object: Deployment, patch: Operation[]): Deployment =>
  jsonpatch.applyPatch(structuredClone(object), structuredClone(patch), true).newDocument;

/** What a reader wants to see of an answer: not operations, but what is different on the object. */
function shown(outcome: Outcome, object: Deployment): object {
  if (!outcome.allowed) return { denied: { code: outcome.code, message: outcome.message } };
  const after = patched(object, outcome.patch);
  const annotations = changes(object.metadata.annotations, after.metadata.annotations);
  const labels = changes(object.metadata.labels, after.metadata.labels);
  return {
    row: outcome.audit['row'],
    ...(outcome.warnings.length > 0 ? { warnings: outcome.warnings } : {}),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    paused: after.spec.paused ?? false,
  };
}

function changes(before: Record<string, string> = {}, after: Record<string, string> = {}): Record<string, unknown> {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((k) => before[k] !== after[k])
    .sort();
  return Object.fromEntries(
    keys.map((k) => [k, k === RUN && after[k] ? readable(JSON.parse(after[k])) : named(after[k] ?? null)]),
  );
}

/** Hashes by the name of their version, so that a golden says which is meant; the spec has its own tests. */
const named = (text: string | null): string | null =>
  ['v1', 'v2', 'v3', 'v4'].reduce((all, v) => all?.replaceAll(hashOf(v), v) ?? null, text);

function readable({ spec, ...run }: Run): object {
  const name = (hash: string) => named(hash)!;
  return {
    ...run,
    hash: name(run.hash),
    stable: name(run.stable),
    ...(run.interrupted ? { interrupted: name(run.interrupted) } : {}),
    ...(run.rejectedBefore ? { rejectedBefore: run.rejectedBefore.map(name) } : {}),
    threshold: spec.analysis.threshold,
  };
}

describe('admission', () => {
  test.each(names)('%s', async (name) => {
    const wanted = parse(readFileSync(join(FOLDER, `${name}.yaml`), 'utf8')) as Case;
    const input = inputOf(wanted);
    const before = structuredClone(input);
    const outcome = await decide(input, readsOf(wanted), SETTINGS);
    expect(input, 'the input is left as it was').toEqual(before);
    expect(await decide(inputOf(wanted), readsOf(wanted), SETTINGS), 'the same input gives the same answer').toEqual(
      outcome,
    );
    if (outcome.allowed) {
      for (const warning of outcome.warnings) expect(warning.length).toBeLessThanOrEqual(256);
      // What was consumed is not there again; else nothing is left to do.
      const after = patched(input.object, outcome.patch);
      const again = await decide({ ...input, object: after }, readsOf(wanted), SETTINGS);
      const consumed = ['command', 'decision'].includes(outcome.audit['row']!);
      if (!consumed) expect(again, 'decided again').toMatchObject({ allowed: true, patch: [] });
    }
    const golden = join(FOLDER, `${name}.golden.yaml`);
    const text = stringify(shown(outcome, input.object), { lineWidth: 0 });
    if (UPDATE) writeFileSync(golden, text);
    expect(existsSync(golden), 'there is no golden: UPDATE_GOLDEN=1 writes it').toBe(true);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  test('every golden has its case', () => {
    const goldens = readdirSync(FOLDER)
      .filter((f) => f.endsWith('.golden.yaml'))
      .map((f) => f.replace('.golden.yaml', ''));
    expect(goldens.filter((g) => !names.includes(g))).toEqual([]);
  });
});
