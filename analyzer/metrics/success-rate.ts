import type { Growth } from './counters.ts';

export interface SuccessRate {
  /** Percent of the requests that were answered with anything but 5xx. */
  percent: number;
  requests: number;
}

/** Flagger's and Istio's meaning of success: a response code below 500. Code 0, a connection that broke, is a failure. */
const isFailure = (code: string | undefined): boolean => code === '0' || (code !== undefined && /^5\d\d$/.test(code));

/** @returns undefined without any request: there is nothing to divide by */
export function successRate(growths: Growth[]): SuccessRate | undefined {
  const requests = sum(growths);
  if (requests === 0) return undefined;
  const failed = sum(growths.filter(({ labels }) => isFailure(labels['response_code'])));
  return { percent: (100 * (requests - failed)) / requests, requests };
}

export const sum = (growths: Growth[]): number => growths.reduce((total, { count }) => total + count, 0);
