import { expect, test } from 'vitest';
import { runMachine } from './machine.ts';
import { createWorld } from './world.testing.ts';

const why = 'callers were not read';
/** Weights with the second of the run at which they were set. */
async function weightsOf(options: Parameters<typeof createWorld>[0]) {
  const set: [weight: number, seconds: number][] = [];
  const world = createWorld({
    ...options,
    meanwhile: (w) => {
      if (w.weight() > 0 && set.at(-1)?.[0] !== w.weight()) set.push([w.weight(), w.seconds()]);
      options?.meanwhile?.(w);
    },
  });
  const end = await runMachine(world.attempt());
  return { end, set, world };
}

test('the first weight waits until callers have been read again; the others do not', async () => {
  const { set: free } = await weightsOf({});
  const { end, set } = await weightsOf({ unread: (s) => (s < 30 ? why : undefined) });
  expect(end).toBe('Succeeded');
  expect(set[0]![1]).toBeGreaterThanOrEqual(30);
  const gaps = (weights: typeof set) => weights.slice(1).map(([, s], i) => s - weights[i]![1]);
  expect(gaps(set)).toEqual(gaps(free));
});

test.each([
  [false, 1],
  [true, 2],
])(
  'requests to the canary’s own Service before it was ready (%s): callers are read %i times',
  async (strays, times) => {
    const world = createWorld({ strays });
    const ctx = world.attempt();
    const { callersReread } = ctx.ports;
    const notedAt: number[] = [];
    ctx.ports.callersReread = (canary) => {
      notedAt.push(world.seconds());
      return callersReread(canary);
    };
    expect(await runMachine(ctx)).toBe('Succeeded');
    expect(notedAt).toHaveLength(times);
    // The second time once every proxy knows the ready pods.
    if (strays) expect(notedAt[1]! - notedAt[0]!).toBeGreaterThanOrEqual(ctx.propagationMs / 2000);
  },
);

test('what the run waits for is told', async () => {
  const messages = new Set<string>();
  await weightsOf({
    unread: (s) => (s < 30 ? why : undefined),
    meanwhile: (w) => messages.add(w.status().message),
  });
  expect([...messages]).toContain(`no requests are sent yet: ${why}`);
});

test('a metric store that never answers keeps the run at 0 for a bounded time', async () => {
  const { set, world } = await weightsOf({ unread: () => why });
  expect(set[0]![1]).toBeGreaterThan(90);
  expect(set[0]![1]).toBeLessThan(120);
  expect(world.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
});

test('a run that is aborted meanwhile ends without a request', async () => {
  const { end, world } = await weightsOf({
    unread: () => why,
    meanwhile: (w) => {
      if (w.seconds() > 20) w.edit((d) => delete d.metadata.annotations!['sidestep.dev/run']);
    },
  });
  expect(end).toBe('Cancelled');
  expect(world.weights()).toEqual([]);
});

test('an attempt that finds the canary with requests, and an analysis without metrics, wait for nothing', async () => {
  const world = createWorld({ unread: () => why });
  world.edit((d) => {
    d.metadata.annotations!['sidestep.dev/status'] = JSON.stringify({
      ...world.attempt().status,
      phase: 'Progressing',
      weight: 10,
      step: 1,
    });
  });
  await runMachine(world.attempt());
  expect(world.seconds()).toBeLessThan(90);
  const { set } = await weightsOf({
    unread: () => why,
    spec: { analysis: { metrics: [], interval: '10s', threshold: 2, maxWeight: 30, stepWeight: 10 } },
  });
  expect(set[0]![1]).toBeLessThan(20);
});
