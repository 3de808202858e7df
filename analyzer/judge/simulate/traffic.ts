import type { Arms } from '../e-process.ts';
import { binomial, normal, poisson, type Uniform } from './random.ts';

/** The traffic of one run, and what goes wrong in it. */
export interface Scenario {
  /** Of both sides together. */
  requestsPerSecond: number;
  /** Percent to the canary; each for the same part of the run, one after the other. */
  weights: readonly number[];
  /** Share of the primary's answers that fail, from 0 to 1. */
  errors: number;
  /** How many times as many of the canary's fail. */
  factor: number;
  /** Overdispersion: each side's share of errors is multiplied each minute by a lognormal factor of mean 1 with this σ of its own. */
  sigma: number;
  /** An outage of something that both sides use. */
  incident?: { fromMs: number; toMs: number; errors: number };
  /** Length of the run. */
  durationMs: number;
  /** Time between looks. */
  lookMs: number;
}

/** What a look sees. */
export interface Tick {
  /** Since the run's start, at the end of the tick. */
  atMs: number;
  arms: Arms;
  /** The first one after a change of weight. */
  weightChanged: boolean;
}

const MINUTE_MS = 60_000;

/** The looks of a run, each drawn when it is asked for. */
export function* traffic(scenario: Scenario, random: Uniform): Generator<Tick> {
  const { requestsPerSecond, weights, lookMs, durationMs } = scenario;
  const perTick = (requestsPerSecond * lookMs) / 1000;
  const stepMs = durationMs / weights.length;
  let minute = -1;
  let swing: readonly [number, number] = [1, 1];
  let lastWeight = weights[0]!;
  for (let fromMs = 0; fromMs < durationMs; fromMs += lookMs) {
    if (Math.floor(fromMs / MINUTE_MS) !== minute) {
      minute = Math.floor(fromMs / MINUTE_MS);
      swing = [lognormal(scenario.sigma, random), lognormal(scenario.sigma, random)];
    }
    const weight = weights[Math.min(weights.length - 1, Math.floor(fromMs / stepMs))]!;
    const [canaryErrors, primaryErrors] = sharesAt(scenario, fromMs, swing);
    const canaryRequests = poisson((perTick * weight) / 100, random);
    const primaryRequests = poisson((perTick * (100 - weight)) / 100, random);
    yield {
      atMs: fromMs + lookMs,
      weightChanged: weight !== lastWeight,
      arms: {
        canaryEvents: binomial(canaryRequests, canaryErrors, random),
        canaryRequests,
        primaryEvents: binomial(primaryRequests, primaryErrors, random),
        primaryRequests,
      },
    };
    lastWeight = weight;
  }
}

const lognormal = (sigma: number, random: Uniform): number =>
  sigma === 0 ? 1 : Math.exp(sigma * normal(random) - sigma ** 2 / 2);

function sharesAt(
  { errors, factor, incident }: Scenario,
  atMs: number,
  [canarySwing, primarySwing]: readonly [number, number],
): [canary: number, primary: number] {
  const during = incident !== undefined && atMs >= incident.fromMs && atMs < incident.toMs;
  const base = during ? incident.errors : errors;
  return [Math.min(1, base * factor * canarySwing), Math.min(1, base * primarySwing)];
}
