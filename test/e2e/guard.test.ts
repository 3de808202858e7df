import { describe, expect, test } from 'vitest';
import { inScenario, QUICK } from './support/scenario.ts';

/** Long enough at one weight for whatever is to be noticed meanwhile. */
const STEADY = { ...QUICK, analysis: { ...QUICK.analysis, interval: '40s', stepWeight: 20, maxWeight: 20 } };

/** The errors of a crash are evidence, too, and may be seen first. */
const UNCOMPARED = { ...STEADY, analysis: { ...STEADY.analysis, compare: { enabled: false } } };

/** The checks alone would need 50 s. */
const ERRORS = {
  ...QUICK,
  analysis: {
    ...QUICK.analysis,
    interval: '10s',
    threshold: 5,
    metrics: [{ name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '30s' }],
  },
};

describe('between the checks', () => {
  test('a version whose container ends under traffic is rolled back, with how it ended', () =>
    inScenario('guard-crash', { rate: 20, spec: UNCOMPARED }, async (s) => {
      await s.apply({ version: 'v2', env: { CRASH_AFTER_MS: '15000' } });
      const status = await s.ended('Failed', 120_000);
      await s.nothingLeft();
      expect(status.message).toMatch(/container \S+ of canary pod \S+ ended under traffic with exit code [1-9]/);
    }));

  test('a fault that both versions have is held, not rolled back', () =>
    inScenario('guard-both', { rate: 50, spec: ERRORS, env: { ERROR_RATE: '0.3' } }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '0.3' } });
      const held = await s.reported('the shared fault', 60_000, ({ message }) =>
        /the primary does no better/.test(message),
      );
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      const later = (await s.status())!;
      expect(later).toMatchObject({ phase: 'Progressing', weight: held.weight, failedChecks: 0 });
      await s.command('abort');
      await s.ended('Failed', 60_000);
    }));
});
