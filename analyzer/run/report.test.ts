import { expect, test } from 'vitest';
import { runAnnotations, runOf } from '../../canary/run.ts';
import { statusOf } from '../../canary/status.ts';
import { FencedOut } from '../fence.ts';
import type { Context } from './context.ts';
import { runMachine } from './machine.ts';
import { createWorld, failing, type World } from './world.testing.ts';

// Somebody changes the Deployment between our last look and our write.

/** Does something once, when the patch that holds this text is on its way. */
function onceOnItsWay(ctx: Context, text: string, act: () => void): void {
  const { patch } = ctx.client;
  let once = true;
  ctx.client = {
    ...ctx.client,
    patch: (resource, target, type, body, options) => {
      if (once && JSON.stringify(body).includes(text)) {
        once = false;
        act();
      }
      return patch(resource, target, type, body, options);
    },
  };
}

const nextVersion = (world: World) => () =>
  world.edit((d) =>
    Object.assign(d.metadata.annotations!, runAnnotations({ ...runOf(d)!, id: 'run2', phase: 'held' })),
  );
const revert = (world: World) => () =>
  world.edit((d) => {
    delete d.metadata.annotations!['sidestep.dev/run'];
  });

test("a failure that was on its way when the next version came does not make that one's rollout a failure", async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  onceOnItsWay(ctx, 'ProgressDeadlineExceeded', nextVersion(world));
  await runMachine(ctx);
  expect(runOf(world.primary()!)?.id).toBe('run2');
  expect(world.condition('Progressing')).toBeUndefined();
  expect(statusOf(world.primary()!)?.phase).not.toBe('Failed');
});

test('nor does it stay on what was reverted meanwhile', async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  onceOnItsWay(ctx, 'ProgressDeadlineExceeded', revert(world));
  expect(await runMachine(ctx)).toBe('Cancelled');
  expect(world.condition('Progressing')).toBeUndefined();
  expect(world.condition('Promoted')).toBeUndefined();
  expect(statusOf(world.primary()!)).toBeUndefined();
});

test('a report is written again after a change that leaves the run as it was', async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  onceOnItsWay(ctx, 'ProgressDeadlineExceeded', () => world.edit((d) => (d.metadata.labels = { team: 'a' })));
  expect(await runMachine(ctx)).toBe('Failed');
  expect(world.condition('Progressing')).toMatchObject({ reason: 'ProgressDeadlineExceeded' });
  expect(world.primary()!.metadata.labels).toEqual({ team: 'a' });
});

test('what is erased after a revert is not the report of a version that came since', async () => {
  const world = createWorld({
    evaluate: () => {
      revert(world)();
      return failing;
    },
  });
  const next = runAnnotations({ ...runOf(world.primary()!)!, id: 'run2' });
  const ctx = world.attempt();
  onceOnItsWay(ctx, '"sidestep.dev/status":null', () =>
    world.edit((d) => Object.assign(d.metadata.annotations!, next, { 'sidestep.dev/status': 'of another' })),
  );
  expect(await runMachine(ctx)).toBe('Cancelled');
  expect(world.primary()!.metadata.annotations).toMatchObject({ 'sidestep.dev/status': 'of another' });
});

test('a Deployment that is deleted while the run reports ends it', async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  onceOnItsWay(ctx, 'RollingBack', () => world.remove());
  expect(await runMachine(ctx)).toBe('Cancelled');
  expect(world.weight()).toBe(0);
});

test('a Deployment that is never found as it was read is not tried for ever', async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  const { patch } = ctx.client;
  let tries = 0;
  ctx.client = {
    ...ctx.client,
    patch: (resource, target, type, body, options) => {
      if (target.subresource === 'status') {
        tries++;
        world.edit((d) => (d.metadata.labels = { tries: String(tries) }));
      }
      return patch(resource, target, type, body, options);
    },
  };
  await expect(runMachine(ctx)).rejects.toMatchObject({ status: 409 });
  expect(tries).toBeLessThan(100);
});

test('whoever lost the Lease does not write again after a conflict', async () => {
  const world = createWorld({ evaluate: () => failing });
  const ctx = world.attempt();
  onceOnItsWay(ctx, 'ProgressDeadlineExceeded', () => {
    world.edit((d) => (d.metadata.labels = { team: 'a' }));
    ctx.fence.check = async () => {
      throw new FencedOut('another');
    };
  });
  await expect(runMachine(ctx)).rejects.toBeInstanceOf(FencedOut);
  expect(world.condition('Progressing')).toBeUndefined();
});
