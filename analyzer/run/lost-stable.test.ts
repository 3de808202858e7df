import { expect, test } from 'vitest';
import { runMachine } from './machine.ts';
import { createWorld } from './world.testing.ts';

const SAID = 'event StableVersionGone';

const withReplicas = (replicas: number, wanted: number, observed = true) => {
  const world = createWorld({
    replicas: 2,
    evaluate: (_weight, check) => {
      if (check === 1)
        world.edit((d) => {
          d.spec.replicas = wanted;
          d.metadata.generation = 2;
          d.status = { ...d.status, replicas, availableReplicas: replicas, observedGeneration: observed ? 2 : 1 };
        });
      return { requests: 1, readings: [] };
    },
  });
  return world;
};

test('a primary that lost all its pods is spoken of at each check, and the run goes on', async () => {
  const world = withReplicas(0, 2);
  await runMachine(world.attempt());
  expect(world.did.filter((d) => d === SAID)).toHaveLength(2);
  expect(world.weights().slice(0, 3)).toEqual([10, 20, 30]);
  expect(world.did).toContain('decide promote');
});

test.each([
  ['one pod less than wanted', 1, 2, true],
  ['none because none are wanted', 0, 0, true],
  ['a status that is older than the object', 0, 2, false],
])('not with %s', async (_what, replicas, wanted, observed) => {
  const world = withReplicas(replicas, wanted, observed);
  await runMachine(world.attempt()).catch(() => undefined);
  expect(world.did).not.toContain(SAID);
});
