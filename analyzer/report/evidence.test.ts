import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvidenceReport, LookEvidence } from '../../canary/evidence.ts';
import { addLook, judge, startCompare } from '../judge/compare.ts';
import type { ComparePlan } from '../judge/metric-evidence.ts';
import {
  addToReport,
  evidenceSentence,
  lookCounts,
  MAX_REPORT_BYTES,
  metricEvidence,
  reportBytes,
} from './evidence.ts';
import { certaintyText, countText } from './numbers.ts';

const plan: ComparePlan = { name: 'request-success-rate', kind: 'errors', ratio: 1.5, minErrors: 5 };
const look = (x: number, nc: number, y: number, ns: number) => ({
  canary: { errors: x, requests: nc },
  primary: { errors: y, requests: ns },
});
const judged = (plans: ComparePlan[], counts: ReturnType<typeof look>, alpha = 0.05) =>
  judge(addLook(startCompare(plans, alpha), Object.fromEntries(plans.map(({ name }) => [name, counts]))));

describe('the sentence', () => {
  test('says what failed on both sides, and with what confidence it is worse', () => {
    expect(evidenceSentence(judged([plan], look(41, 812, 3, 7310)))).toBe(
      '41 of 812 canary answers failed against 3 of 7,310 of the primary: more than 1.5 times the share, with 99.99 % confidence',
    );
    expect(evidenceSentence(judged([{ ...plan, ratio: 1 }], look(6, 100, 10, 900)))).toMatch(
      /^6 of 100 canary .*: a larger share, with 9\d % confidence$/,
    );
  });

  test('pays for having looked at several metrics', () => {
    const counts = look(5, 100, 0, 900);
    const one = judged([plan], counts);
    const other = { ...plan, name: 'other' };
    const state = addLook(startCompare([plan, other], 0.05), { [plan.name]: counts, other: look(0, 100, 0, 900) });
    const two = judge(state);
    expect(two.lnDecisive).toBeCloseTo(one.lnDecisive - Math.LN2, 9);
    expect(two.together).toBe(false);
    const apart = addLook(startCompare([{ ...plan, ownAlpha: 0.05 }, other], 0.05), { [plan.name]: counts });
    expect(judge(apart).lnDecisive).toBeCloseTo(one.lnDecisive, 9);
  });

  test('says so where only all metrics together are enough', () => {
    const counts = look(5, 100, 1, 900);
    const { lnE } = judged([plan], counts);
    const judgement = judged([plan, { ...plan, name: 'other' }], counts, Math.exp(-lnE + 0.01));
    expect(judgement).toMatchObject({ verdict: 'roll back', together: true, lnDecisive: judgement.lnE });
    expect(evidenceSentence(judgement)).toContain('together with the other metrics with ');
  });

  test('names the bound of slow answers', () => {
    const slow: ComparePlan = { ...plan, name: 'request-duration', kind: 'latency', objectiveMs: 500 };
    const side = (count: number, fast: number) => ({
      buckets: [
        { le: 500, count: fast },
        { le: Infinity, count },
      ],
    });
    const state = addLook(startCompare([slow], 0.05), {
      'request-duration': { canary: side(1100, 100), primary: side(9000, 8999) },
    });
    expect(evidenceSentence(judge(state))).toBe(
      '1,000 of 1,100 canary answers took longer than 500 ms against 1 of 9,000 of the primary: more than 1.5 times the share, with 99.99 % confidence',
    );
  });

  test('claims nothing that was not shown, and is none before anything was counted', () => {
    expect(evidenceSentence(judged([plan], look(5, 1000, 45, 9000)))).toBe(
      '5 of 1,000 canary answers failed against 45 of 9,000 of the primary: not shown to be more than 1.5 times the share',
    );
    expect(evidenceSentence(judge(startCompare([plan], 0.05)))).toBeUndefined();
  });
});

test.each([
  [Math.log(20), '95 %'],
  [Math.log(99), '98 %'],
  [Math.log(1000), '99.9 %'],
  [Math.log(999), '99.8 %'],
  [Math.log(10_001), '99.99 %'],
  [1e5, '99.99 %'],
  [0, '0 %'],
  [-Infinity, '0 %'],
])('evidence of ln E = %d gives a confidence of %s', (lnE, text) => {
  expect(certaintyText(lnE)).toBe(text);
});

