import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Sample } from '../metrics/prometheus.ts';
import { evidenceSentence, MAX_REPORT_BYTES, reportBytes } from '../report/evidence.ts';
import { type Answer, type GuardLook, look, startGuard, weightChanged } from './guard.ts';
import { POD_COUNTS } from './looks.ts';
import type { ComparePlan } from './metric-evidence.ts';

const ERRORS: ComparePlan = { name: 'request-success-rate', kind: 'errors', ratio: 1.5, minErrors: 5 };
const LATENCY: ComparePlan = { name: 'request-duration', kind: 'latency', ratio: 1.5, minErrors: 5, objectiveMs: 500 };
const OPTIONS = {
  run: 'r1',
  plans: [ERRORS, LATENCY],
  alpha: 0.05,
  newPods: POD_COUNTS,
  queries: {
    'request-success-rate': { canary: 'canary answers', primary: 'primary answers' },
    'request-duration': { canary: 'canary buckets', primary: 'primary buckets' },
  },
};

const answers = (pod: string, ok: number, failed: number): Sample[] => [
  { labels: { pod, response_code: '200' }, value: ok },
  { labels: { pod, response_code: '503' }, value: failed },
];
const times = (pod: string, fast: number, slow: number): Sample[] =>
  (
    [
      ['500', fast],
      ['1000', fast + slow],
      ['+Inf', fast + slow],
    ] as const
  ).map(([le, value]) => ({ labels: { pod, le }, value }));

/** Answers in which both sides have done so many requests since the start. */
const seen = (canary: [ok: number, failed: number, slow: number], primary: number): Record<string, Answer> => ({
  'request-success-rate': { canary: answers('c1', canary[0], canary[1]), primary: answers('p1', primary, 0) },
  'request-duration': {
    canary: times('c1', canary[0] + canary[1] - canary[2], canary[2]),
    primary: times('p1', primary, 0),
  },
});

type Step = Record<string, Answer> | 'weight changed';

function play(steps: Step[], over: Partial<GuardLook> = {}) {
  let state = startGuard(OPTIONS);
  const judgements = [];
  for (const [i, step] of steps.entries()) {
    if (step === 'weight changed') {
      state = weightChanged(state);
      continue;
    }
    const looked = look(state, { atMs: 5000 * (i + 1), weight: 10, answers: step, warmUpUntilMs: 0, ...over });
    state = looked.state;
    judgements.push(looked.judgement);
  }
  return { state, judgements, verdicts: judgements.map(({ verdict }) => verdict) };
}

describe('from raw counters to a verdict', () => {
  test('a version that fails is rolled back at the first look that counts, with its sentence', () => {
    const { judgements, verdicts, state } = play([seen([0, 0, 0], 900), seen([0, 50, 0], 1350)]);
    expect(verdicts).toEqual(['no evidence', 'roll back']);
    expect(evidenceSentence(judgements[1]!)).toBe(
      '50 of 50 canary answers failed against 0 of 450 of the primary: more than 1.5 times the share, with 99.99 % confidence',
    );
    expect(state.report.looks[1]).toMatchObject({
      weight: 10,
      verdict: 'roll back',
      metrics: {
        'request-success-rate': { canary: [50, 50], primary: [0, 450], value: 0 },
        'request-duration': { canary: [0, 50], primary: [0, 450] },
      },
    });
    expect(state.report.metrics[0]).toMatchObject({ queries: { canary: 'canary answers' }, threshold: 40, looks: 1 });
  });

  test('so is a slow one', () => {
    const { judgements } = play([seen([0, 0, 0], 900), seen([50, 0, 50], 1350)]);
    expect(judgements[1]).toMatchObject({ verdict: 'roll back', leading: { name: 'request-duration' } });
    expect(evidenceSentence(judgements[1]!)).toMatch(
      /^50 of 50 canary answers took longer than 500 ms against 0 of 450 /,
    );
  });

  test('one like the primary goes on, over a change of weight', () => {
    const { verdicts, state } = play([
      seen([0, 0, 0], 0),
      seen([100, 0, 0], 900),
      'weight changed',
      seen([110, 90, 0], 1800),
      seen([310, 90, 0], 2600),
    ]);
    expect(verdicts).toEqual(['no evidence', 'continue', 'no evidence', 'continue']);
    expect(state.report.looks[2]?.metrics['request-success-rate']).toEqual({ skipped: 'the weight changed' });
  });

  test('what both sides suffer is held against nobody', () => {
    const both = (n: number): Record<string, Answer> => ({
      ...seen([100 * n, 0, 0], 900 * n),
      'request-success-rate': { canary: answers('c1', 50 * n, 50 * n), primary: answers('p1', 450 * n, 450 * n) },
    });
    expect(play([both(1), both(2), both(3), both(4)]).verdicts).toEqual([
      'no evidence',
      ...new Array(3).fill('continue'),
    ]);
  });

  test('Prometheus being down is named, and is no evidence', () => {
    const down = { error: 'Prometheus at prom:9090 could not be reached: no answer in time' };
    const { verdicts, state } = play([
      seen([0, 0, 0], 0),
      seen([100, 0, 0], 900),
      { 'request-success-rate': down, 'request-duration': down },
      {},
      seen([300, 0, 0], 2700),
    ]);
    expect(verdicts).toEqual(['no evidence', 'continue', 'no evidence', 'no evidence', 'continue']);
    expect(state.report.metrics[0]?.skipped).toMatchObject({ [down.error]: 1, 'not asked': 1 });
    expect(state.report.metrics[0]?.canary).toEqual([0, 300]);
  });
});

test('whatever Prometheus says over a whole run, a look never throws, and the report stays small', () => {
  const value = fc.oneof(fc.nat(1000), fc.double(), fc.constantFrom(Number.NaN, Infinity, -1));
  const labels = fc.record({
    pod: fc.constantFrom('a', 'b'),
    response_code: fc.constantFrom('200', '503', '0', ''),
    le: fc.constantFrom('500', '1000', '+Inf', 'NaN', 'x'),
  });
  const samples = fc.array(fc.record({ labels, value }), { maxLength: 6 });
  const answer = fc.oneof(
    fc.record({ error: fc.string() }),
    fc.record({ canary: samples, primary: samples }),
    fc.record({ canary: samples, primary: samples, answeredAtMs: fc.double() }),
  );
  const step = fc.dictionary(fc.constantFrom('request-success-rate', 'request-duration', '__proto__'), answer);
  const at = fc.record({ atMs: fc.oneof(fc.nat(), fc.double()), warmUpUntilMs: fc.double() }, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), at, (steps, over) => {
      const { state, judgements } = play(steps, over);
      expect(reportBytes(state.report)).toBeLessThanOrEqual(MAX_REPORT_BYTES);
      expect(JSON.stringify(state.report)).not.toContain('null');
      for (const { lnE, lnDecisive } of judgements) expect(Number.isNaN(lnE) || Number.isNaN(lnDecisive)).toBe(false);
    }),
    { numRuns: 500 },
  );
});
