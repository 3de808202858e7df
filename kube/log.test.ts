import { afterEach, expect, test, vi } from 'vitest';
import { createLogger, memoryLog } from './log.ts';

afterEach(() => vi.restoreAllMocks());

/** The lines that the code under test prints. */
async function printed(act: () => void): Promise<string[]> {
  const lines: string[] = [];
  const out = (console as unknown as { _stdout?: NodeJS.WriteStream })._stdout ?? process.stdout;
  vi.spyOn(out, 'write').mockImplementation((chunk) => {
    lines.push(String(chunk).trimEnd());
    return true;
  });
  act();
  await new Promise(setImmediate);
  vi.restoreAllMocks();
  return lines;
}

test('JSON: one object per line, constant message, fields beside it, errors as their message', async () => {
  const [line] = await printed(() =>
    createLogger('info', 'json')
      .child({ run: 'r1' })
      .warn('request failed', { status: 503, error: new Error('no answer'), gone: undefined }),
  );
  expect(JSON.parse(line!)).toEqual({
    level: 'warn',
    message: 'request failed',
    run: 'r1',
    status: 503,
    error: 'no answer',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  });
});

test('text: values with blanks are quoted', async () => {
  const [line] = await printed(() =>
    createLogger('info', 'text').info('started', { port: 8443, why: 'two words', gone: undefined }),
  );
  expect(line).toMatch(/Z info {2}started port=8443 why="two words"$/);
});

test('what is below the level is not written', async () => {
  expect(await printed(() => createLogger('warn', 'json').info('started'))).toEqual([]);
});

test('a log in memory for tests', () => {
  const log = memoryLog();
  log.child({ a: 1 }).error('broken', { b: 'x' });
  expect(log.lines).toEqual([{ level: 'error', message: 'broken', fields: { a: 1, b: 'x' } }]);
});
