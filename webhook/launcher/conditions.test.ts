import { expect, test } from 'vitest';
import type { RunPhase } from '../../canary/run.ts';
import type { Condition } from '../../kube/types.ts';
import { clearPatch, keepDeployment, resetPatch } from './conditions.ts';
import { attempt, deployment, run, START_MS } from './fixtures.ts';
import { plan } from './plan.ts';

const EARLIER = '2026-02-01T00:00:00Z';
const exceeded: Condition = {
  type: 'Progressing',
  status: 'False',
  reason: 'ProgressDeadlineExceeded',
  message: 'old verdict',
  lastTransitionTime: EARLIER,
};
const paused: Condition = { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused' };
const rejected: Condition = { type: 'Promoted', status: 'False', reason: 'RolledBack', message: 'old verdict' };
const promoted: Condition = { type: 'Promoted', status: 'True', reason: 'Promoted' };
const starting = (id: string): Condition => ({
  type: 'Promoted',
  status: 'Unknown',
  reason: 'AnalysisStarting',
  message: `analysis of run ${id} is starting`,
});
const analysing: Condition = { type: 'Promoted', status: 'Unknown', reason: 'Analysing', message: '10 %' };

const kinds = (...args: Parameters<typeof deployment>) =>
  plan({ deployment: deployment(...args), attempts: [attempt('r2', 1, 'active')] }, START_MS).map(({ kind }) => kind);

test.each<[string, Condition[], string | undefined, boolean]>([
  ['no conditions', [], undefined, true],
  ['the last version’s failure', [exceeded, rejected], 'r1', true],
  ['the last version’s success', [promoted], 'r1', true],
  ['the last run’s start', [starting('r1')], undefined, true],
  ['reset already', [paused, starting('r2')], 'r1', false],
  ['reset, but the controller put its failure back', [exceeded, starting('r2')], 'r1', true],
  ['the analyzer has reported', [analysing], 'r2', false],
  ['the analyzer has reported the verdict', [exceeded, rejected], 'r2', false],
])('held, %s', (_, conditions, reported, reset) => {
  expect(kinds(run('r2'), conditions, reported)).toEqual(reset ? ['reset-conditions'] : []);
});

test.each<[string, Condition[], string | undefined, boolean]>([
  ['the last version’s success', [promoted], 'r1', true],
  ['the last version’s failure', [exceeded, rejected], 'r1', true],
  ['reset while it was held', [paused, starting('r2')], 'r1', true],
  ['the analyzer has reported', [analysing], 'r2', false],
])('rejected, %s', (_, conditions, reported, reset) => {
  expect(kinds(run('r2', 'rejected'), conditions, reported)).toEqual(reset ? ['reset-conditions'] : []);
});

test('a version that is released is not spoken for', () => {
  expect(kinds(run('r2', 'promoting'), [exceeded, rejected], 'r1')).toEqual([]);
});

test('a verdict on a version that has been reverted is taken away, once nobody works on it', () => {
  const actions = (conditions: Condition[], state: 'active' | 'complete' | 'failed') =>
    plan({ deployment: deployment(undefined, conditions), attempts: [attempt('r1', 1, state)] }, START_MS).map(
      ({ kind }) => kind,
    );
  expect(actions([rejected], 'complete')).toEqual(['clear-condition']);
  expect(actions([analysing], 'complete')).toEqual(['clear-condition']);
  expect(actions([promoted], 'complete')).toEqual([]);
  expect(actions([], 'complete')).toEqual([]);
  expect(actions([rejected], 'active')).toEqual([]);
  expect(actions([rejected], 'failed')).toEqual(['wait']);
});

test('the reset writes conditions alone, bound to the version it was decided on', () => {
  const now = new Date(START_MS);
  const time = '2026-03-01T12:00:00Z';
  expect(resetPatch(deployment(run('r2'), [exceeded, rejected]), run('r2'), now)).toEqual({
    metadata: { resourceVersion: '7' },
    status: {
      conditions: [
        {
          type: 'Progressing',
          status: 'Unknown',
          reason: 'DeploymentPaused',
          message: 'Deployment is paused',
          lastUpdateTime: time,
          lastTransitionTime: time,
        },
        { ...starting('r2'), lastUpdateTime: time, lastTransitionTime: time },
      ],
    },
  });
  expect(resetPatch(deployment(run('r2'), [paused]), run('r2'), now)).toMatchObject({
    status: { conditions: [{ type: 'Promoted' }] },
  });
  expect(clearPatch(deployment())).toEqual({
    metadata: { resourceVersion: '7' },
    status: { conditions: [{ $patch: 'delete', type: 'Promoted' }] },
  });
});

test.each<RunPhase>(['held', 'rejected'])('a reset is stable: what it writes needs no other (%s)', (phase) => {
  const current = run('r2', phase);
  const patch = resetPatch(deployment(current, [exceeded, rejected]), current, new Date(START_MS)) as {
    status: { conditions: Condition[] };
  };
  expect(kinds(current, patch.status.conditions, 'r1')).toEqual([]);
});

test('of a run that was aborted before its analyzer was started, no verdict is given in its stead', () => {
  expect(
    resetPatch(deployment(run('r2', 'rejected'), [promoted]), run('r2', 'rejected'), new Date(START_MS)),
  ).toMatchObject({
    status: { conditions: [{ type: 'Promoted', status: 'Unknown', reason: 'Aborted' }] },
  });
});

test('of a Deployment only what is read is kept', () => {
  const full = deployment(run('r1'), [{ type: 'Available', status: 'True' }, paused], 'r1');
  const kept = keepDeployment({
    ...full,
    metadata: {
      ...full.metadata,
      managedFields: [{}],
      labels: { a: 'b' },
      annotations: { ...full.metadata.annotations, other: 'x'.repeat(1000) },
    },
  });
  expect(kept).toEqual({ metadata: full.metadata, status: { conditions: [paused] } });
});
