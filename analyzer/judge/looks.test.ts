import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answerKind } from '../metrics/answers.ts';
import { addLook, judge, startCompare } from './compare.ts';
import type { RawCount } from './counters.ts';
import {
  afterWeightChange,
  CALLER_COUNTS,
  type LookMemory,
  POD_COUNTS,
  rawCounts,
  startLooks,
  takeLook,
} from './looks.ts';
import type { MetricLook } from './metric-evidence.ts';

const errors = (pod: string, ok: number, error = 0): RawCount[] => [
  { pod, series: '200', kind: 'ok', value: ok },
  { pod, series: '503', kind: 'error', value: error },
];
const OPTIONS = { kind: 'errors', warmUpUntilMs: 0, newPods: POD_COUNTS } as const;

interface Step {
  canary: RawCount[];
  primary: RawCount[];
  atMs?: number;
  answeredAtMs?: number;
  weightChanged?: true;
}

/** Takes looks 5 s apart; what each made of its counters. */
function take(steps: Step[], options: Parameters<typeof takeLook>[2] = OPTIONS) {
  let memory: LookMemory = startLooks();
  return steps.map(({ weightChanged, ...step }, i) => {
    if (weightChanged) memory = afterWeightChange(memory);
    const taken = takeLook(memory, { atMs: 5000 * (i + 1), ...step }, options);
    memory = taken.memory;
    return { ...taken.look, notes: taken.notes } as MetricLook & { notes: string[] };
  });
}
const counts = (canary: [number, number], primary: [number, number]) => ({
  canary: { errors: canary[0], requests: canary[1] },
  primary: { errors: primary[0], requests: primary[1] },
});

describe('growth of counters', () => {
  test('the first look sets the baseline, the next ones count per side over all pods', () => {
    const [first, second] = take([
      { canary: errors('c1', 10), primary: [...errors('p1', 500, 5), ...errors('p2', 700)] },
      { canary: errors('c1', 30, 2), primary: [...errors('p1', 600, 6), ...errors('p2', 780)] },
    ]);
    expect(first).toMatchObject({ skipped: 'the first look only sets the baseline' });
    expect(second).toMatchObject(counts([2, 22], [1, 181]));
  });

  test('a series that is born grew by all it has', () => {
    const [, second] = take([
      { canary: [{ pod: 'c1', series: '200', kind: 'ok', value: 10 }], primary: errors('p1', 9) },
      { canary: errors('c1', 10, 4), primary: errors('p1', 19) },
    ]);
    expect(second).toMatchObject(counts([4, 4], [0, 10]));
  });

  test('a restart counts what came since, for every series of the pod', () => {
    const [, second] = take([
      { canary: errors('c1', 90, 1), primary: errors('p1', 100) },
      // The errors stand higher than before the restart: they are all new all the same.
      { canary: errors('c1', 10, 5), primary: errors('p1', 200) },
    ]);
    expect(second).toMatchObject(counts([5, 15], [0, 100]));
    expect(second!.notes).toEqual(['canary: pod c1 restarted its counters']);
  });

  test('counters that fall a little are an older scrape, and the next look spans both', () => {
    const looks = take([
      { canary: errors('c1', 1000), primary: errors('p1', 9000) },
      { canary: errors('c1', 990), primary: errors('p1', 9100) },
      { canary: errors('c1', 1020, 1), primary: errors('p1', 9200) },
    ]);
    expect(looks[1]).toMatchObject({ skipped: 'canary: pod c1 answered with the past' });
    expect(looks[2]).toMatchObject(counts([1, 21], [0, 200]));
  });

  test('counters that stay a little lower were restarted after all', () => {
    const low = { canary: errors('c1', 8), primary: errors('p1', 9000) };
    const looks = take([{ canary: errors('c1', 10), primary: errors('p1', 9000) }, low, low, low, low]);
    expect(looks.slice(1, 4).every((look) => 'skipped' in look)).toBe(true);
    expect(looks[4]).toMatchObject(counts([0, 8], [0, 0]));
  });

  test('a new pod of the canary counts from its first answer, one of the primary from its second look', () => {
    const looks = take([
      { canary: [], primary: errors('p1', 100) },
      { canary: errors('c1', 5, 5), primary: [...errors('p1', 150), ...errors('p2', 1_000_000, 1000)] },
      { canary: errors('c1', 6, 6), primary: [...errors('p1', 160), ...errors('p2', 1_000_010, 1000)] },
    ]);
    expect(looks[1]).toMatchObject(counts([5, 10], [0, 50]));
    expect(looks[2]).toMatchObject(counts([1, 2], [0, 20]));
  });

  test('callers: what they sent to an earlier canary does not count, what they begin to send does', () => {
    const looks = take(
      [
        { canary: errors('caller1', 400, 300), primary: [...errors('caller1', 9), ...errors('caller2', 9)] },
        {
          canary: [...errors('caller1', 410, 300), ...errors('caller2', 5, 1), ...errors('caller3', 70, 60)],
          primary: [...errors('caller1', 99), ...errors('caller2', 99)],
        },
      ],
      { ...OPTIONS, newPods: CALLER_COUNTS },
    );
    expect(looks[1]).toMatchObject(counts([1, 16], [0, 180]));
  });

  test('a pod that was not scraped is not counted anew', () => {
    const looks = take([
      { canary: errors('c1', 10), primary: [...errors('p1', 100), ...errors('p2', 100)] },
      { canary: errors('c1', 20), primary: errors('p1', 200) },
      { canary: errors('c1', 30), primary: [...errors('p1', 300), ...errors('p2', 250)] },
    ]);
    expect(looks[1]).toMatchObject(counts([0, 10], [0, 100]));
    expect(looks[1]!.notes).toEqual(['primary: 1 of 2 pods gone']);
    expect(looks[2]).toMatchObject(counts([0, 10], [0, 250]));
    expect(looks[2]!.notes).toEqual([]);
  });
});

