import { expect, test } from 'vitest';
import type { CheckVerdict } from '../thresholds.ts';
import type { Classification } from './classify.ts';
import type { KayentaJudgement } from './kayenta.ts';
import { kayentaVerdict } from './verdict.ts';

const check: CheckVerdict = { outcome: 'advance', message: 'fine', readings: [], requests: 9 };
const judged = (
  score: number,
  classification: KayentaJudgement['classification'],
  ...of: Classification[]
): KayentaJudgement => ({
  score,
  classification,
  metrics: of.map((c, i) => ({ name: `m${i}`, classification: c }) as unknown as KayentaJudgement['metrics'][number]),
});

test.each<[string, KayentaJudgement, boolean, CheckVerdict['outcome'], RegExp]>([
  ['passes', judged(100, 'Pass', 'Pass', 'Pass'), true, 'advance', /^fine; Kayenta's score is 100$/],
  ['is marginal on the way', judged(80, 'Marginal', 'Pass', 'High'), false, 'advance', /score is 80 \(m1 high\)/],
  [
    'is marginal at the end',
    judged(80, 'Marginal', 'Pass', 'High'),
    true,
    'fail',
    /^Kayenta's score is 80 \(m1 high\)$/,
  ],
  ['fails on the way', judged(0, 'Fail', 'Low'), false, 'fail', /score is 0/],
  ['has no data', judged(0, 'Fail', 'Nodata', 'Nodata'), true, 'hold', /no values of both sides/],
  ['judges nothing', judged(0, 'Fail'), true, 'hold', /no values of both sides/],
])('a score that %s', (_, score, last, outcome, message) => {
  const verdict = kayentaVerdict(check, score, last);
  expect(verdict.outcome).toBe(outcome);
  expect(verdict.message).toMatch(message);
});

test('a reason is told', () => {
  const score = { ...judged(0, 'Fail', 'High'), reason: 'critical metric m0: High' };
  expect(kayentaVerdict(check, score, false).message).toBe("Kayenta's score is 0 (critical metric m0: High)");
});
