import type { CheckVerdict } from '../thresholds.ts';
import type { KayentaJudgement } from './kayenta.ts';

/**
 * What a score makes of a check that the thresholds let advance. As in Spinnaker's canary stage: below `marginal` it fails at any time,
 * at the end it must reach `pass`. Without data nothing can be said.
 * @param last whether the promotion would follow
 */
export function kayentaVerdict(check: CheckVerdict, judged: KayentaJudgement, last: boolean): CheckVerdict {
  const { metrics, score, classification, reason } = judged;
  const empty = metrics.filter((m) => m.classification === 'Nodata');
  if (metrics.length === 0 || empty.length === metrics.length)
    return { ...check, outcome: 'hold', message: "Kayenta's judge has no values of both sides to compare" };
  const worse = metrics.filter((m) => m.classification !== 'Pass' && m.classification !== 'Nodata');
  const names = worse.map(({ name, classification: c }) => `${name} ${c.toLowerCase()}`).join(', ');
  const text = `Kayenta's score is ${score}${reason ? ` (${reason})` : names ? ` (${names})` : ''}`;
  const fails = classification === 'Fail' || (last && classification !== 'Pass');
  return fails ? { ...check, outcome: 'fail', message: text } : { ...check, message: `${check.message}; ${text}` };
}