describe('looks that do not count', () => {
  const base = { canary: errors('c1', 100), primary: errors('p1', 900) };
  const later = { canary: errors('c1', 200, 10), primary: errors('p1', 1800) };

  test('warm-up', () => {
    const looks = take([base, later, { canary: errors('c1', 300, 10), primary: errors('p1', 2700) }], {
      ...OPTIONS,
      warmUpUntilMs: 12_000,
    });
    expect(looks[1]).toMatchObject({ skipped: 'warm-up' });
    expect(looks[2]).toMatchObject(counts([0, 100], [0, 900]));
  });

  test('the first after a change of weight, also when that one cannot be read', () => {
    const looks = take([
      base,
      { canary: [], primary: later.primary, weightChanged: true },
      later,
      { canary: errors('c1', 300, 11), primary: errors('p1', 2700) },
    ]);
    expect(looks[1]).toMatchObject({ skipped: 'the counters of the canary are gone' });
    expect(looks[2]).toMatchObject({ skipped: 'the weight changed' });
    expect(looks[3]).toMatchObject(counts([1, 101], [0, 900]));
  });

  const hostile: [string, Step, string][] = [
    ['NaN', { ...later, canary: errors('c1', Number.NaN) }, 'canary: a counter stands at NaN'],
    ['infinity', { ...later, primary: errors('p1', 1, Infinity) }, 'primary: a counter stands at Infinity'],
    ['a negative value', { ...later, canary: errors('c1', -1) }, 'canary: a counter stands at -1'],
    ['a canary that vanishes', { ...later, canary: [] }, 'the counters of the canary are gone'],
    ['a primary that vanishes', { ...later, primary: [] }, 'the counters of the primary are gone'],
    ['our clock going back', { ...later, atMs: 4000 }, 'our clock did not go on since the last look'],
    ['no clock', { ...later, atMs: Number.NaN }, 'our clock did not go on since the last look'],
    ['an answer without a time', { ...later, answeredAtMs: Number.NaN }, 'the answer has no time'],
    ['an old answer', { ...later, answeredAtMs: 4000 }, 'Prometheus answered with the past'],
  ];
  test.each(hostile)('%s: named, and the next look makes up for it', (_what, step, reason) => {
    const looks = take([{ ...base, answeredAtMs: 5000 }, step, { ...later, answeredAtMs: 15_000 }]);
    expect(looks[1]).toMatchObject({ skipped: reason });
    expect(looks[2]).toMatchObject(counts([10, 110], [0, 900]));
  });

  test('clocks five minutes apart are told, and the counts are good', () => {
    const looks = take([
      { ...base, answeredAtMs: 305_000 },
      { ...later, answeredAtMs: 310_000 },
    ]);
    expect(looks[1]).toMatchObject({ ...counts([10, 110], [0, 900]), notes: ["Prometheus' clock is 300 s ahead"] });
  });
});

