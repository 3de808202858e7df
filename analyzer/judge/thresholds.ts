import type { MetricReading } from '../../canary/status.ts';

/** What one call of a hook came to. */
export interface HookOutcome {
  name: string;
  passed: boolean;
  message: string;
}

export interface Check {
  readings: MetricReading[];
  /** Requests to the canary within the longest window. */
  requests: number;
  hooks: HookOutcome[];
}

export interface CheckVerdict extends Omit<Check, 'hooks'> {
  /** fail: counts towards `threshold`. hold: nothing can be said. advance: the next weight. */
  outcome: 'advance' | 'hold' | 'fail';
  /** The reason, with its numbers. */
  message: string;
}

/**
 * One check in Flagger's meaning of thresholds. Any metric out of its range, or a hook that fails, fails it. No evidence is not
 * success: where any metric has none, the run holds.
 */
export function judgeCheck({ readings, requests, hooks }: Check): CheckVerdict {
  const failed = [...readings.filter(({ verdict }) => verdict === 'fail'), ...hooks.filter(({ passed }) => !passed)];
  if (failed.length > 0) return { outcome: 'fail', message: join(failed), readings, requests };
  const unknown = readings.filter(({ verdict }) => verdict === 'no-data');
  if (unknown.length > 0) return { outcome: 'hold', message: join(unknown), readings, requests };
  return { outcome: 'advance', message: join(readings) || 'no metrics to check', readings, requests };
}

const join = (said: { message: string }[]): string => [...new Set(said.map(({ message }) => message))].join('; ');
