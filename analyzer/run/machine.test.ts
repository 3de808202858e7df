import { describe, expect, test } from 'vitest';
import { CANARY } from '../../canary/annotations.ts';
import { runAnnotations, runOf } from '../../canary/run.ts';
import { KubeError } from '../../kube/errors.ts';
import type { KayentaJudgement } from '../judge/kayenta/kayenta.ts';
import { VersionGone } from '../workload/primary.ts';
import { runMachine } from './machine.ts';
import { createWorld, failing, Killed, silent, type WorldOptions } from './world.testing.ts';

describe('a run', () => {
  test('of a good version: step by step, each after its interval and check, then promotion', async () => {
    const world = createWorld();
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([10, 20, 30]);
    expect(world.checks()).toBe(3);
    // Three intervals; propagation before the first weight and after the last.
    expect(world.seconds()).toBeGreaterThanOrEqual(30);
    expect(world.seconds()).toBeLessThanOrEqual(30 + 5);
    expect(world.did.slice(-5)).toEqual([
      'decide complete',
      'restore routes',
      'remove canary',
      'status Succeeded',
      'event CanaryPromoted',
    ]);
    expect(world.condition('Promoted')).toMatchObject({ status: 'True', reason: 'Promoted' });
    expect(runOf(world.primary()!)).toBeUndefined();
  });

  test('of a bad version: the check that reaches the threshold rolls back at once, weight stays meanwhile', async () => {
    const world = createWorld({ evaluate: () => failing });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.weights()).toEqual([10]);
    expect(world.checks()).toBe(2);
    expect(world.seconds()).toBeLessThanOrEqual(20 + 5);
    // Users leave before anything else is decided.
    expect(world.did.indexOf('restore routes')).toBeLessThan(world.did.indexOf('decide rollback'));
    expect(world.condition('Progressing')).toMatchObject({
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
      message: 'success rate 0 %',
    });
    expect(world.condition('Promoted')).toMatchObject({ status: 'False', reason: 'RolledBack' });
    expect(runOf(world.primary()!)).toMatchObject({ phase: 'rejected', message: 'success rate 0 %' });
  });

  test('failed checks below the threshold hold the weight and are remembered', async () => {
    const world = createWorld({ evaluate: (_w, check) => (check === 2 ? failing : { requests: 1, readings: [] }) });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.checks()).toBe(4);
    expect(world.status().failedChecks).toBe(1);
  });

  test('without requests it holds at its weight, and ends at holdTimeout', async () => {
    const world = createWorld({
      evaluate: () => silent,
      spec: { analysis: { interval: '10s', holdTimeout: '5m', stepWeight: 10, maxWeight: 30 } },
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.weights()).toEqual([10]);
    expect(world.seconds()).toBeGreaterThanOrEqual(300);
    expect(world.status().message).toContain('holdTimeout 5m: no requests');
  });

  test('requests that come late get a full interval before they are judged', async () => {
    const world = createWorld({ evaluate: (_w, check) => (check <= 3 ? silent : { requests: 1, readings: [] }) });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    // Three looks without evidence, one that finds it, then one check for each of the weights.
    expect(world.checks()).toBe(4 + 3);
  });

  test("whose canary never gets ready ends at the deadline with the pod's own message and without a request", async () => {
    const world = createWorld({ ready: () => false, spec: { progressDeadlineSeconds: 30 } });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.weights()).toEqual([]);
    expect(world.status().message).toBe(
      '0 of 1 canary pods ready after 30 s (progressDeadlineSeconds): ImagePullBackOff',
    );
    expect(world.condition('Promoted')).toMatchObject({ reason: 'CanaryNotRunnable' });
  });

  test('whose target is unfit fails with the reason and touches no route', async () => {
    const world = createWorld({ refuse: 'several Services select the pods: a, b' });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.did).not.toContain('routes');
    expect(world.condition('Promoted')).toMatchObject({
      reason: 'InvalidTarget',
      message: 'several Services select the pods: a, b',
    });
  });

  test('whose routes become unfit on the way is rolled back with the reason', async () => {
    const world = createWorld({ refuseAt: 20 });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.weights()).toEqual([10]);
    expect(world.condition('Promoted')).toMatchObject({
      reason: 'InvalidTarget',
      message: 'routes of another namespace appeared',
    });
  });

  test('whose promotion gets stuck restores the stable version before the canary goes', async () => {
    const world = createWorld({ promotes: () => false, spec: { progressDeadlineSeconds: 20 } });
    expect(await runMachine(world.attempt())).toBe('Failed');
    const at = (what: string) => world.did.indexOf(what);
    expect(at('decide restore')).toBeLessThan(at('settle gently on v1'));
    expect(at('settle gently on v1')).toBeLessThan(at('restore routes'));
    expect(at('remove canary')).toBeLessThan(at('forget v2'));
    expect(world.status().message).toMatch(/^promotion failed: 0 of 2 pods updated/);
    expect(world.condition('Promoted')).toMatchObject({ reason: 'PromotionFailed' });
  });

  test('whose promotion gets stuck when the stable version’s ReplicaSet is gone says so once, and the canary serves until it is back', async () => {
    const world = createWorld({ promotes: () => false, spec: { progressDeadlineSeconds: 20 } });
    const ctx = world.attempt();
    const { settleGently } = ctx.ports;
    const backAt = 300;
    ctx.ports.settleGently = async (primary, keep, known) => {
      if (world.seconds() < backAt) throw new VersionGone();
      expect(world.did).not.toContain('remove canary');
      return settleGently(primary, keep, known);
    };
    expect(await runMachine(ctx)).toBe('Failed');
    expect(world.did.filter((what) => what === 'event StableVersionGone')).toHaveLength(1);
    expect(world.seconds()).toBeGreaterThanOrEqual(backAt);
    expect(world.condition('Promoted')).toMatchObject({ reason: 'PromotionFailed' });
  });

  test('of a workload that its strategy takes down gives the canary all requests first', async () => {
    const world = createWorld({ strategy: { type: 'Recreate' } });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([10, 20, 30, 100]);
    expect(world.did.indexOf('weight 100')).toBeLessThan(world.did.indexOf('decide promote'));
  });

  test('that has died too often only undoes', async () => {
    const world = createWorld();
    expect(await runMachine(world.attempt(true))).toBe('Failed');
    expect(world.weights()).toEqual([]);
  });
});

