import { expect, test } from 'vitest';
import { runAnnotations, runOf } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';
import type { Context } from './context.ts';
import { runMachine } from './machine.ts';
import { createWorld, failing, silent } from './world.testing.ts';

const good = { requests: 1, readings: [] };
const decisionIn = (body: unknown) => (body as Deployment).metadata.annotations?.['sidestep.dev/decision'];

/** Answers decisions in place of the API server; everything else goes through. */
function onDecision(ctx: Context, answer: (text: string) => void): void {
  const { patch } = ctx.client;
  ctx.client = {
    ...ctx.client,
    patch: async (resource, target, type, body, options) => {
      const text = decisionIn(body);
      if (text) answer(text);
      return patch(resource, target, type, body, options);
    },
  };
}

test('a rejected version is never what a mixed primary is settled on', async () => {
  const world = createWorld({ evaluate: () => failing });
  world.edit((d) => Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, interrupted: 'v2' })));
  const ctx = world.attempt();
  world.runs('v1', 'v2');
  ctx.ports.versionReady = async () => true;
  expect(await runMachine(ctx)).toBe('Failed');
  expect(world.did.filter((d) => d.startsWith('settle'))).toEqual(['settle gently on v1']);
});

test('hooks are called in every interval, also while the run waits for evidence that they bring', async () => {
  const world = createWorld({
    evaluate: () => silent,
    spec: { analysis: { interval: '10s', holdTimeout: '5m', stepWeight: 10, maxWeight: 30 } },
  });
  const ctx = world.attempt();
  let calls = 0;
  ctx.ports.callHooks = async () => {
    calls++;
    return [];
  };
  await runMachine(ctx);
  expect(world.seconds()).toBeGreaterThan(250);
  expect(calls).toBeGreaterThan(10);
});

test('a first check without evidence waits for holdTimeout, however long the interval was', async () => {
  const world = createWorld({
    evaluate: (_w, n) => (n === 1 ? silent : good),
    spec: { analysis: { interval: '1h', holdTimeout: '1h', stepWeight: 10, maxWeight: 30 } },
  });
  expect(await runMachine(world.attempt())).toBe('Succeeded');
});

test('the mesh gets time to learn the primary’s new pods before the requests return to them', async () => {
  const world = createWorld({ strategy: { type: 'Recreate' } });
  const ctx = world.attempt();
  let completeAt = 0;
  let restoredAt = 0;
  onDecision(ctx, (text) => {
    if (text.includes('"promote"')) completeAt = ctx.clock.now().getTime();
  });
  const { restoreRoutes } = ctx.ports;
  ctx.ports.restoreRoutes = async () => {
    restoredAt = ctx.clock.now().getTime();
    return restoreRoutes();
  };
  await runMachine(ctx);
  // In this world the primary is complete at the very moment of the promotion, with pods that are all new.
  expect(restoredAt - completeAt).toBeGreaterThanOrEqual(ctx.propagationMs / 2);
});

test('a revert in the middle of a promotion keeps the canary until the primary has pods, however slowly they start', async () => {
  const world = createWorld({
    strategy: { type: 'Recreate' },
    promotes: () => false,
    spec: { progressDeadlineSeconds: 600 },
  });
  const ctx = world.attempt();
  let promotedAt = Number.POSITIVE_INFINITY;
  let reverted = false;
  onDecision(ctx, (text) => {
    if (!text.includes('"promote"') || promotedAt < Number.POSITIVE_INFINITY) return;
    promotedAt = ctx.clock.now().getTime();
    // Recreate: v1's pods go before v2's start.
    world.edit((d) => {
      d.status!.availableReplicas = 0;
    });
  });
  const { nextChange } = ctx.view;
  ctx.view.nextChange = async (ms) => {
    await nextChange(ms);
    const seconds = (ctx.clock.now().getTime() - promotedAt) / 1000;
    if (seconds > 10 && !reverted) {
      reverted = true;
      world.edit((d) => {
        delete d.metadata.annotations!['sidestep.dev/run'];
      });
    }
    // v1 takes three minutes to start, well within progressDeadlineSeconds.
    if (seconds > 190) world.edit((d) => Object.assign(d.status!, { availableReplicas: 2, updatedReplicas: 2 }));
  };
  const { restoreRoutes } = ctx.ports;
  let availableThen: number | undefined;
  let restoredAt: number | undefined;
  ctx.ports.restoreRoutes = async () => {
    availableThen ??= world.primary()!.status!.availableReplicas;
    restoredAt ??= ctx.clock.now().getTime();
    return restoreRoutes();
  };
  expect(await runMachine(ctx)).toBe('Cancelled');
  expect((restoredAt! - promotedAt) / 1000).toBeLessThan(200);
  expect(availableThen, 'ready primary pods when all requests were sent to it').toBeGreaterThan(0);
});

test('the same for a fix that is pushed while the promotion gets stuck', async () => {
  const world = createWorld({
    strategy: { type: 'Recreate' },
    promotes: () => false,
    spec: { progressDeadlineSeconds: 600 },
  });
  const ctx = world.attempt();
  const { nextChange } = ctx.view;
  let frozen = false;
  ctx.view.nextChange = async (ms) => {
    await nextChange(ms);
    if (frozen || runOf(world.primary()!)?.phase !== 'promoting') return;
    frozen = true;
    world.edit((d) => {
      // v2's pods never get ready in the primary, v1's are gone; v3 freezes it like that.
      d.status!.availableReplicas = 0;
      d.spec.paused = true;
      Object.assign(
        d.metadata.annotations!,
        runAnnotations({ ...runOf(d)!, id: 'run2', hash: 'v3', phase: 'held', interrupted: 'v2' }),
      );
    });
  };
  const { restoreRoutes } = ctx.ports;
  let availableThen: number | undefined;
  const kept: string[] = [];
  ctx.ports.versionReady = async () => false;
  ctx.ports.settle = async (_primary, keepHash) => {
    kept.push(keepHash);
    if (kept.length === 300) world.edit((d) => Object.assign(d.status!, { availableReplicas: d.spec.replicas ?? 1 }));
    return kept.length >= 300;
  };
  ctx.ports.restoreRoutes = async () => {
    availableThen ??= world.primary()!.status!.availableReplicas;
    return restoreRoutes();
  };
  await runMachine(ctx);
  expect(availableThen, 'ready primary pods when all requests were sent to it').toBeGreaterThan(0);
  expect(new Set(kept)).toEqual(new Set(['v1']));
});
