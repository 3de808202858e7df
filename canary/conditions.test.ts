import { describe, expect, test } from 'vitest';
import type { Condition, Deployment } from '../kube/types.ts';
import { condition, conditionOf, isDeadlineExceeded, rolloutComplete } from './conditions.ts';

const deployment = (status: Deployment['status'], replicas: number | undefined = 2): Deployment => ({
  metadata: { name: 'reviews', generation: 3 },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    selector: {},
    template: { spec: { containers: [] } },
  },
  ...(status ? { status } : {}),
});
const complete = { observedGeneration: 3, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };

describe('a rollout is complete', () => {
  test('when every wanted pod is of the template and available', () => {
    expect(rolloutComplete(deployment(complete))).toBe(true);
    expect(rolloutComplete(deployment({ ...complete, observedGeneration: 4 }))).toBe(true);
  });

  test.each<[string, Deployment['status']]>([
    ['nothing is known', undefined],
    ['the status is empty', {}],
    ['the controller has not seen the change', { ...complete, observedGeneration: 2 }],
    ['a pod is of another version', { ...complete, updatedReplicas: 1 }],
    ['a pod of another version is left', { ...complete, replicas: 3 }],
    ['a pod is not available', { ...complete, availableReplicas: 1 }],
  ])('not while %s', (_, status) => expect(rolloutComplete(deployment(status))).toBe(false));

  test('by default one pod is wanted; of none, none is missing', () => {
    const one = { observedGeneration: 3, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
    const { replicas: _, ...spec } = deployment(one).spec;
    expect(rolloutComplete({ ...deployment(one), spec })).toBe(true);
    expect(rolloutComplete(deployment({ observedGeneration: 3 }, 0))).toBe(true);
  });
});

describe('a condition', () => {
  const now = new Date('2026-01-01T12:00:00.750Z');
  const next = { type: 'Promoted', status: 'True', reason: 'Promoted', message: 'all on v2' } as const;
  const before: Condition = { ...next, message: 'old', lastTransitionTime: '2025-12-31T00:00:00Z' };

  test('keeps its transition time while the status stays', () => {
    expect(condition(before, now, next)).toEqual({
      ...next,
      lastUpdateTime: '2026-01-01T12:00:00Z',
      lastTransitionTime: '2025-12-31T00:00:00Z',
    });
  });

  test.each<[string, Condition | undefined]>([
    ['no condition', undefined],
    ['another status', { ...before, status: 'False' }],
    ['no time', { type: 'Promoted', status: 'True' }],
  ])('has its time anew after %s', (_, previous) => {
    expect(condition(previous, now, next).lastTransitionTime).toBe('2026-01-01T12:00:00Z');
  });

  test('is found by its type', () => {
    const d = deployment({ conditions: [before, { type: 'Available', status: 'True' }] });
    expect(conditionOf(d, 'Promoted')).toBe(before);
    expect(conditionOf(d, 'Progressing')).toBeUndefined();
    expect(conditionOf({}, 'Promoted')).toBeUndefined();
  });

  test('a deadline is exceeded by the reason of Progressing alone', () => {
    const with_ = (type: string, reason: string) => deployment({ conditions: [{ type, status: 'False', reason }] });
    expect(isDeadlineExceeded(with_('Progressing', 'ProgressDeadlineExceeded'))).toBe(true);
    expect(isDeadlineExceeded(with_('Progressing', 'DeploymentPaused'))).toBe(false);
    expect(isDeadlineExceeded(with_('Available', 'ProgressDeadlineExceeded'))).toBe(false);
  });
});
