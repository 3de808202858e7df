import { expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import { templateHash } from '../../../canary/hash.ts';
import { type Run, type RunPhase, runAnnotations } from '../../../canary/run.ts';
import { readSpec } from '../../../canary/spec.ts';
import type { Deployment } from '../../../kube/types.ts';
import { decide } from '../decide.ts';
import type { AdmissionInput, Reads } from '../types.ts';

// What the API server's audit log keeps of each answer, which the golden files do not show: the row, and the run that it was about.

const ANALYZER = 'system:serviceaccount:sidestep-system:sidestep-analyzer';

const template = (version: string) => ({ spec: { containers: [{ name: 'main', image: `reviews:${version}` }] } });

const run = (phase: RunPhase, change: Partial<Run> = {}): Run => ({
  id: 'r1',
  phase,
  hash: templateHash(template('v2')),
  stable: templateHash(template('v1')),
  requester: 'bob',
  time: '2026-01-01T11:00:00Z',
  spec: readSpec({}, { name: 'reviews' }).spec!,
  ...change,
});
const PAUSED = { order: { command: 'pause', requester: 'carol', time: '2026-01-01T11:30:00Z' } } as const;

const deployment = (version: string, annotations: Record<string, string>, paused = false): Deployment => ({
  metadata: {
    name: 'reviews',
    namespace: 'shop',
    uid: 'u1',
    generation: 4,
    annotations: { [keys.CANARY]: keys.ENABLED, ...annotations },
  },
  spec: { replicas: 2, paused, selector: { matchLabels: { app: 'reviews' } }, template: template(version) },
  status: {
    observedGeneration: 4,
    replicas: 2,
    updatedReplicas: 2,
    availableReplicas: 2,
    conditions: [{ type: 'Available', status: 'True' }],
  },
});

const READS: Reads = {
  configMap: async () => undefined,
  deployment: async () => undefined,
  replicaSets: async () => [],
};

async function auditOf(recorded: Run | undefined, sent: Record<string, string>, version = 'v2', username = 'alice') {
  const annotations = recorded ? runAnnotations(recorded) : {};
  const oldObject = deployment(recorded ? 'v2' : 'v1', annotations, recorded && recorded.phase !== 'promoting');
  const object = deployment(version, { ...annotations, ...sent }, oldObject.spec.paused);
  const input: AdmissionInput = {
    uid: 'request',
    operation: 'UPDATE',
    namespace: 'shop',
    name: 'reviews',
    object,
    oldObject,
    requester: { username },
    fieldManager: 'kubectl',
    dryRun: false,
    now: new Date('2026-01-01T12:00:00Z'),
  };
  const outcome = await decide(input, READS, { analyzerUser: ANALYZER, specDefaults: {} });
  return outcome.allowed ? outcome.audit : outcome;
}

const NEW_RUN = expect.stringMatching(/^[0-9a-f]{10}$/);

test.each<[command: string, recorded: Run, id: unknown]>([
  ['promote', run('held'), 'r1'],
  ['promote', run('rejected'), NEW_RUN],
  ['abort', run('held'), 'r1'],
  ['abort', run('promoting'), 'r1'],
  ['retry', run('rejected'), NEW_RUN],
  ['pause', run('held'), 'r1'],
  ['resume', run('held', PAUSED), 'r1'],
])('the command %s', async (command, recorded, id) => {
  expect(await auditOf(recorded, { [keys.COMMAND]: command })).toEqual({ row: 'command', run: id });
});

test.each<[verdict: string, phase: RunPhase]>([
  ['promote', 'held'],
  ['rollback', 'held'],
  ['complete', 'promoting'],
  ['restore', 'promoting'],
  ['promote', 'promoting'],
  ['rollback', 'rejected'],
  ['restore', 'rejected'],
])('the decision %s about a run that is %s', async (verdict, phase) => {
  const sent = { [keys.DECISION]: JSON.stringify({ run: 'r1', verdict }) };
  expect(await auditOf(run(phase), sent, 'v2', ANALYZER)).toEqual({ row: 'decision', run: 'r1', verdict });
});

test('a new version, and the way back', async () => {
  expect(await auditOf(undefined, {}, 'v2')).toEqual({ row: 'hold', run: NEW_RUN });
  expect(await auditOf(run('held'), {}, 'v3')).toEqual({ row: 'hold', run: NEW_RUN });
  expect(await auditOf(run('held'), {}, 'v1')).toEqual({ row: 'revert', run: 'r1' });
});

test('what no run is about names none', async () => {
  expect(await auditOf(undefined, {}, 'v1')).toEqual({ row: 'unchanged' });
});

test('what the analyzer sends without a decision is a write like any other', async () => {
  expect(await auditOf(run('held'), {}, 'v3', ANALYZER)).toEqual({ row: 'hold', run: NEW_RUN });
});
