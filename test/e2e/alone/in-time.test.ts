import { describe, expect, test } from 'vitest';
import { start } from '../support/cluster.ts';
import { failedAnswers, failures, seen, total } from '../support/load.ts';
import { inScenario, SLOW, THRESHOLDS } from '../support/scenario.ts';

// Seconds are measured here, so no other scenario starts pods meanwhile.
describe('how soon a version is off the users', () => {
  test('R1 v3 replaces v2: its requests end at once, the run starts anew', () =>
    inScenario('r1', { spec: SLOW }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(20);
      const first = (await s.run())!;
      const pushedMs = Date.now();
      await s.apply({ version: 'v3' });
      expect((await s.run())!.id).not.toBe(first.id);
      await s.reported('the new run at work', 60_000, (r) => r.run !== first.id && r.weight === 10);
      const stats = await s.load.stats();
      // The analyzer sees the change, takes the routes back, the proxies follow.
      expect(seen(stats, 'v2')!.lastMs - pushedMs).toBeLessThan(3000);
      expect(failedAnswers(stats)).toEqual({});
      await s.apply({ version: 'v1' });
      await s.nothingLeft();
    }));

  test('T3 a version that answers 5xx is rolled back at the failed check that reaches the threshold', () =>
    inScenario('t3', { rate: 50, spec: THRESHOLDS }, async (s) => {
      const before = (await s.pods()).map((p) => p.metadata.uid).sort();
      await s.apply({ version: 'v2', env: { ERROR_RATE: '1' } });
      const follow = start('kubectl', ['-n', s.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=180s']);
      const status = await s.ended('Failed');
      await s.nothingLeft();
      const stats = await s.load.stats();
      // Three checks of 3 s each, the time for the proxies, and no fourth interval.
      const { firstMs, lastMs } = seen(stats, 'v2')!;
      expect(lastMs - firstMs).toBeLessThan(3 * 3000 + 2500);
      expect(status.message).toMatch(/success rate 0(\.0+)? %/);
      expect(failures(stats)).toBeGreaterThan(0);
      expect(failures(stats) / total(stats)).toBeLessThan(0.12);
      expect((await s.pods()).map((p) => p.metadata.uid).sort()).toEqual(before);
      const followed = await follow.done;
      expect(followed.code).not.toBe(0);
      expect(`${followed.stdout}${followed.stderr}`).toContain('exceeded its progress deadline');
      expect((await s.primary()).spec.paused).toBe(true);
      expect(await s.phase()).toBe('rejected');
    }));
});
