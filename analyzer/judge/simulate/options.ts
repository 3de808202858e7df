import { Command, InvalidArgumentError } from 'commander';
import { formatDuration, parseDuration } from '../../../canary/duration.ts';
import { COMPARE_DEFAULTS } from '../../../canary/spec-compare.ts';

export interface SimulateOptions {
  runs: number;
  seed: number;
  rates: number[];
  weights: number[][];
  errors: number[];
  factors: number[];
  ratios: number[];
  sigma: number;
  incident: boolean;
  duration: number;
  look: number;
  checks: number;
  min: number;
  failures: number[];
  alpha: number;
  minErrors: number;
  metrics: number;
  svg?: string;
}

const within = (min: number, max: number, whole = false) => {
  const allowed = `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`;
  return (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!(value >= min && value <= max) || (whole && !Number.isInteger(value)))
      throw new InvalidArgumentError(`Allowed: ${allowed}.`);
    return value;
  };
};

const list =
  <T>(item: (text: string) => T, separator = ',') =>
  (text: string): T[] =>
    text.split(separator).map(item);

const duration =
  (minMs: number, maxMs: number) =>
  (text: string): number => {
    const ms = parseDuration(text);
    if (ms === undefined || ms < minMs || ms > maxMs)
      throw new InvalidArgumentError(`Allowed: a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}.`);
    return ms;
  };

const percent = within(0, 100);

/** Checks are made at full minutes, which must be the end of a look. */
const partOfMinute = (text: string): number => {
  const ms = duration(1000, 60_000)(text);
  if (60_000 % ms !== 0) throw new InvalidArgumentError('Allowed: a whole part of a minute, such as 5s or 10s.');
  return ms;
};

/** The command line. A wrong value ends the process with what is allowed. */
export const readOptions = (argv: readonly string[], command = simulateCommand()): SimulateOptions =>
  command.parse(argv as string[], { from: 'user' }).opts<SimulateOptions>();

export function simulateCommand(): Command {
  return new Command('simulate')
    .description(
      'Plays runs of a canary under each judge, and tells how many are rolled back, when, and at whose cost.',
    )
    .option('--runs <n>', 'runs of each scenario', within(1, 1_000_000, true), 2000)
    .option('--seed <n>', 'the same seed gives the same runs', within(0, 2 ** 31, true), 1)
    .option('--rates <list>', 'requests per second of both sides together', list(within(0.01, 1e6)), [10, 100])
    .option(
      '--weights <list>',
      'percent to the canary; 10,50 are two scenarios, 10:20:50 is one in steps',
      list(list(percent, ':')),
      [[10]],
    )
    .option('--errors <list>', "percent of the primary's answers that fail", list(percent), [0.5])
    .option('--factors <list>', "how many times as many of the canary's fail", list(within(0, 1e6)), [1, 2, 4])
    .option('--ratios <list>', 'ratios of the comparison by evidence', list(within(1, 100)), [
      1,
      COMPARE_DEFAULTS.ratio,
    ])
    .option('--sigma <n>', "σ of a lognormal swing of each side's errors, each minute", within(0, 3), 0)
    .option('--incident', 'one answer in five of both sides fails from minute 3 to 8', false)
    .option('--duration <time>', 'length of a run', duration(60_000, 86_400_000), 3_600_000)
    .option('--look <time>', 'time between looks, a whole part of a minute', partOfMinute, 10_000)
    .option('--checks <n>', "one-minute checks of the thresholds, and points of Kayenta's", within(1, 1440, true), 10)
    .option('--min <percent>', 'threshold of the success rate', percent, 99)
    .option('--failures <list>', 'failed checks that roll back', list(within(1, 1000, true)), [1, 5])
    .option('--alpha <n>', 'risk of a wrong rollback', within(1e-6, 0.5), COMPARE_DEFAULTS.alpha)
    .option(
      '--min-errors <n>',
      'errors of the canary below which nothing is concluded',
      within(1, 1e6, true),
      COMPARE_DEFAULTS.minErrors,
    )
    .option('--metrics <n>', 'metrics that share the risk; the others are fine', within(1, 20, true), 2)
    .option('--svg <file>', 'write a plot');
}
