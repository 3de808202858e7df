import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DECISION, PHASE, RUN, STATUS } from './annotations.ts';
import { type Decision, decisionAnnotation, parseDecision, VERDICTS } from './decision.ts';
import { clip, type Run, runAnnotations, runOf } from './run.ts';
import { readSpec } from './spec.ts';
import { ANALYZER_PHASES, type RunStatus, statusAnnotation, statusOf } from './status.ts';

const spec = readSpec({}, { name: 'reviews' }).spec!;
const run: Run = {
  id: 'r1',
  phase: 'held',
  hash: 'v1-a',
  stable: 'v1-b',
  requester: 'alice',
  time: '2026-01-01T12:00:00Z',
  spec,
};
const status: RunStatus = {
  run: 'r1',
  attempt: 1,
  phase: 'Progressing',
  weight: 30,
  step: 3,
  steps: 5,
  failedChecks: 0,
  threshold: 5,
  message: 'going on',
  startedAt: '2026-01-01T12:00:00Z',
  updatedAt: '2026-01-01T12:01:00Z',
  replicas: 2,
};
const having = (annotations: Record<string, string>) => ({ metadata: { annotations } });

describe('what is written is read back', () => {
  test('a run', () => {
    const arbitrary = fc.record(
      {
        id: fc.string({ minLength: 1 }),
        phase: fc.constantFrom('held', 'promoting', 'rejected'),
        hash: fc.string({ minLength: 1 }),
        stable: fc.string({ minLength: 1 }),
        requester: fc.string(),
        time: fc.string(),
        spec: fc.constant(spec),
        interrupted: fc.string(),
        message: fc.string(),
        order: fc.record({
          command: fc.constantFrom('promote', 'pause'),
          requester: fc.string(),
          time: fc.string(),
        }),
      },
      { requiredKeys: ['id', 'phase', 'hash', 'stable', 'requester', 'time', 'spec'] },
    );
    fc.assert(
      fc.property(arbitrary, (r) => {
        const annotations = runAnnotations(r as Run);
        expect(runOf(having(annotations))).toEqual(r);
        expect(annotations[PHASE]).toBe(r.phase);
      }),
    );
  });

  test('a decision', () => {
    const arbitrary = fc.record(
      { run: fc.string({ minLength: 1 }), verdict: fc.constantFrom(...VERDICTS), message: fc.string() },
      { requiredKeys: ['run', 'verdict'] },
    );
    fc.assert(
      fc.property(arbitrary, (d) => {
        expect(parseDecision(decisionAnnotation(d as Decision)[DECISION]!)).toEqual(d);
      }),
    );
  });

  test('a status, also with what a later version adds', () => {
    for (const phase of ANALYZER_PHASES) {
      const one = { ...status, phase, trafficSince: '2026-01-01T12:00:30Z', metrics: [], later: { a: 1 } };
      expect(statusOf(having(statusAnnotation(one)))).toEqual(one);
    }
  });
});

describe('what is none is none', () => {
  const others = ['', '{', 'null', '[]', '1', '"held"', '{}', '{"__proto__":{"id":"x"}}', '{"run":1}'];

  test.each(others)('%s', (text) => {
    expect(runOf(having({ [RUN]: text }))).toBeUndefined();
    expect(statusOf(having({ [STATUS]: text }))).toBeUndefined();
    expect(parseDecision(text)).toBeUndefined();
  });

  test('nothing', () => {
    for (const object of [{ metadata: {} }, having({})]) {
      expect(runOf(object)).toBeUndefined();
      expect(statusOf(object)).toBeUndefined();
    }
  });

  test.each<[string, object]>([
    ['phase', { phase: 'paused' }],
    ['id', { id: '' }],
    ['spec', { spec: {} }],
    ['spec', { spec: null }],
    ['hash', { hash: 3 }],
    ['order', { order: { command: 'resume', requester: 'alice', time: '' } }],
  ])('a run with a wrong %s', (_, wrong) => {
    expect(runOf(having({ [RUN]: JSON.stringify({ ...run, ...wrong }) }))).toBeUndefined();
  });

  test.each<[string, object]>([
    ['verdict', { run: 'r1', verdict: 'skip' }],
    ['verdict', { run: 'r1', verdict: 'constructor' }],
    ['run', { run: '', verdict: 'promote' }],
    ['field', { run: 'r1', verdict: 'promote', force: true }],
  ])('a decision with a wrong %s', (_, wrong) => expect(parseDecision(JSON.stringify(wrong))).toBeUndefined());

  test.each<[string, object]>([
    ['weight', { weight: 101 }],
    ['weight', { weight: -1 }],
    ['phase', { phase: 'held' }],
    ['attempt', { attempt: '1' }],
  ])('a status with a wrong %s', (_, wrong) => {
    expect(statusOf(having({ [STATUS]: JSON.stringify({ ...status, ...wrong }) }))).toBeUndefined();
  });

  test('no text makes a reader throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const object = having({ [RUN]: text, [STATUS]: text });
        expect([runOf(object), statusOf(object), parseDecision(text)]).toHaveLength(3);
      }),
    );
  });
});

test('a reason is cut with a mark, never in the middle of a character', () => {
  expect(clip('short', 5)).toBe('short');
  expect(clip('longer', 5)).toBe('long…');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.integer({ min: 1, max: 30 }), (text, max) => {
      const cut = clip(text, max);
      expect(cut.length).toBeLessThanOrEqual(max);
      expect(cut.isWellFormed()).toBe(true);
    }),
  );
});
