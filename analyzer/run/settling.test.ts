import { describe, expect, test } from 'vitest';
import { PAUSED_BY, PAUSED_BY_OPT_OUT } from '../../canary/annotations.ts';
import { runAnnotations, runOf } from '../../canary/run.ts';
import { VersionGone } from '../workload/primary.ts';
import type { Context } from './context.ts';
import { runMachine } from './machine.ts';
import { createWorld, Killed, type World, type WorldOptions } from './world.testing.ts';

// A promotion of v2 failed, and something happens before the primary is back on v1 in full.

const at = (world: World, what: string) => world.did.indexOf(what);
const settles = (world: World) => world.did.filter((d) => d.startsWith('settle'));

/** What admission records when v3 comes in place of the rejected v2. */
const pushNext = (world: World) =>
  world.edit((d) => {
    const { message: _, ...run } = runOf(d)!;
    d.spec.paused = true;
    Object.assign(
      d.metadata.annotations!,
      runAnnotations({ ...run, id: 'run2', hash: 'v3', phase: 'held', rejectedBefore: ['v2'] }),
    );
  });
/** The manifest of v1 again: admission lifts the pause, and Kubernetes rolls. */
const revert = (world: World) =>
  world.edit((d) => {
    delete d.metadata.annotations!['sidestep.dev/run'];
    delete d.spec.paused;
    d.metadata.generation = 2;
  });
const optOut = (world: World) =>
  world.edit((d) => {
    d.metadata.annotations = { [PAUSED_BY]: PAUSED_BY_OPT_OUT };
  });

/** `then` happens when the primary is first asked to settle; it has no pods of v1 alone before the look number `looks`. */
function failedPromotion(then: (world: World) => void, looks = 5, options: WorldOptions = {}) {
  const world = createWorld({ promotes: () => false, spec: { progressDeadlineSeconds: 20 }, ...options });
  const ctx = world.attempt();
  const { settle, settleGently } = ctx.ports;
  let asked = 0;
  let wanted = looks;
  const next = () => {
    asked++;
    if (asked === 1) then(world);
    return asked >= wanted;
  };
  ctx.ports.settle = async (primary, keep) => (next() ? settle(primary, keep) : false);
  ctx.ports.settleGently = async (primary, keep, known) =>
    next() ? settleGently(primary, keep, known) : { settled: false, ready: 1 };
  /** Pods of v1 get ready again. */
  const mend = () => {
    wanted = asked;
  };
  return { world, ctx, mend };
}

describe('during the rollback of a promotion', () => {
  test.each([
    [
      'as many pods serve as in a rollout: they leave as those of the stable version get ready',
      2,
      'settle gently on v1',
    ],
    ['too few serve: all leave at once', 0, 'settle on v1'],
  ])('%s', async (_what, availableReplicas, way) => {
    const { world, ctx } = failedPromotion((w) => w.edit((d) => Object.assign(d.status!, { availableReplicas })), 2);
    world.edit((d) => Object.assign(d.status!, { availableReplicas }));
    expect(await runMachine(ctx)).toBe('Failed');
    expect(settles(world)).toEqual([way]);
    expect(at(world, way)).toBeLessThan(at(world, 'restore routes'));
  });

  test('the next version is pushed: v2 has left the primary before the canary goes', async () => {
    const { world, ctx } = failedPromotion(pushNext);
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(world.versions()).toEqual(['v1']);
    expect(at(world, settles(world)[0]!)).toBeLessThan(at(world, 'restore routes'));
    expect(runOf(world.primary()!)?.id).toBe('run2');
  });

  test('the next version is pushed, and the analyzer killed: the next attempt goes on', async () => {
    for (let k = 1; ; k++) {
      const { world, ctx } = failedPromotion(pushNext, 3);
      world.killAtWrite(k);
      let reached = false;
      await runMachine(ctx).catch((e: unknown) => {
        if (!(e instanceof Killed)) throw e;
        reached = true;
      });
      if (!reached) break;
      world.killAtWrite(Number.POSITIVE_INFINITY);
      if (runOf(world.primary()!)?.id !== 'run2') continue;
      const second = world.attempt();
      expect(await runMachine(second), `killed at write ${k}`).toBe('Cancelled');
      expect(world.versions(), `killed at write ${k}`).toEqual(['v1']);
      expect(world.did).toContain('remove canary');
    }
  });

  test('all pods are there, of both versions: v2 leaves no faster than ready ones of v1 stand in', async () => {
    const { world, ctx } = failedPromotion(pushNext, 5);
    await runMachine(ctx);
    expect(settles(world)).toEqual(['settle gently on v1']);
  });

  test('too few pods are there: v2 leaves at once, as in the rollback itself', async () => {
    const { world, ctx } = failedPromotion((w) => {
      pushNext(w);
      w.edit((d) => Object.assign(d.status!, { availableReplicas: 0 }));
    });
    const { settle } = ctx.ports;
    ctx.ports.settle = async (primary, keep) => {
      const done = await settle(primary, keep);
      if (done) world.edit((d) => Object.assign(d.status!, { availableReplicas: 2 }));
      return done;
    };
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(settles(world)).toEqual(['settle on v1']);
    expect(at(world, 'settle on v1')).toBeLessThan(at(world, 'restore routes'));
  });

  test('the user opts out: the pause is ours, so v2 still leaves, and its ReplicaSet goes', async () => {
    const { world, ctx } = failedPromotion(optOut);
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(world.versions()).toEqual(['v1']);
    expect(at(world, settles(world)[0]!)).toBeLessThan(at(world, 'restore routes'));
    expect(world.did).toContain('forget v2');
  });

  test('the user opts out and resumes: from then on Kubernetes rolls', async () => {
    const { world, ctx } = failedPromotion((w) => {
      optOut(w);
      w.edit((d) => delete d.spec.paused);
    });
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(settles(world)).toEqual([]);
    expect(world.did).not.toContain('forget v2');
  });

  test('the user reverts: Kubernetes rolls, and the canary serves until that is through', async () => {
    let restoredWith: object | undefined;
    let revertedAt = Number.POSITIVE_INFINITY;
    const { world, ctx } = failedPromotion(
      (w) => {
        revert(w);
        revertedAt = w.seconds();
      },
      5,
      {
        strategy: { type: 'Recreate' },
        meanwhile: (w) => {
          const seconds = w.seconds() - revertedAt;
          const pods = (n: number) =>
            w.edit((d) => {
              const through = { replicas: n, updatedReplicas: n, availableReplicas: n };
              d.status = { ...d.status, observedGeneration: 2, ...through };
            });
          // The controller has seen the revert, but v2's pods, which Recreate takes down first, are counted still.
          if (seconds > 2) w.edit((d) => Object.assign(d.status!, { observedGeneration: 2 }));
          if (seconds > 5) pods(0);
          if (seconds > 15) pods(2);
        },
      },
    );
    const { restoreRoutes } = ctx.ports;
    ctx.ports.restoreRoutes = async () => {
      restoredWith ??= { ...world.primary()!.status, at: world.seconds() - revertedAt };
      return restoreRoutes();
    };
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(restoredWith).toMatchObject({ availableReplicas: 2, updatedReplicas: 2 });
    expect((restoredWith as { at: number }).at).toBeGreaterThanOrEqual(16);
    expect(settles(world)).toEqual([]);
  });
});

