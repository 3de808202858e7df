import { expect, test, vi } from 'vitest';
import { FencedOut } from './fence.ts';
import { keepingLease } from './heartbeat.ts';

const log = { warn: vi.fn() };

function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}

test('the lease is renewed until the work ends, and not after', async () => {
  const work = deferred<string>();
  let renewals = 0;
  const kept = keepingLease(
    {
      fence: {
        renew: async () => {
          if (++renewals === 3) work.resolve('done');
        },
      },
      log,
      lost: () => {},
      renewMs: 1,
    },
    () => work.promise,
  );
  expect(await kept).toBe('done');
  const then = renewals;
  await new Promise((resolve) => setImmediate(resolve));
  expect(renewals).toBe(then);
});

test('a renewal that fails otherwise is tried again', async () => {
  const work = deferred<void>();
  let renewals = 0;
  await keepingLease(
    {
      fence: {
        renew: async () => {
          if (++renewals === 1) throw new Error('no connection');
          work.resolve();
        },
      },
      log,
      lost: () => expect.unreachable(),
      renewMs: 1,
    },
    () => work.promise,
  );
  expect(log.warn).toHaveBeenCalledWith('lease not renewed, trying again', { error: 'no connection' });
});

test('with the lease lost the work is broken off, and the loss is what is thrown', async () => {
  const work = deferred<void>();
  const renew = async () => {
    throw new FencedOut('job-2');
  };
  const lost = () => work.reject(new Error('told to stop'));
  await expect(keepingLease({ fence: { renew }, log, lost, renewMs: 1 }, () => work.promise)).rejects.toThrow(
    'another attempt took over: job-2',
  );
});
