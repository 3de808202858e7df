import { expect, test } from 'vitest';
import { compare, type Equivalent, type Report } from './check.ts';

const SOURCE = 'const a = b ?? c;\nconst d = f(\n  1,\n);\n';
const at = (line: number, column: number, endLine: number, endColumn: number) => ({
  start: { line, column },
  end: { line: endLine, column: endColumn },
});
const report = (...statuses: string[]): Report => ({
  files: {
    'a.ts': {
      source: SOURCE,
      mutants: [
        { status: statuses[0]!, replacement: 'b && c', location: at(1, 11, 1, 17) },
        { status: statuses[1]!, replacement: 'f(\n2)', location: at(2, 11, 4, 2) },
      ],
    },
  },
});
const first: Equivalent = { file: 'a.ts', line: 'const a', code: 'b ?? c', becomes: 'b && c', reason: 'r' };
const second: Equivalent = { file: 'a.ts', line: 'const d', code: 'f( 1, )', becomes: 'f( 2)', reason: 'r' };

test('what survives needs a reason', () => {
  expect(compare(report('Survived', 'NoCoverage'), [])).toMatchObject({
    unknown: [
      { file: 'a.ts', at: 1, line: 'const a = b ?? c;', code: 'b ?? c', becomes: 'b && c' },
      { file: 'a.ts', at: 2, code: 'f( 1, )', becomes: 'f( 2)' },
    ],
    stale: [],
  });
  expect(compare(report('Survived', 'NoCoverage'), [first, second])).toEqual({ unknown: [], stale: [] });
  expect(compare(report('Killed', 'Timeout'), [])).toEqual({ unknown: [], stale: [] });
});

test('a reason is for one change in one place', () => {
  for (const other of [{ file: 'b.ts' }, { line: 'const b' }, { code: 'b ?? d' }, { becomes: 'b' }]) {
    expect(compare(report('Survived', 'Killed'), [{ ...first, ...other }]).unknown).toHaveLength(1);
  }
});

test('a reason of which nothing survives is to be removed, unless its file was not looked at', () => {
  expect(compare(report('Killed', 'Survived'), [first, second]).stale).toEqual([first]);
  expect(compare(report('Killed', 'Killed'), [{ ...first, file: 'b.ts' }]).stale).toEqual([]);
});