describe('a run that somebody ends', () => {
  const atCheck = (check: number, act: (world: ReturnType<typeof createWorld>) => void, options: WorldOptions = {}) => {
    const world = createWorld({
      ...options,
      evaluate: (_w, n) => {
        if (n === check) act(world);
        return { requests: 1, readings: [] };
      },
    });
    return world;
  };

  test.each([
    [
      'a revert',
      (d: { metadata: { annotations?: Record<string, string> } }) => delete d.metadata.annotations!['sidestep.dev/run'],
    ],
    [
      'an opt-out',
      (d: { metadata: { annotations?: Record<string, string> } }) => delete d.metadata.annotations![CANARY],
    ],
  ])('by %s: routes back, canary gone, nothing of ours left on the object', async (_what, change) => {
    const world = atCheck(2, (w) =>
      w.edit((d) => {
        change(d);
        delete d.metadata.annotations!['sidestep.dev/run'];
      }),
    );
    expect(await runMachine(world.attempt())).toBe('Cancelled');
    expect(world.did).toEqual(expect.arrayContaining(['restore routes', 'remove canary', 'status erased']));
    expect(world.primary()!.metadata.annotations).not.toHaveProperty(['sidestep.dev/status']);
    expect(world.condition('Promoted')).toBeUndefined();
  });

  test("by another version: the new run's state is left alone", async () => {
    const world = atCheck(1, (w) =>
      w.edit((d) => Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, id: 'run2', hash: 'v3' }))),
    );
    expect(await runMachine(world.attempt())).toBe('Cancelled');
    expect(world.did).not.toContain('status erased');
    expect(runOf(world.primary()!)?.id).toBe('run2');
  });

  test('by an abort: rolled back, reason Aborted', async () => {
    const world = atCheck(1, (w) =>
      w.edit((d) =>
        Object.assign(
          d.metadata.annotations!,
          runAnnotations({ ...runOf(d)!, phase: 'rejected', message: 'aborted by alice' }),
        ),
      ),
    );
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.condition('Promoted')).toMatchObject({ reason: 'Aborted', message: 'aborted by alice' });
  });
});

describe('an attempt killed before any of its writes', () => {
  async function killedAt(k: number, options: WorldOptions) {
    const world = createWorld(options);
    world.killAtWrite(k);
    try {
      return { world, end: await runMachine(world.attempt()), reached: false };
    } catch (e) {
      if (!(e instanceof Killed)) throw e;
    }
    world.killAtWrite(Number.POSITIVE_INFINITY);
    return { world, end: await runMachine(world.attempt()), reached: true };
  }

  test.each([
    ['a good version is promoted, with a check at every weight', {}, 'Succeeded'],
    ['a bad version is rejected', { evaluate: () => failing }, 'Failed'],
    ['a failed promotion is undone', { promotes: () => false, spec: { progressDeadlineSeconds: 20 } }, 'Failed'],
    [
      'a canary that never gets ready is rejected',
      { ready: () => false, spec: { progressDeadlineSeconds: 20 } },
      'Failed',
    ],
  ] as const)('converges: %s', async (_what, options, expected) => {
    let k = 1;
    for (; ; k++) {
      const { world, end, reached } = await killedAt(k, options);
      if (!reached) break;
      expect(end, `killed at write ${k}`).toBe(expected);
      expect(world.did, `killed at write ${k}`).toContain('remove canary');
      expect(
        world.did.lastIndexOf('restore routes'),
        `routes after the last weight, killed at write ${k}`,
      ).toBeGreaterThan(world.did.findLastIndex((d) => d.startsWith('weight ')));
      if (expected === 'Succeeded') {
        expect([...new Set(world.weights())], `killed at write ${k}`).toEqual([10, 20, 30]);
        expect(world.checks(), `killed at write ${k}`).toBeGreaterThanOrEqual(3);
      }
    }
    expect(k).toBeGreaterThan(8);
  });
});

