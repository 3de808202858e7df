import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WorkQueue } from './queue.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A queue whose work ends when the test says so. */
function held(concurrency = 2) {
  const started: string[] = [];
  const ends: { key: string; end: (again?: number) => void; fail: (e: Error) => void }[] = [];
  const errors: unknown[] = [];
  const queue = new WorkQueue({
    work: (key) => {
      started.push(key);
      return new Promise((resolve, reject) => ends.push({ key, end: resolve, fail: reject }));
    },
    onError: (_, e) => errors.push(e),
    concurrency,
    random: () => 1,
  });
  const take = async (key: string, act: 'end' | 'fail', again?: number) => {
    const index = ends.findIndex((e) => e.key === key);
    const [found] = ends.splice(index, 1);
    if (act === 'end') found!.end(again);
    else found!.fail(new Error('failed'));
    await vi.advanceTimersByTimeAsync(0);
  };
  return { queue, started, errors, take };
}

test('a key is never worked on twice at the same time; asked for meanwhile, it gets one more turn', async () => {
  const { queue, started, take } = held();
  queue.add('a');
  queue.add('a');
  queue.add('a');
  expect(started).toEqual(['a']);
  await take('a', 'end');
  expect(started).toEqual(['a', 'a']);
  await take('a', 'end');
  await vi.advanceTimersByTimeAsync(1_000_000);
  expect(started).toEqual(['a', 'a']);
});

test('keys are worked on side by side up to the limit', async () => {
  const { queue, started, take } = held(2);
  for (const key of ['a', 'b', 'c']) queue.add(key);
  expect(started).toEqual(['a', 'b']);
  await take('b', 'end');
  expect(started).toEqual(['a', 'b', 'c']);
});

test('looks again after the time that the work asked for, or sooner when asked', async () => {
  const { queue, started, take } = held();
  queue.add('a');
  await take('a', 'end', 5000);
  await vi.advanceTimersByTimeAsync(4999);
  expect(started).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(started).toHaveLength(2);
  await take('a', 'end', 5000);
  queue.add('a');
  expect(started).toHaveLength(3);
  await take('a', 'end');
  await vi.advanceTimersByTimeAsync(100_000);
  expect(started).toHaveLength(3);
});

test('what fails is tried again, later and later', async () => {
  const { queue, started, errors, take } = held();
  queue.add('a');
  await take('a', 'fail');
  await vi.advanceTimersByTimeAsync(400);
  expect(started).toHaveLength(2);
  await take('a', 'fail');
  await vi.advanceTimersByTimeAsync(799);
  expect(started).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(started).toHaveLength(3);
  expect(errors).toHaveLength(2);
});

test('stopped, it starts nothing more', async () => {
  const { queue, started, take } = held(1);
  queue.add('a');
  queue.add('b');
  queue.stop();
  await take('a', 'end', 10);
  queue.add('c');
  await vi.advanceTimersByTimeAsync(1000);
  expect(started).toEqual(['a']);
});
