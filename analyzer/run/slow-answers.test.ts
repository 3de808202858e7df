import { describe, expect, test } from 'vitest';
import { CANARY } from '../../canary/annotations.ts';
import { runAnnotations, runOf } from '../../canary/run.ts';
import type { RunGuard } from '../guard/run-guard.ts';
import type { Context, Ports } from './context.ts';
import { runMachine } from './machine.ts';
import { Stopped } from './wait.ts';
import { createWorld, failing, type World } from './world.testing.ts';

const never = new Promise<never>(() => {});

/** Somebody acts while an answer is waited for that does not come. */
function meanwhile(act: () => void): Promise<never> {
  queueMicrotask(act);
  return never;
}

type Slow = (ctx: Context, act: () => void) => void;

const withGuard = (ctx: Context, change: (guard: RunGuard) => RunGuard): void => {
  const { guard } = ctx.ports;
  ctx.ports = { ...ctx.ports, guard: (...args: Parameters<Ports['guard']>) => change(guard(...args)) };
};

const SLOW: Record<string, Slow> = {
  'the metrics of a check': (ctx, act) => {
    ctx.ports = { ...ctx.ports, evaluate: () => meanwhile(act) };
  },
  'the metrics of the primary': (ctx, act) => {
    ctx.ports = { ...ctx.ports, evaluate: async () => failing, evaluatePrimary: () => meanwhile(act) };
  },
  'a look of the guard': (ctx, act) => {
    withGuard(ctx, (guard) => ({
      get dueMs() {
        return guard.dueMs;
      },
      evidence: undefined,
      strays: false,
      earlyPromote: false,
      weightChanged: () => {},
      kayenta: () => undefined,
      look: (weight) => (weight > 0 ? meanwhile(act) : guard.look(weight)),
    }));
  },
  'a hook': (ctx, act) => {
    ctx.ports = { ...ctx.ports, callHooks: () => meanwhile(act) };
  },
};

describe.each(Object.entries(SLOW))('while %s is slow', (_what, slow) => {
  const runs = (act: (world: World) => void) => {
    const world = createWorld();
    const ctx = world.attempt();
    slow(ctx, () => act(world));
    return { world, ctx, end: () => runMachine(ctx) };
  };

  test.each<[string, (w: World) => void, string]>([
    [
      'another version ends the run at once',
      (w) =>
        w.edit((d) => Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, id: 'run2', hash: 'v3' }))),
      'Cancelled',
    ],
    ['an opt-out ends the run at once', (w) => w.edit((d) => delete d.metadata.annotations![CANARY]), 'Cancelled'],
    ['the deletion of the Deployment ends the run at once', (w) => w.remove(), 'Cancelled'],
    [
      'an abort ends the run at once',
      (w) => w.edit((d) => Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, phase: 'rejected' }))),
      'Failed',
    ],
    ['an order to promote is followed at once', (w) => w.command('promote'), 'Succeeded'],
  ])('%s', async (_act, act, expected) => {
    const { world, end } = runs(act);
    expect(await end()).toBe(expected);
    expect(world.weight()).toBe(0);
    expect(world.did).toContain('remove canary');
  });

  test('a process that is told to stop does not wait for it', async () => {
    const stop = new AbortController();
    const { ctx, end } = runs(() => stop.abort());
    ctx.signal = stop.signal;
    ctx.view.onChange = (listener) => {
      stop.signal.addEventListener('abort', listener);
      return () => {};
    };
    await expect(end()).rejects.toBeInstanceOf(Stopped);
  });
});

test('a pause waits for the answer, which may still end the run', async () => {
  const world = createWorld();
  const ctx = world.attempt();
  let answer: () => void = () => {};
  ctx.ports = {
    ...ctx.ports,
    evaluate: () =>
      new Promise((resolve) => {
        answer = () => resolve(failing);
        world.command('pause');
        queueMicrotask(answer);
      }),
  };
  expect(await runMachine(ctx)).toBe('Failed');
  expect(world.did).toContain('event CanaryPaused');
});
