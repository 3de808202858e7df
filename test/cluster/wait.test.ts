import { expect, test } from 'vitest';
import { waitUntil } from './wait.ts';

const options = { what: 'the thing', timeout: 1000, interval: 1 };

test('attempts that fail or say no are repeated', async () => {
  const answers = [() => Promise.reject(new Error('refused')), async () => false, async () => true];
  await waitUntil(() => answers.shift()!(), options);
  expect(answers).toEqual([]);
});

test('the error names what was waited for and the last failure', async () => {
  const attempt = () => Promise.reject(new Error('refused'));
  await expect(waitUntil(attempt, { ...options, timeout: 0 })).rejects.toThrow(
    'the thing: not ready after 0 s (refused)',
  );
});

test('waiting ends at once when it has become pointless', async () => {
  const giveUp = () => {
    throw new Error('it has ended');
  };
  await expect(waitUntil(async () => false, { ...options, timeout: 60_000, giveUp })).rejects.toThrow('it has ended');
});
