import { expect, test } from 'vitest';
import { CommandError, lastLines, run, runInteractive } from './run.ts';

test('a command gets its input and gives its output', async () => {
  expect(await run('cat', [], { input: 'hello' })).toBe('hello');
});

test('a failure tells the command, its exit code and the end of both outputs', async () => {
  const failing = run('sh', ['-c', 'echo one; echo two >&2; exit 3']);
  await expect(failing).rejects.toThrow(CommandError);
  await expect(failing).rejects.toThrow(/^sh -c .*exit code 3\none\ntwo$/s);
});

test('a command that does not exist is named', async () => {
  await expect(run('no-such-command', [])).rejects.toThrow(/no-such-command.*ENOENT/);
});

test.each([
  [0, 'exit 0'],
  [7, 'exit 7'],
  [129, 'kill -TERM $$'],
])('on the terminal the exit code is %i', async (code, script) => {
  expect(await runInteractive('sh', ['-c', script])).toBe(code);
});

test('the last lines do not count the newline at the end', () => {
  expect(lastLines('a\nb\nc\n', 2)).toBe('b\nc');
});
