import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { identify, isAlive, parseStat } from './procfs.ts';

/** /proc/PID/stat with the command and the state given, and 9876 as its start time (field 22). */
const stat = (command: string, state = 'S') => `42 (${command}) ${state} ${'0 '.repeat(18)}9876 0 0`;

test.each(['etcd', 'a b', 'a) S 1 (b', ''])('the start time is found behind the command "%s"', (command) => {
  expect(parseStat(stat(command))).toEqual({ state: 'S', startTime: 9876 });
});

test('a process is told apart from a later one with the same id', () => {
  const own = identify(process.pid);
  expect(isAlive(own)).toBe(true);
  expect(isAlive({ ...own, startTime: own.startTime + 1 })).toBe(false);
});

test('a process that has ended is not alive', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const identity = identify(child.pid ?? 0);
  expect(isAlive(identity)).toBe(true);
  child.stdin.end();
  await once(child, 'exit');
  expect(isAlive(identity)).toBe(false);
});