test('a rollback that got nowhere before the next version came: that one has it done before its first weight', async () => {
  const { world, ctx, mend } = failedPromotion(pushNext, Number.POSITIVE_INFINITY);
  expect(await runMachine(ctx)).toBe('Cancelled');
  expect(world.versions()).toEqual(['v1', 'v2']);
  const second = world.attempt();
  const { promotingSince: _, trafficSince: __, ...status } = second.status;
  second.ref = { ...second.ref, id: 'run2' };
  second.status = { ...status, run: 'run2', phase: 'Preparing', weight: 0, step: 0, failedChecks: 0 };
  const from = world.did.length;
  let servedAtFirstCheck: string[] | undefined;
  const { evaluate } = second.ports;
  second.ports.evaluate = async (...args) => {
    servedAtFirstCheck ??= world.versions();
    return evaluate(...args);
  };
  mend();
  await runMachine(second);
  expect(servedAtFirstCheck).toEqual(['v1']);
  const did = world.did.slice(from);
  expect(did.indexOf('settle gently on v1')).toBeGreaterThanOrEqual(0);
  expect(did.indexOf('settle gently on v1')).toBeLessThan(did.indexOf('weight 10'));
});

/** The run of v3, whose primary has pods of these versions. */
function nextRun(versions: string[], options: WorldOptions = {}) {
  const world = createWorld(options);
  world.edit((d) =>
    Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, hash: 'v3', rejectedBefore: ['v2'] })),
  );
  world.runs(...versions);
  return { world, ctx: world.attempt() };
}

/** Interferes at the look that would have been the last. */
function meanwhile(ctx: Context, act: () => void): void {
  const { settleGently } = ctx.ports;
  let looks = 0;
  ctx.ports.settleGently = async (primary, keep, known) => {
    if (++looks === 2) act();
    return looks < 4 ? { settled: false, ready: 1 } : settleGently(primary, keep, known);
  };
}

