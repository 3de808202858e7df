import { describe, expect, test } from 'vitest';
import { runAnnotations, runOf } from '../../canary/run.ts';
import { KubeError } from '../../kube/errors.ts';
import { runMachine } from './machine.ts';
import { createWorld, failing, Killed, silent, type World, type WorldOptions } from './world.testing.ts';

// What users order while a version is held: pause, resume, promote; and a rollout that they pause themselves.

/** Does each thing once, in order, as soon as its time has come. */
function script(...steps: [when: (w: World) => boolean, act: (w: World) => void][]): (w: World) => void {
  let next = 0;
  return (w) => {
    const step = steps[next];
    if (!step?.[0](w)) return;
    next++;
    step[1](w);
  };
}
const atWeight = (percent: number) => (w: World) => w.weight() === percent && w.status().weight === percent;
const atSecond = (seconds: number) => (w: World) => w.seconds() >= seconds;
const order = (command: Parameters<World['command']>[0]) => (w: World) => w.command(command);

describe('a paused run', () => {
  test('stays at its weight with no clock running, says so, and goes on where it was', async () => {
    const seen: unknown[] = [];
    const world = createWorld({
      spec: { analysis: { interval: '10s', holdTimeout: '1m', threshold: 2, maxWeight: 30, stepWeight: 10 } },
      // No evidence for longer than holdTimeout: that, too, waits.
      evaluate: (_w, check) => (check > 3 && check < 30 ? silent : { requests: 1, readings: [] }),
      meanwhile: script(
        [atWeight(20), order('pause')],
        [atSecond(300), (w) => seen.push(w.weight(), w.status(), w.condition('Promoted'))],
        [atSecond(600), order('resume')],
      ),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([10, 20, 30]);
    expect(seen).toMatchObject([
      20,
      { phase: 'Paused', weight: 20, message: 'paused by alice at weight 20 %' },
      { status: 'Unknown', reason: 'Paused', message: 'paused by alice at weight 20 %' },
    ]);
    expect(world.did.filter((d) => /^event Canary(Paused|Resumed)/.test(d))).toEqual([
      'event CanaryPaused',
      'event CanaryResumed',
    ]);
    // A full interval at the weight that it was paused at, and one at the last.
    expect(world.seconds()).toBeGreaterThanOrEqual(620);
  });

  test('is rolled back by the failed check that reaches the threshold', async () => {
    const world = createWorld({
      evaluate: (_w, check) => (check > 1 ? failing : { requests: 1, readings: [] }),
      meanwhile: script([atWeight(20), order('pause')]),
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.weights()).toEqual([10, 20]);
    expect(world.checks()).toBe(1 + 2);
    expect(runOf(world.primary()!)).toMatchObject({ phase: 'rejected', message: 'success rate 0 %' });
    expect(world.condition('Promoted')).toMatchObject({ status: 'False', reason: 'RolledBack' });
  });

  test('is rolled back at once by what the guard finds', async () => {
    const world = createWorld({
      find: (_weight, nowMs) =>
        nowMs >= Date.parse('2026-01-01T00:02:00Z') ? { reason: 'RolledBack', message: 'worse' } : undefined,
      meanwhile: script([atWeight(20), order('pause')]),
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.seconds()).toBeLessThanOrEqual(130);
    expect(runOf(world.primary()!)).toMatchObject({ phase: 'rejected', message: 'worse' });
  });

  test('says at a failed check that it is paused, and forgets none', async () => {
    let said: unknown;
    const world = createWorld({
      evaluate: (_w, check) => (check === 2 ? failing : { requests: 1, readings: [] }),
      meanwhile: script(
        [atWeight(20), order('pause')],
        [(w) => w.status().failedChecks === 1, (w) => (said = w.condition('Promoted'))],
        [atSecond(100), order('resume')],
      ),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(said).toMatchObject({
      reason: 'Paused',
      message: 'paused by alice at weight 20 %; check failed (1 of 2): success rate 0 %',
    });
    expect(world.status().failedChecks).toBe(1);
  });

  test('before the first request sends none, and its canary has its whole deadline afterwards', async () => {
    let ready = false;
    const world = createWorld({
      ready: () => ready,
      spec: { progressDeadlineSeconds: 30 },
      meanwhile: script(
        [atSecond(5), order('pause')],
        [atSecond(500), order('resume')],
        [atSecond(520), () => (ready = true)],
      ),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.did.indexOf('status Paused')).toBeLessThan(world.did.indexOf('weight 10'));
    expect(world.did.slice(0, world.did.indexOf('event CanaryResumed')).some((d) => d.startsWith('weight'))).toBe(
      false,
    );
  });

  test('when the analysis has just passed is not promoted', async () => {
    const world: World = createWorld({
      evaluate: (weight) => {
        if (weight === 30 && !runOf(world.primary()!)!.order && world.seconds() < 100) world.command('pause');
        return { requests: 1, readings: [] };
      },
      meanwhile: script([atSecond(200), order('resume')]),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.did.indexOf('event CanaryResumed')).toBeLessThan(world.did.indexOf('decide promote'));
    expect(world.seconds()).toBeGreaterThan(200);
  });

  test('is ended by an abort and by a revert like any other', async () => {
    const aborted = createWorld({
      meanwhile: script(
        [atWeight(10), order('pause')],
        [
          atSecond(100),
          (w) =>
            w.edit((d) => {
              const { order: _, ...run } = runOf(d)!;
              const annotations = runAnnotations({ ...run, phase: 'rejected', message: 'aborted by alice' });
              Object.assign(d.metadata.annotations!, annotations);
            }),
        ],
      ),
    });
    expect(await runMachine(aborted.attempt())).toBe('Failed');
    expect(aborted.condition('Promoted')).toMatchObject({ reason: 'Aborted' });
    const reverted = createWorld({
      meanwhile: script(
        [atWeight(10), order('pause')],
        [atSecond(100), (w) => w.edit((d) => delete d.metadata.annotations!['sidestep.dev/run'])],
      ),
    });
    expect(await runMachine(reverted.attempt())).toBe('Cancelled');
    expect(reverted.weight()).toBe(0);
  });

  test('whose canary is not ready for another attempt to take over ends at the deadline', async () => {
    let ready = true;
    const world = createWorld({ ready: () => ready, meanwhile: script([atWeight(20), order('pause')]) });
    world.killAtWrite(12);
    await expect(runMachine(world.attempt())).rejects.toThrow(Killed);
    world.killAtWrite(Number.POSITIVE_INFINITY);
    ready = false;
    world.command('pause');
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.condition('Promoted')).toMatchObject({ reason: 'CanaryNotRunnable' });
  });
});

describe('a version that a user promotes', () => {
  test('skips the checks that are left, keeps its weight meanwhile, and says by whom', async () => {
    const world = createWorld({ meanwhile: script([atWeight(10), order('promote')]) });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([10]);
    expect(world.checks()).toBe(0);
    expect(world.seconds()).toBeLessThan(10);
    expect(world.did.indexOf('decide complete')).toBeLessThan(world.did.indexOf('restore routes'));
    expect(world.condition('Promoted')).toMatchObject({
      status: 'True',
      message: 'promoted by order of alice at step 1 of 3, 0 failed checks',
    });
  });

  test('is not kept back by what the guard finds from then on', async () => {
    const world: World = createWorld({
      find: () => (runOf(world.primary()!)?.order ? { reason: 'RolledBack', message: 'worse' } : undefined),
      meanwhile: script([atWeight(10), order('promote')]),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
  });

  test('needs no canary that is not to serve', async () => {
    const world = createWorld({ refuse: 'several Services select the pods: a, b' });
    world.command('promote');
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([]);
    expect(world.did.filter((d) => d.startsWith('canary '))).toEqual([]);
  });

  test('while its canary is not ready yet is promoted at once where the primary can do without', async () => {
    const world = createWorld({ ready: () => false, meanwhile: script([atSecond(5), order('promote')]) });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([]);
    expect(world.seconds()).toBeLessThan(15);
  });

  test('has a canary that takes all requests where the primary goes down meanwhile', async () => {
    const world = createWorld({ strategy: { type: 'Recreate' } });
    world.command('promote');
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(world.weights()).toEqual([100]);
    expect(world.did.indexOf('routes')).toBeLessThan(world.did.indexOf('weight 100'));
    expect(world.did.indexOf('weight 100')).toBeLessThan(world.did.indexOf('decide promote'));
    expect(world.checks()).toBe(0);
  });

  test.each<[string, WorldOptions, string]>([
    ['that serves is not ready', {}, 'CanaryNotRunnable'],
    ['that is to serve never gets ready', { strategy: { type: 'Recreate' } }, 'CanaryNotRunnable'],
  ])('and whose canary %s is rejected', async (_what, options, reason) => {
    let ready = options.strategy === undefined;
    const world = createWorld({
      ...options,
      spec: { progressDeadlineSeconds: 30 },
      ready: () => ready,
      meanwhile: script([
        (w) => w.weight() === 10 || options.strategy !== undefined,
        (w) => {
          ready = false;
          w.command('promote');
        },
      ]),
    });
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.did).not.toContain('decide promote');
    expect(world.condition('Promoted')).toMatchObject({ reason });
    expect(world.weight()).toBe(0);
  });

  test('and that does not get through its rollout goes back like any other', async () => {
    const world = createWorld({ promotes: () => false, spec: { progressDeadlineSeconds: 20 } });
    world.command('promote');
    expect(await runMachine(world.attempt())).toBe('Failed');
    expect(world.did.indexOf('decide restore')).toBeLessThan(world.did.indexOf('settle gently on v1'));
    expect(runOf(world.primary()!)).toMatchObject({ phase: 'rejected' });
    expect(runOf(world.primary()!)).not.toHaveProperty('order');
  });

  test('and pauses again before it is released stays at the weight that it had earned', async () => {
    const seen: number[] = [];
    const world = createWorld({
      strategy: { type: 'Recreate' },
      meanwhile: script(
        [atWeight(10), order('promote')],
        [(w) => w.weight() === 100, order('pause')],
        [atSecond(300), (w) => seen.push(w.weight(), w.status().weight)],
        [atSecond(301), order('resume')],
      ),
    });
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(seen).toEqual([10, 10]);
    expect(world.status()).not.toHaveProperty('promotedBy');
    expect(world.weights()).toEqual([10, 100, 10, 20, 30, 100]);
  });

  test('and pauses again before its first step gets no request any more', async () => {
    const seen: number[] = [];
    const world = createWorld({
      strategy: { type: 'Recreate' },
      meanwhile: script(
        [(w) => w.weight() === 100, order('pause')],
        [atSecond(300), (w) => seen.push(w.weight(), w.status().weight)],
        [atSecond(301), order('resume')],
      ),
    });
    world.command('promote');
    expect(await runMachine(world.attempt())).toBe('Succeeded');
    expect(seen).toEqual([0, 0]);
  });

  test('and pauses in the very moment of the decision: admission has the last word', async () => {
    const world = createWorld({ meanwhile: script([atSecond(200), order('resume')]) });
    const ctx = world.attempt();
    const { patch } = ctx.client;
    let once = true;
    ctx.client = {
      ...ctx.client,
      patch: (resource, target, type, body, options) => {
        if (!JSON.stringify(body).includes('verdict') || !once)
          return patch.call(ctx.client, resource, target, type, body, options) as never;
        once = false;
        world.command('pause');
        return Promise.reject(new KubeError(409, 'Conflict', 'changed')) as never;
      },
    };
    world.command('promote');
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(world.did.indexOf('event CanaryPaused')).toBeLessThan(world.did.indexOf('decide promote'));
    expect(world.weights()).toEqual([10, 20, 30]);
  });

  test.each(['promote', 'pause'] as const)(
    'on its way out already is rejected all the same, whatever is ordered: %s',
    async (command) => {
      const world = createWorld({ evaluate: () => failing });
      const ctx = world.attempt();
      const dies = async () => {
        world.command(command);
        throw new Killed();
      };
      ctx.ports = { ...ctx.ports, restoreRoutes: dies };
      await expect(runMachine(ctx)).rejects.toThrow(Killed);
      expect(await runMachine(world.attempt())).toBe('Failed');
      expect(runOf(world.primary()!)).toMatchObject({ phase: 'rejected' });
    },
  );
});

describe.each(['pause', 'promote'] as const)('an attempt after too many that died, with the order %s', (command) => {
  test('only undoes', async () => {
    const world = createWorld();
    world.command(command);
    expect(await runMachine(world.attempt(true))).toBe('Failed');
    expect(world.weights()).toEqual([]);
    expect(world.did).not.toContain('decide promote');
  });
});

test('a promotion that its user pauses by spec.paused has its whole deadline afterwards', async () => {
  const seen: unknown[] = [];
  const pauseRollout = (paused: boolean) => (w: World) => w.edit((d) => Object.assign(d.spec, { paused }));
  const world = createWorld({
    promotes: () => false,
    spec: { progressDeadlineSeconds: 20 },
    meanwhile: script(
      [(w) => w.did.includes('decide promote'), pauseRollout(true)],
      [atSecond(500), (w) => seen.push(w.condition('Promoted'))],
      [atSecond(501), pauseRollout(false)],
      [atSecond(515), (w) => w.edit((d) => Object.assign(d.status!, { updatedReplicas: 2 }))],
    ),
  });
  expect(await runMachine(world.attempt())).toBe('Succeeded');
  expect(seen).toMatchObject([
    { status: 'Unknown', reason: 'Paused', message: expect.stringContaining('spec.paused') },
  ]);
});

describe('an attempt killed before any of its writes, and followed by another', () => {
  const stories: Record<string, { options: () => WorldOptions; first?: (w: World) => void; end: string }> = {
    'paused at 20 %, resumed later': {
      options: () => ({ meanwhile: script([atWeight(20), order('pause')], [atSecond(60), order('resume')]) }),
      end: 'Succeeded',
    },
    'paused at 20 %, turning bad': {
      options: () => ({
        evaluate: (w) => (w >= 20 ? failing : { requests: 1, readings: [] }),
        meanwhile: script([atWeight(20), order('pause')]),
      }),
      end: 'Failed',
    },
    'promoted at 10 %': { options: () => ({ meanwhile: script([atWeight(10), order('promote')]) }), end: 'Succeeded' },
    'promoted before any step, the primary going down meanwhile': {
      options: () => ({ strategy: { type: 'Recreate' } }),
      first: order('promote'),
      end: 'Succeeded',
    },
    'promoted at 10 %, and stuck': {
      options: () => ({
        promotes: () => false,
        spec: { progressDeadlineSeconds: 20 },
        meanwhile: script([atWeight(10), order('promote')]),
      }),
      end: 'Failed',
    },
  };

  test.each(Object.entries(stories))('%s', async (_what, { options, first, end }) => {
    let k = 1;
    for (let reached = true; reached; k++) {
      reached = false;
      const world = createWorld(options());
      first?.(world);
      world.killAtWrite(k);
      let ended: string | undefined;
      try {
        ended = await runMachine(world.attempt());
      } catch (e) {
        if (!(e instanceof Killed)) throw e;
        reached = true;
        world.killAtWrite(Number.POSITIVE_INFINITY);
        ended = await runMachine(world.attempt());
      }
      expect(ended, `killed at write ${k}`).toBe(end);
      expect(world.weight(), `killed at write ${k}`).toBe(0);
      expect(world.did, `killed at write ${k}`).toContain('remove canary');
      // No step is skipped on the way up, and none is taken by a paused or promoted run.
      const steps = world.weights().filter((w) => w <= 30);
      expect([10, 20, 30].slice(0, new Set(steps).size), `killed at write ${k}`).toEqual([...new Set(steps)]);
      if (end === 'Failed') expect(runOf(world.primary()!)?.phase, `killed at write ${k}`).toBe('rejected');
    }
    expect(k).toBeGreaterThan(8);
  });
});
