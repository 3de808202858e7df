import { expect, test } from 'vitest';
import { runMachine } from './machine.ts';
import { createWorld, failing } from './world.testing.ts';

// A version pushed while another is promoted: the primary stands between two versions until the run has its verdict.

test.each([
  ['the promoted version, whose pods are ready', true, 'v1b'],
  ['the stable version where those are not', false, 'v1'],
])('rejected, the primary is settled on %s, after the users have left the canary', async (_what, ready, kept) => {
  const world = createWorld({ evaluate: () => failing, interrupted: { hash: 'v1b', ready } });
  expect(await runMachine(world.attempt())).toBe('Failed');
  expect(world.did.filter((d) => d.startsWith('settle'))).toEqual([`settle gently on ${kept}`]);
  expect(world.did.indexOf('remove canary')).toBeLessThan(world.did.indexOf(`settle gently on ${kept}`));
  expect(world.did.some((d) => d.startsWith('forget'))).toBe(false);
});

test('promoted, the primary rolls from both to the new one', async () => {
  const world = createWorld({ interrupted: { hash: 'v1b', ready: true } });
  expect(await runMachine(world.attempt())).toBe('Succeeded');
  expect(world.did.some((d) => d.startsWith('settle'))).toBe(false);
});

test('promoted without getting through, the primary goes back to one of the two before the canary goes', async () => {
  const world = createWorld({
    promotes: () => false,
    spec: { progressDeadlineSeconds: 20 },
    interrupted: { hash: 'v1b', ready: true },
  });
  expect(await runMachine(world.attempt())).toBe('Failed');
  expect(world.did.indexOf('decide restore')).toBeLessThan(world.did.indexOf('settle gently on v1b'));
  expect(world.did.indexOf('settle gently on v1b')).toBeLessThan(world.did.indexOf('remove canary'));
});
