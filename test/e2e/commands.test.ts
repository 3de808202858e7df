import { describe, expect, test } from 'vitest';
import { COMMAND } from '../../canary/annotations.ts';
import { conditionOf } from '../../canary/conditions.ts';
import type { Deployment } from '../../kube/types.ts';
import { eventually, must, sleep } from './support/cluster.ts';
import { answersOf, binomialBounds, failedAnswers, seen, shareOf, total } from './support/load.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

/** Steps that nobody waits for. */
const STEADY = { ...QUICK, analysis: { ...QUICK.analysis, interval: '2m' } };
/** One step, and the promotion soon. */
const SHORT = { ...QUICK, analysis: { ...QUICK.analysis, maxWeight: 10 } };
/** What routes and endpoints may take until every proxy has them. */
const PROPAGATION_MS = 3000;

/** So that a promotion can be met on its way. */
const slowly = (d: Deployment): void => {
  d.spec.minReadySeconds = 5;
};
/** The strategy takes the only pod down before it starts the new one. */
const downFirst = (d: Deployment): void => {
  d.spec.strategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } };
};

describe('commands', () => {
  test('pause holds the weight while requests go on, and resume goes on to the promotion', () =>
    inScenario('pause', {}, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(20);
      expect((await s.command('pause')).stderr).toContain('canary of reviews paused');
      const { weight, step } = await s.reported('the pause', 10_000, (r) => r.phase === 'Paused');
      await sleep(PROPAGATION_MS);
      const fromMs = Date.now();
      // Four intervals.
      await sleep(12_000);
      const { share, requests } = shareOf(await s.load.stats(), 'v2', fromMs, Date.now());
      const { low, high } = binomialBounds(weight / 100, requests);
      expect(share).toBeGreaterThanOrEqual(low);
      expect(share).toBeLessThanOrEqual(high);
      expect(await s.status()).toMatchObject({ phase: 'Paused', weight, step });
      expect(conditionOf(await s.primary(), 'Promoted')).toMatchObject({
        status: 'Unknown',
        reason: 'Paused',
        message: expect.stringMatching(`^paused by .* at weight ${weight} %$`),
      });
      expect((await s.kubectl('describe', 'deployment', 'reviews')).stdout).toContain('CanaryPaused');
      expect((await s.apply({ version: 'v2', replicas: 2 })).stderr).toContain('is paused by');
      const refused = await s.kubectl('annotate', 'deployment/reviews', `${COMMAND}=pause`);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/the command pause does not fit: .* allowed: resume, promote, abort/);

      await s.command('resume');
      await s.weight(weight + 10);
      await s.ended('Succeeded');
      await s.nothingLeft();
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  test('a paused version that is bad is rolled back all the same', () =>
    inScenario('pause-bad', { spec: { ...QUICK, analysis: { ...QUICK.analysis, threshold: 4 } } }, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '0.5' } });
      await s.weight(10);
      await s.command('pause');
      const { weight } = await s.ended('Failed');
      expect(weight).toBe(0);
      await s.nothingLeft();
      expect(await s.phase()).toBe('rejected');
      expect((await s.run())!.order).toBeUndefined();
    }));

  test('promote skips the checks that are left', () =>
    inScenario('promote', { spec: STEADY }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(10);
      const orderedMs = Date.now();
      expect((await s.command('promote')).stderr).toContain('promoted without further checks');
      const status = await s.ended('Succeeded');
      // One interval alone would be two minutes.
      expect(Date.now() - orderedMs).toBeLessThan(90_000);
      expect(status.message).toMatch(/^promoted by order of .* at step 1 of 5, 0 failed checks/);
      await s.nothingLeft();
      await onlyServes(s, 'v2');
    }));

  test('promote releases a rejected version, and nothing less does', () =>
    inScenario('promote-rejected', { spec: STEADY }, async (s) => {
      await rejectV2(s);
      await must('kubectl', ['-n', s.namespace, 'label', 'deployment/reviews', 'x=y']);
      expect((await s.primary()).spec.paused).toBe(true);
      const rejected = (await s.run())!.id;
      await s.command('promote');
      expect((await s.run())!.id).not.toBe(rejected);
      await must('kubectl', ['-n', s.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=120s']);
      await s.ended('Succeeded');
      await s.nothingLeft();
      await onlyServes(s, 'v2');
    }));

  test('promote of a rejected version whose primary goes down meanwhile: the canary carries the requests', () =>
    inScenario('promote-down', { spec: STEADY }, async (s) => {
      await s.apply({ version: 'v1', change: downFirst });
      await rejectV2(s, downFirst);
      await s.command('promote');
      await s.ended('Succeeded');
      await s.nothingLeft();
      await onlyServes(s, 'v2');
    }));

  test('R14 a version pushed while promoting is held at once; rejected, it leaves the primary on one version', () =>
    inScenario('r14', { replicas: 2, spec: SHORT }, async (s) => {
      await pushWhilePromoting(s, { ERROR_RATE: '1' });
      await s.ended('Failed');
      await s.nothingLeft();
      const running = await eventually('one version in the primary', 60_000, async () => {
        const sets = (await s.replicaSets()).filter((rs) => (rs.spec.replicas ?? 0) > 0);
        return sets.length === 1 && sets[0]!.status?.readyReplicas === 2 && sets[0];
      });
      const version = running.spec.template.metadata?.labels?.['version'];
      expect(['v1', 'v2']).toContain(version);
      expect(await s.phase()).toBe('rejected');
      const failed = Object.entries(failedAnswers(await s.load.stats()));
      expect(failed.filter(([key]) => !key.endsWith('|v3'))).toEqual([]);
      await onlyServes(s, version!, false);
    }));

  test('R14 a good version pushed while promoting is analysed next and promoted', () =>
    inScenario('r14-good', { replicas: 2, spec: SHORT }, async (s) => {
      await pushWhilePromoting(s, {});
      await s.ended('Succeeded');
      await s.nothingLeft();
      await onlyServes(s, 'v3');
    }));
});

/** v2 analysed, and aborted by its user. */
async function rejectV2(s: Scenario, change?: (d: Deployment) => void): Promise<void> {
  await s.apply({ version: 'v2', ...(change ? { change } : {}) });
  await s.weight(10);
  await s.command('abort');
  await s.ended('Failed');
  await s.nothingLeft();
  expect(await s.phase()).toBe('rejected');
}

/** v2 is on its way into the primary when v3 comes. */
async function pushWhilePromoting(s: Scenario, env: Record<string, string>): Promise<void> {
  await s.apply({ version: 'v2', change: slowly });
  const first = (await s.run())!;
  await eventually('the promotion', 120_000, async () => (await s.phase()) === 'promoting');
  await s.apply({ version: 'v3', env, change: slowly });
  expect((await s.primary()).spec.paused).toBe(true);
  expect(await s.run()).toMatchObject({ phase: 'held', stable: first.stable, interrupted: first.hash });
  await s.reported('the next run at work', 120_000, (r) => r.run !== first.id && r.weight === 10);
  await eventually('answers of v3', 20_000, async () => seen(await s.load.stats(), 'v3'));
}

/** The users see one version and no error, neither now nor, if asked, since the load began. */
async function onlyServes(s: Scenario, version: string, clean = true): Promise<void> {
  if (clean) expect(failedAnswers(await s.load.stats())).toEqual({});
  await sleep(PROPAGATION_MS);
  await s.load.reset();
  await sleep(2000);
  const stats = await s.load.stats();
  expect(answersOf(stats, version)).toBe(total(stats));
  expect(failedAnswers(stats)).toEqual({});
}
