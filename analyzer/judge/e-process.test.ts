import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Arms, lnE, logSumExp, NOT_WORSE, noEvidence, SLOWER, WORSE, weigh } from './e-process.ts';

type Counts = readonly [x: number, y: number, nc: number, ns: number];
const arms = ([canaryEvents, primaryEvents, canaryRequests, primaryRequests]: Counts): Arms => ({
  canaryEvents,
  primaryEvents,
  canaryRequests,
  primaryRequests,
});
const evidenceOf = (looks: readonly Counts[], ratio: number, alternatives: readonly number[] = WORSE): number =>
  lnE(looks.reduce((e, look) => weigh(e, arms(look), { ratio, alternatives }), noEvidence(alternatives)));

// From shared design: x, y, n_c, n_s → ln E at r0 = 1 and at r0 = 1.5, computed independently.
const VECTORS: [Counts[], number, number][] = [
  [[[10, 45, 1000, 9000]], 0.140065, -1.559267],
  [[[20, 45, 1000, 9000]], 8.922985, 3.983911],
  [[[5, 45, 1000, 9000]], -2.181172, -3.051612],
  [[[3, 0, 100, 900]], 5.224865, 4.477777],
  [[[0, 0, 1000, 9000]], 0, 0],
  [
    [
      [2, 18, 500, 9500],
      [9, 40, 1000, 9000],
    ],
    0.392382,
    -1.482161,
  ],
];

describe('evidence', () => {
  test.each(VECTORS)('of %j is %d at ratio 1 and %d at 1.5', (looks, atOne, atOneAndAHalf) => {
    expect(Math.abs(evidenceOf(looks, 1) - atOne)).toBeLessThan(1e-6);
    expect(Math.abs(evidenceOf(looks, 1.5) - atOneAndAHalf)).toBeLessThan(1e-6);
  });

  test('is that of the plain formula, in probabilities', () => {
    const [x, y, nc, ns] = [4, 7, 120, 880];
    const share = nc / (nc + ns);
    const theta = (r: number) => (share * r) / (share * r + 1 - share);
    const e =
      WORSE.map(
        (rho) => (theta(1.5 * rho) / theta(1.5)) ** x * ((1 - theta(1.5 * rho)) / (1 - theta(1.5))) ** y,
      ).reduce((a, b) => a + b) / WORSE.length;
    expect(evidenceOf([[x, y, nc, ns]], 1.5)).toBeCloseTo(Math.log(e), 12);
  });

  test('a look that lacks a side, or is none, changes nothing', () => {
    for (const look of [
      [3, 5, 0, 100],
      [3, 0, 100, 0],
      [5, 0, 3, 100],
      [-1, 0, 10, 100],
      [Number.NaN, 0, 10, 100],
      [1, 0, Number.POSITIVE_INFINITY, 100],
      [1, 0, 10, Number.NaN],
    ] as const)
      expect(evidenceOf([look], 1.5)).toBe(0);
  });

  test('grows with the errors of the canary and shrinks with those of the primary', () => {
    const series = [0, 1, 2, 5, 10, 50].map((x) => evidenceOf([[x, 20, 1000, 9000]], 1));
    expect([...series].sort((a, b) => a - b)).toEqual(series);
    const falling = [0, 1, 2, 5, 10, 50].map((y) => evidenceOf([[20, y, 1000, 9000]], 1));
    expect([...falling].sort((a, b) => b - a)).toEqual(falling);
  });
});

describe('for any counts', () => {
  const side = fc
    .tuple(fc.maxSafeNat(), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([requests, share]) => [Math.floor(requests * share), requests] as const);
  const look = fc.tuple(side, side).map(([[x, nc], [y, ns]]): Counts => [x, y, nc, ns]);
  const ratio = fc.double({ min: 0.1, max: 100, noNaN: true });

  test('evidence is a finite number', () => {
    fc.assert(
      fc.property(
        fc.array(look, { maxLength: 20 }),
        ratio,
        fc.constantFrom(WORSE, SLOWER, NOT_WORSE),
        (looks, r, grid) => {
          expect(Number.isFinite(evidenceOf(looks, r, grid))).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('whatever numbers come, evidence stays a finite number', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.double(), fc.double(), fc.double(), fc.double()), { maxLength: 9 }), (looks) => {
        expect(Number.isFinite(evidenceOf(looks, 1.5))).toBe(true);
      }),
    );
  });

  test('the order of looks does not matter', () => {
    const small = fc
      .tuple(fc.nat(1000), fc.nat(1000), fc.nat(20), fc.nat(20))
      .map(([nc, ns, x, y]): Counts => [Math.min(x, nc), Math.min(y, ns), nc, ns]);
    fc.assert(
      fc.property(fc.array(small, { maxLength: 30 }), fc.integer(), (looks, seed) => {
        const shuffled = [...looks].sort((a, b) => hash(a, seed) - hash(b, seed));
        expect(evidenceOf(shuffled, 1.5)).toBeCloseTo(evidenceOf(looks, 1.5), 8);
      }),
    );
  });
});

const hash = (counts: Counts, seed: number): number => Math.sin(counts.reduce((h, c) => h * 31 + c, seed) % 1e6);

test('the expected evidence of one error is 1 at the null hypothesis, and less below it', () => {
  for (const [nc, ns] of [
    [1, 99],
    [10, 90],
    [50, 50],
  ] as const) {
    const mean = (trueRatio: number): number => {
      const p = (trueRatio * nc) / (trueRatio * nc + ns);
      return p * Math.exp(evidenceOf([[1, 0, nc, ns]], 1.5)) + (1 - p) * Math.exp(evidenceOf([[0, 1, nc, ns]], 1.5));
    };
    expect(mean(1.5)).toBeCloseTo(1, 12);
    expect(mean(1)).toBeLessThan(1);
    expect(mean(3)).toBeGreaterThan(1);
  }
});

test('a sum of exponentials does not overflow', () => {
  expect(logSumExp([1e5, 1e5])).toBeCloseTo(1e5 + Math.LN2, 9);
  expect(logSumExp([-1e5, -1e5])).toBeCloseTo(-1e5 + Math.LN2, 9);
  expect(logSumExp([])).toBe(Number.NEGATIVE_INFINITY);
});
