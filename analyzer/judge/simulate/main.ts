import { writeFileSync } from 'node:fs';
import { evidence, kayentaOnce, type SimulatedJudge, thresholds } from './judges.ts';
import { readOptions, type SimulateOptions } from './options.ts';
import { type Panel, plotOf } from './plot.ts';
import { seeded } from './random.ts';
import { simulate, summarise } from './simulate.ts';
import { type Row, tableOf } from './table.ts';
import type { Scenario } from './traffic.ts';

const MINUTE_MS = 60_000;
const INCIDENT = { fromMs: 3 * MINUTE_MS, toMs: 8 * MINUTE_MS, errors: 0.2 };

function scenariosOf(options: SimulateOptions): Scenario[] {
  const { rates, weights, errors, factors, sigma, incident, duration, look } = options;
  return rates.flatMap((requestsPerSecond) =>
    weights.flatMap((steps) =>
      errors.flatMap((percent) =>
        factors.map((factor) => ({
          requestsPerSecond,
          weights: steps,
          errors: percent / 100,
          factor,
          sigma,
          ...(incident ? { incident: INCIDENT } : {}),
          durationMs: duration,
          lookMs: look,
        })),
      ),
    ),
  );
}

const judgesOf = ({ min, failures, checks, alpha, minErrors, metrics, ratios }: SimulateOptions): SimulatedJudge[] => [
  ...failures.map((failed) => thresholds(min, failed, checks)),
  kayentaOnce(checks),
  ...ratios.map((ratio) => evidence({ alpha, ratio, minErrors, metrics })),
];

function titleOf({ requestsPerSecond, weights, errors, factor }: Scenario): string {
  const share = `${factor} × ${Number((100 * errors).toPrecision(3))} % errors`;
  return `${share}: ${requestsPerSecond}/s, weight ${weights.join('→')} %`;
}

function main(): void {
  const options = readOptions(process.argv.slice(2));
  const judges = judgesOf(options);
  const rows: Row[] = [];
  const panels: Panel[] = [];
  for (const scenario of scenariosOf(options)) {
    // Each scenario from the seed anew: leaving one out does not change the others.
    const outcomes = simulate(scenario, judges, options.runs, seeded(options.seed));
    rows.push(...judges.map(({ name }, i) => ({ scenario, judge: name, summary: summarise(outcomes[i]!) })));
    panels.push({
      title: titleOf(scenario),
      curves: judges.map(({ name }, i) => ({ judge: name, outcomes: outcomes[i]! })),
    });
  }
  console.log(tableOf(rows));
  if (options.svg !== undefined) writeFileSync(options.svg, plotOf(panels));
}

main();
