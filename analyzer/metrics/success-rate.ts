import { answerKind } from './answers.ts';
import type { Growth } from './counters.ts';

export interface SuccessRate {
  /** Percent of the requests that were answered with anything but a failure of the server. */
  percent: number;
  requests: number;
}

/** @returns undefined without any request: there is nothing to divide by */
export function successRate(growths: Growth[]): SuccessRate | undefined {
  const requests = sum(growths);
  if (requests === 0) return undefined;
  const failed = sum(growths.filter(({ labels }) => answerKind(labels) === 'error'));
  return { percent: (100 * (requests - failed)) / requests, requests };
}

export const sum = (growths: Growth[]): number => growths.reduce((total, { count }) => total + count, 0);
