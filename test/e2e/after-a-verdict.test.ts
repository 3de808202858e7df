import { describe, expect, test } from 'vitest';
import { sleep, start } from './support/cluster.ts';
import { failedAnswers } from './support/load.ts';
import { inScenario, QUICK } from './support/scenario.ts';

const SHORT = {
  ...QUICK,
  analysis: {
    ...QUICK.analysis,
    interval: '2s',
    maxWeight: 20,
    metrics: QUICK.analysis.metrics.map((m) => ({ ...m, interval: '2s' })),
  },
};
const DOOMED = { ...SHORT, progressDeadlineSeconds: 6 };

describe('after a verdict', () => {
  test('A1 the rejected version re-applied stays held without a run; retry starts one', () =>
    inScenario('a1', { spec: DOOMED }, async (s) => {
      const broken = { version: 'v2', env: { NEVER_READY: '1' } };
      await s.apply(broken);
      await s.ended('Failed');
      await s.nothingLeft();
      const first = (await s.run())!;
      expect((await s.apply(broken)).stdout).toContain('unchanged');
      const labelled = await s.kubectl('label', 'deployment/reviews', 'x=y');
      expect(labelled.stderr).toContain('sidestep.dev/command=retry');
      await sleep(3000);
      expect(await s.run()).toEqual(first);
      expect(await s.jobs()).toHaveLength(1);
      const follow = await s.command('retry');
      expect(follow.stderr).toContain('started again');
      const second = (await s.run())!;
      expect(second).toMatchObject({ phase: 'held', hash: first.hash, stable: first.stable });
      expect(second.id).not.toBe(first.id);
      await s.reported('the second failure', 60_000, (r) => r.run === second.id && r.phase === 'Failed');
      await s.nothingLeft();
    }));

  test('A2 a fix on top of a rejected version is a new run and is promoted', () =>
    inScenario('a2', { spec: { ...SHORT, progressDeadlineSeconds: 12 } }, async (s) => {
      await s.apply({ version: 'v2', env: { NEVER_READY: '1' } });
      await s.ended('Failed');
      const rejected = (await s.run())!;
      // Only the version that cannot get ready is to fail soon.
      await s.apply({ version: 'v2', spec: SHORT });
      const follow = start('kubectl', ['-n', s.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=120s']);
      const fixed = (await s.run())!;
      expect(fixed).toMatchObject({ phase: 'held', stable: rejected.stable });
      await s.ended('Succeeded');
      await s.nothingLeft();
      // The failure of the version before does not leak into the wait for this one.
      expect((await follow.done).code).toBe(0);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  for (const how of ['apply', 'applyServerSide'] as const) {
    test(`A3 and A4 by ${how}: the promoted template re-applied is a no-op, the next version meets no conflict`, () =>
      inScenario('a34', { spec: SHORT, how }, async (s) => {
        await s[how]({ version: 'v2' });
        await s.ended('Succeeded');
        await s.nothingLeft();
        const before = await s.primary();
        const again = await s[how]({ version: 'v2' });
        if (how === 'apply') expect(again.stdout).toContain('unchanged');
        const after = await s.primary();
        expect(after.metadata.generation).toBe(before.metadata.generation);
        expect(await s.run()).toBeUndefined();
        await s[how]({ version: 'v3' });
        expect(await s.phase()).toBe('held');
        const next = (await s.run())!;
        await s.reported('the next promotion', 120_000, (r) => r.phase === 'Succeeded' && r.run === next.id);
      }));
  }
});