test('counts are grouped', () => {
  expect([0, 999, 7310, 1_234_567].map(countText)).toEqual(['0', '999', '7,310', '1,234,567']);
});

describe('the report', () => {
  const EMPTY: EvidenceReport = { run: 'r1', alpha: 0.05, metrics: [], looks: [], thinned: 0 };
  const queries = { [plan.name]: { canary: 'istio_requests_total{a="b"}', primary: 'istio_requests_total{a="c"}' } };
  const judgement = judged([plan], look(41, 812, 3, 7310));
  const metrics = metricEvidence(judgement, queries);
  const counts = lookCounts(
    { canaryEvents: 41, canaryRequests: 812, primaryEvents: 3, primaryRequests: 7310 },
    judgement.metrics[0]!,
    94.951,
  );
  const entry = (i: number, more: Partial<LookEvidence> = {}): LookEvidence => ({
    at: new Date(5000 * i).toISOString(),
    weight: 10,
    verdict: 'continue',
    metrics: { [plan.name]: counts },
    ...more,
  });

  test('has the counts, values, thresholds, evidence and queries', () => {
    const report = addToReport(EMPTY, entry(1), metrics);
    expect(report.metrics).toEqual([
      {
        name: 'request-success-rate',
        queries: queries[plan.name],
        ratio: 1.5,
        minErrors: 5,
        threshold: 20,
        canary: [41, 812],
        primary: [3, 7310],
        looks: 1,
        skipped: {},
      },
    ]);
    expect(report.looks[0]?.metrics).toEqual({
      'request-success-rate': { canary: [41, 812], primary: [3, 7310], e: expect.any(Number), value: 94.95 },
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test('stays small over any length of run, keeps the last looks, and spreads the older ones', () => {
    let report = EMPTY;
    for (let i = 1; i <= 1000; i++) {
      report = addToReport(report, entry(i), metrics);
      expect(reportBytes(report)).toBeLessThanOrEqual(MAX_REPORT_BYTES);
    }
    const at = report.looks.map((l) => Date.parse(l.at) / 5000);
    expect(report.thinned + at.length).toBe(1000);
    expect(at.slice(-8)).toEqual([993, 994, 995, 996, 997, 998, 999, 1000]);
    expect(at.length).toBeGreaterThan(20);
    expect(at[0]).toBe(1);
    const older = at.slice(0, -8);
    expect(older.filter((i) => i <= 500).length).toBeGreaterThan(5);
  });

  test('stays small whatever is in it', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 2000 });
    const metric = fc.record({ name: text, query: text, reasons: fc.dictionary(text, fc.nat(), { maxKeys: 9 }) });
    fc.assert(
      fc.property(
        fc.array(metric, { maxLength: 20 }),
        fc.array(text, { maxLength: 9 }),
        fc.nat(12),
        (all, notes, n) => {
          const kept = all.map(({ name, query, reasons }) => ({
            ...metrics[0]!,
            name,
            queries: { canary: query, primary: query },
            skipped: reasons,
          }));
          const seen = Object.fromEntries(all.map(({ name, query }) => [name, { skipped: query }]));
          let report = EMPTY;
          for (let i = 0; i <= n; i++) report = addToReport(report, entry(i, { notes, metrics: seen }), kept);
          expect(reportBytes(report)).toBeLessThanOrEqual(MAX_REPORT_BYTES);
          expect(report.thinned + report.looks.length).toBe(n + 1);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('has no infinity, which JSON does not know', () => {
    const none = judge(startCompare([plan], 0.05));
    const arms = { canaryEvents: 0, canaryRequests: 0, primaryEvents: 0, primaryRequests: 0 };
    expect(lookCounts(arms, none.metrics[0]!).e).toBe(0);
    expect(lookCounts(arms, { ...none.metrics[0]!, lnE: 1e6 }).e).toBeLessThan(1e44);
  });
});
