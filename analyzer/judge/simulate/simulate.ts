import type { SimulatedJudge } from './judges.ts';
import type { Uniform } from './random.ts';
import { type Scenario, traffic } from './traffic.ts';

/** What became of one run under one judge. */
export interface Outcome {
  /** When it was rolled back, since the start; undefined: never. */
  abortedMs: number | undefined;
  /** Requests that the canary got, and failed, until then. */
  exposed: number;
  failed: number;
}

/** Plays runs of a scenario. Every judge sees the same traffic. */
export function simulate(
  scenario: Scenario,
  judges: readonly SimulatedJudge[],
  runs: number,
  random: Uniform,
): Outcome[][] {
  const outcomes: Outcome[][] = judges.map(() => []);
  for (let run = 0; run < runs; run++)
    for (const [i, outcome] of playRun(scenario, judges, random).entries()) outcomes[i]!.push(outcome);
  return outcomes;
}

function playRun(scenario: Scenario, judges: readonly SimulatedJudge[], random: Uniform): Outcome[] {
  const playing = judges.map((judge) => ({
    look: judge.start(),
    outcome: { abortedMs: undefined, exposed: 0, failed: 0 } as Outcome,
  }));
  for (const tick of traffic(scenario, random)) {
    const open = playing.filter(({ outcome }) => outcome.abortedMs === undefined);
    if (open.length === 0) break;
    for (const { look, outcome } of open) {
      outcome.exposed += tick.arms.canaryRequests;
      outcome.failed += tick.arms.canaryEvents;
      if (look(tick)) outcome.abortedMs = tick.atMs;
    }
  }
  return playing.map(({ outcome }) => outcome);
}

export interface Summary {
  /** Share of the runs that were rolled back, from 0 to 1. */
  aborted: number;
  /** Of those that were; undefined if none was. */
  medianMs: number | undefined;
  p90Ms: number | undefined;
  /** Medians over all runs. */
  exposed: number;
  failed: number;
}

export function summarise(outcomes: readonly Outcome[]): Summary {
  const times = outcomes.flatMap(({ abortedMs }) => (abortedMs === undefined ? [] : [abortedMs]));
  return {
    aborted: times.length / outcomes.length,
    medianMs: quantile(times, 0.5),
    p90Ms: quantile(times, 0.9),
    exposed:
      quantile(
        outcomes.map(({ exposed }) => exposed),
        0.5,
      ) ?? 0,
    failed:
      quantile(
        outcomes.map(({ failed }) => failed),
        0.5,
      ) ?? 0,
  };
}

function quantile(values: readonly number[], q: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
