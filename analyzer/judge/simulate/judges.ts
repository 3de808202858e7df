import { addLook, judge, startCompare } from '../compare.ts';
import { classify } from '../kayenta/classify.ts';
import { kayentaMetric } from '../kayenta/kayenta.ts';
import type { ComparePlan } from '../metric-evidence.ts';
import type { Tick } from './traffic.ts';

/** Sees one run, look by look; true means roll back. */
export type RunJudge = (tick: Tick) => boolean;

export interface SimulatedJudge {
  name: string;
  start: () => RunJudge;
}

const MINUTE_MS = 60_000;

/** What a check each minute would see of the ticks, handed on at the end of the minute. */
function perMinute(check: (minute: Tick['arms']) => boolean): RunJudge {
  let sum = { canaryEvents: 0, canaryRequests: 0, primaryEvents: 0, primaryRequests: 0 };
  return ({ atMs, arms }) => {
    sum = {
      canaryEvents: sum.canaryEvents + arms.canaryEvents,
      canaryRequests: sum.canaryRequests + arms.canaryRequests,
      primaryEvents: sum.primaryEvents + arms.primaryEvents,
      primaryRequests: sum.primaryRequests + arms.primaryRequests,
    };
    if (atMs % MINUTE_MS !== 0) return false;
    const minute = sum;
    sum = { canaryEvents: 0, canaryRequests: 0, primaryEvents: 0, primaryRequests: 0 };
    return check(minute);
  };
}

/** "Success ≥ min percent" each minute, for so many checks; `failures` failed ones roll back. */
export const thresholds = (min: number, failures: number, checks: number): SimulatedJudge => ({
  name: `threshold ${min} %, ${failures} failed`,
  start: () => {
    let [failed, seen] = [0, 0];
    return perMinute(({ canaryEvents, canaryRequests }) => {
      if (canaryRequests === 0 || ++seen > checks) return false;
      if (100 * (1 - canaryEvents / canaryRequests) < min) failed++;
      return failed >= failures;
    });
  },
});

/** Kayenta's judge on the share of errors, one point a minute, once, after so many points. */
export const kayentaOnce = (points: number): SimulatedJudge => ({
  name: `Kayenta, ${points} points`,
  start: () => {
    const metric = kayentaMetric('errors', { direction: 'increase' });
    const [canary, control]: [number[], number[]] = [[], []];
    return perMinute(({ canaryEvents, canaryRequests, primaryEvents, primaryRequests }) => {
      canary.push((100 * canaryEvents) / canaryRequests);
      control.push((100 * primaryEvents) / primaryRequests);
      return canary.length === points && classify(metric, canary, control).classification === 'High';
    });
  },
});

export interface EvidenceSettings {
  alpha: number;
  ratio: number;
  minErrors: number;
  /** Metrics that share α with the errors, and are silent. */
  metrics: number;
}

/** Ours, at each look. The first look after a change of weight is thrown away, as in a run. */
export const evidence = ({ alpha, ratio, minErrors, metrics }: EvidenceSettings): SimulatedJudge => ({
  name: `evidence, ratio ${ratio}`,
  start: () => {
    // A silent metric counts as 0 in the mean: the one that speaks needs as many times the evidence.
    const plan: ComparePlan = { name: 'errors', kind: 'errors', ratio, minErrors };
    let state = startCompare([plan], alpha / metrics);
    return ({ arms, weightChanged }) => {
      if (weightChanged) return false;
      const canary = { errors: arms.canaryEvents, requests: arms.canaryRequests };
      const primary = { errors: arms.primaryEvents, requests: arms.primaryRequests };
      state = addLook(state, { errors: { canary, primary } });
      // Without an error of the canary the evidence cannot have grown.
      return arms.canaryEvents > 0 && judge(state).verdict === 'roll back';
    };
  },
});