describe('histograms', () => {
  const histogram = (pod: string, slow: number, all: number, bounds = ['100', '500']): RawCount[] =>
    [...bounds, '+Inf'].map((le) => ({ pod, series: le, kind: le, value: le === '+Inf' ? all : all - slow }));
  const latency = { ...OPTIONS, kind: 'latency' } as const;

  test('grow bucket by bucket', () => {
    const looks = take(
      [
        { canary: histogram('c1', 0, 10), primary: histogram('p1', 5, 90) },
        { canary: histogram('c1', 3, 20), primary: histogram('p1', 5, 180) },
      ],
      latency,
    );
    expect(looks[1]).toMatchObject({
      canary: {
        buckets: [
          { le: 100, count: 7 },
          { le: 500, count: 7 },
          { le: Infinity, count: 10 },
        ],
      },
      primary: {
        buckets: [
          { le: 100, count: 90 },
          { le: 500, count: 90 },
          { le: Infinity, count: 90 },
        ],
      },
    });
  });

  test('with other bounds on one side are skipped, because', () => {
    const looks = take(
      [
        { canary: histogram('c1', 0, 10, ['100', '400']), primary: histogram('p1', 5, 90) },
        { canary: histogram('c1', 9, 20, ['100', '400']), primary: histogram('p1', 5, 180) },
      ],
      latency,
    );
    const plan = { name: 'd', kind: 'latency', ratio: 1.5, minErrors: 1 } as const;
    const state = addLook(startCompare([plan], 0.05), { d: looks[1]! });
    expect(judge(state)).toMatchObject({
      verdict: 'no evidence',
      metrics: [{ lastSkipped: 'the buckets of canary and primary have different bounds' }],
    });
  });
});

test('answers are read as counters by pod', () => {
  const sample = (value: number, labels: Record<string, string>) => ({ value, labels });
  expect(
    rawCounts(
      [sample(3, { pod: 'a', response_code: '200' }), sample(1, { instance: 'b', response_code: '503' })],
      answerKind,
    ),
  ).toMatchObject([
    { pod: 'a', kind: 'ok', value: 3 },
    { pod: 'b', kind: 'error', value: 1 },
  ]);
});

test.each([
  [{ response_code: '200' }, 'ok'],
  [{ response_code: '404' }, 'ok'],
  [{ response_code: '503' }, 'error'],
  [{ response_code: '0' }, 'error'],
  [{ response_code: '200', grpc_response_status: '0' }, 'ok'],
  [{ response_code: '200', grpc_response_status: '5' }, 'ok'],
  [{ response_code: '200', grpc_response_status: '14' }, 'error'],
  [{ response_code: '200', grpc_response_status: '' }, 'ok'],
  [{}, 'ok'],
] as const)('an answer with %j is %s', (labels, kind) => {
  expect(answerKind(labels)).toBe(kind);
});

test('whatever is read, looks never throw, never pass for a fall of counters, and stay counts', () => {
  const count = fc.record({
    pod: fc.constantFrom('a', 'b', 'c'),
    series: fc.constantFrom('1', '2', '3'),
    kind: fc.constantFrom('ok', 'error', '100', '+Inf', 'x', '__proto__'),
    value: fc.oneof(fc.nat(100), fc.double(), fc.constantFrom(Number.NaN, -1, Infinity)),
  });
  const step = fc.record(
    {
      canary: fc.array(count, { maxLength: 6 }),
      primary: fc.array(count, { maxLength: 6 }),
      atMs: fc.oneof(fc.nat(1e6), fc.double()),
      answeredAtMs: fc.oneof(fc.nat(1e6), fc.double()),
      weightChanged: fc.constant(true as const),
    },
    { requiredKeys: ['canary', 'primary'] },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), fc.constantFrom('errors', 'latency'), (steps, kind) => {
      const plan = { name: 'm', kind, ratio: 1.5, minErrors: 0 } as const;
      let state = startCompare([plan], 0.05);
      for (const look of take(steps, { ...OPTIONS, kind })) {
        state = addLook(state, { m: look });
        if (!('skipped' in look) && 'errors' in look.canary)
          expect(look.canary.requests >= look.canary.errors).toBe(true);
        const { metrics } = judge(state);
        expect(Number.isNaN(metrics[0]!.lnE)).toBe(false);
        if ('skipped' in look) expect(metrics[0]!.verdict).not.toBe('continue');
      }
    }),
    { numRuns: 1000 },
  );
});
