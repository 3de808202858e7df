import { describe, expect, test } from 'vitest';
import { readOptions, simulateCommand } from './options.ts';

const read = (line: string) => {
  const quiet = simulateCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  return readOptions(line === '' ? [] : line.split(' '), quiet);
};

describe('the command line', () => {
  test('has a default for everything', () => {
    expect(read('')).toMatchObject({
      runs: 2000,
      rates: [10, 100],
      weights: [[10]],
      ratios: [1, 1.5],
      look: 10_000,
      alpha: 0.05,
    });
  });

  test('takes lists, steps of weights, and durations', () => {
    expect(read('--rates 5,50 --weights 10,20:50 --look 5s --duration 10m --incident --svg a.svg')).toMatchObject({
      rates: [5, 50],
      weights: [[10], [20, 50]],
      look: 5000,
      duration: 600_000,
      incident: true,
      svg: 'a.svg',
    });
  });

  test.each([
    ['--runs 0', 'a whole number from 1 to 1000000'],
    ['--runs 1.5', 'a whole number from 1 to 1000000'],
    ['--rates 5,x', 'a number from 0.01 to 1000000'],
    ['--rates 5,', 'a number from 0.01 to 1000000'],
    ['--weights 10:101', 'a number from 0 to 100'],
    ['--look 7s', 'a whole part of a minute'],
    ['--duration 1', 'a duration from 1m to 24h'],
    ['--alpha 0', 'a number from 0.000001 to 0.5'],
    ['--nonsense', 'unknown option'],
  ])('%s is refused', (line, allowed) => {
    expect(() => read(line)).toThrow(allowed);
  });
});