test('an API server that is away for a moment is waited for', async () => {
  const world = createWorld();
  const ctx = world.attempt();
  let failures = 3;
  const { evaluate } = ctx.ports;
  ctx.ports.evaluate = (...args) =>
    failures-- > 0 ? Promise.reject(new KubeError(0, 'Unreachable', 'connection refused')) : evaluate(...args);
  expect(await runMachine(ctx)).toBe('Succeeded');
  expect([...new Set(world.weights())]).toEqual([10, 20, 30]);
});

describe('the guard between the checks', () => {
  test('what it finds ends the run at once, whatever is waited for', async () => {
    const finding = { reason: 'RolledBack' as const, message: '20 of 20 canary answers failed' };
    const world = createWorld({
      spec: { analysis: { interval: '10m', stepWeight: 10, maxWeight: 30 } },
      find: (weight) => (weight > 0 ? finding : undefined),
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.checks()).toBe(0);
    expect(world.seconds()).toBeLessThan(30);
    expect(world.condition('Promoted')).toMatchObject({ reason: 'RolledBack', message: finding.message });
    expect(world.did.indexOf('restore routes')).toBeGreaterThan(world.did.indexOf('weight 10'));
  });

  test('it looks before there is traffic, too, and while more pods are waited for', async () => {
    const looks: number[] = [];
    const world = createWorld({
      find: (weight) => {
        looks.push(weight);
        return undefined;
      },
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(new Set(looks)).toEqual(new Set([0, 10, 20, 30]));
  });

  test('killed at any write, a run that it ends still ends so', async () => {
    for (let k = 1; ; k++) {
      const world = createWorld({
        find: (weight) => (weight > 10 ? { reason: 'CanaryNotReady', message: 'crashed' } : undefined),
      });
      world.killAtWrite(k);
      let reached = false;
      try {
        await runMachine(world.attempt());
      } catch (e) {
        if (!(e instanceof Killed)) throw e;
        reached = true;
      }
      if (!reached) break;
      world.killAtWrite(Number.POSITIVE_INFINITY);
      expect(await runMachine(world.attempt()), `killed at write ${k}`).toBe('Failed');
      expect(world.did).toContain('remove canary');
    }
  });
});

describe('what canary and primary share', () => {
  test('an outage of both is held, and goes on when it is over', async () => {
    let broken = true;
    const world = createWorld({
      evaluate: () => (broken ? failing : { requests: 9, readings: [{ ...failing.readings[0]!, verdict: 'pass' }] }),
      evaluatePrimary: () => {
        queueMicrotask(() => (broken = world.seconds() < 60));
        return failing;
      },
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.status().failedChecks).toBe(0);
    expect(world.seconds()).toBeGreaterThan(60);
  });

  test('without comparing, the canary is judged alone', async () => {
    const world = createWorld({
      spec: { analysis: { interval: '10s', compare: { enabled: false } } },
      evaluate: () => failing,
      evaluatePrimary: () => failing,
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
  });
});

test('evidence that it is not worse ends the steps early, after a check', async () => {
  const world = createWorld({ earlyPromote: () => true });
  expect(await runMachine(world.attempt())).toBe('Succeeded');
  expect([...new Set(world.weights())]).toEqual([10]);
  expect(world.checks()).toBe(1);
});

test("a score of Kayenta's below the pass at the end is no promotion", async () => {
  const world = createWorld({
    kayenta: () => ({
      score: 80,
      classification: 'Marginal',
      metrics: [{ name: 'm', classification: 'High' }] as unknown as KayentaJudgement['metrics'],
    }),
  });
  expect(await runMachine(world.attempt())).toBe('Failed');
  expect(world.condition('Promoted')?.message).toBe("Kayenta's score is 80 (m high)");
  expect([...new Set(world.weights())]).toEqual([10, 20, 30]);
});
