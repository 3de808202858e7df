import { describe, expect, test } from 'vitest';
import { failedAnswers, failures, seen } from '../support/load.ts';
import { inScenario, QUICK } from '../support/scenario.ts';

/** The tutorial's analysis at its shortest: the checks alone would need 50 s. */
const TUTORIAL = {
  ...QUICK,
  analysis: {
    ...QUICK.analysis,
    interval: '10s',
    threshold: 5,
    metrics: [
      { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '30s' },
      { name: 'request-duration', thresholdRange: { max: 500 }, interval: '30s' },
    ],
  },
};
/** Errors alone: on a busy machine both versions are slow now and then. */
const ERRORS = { ...TUTORIAL, analysis: { ...TUTORIAL.analysis, metrics: TUTORIAL.analysis.metrics.slice(0, 1) } };

describe('how soon the guard sees', () => {
  test('a version that fails every request is off the users within 10 s of its first bad answer', () =>
    inScenario('guard-all', { rate: 100, spec: ERRORS }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '1' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const stats = await s.load.stats();
      const { firstMs, lastMs } = seen(stats, 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(10_000);
      expect(failures(stats)).toBeLessThanOrEqual(100);
      expect(status.failedChecks).toBe(0);
      expect(status.message).toMatch(
        /^[\d,]+ of [\d,]+ canary answers failed against [\d,]+ of [\d,]+ of the primary: .* confidence$/,
      );
      expect(status.evidence!.looks.at(-1)).toMatchObject({ weight: 10, verdict: 'roll back' });
    }));

  test('a version that fails one request in five is off the users within 15 s', () =>
    inScenario('guard-fifth', { rate: 100, spec: ERRORS }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '0.2' } });
      await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const { firstMs, lastMs } = seen(await s.load.stats(), 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(15_000);
    }));

  test('a version that answers after 800 ms is off the users within 15 s', () =>
    inScenario('guard-slow', { rate: 100, spec: TUTORIAL }, async (s) => {
      await s.apply({ version: 'v2', env: { DELAY_MS: '800' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      const stats = await s.load.stats();
      const { firstMs, lastMs } = seen(stats, 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(15_000);
      expect(status.message).toMatch(/canary answers took longer than 500 ms/);
      expect(failedAnswers(stats)).toEqual({});
    }));

  test('ten healthy versions in a row are promoted', () =>
    inScenario(
      'guard-ten',
      { rate: 100, spec: { ...QUICK, analysis: { ...QUICK.analysis, stepWeight: 25, interval: '4s' } } },
      async (s) => {
        for (let i = 2; i <= 11; i++) {
          await s.apply({ version: `v${i}` });
          await s.ended('Succeeded', 120_000);
        }
        expect(failedAnswers(await s.load.stats())).toEqual({});
      },
    ));
});