describe('the next run finds pods of v2 in the primary', () => {
  test('they and their ReplicaSet are gone before the canary is made and gets requests', async () => {
    const { world, ctx } = nextRun(['v1', 'v2']);
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(settles(world)).toEqual(['settle gently on v1']);
    expect(at(world, 'settle gently on v1')).toBeLessThan(at(world, 'forget v2'));
    expect(at(world, 'forget v2')).toBeLessThan(at(world, 'canary 1'));
    expect(at(world, 'canary 1')).toBeLessThan(at(world, 'weight 10'));
  });

  test('also where it is the same version again, by retry or by another push', async () => {
    const { world, ctx } = nextRun(['v1', 'v3']);
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(at(world, 'settle gently on v1')).toBeGreaterThanOrEqual(0);
    expect(at(world, 'settle gently on v1')).toBeLessThan(at(world, 'weight 10'));
  });

  test('where they are gone already, the ReplicaSet goes', async () => {
    const { world, ctx } = nextRun(['v1']);
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(settles(world)).toEqual([]);
    expect(at(world, 'forget v2')).toBeLessThan(at(world, 'weight 10'));
  });

  test('killed before any of its writes, the next attempt goes on, and none gives the canary a weight before', async () => {
    for (let k = 1; ; k++) {
      const { world, ctx } = nextRun(['v1', 'v2']);
      world.killAtWrite(k);
      let reached = false;
      await runMachine(ctx).catch((e: unknown) => {
        if (!(e instanceof Killed)) throw e;
        reached = true;
      });
      world.killAtWrite(Number.POSITIVE_INFINITY);
      if (!reached) break;
      expect(await runMachine(world.attempt()), `killed at write ${k}`).toBe('Succeeded');
      expect(at(world, 'settle gently on v1')).toBeLessThan(at(world, 'weight 10'));
      expect(at(world, 'forget v2')).toBeLessThan(at(world, 'weight 10'));
    }
  });

  test.each<[string, (world: World) => void]>([
    ['a revert', revert],
    ['another version', pushNext],
  ])('%s meanwhile: no further step is taken', async (_what, act) => {
    const { world, ctx } = nextRun(['v1', 'v2']);
    meanwhile(ctx, () => act(world));
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(settles(world)).toEqual([]);
    expect(world.did).not.toContain('canary 1');
  });

  test('an opt-out meanwhile: they leave all the same, behind the pause that stays', async () => {
    const { world, ctx } = nextRun(['v1', 'v2']);
    meanwhile(ctx, () => optOut(world));
    expect(await runMachine(ctx)).toBe('Cancelled');
    expect(world.versions()).toEqual(['v1']);
    expect(world.did).toContain('forget v2');
    expect(world.did).not.toContain('canary 1');
  });

  test('an abort meanwhile: they leave all the same, and the run ends as aborted', async () => {
    const { world, ctx } = nextRun(['v1', 'v2']);
    meanwhile(ctx, () =>
      world.edit((d) =>
        Object.assign(
          d.metadata.annotations!,
          runAnnotations({ ...runOf(d)!, phase: 'rejected', message: 'aborted by jane' }),
        ),
      ),
    );
    expect(await runMachine(ctx)).toBe('Failed');
    expect(world.versions()).toEqual(['v1']);
    expect(world.did).toContain('forget v2');
    expect(world.condition('Promoted')).toMatchObject({ status: 'False', reason: 'Aborted' });
  });

  test('the stable version gets no pods for it: the version is refused, and the primary left as it serves', async () => {
    const { world, ctx } = nextRun(['v1', 'v2'], { spec: { progressDeadlineSeconds: 30 } });
    ctx.ports.settleGently = async () => ({ settled: false, ready: 0 });
    expect(await runMachine(ctx)).toBe('Failed');
    expect(world.weights()).toEqual([]);
    expect(world.seconds()).toBeGreaterThanOrEqual(60);
    expect(world.seconds()).toBeLessThan(80);
    expect(world.condition('Promoted')).toMatchObject({
      reason: 'InvalidTarget',
      message: expect.stringContaining('too few of the stable one got ready within 30 s') as string,
    });
  });

  test('each pod that gets ready gives the others their whole deadline', async () => {
    const { world, ctx } = nextRun(['v1', 'v2'], { spec: { progressDeadlineSeconds: 30 } });
    const { settleGently } = ctx.ports;
    ctx.ports.settleGently = async (primary, keep, known) =>
      world.seconds() < 100
        ? { settled: false, ready: Math.floor(world.seconds() / 25) }
        : settleGently(primary, keep, known);
    expect(await runMachine(ctx)).toBe('Succeeded');
  });

  test('the stable version’s ReplicaSet was deleted by hand: that keeps nothing back', async () => {
    const { world, ctx } = nextRun(['v2']);
    ctx.ports.settleGently = async () => {
      throw new VersionGone();
    };
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(world.weights().slice(0, 3)).toEqual([10, 20, 30]);
  });

  test('pods of the stable version that are new to the proxies are not counted before these know them', async () => {
    const { world, ctx } = nextRun(['v1', 'v2']);
    const { settleGently } = ctx.ports;
    const looks: [number, number | undefined][] = [];
    ctx.ports.settleGently = async (primary, keep, known) => {
      looks.push([world.seconds(), known]);
      return settleGently(primary, keep, known);
    };
    await runMachine(ctx);
    expect(looks[0]![1]).toBeUndefined();
    expect(looks[1]![1]).toBe(2);
    expect(looks[1]![0] - looks[0]![0]).toBeGreaterThanOrEqual(ctx.propagationMs / 2000);
  });
});
