import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { superlinear } from './linear.ts';
import { literalsOf } from './literals.ts';

// Every regular expression of the programs is linear, or only ever sees a short text, which is said here.

const ROOT = join(import.meta.dirname, '../..');
const FOLDERS = ['canary', 'kube', 'webhook', 'analyzer', 'certs'];

/** Expressions that would be slow on long texts, by file, and why none is long. */
const SHORT: Record<string, string> = {
  'canary/names.ts: /[^a-zA-Z0-9]+$/': 'a name cut at 63 characters',
  'analyzer/metrics/evaluate.ts: /\\.?0+$/': 'a percentage with two decimals, by toFixed',
  'analyzer/report/events.ts: /[-.]+$/': 'a name cut at 230 characters',
};

const sources = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !/\.(test|testing)\.ts$|(^|\/)testing\//.test(path))
    .map((path) => join(folder, path)),
);

const found = sources.flatMap((file) =>
  literalsOf(readFileSync(join(ROOT, file), 'utf8')).map(({ line, expression }) => ({ file, line, expression })),
);

test('the expressions of all sources are found', () => {
  expect(sources.length).toBeGreaterThan(80);
  expect(found.length).toBeGreaterThan(25);
  expect(found.map(({ expression }) => expression.source)).toContain('^https?$');
  const constructed = sources.filter((file) => /\bRegExp\(/.test(readFileSync(join(ROOT, file), 'utf8')));
  expect(constructed, 'expressions made at run time are not looked at').toEqual([]);
});

test('each is linear, or sees short texts only', () => {
  const slow = found
    .map(({ file, line, expression }) => ({ key: `${file}: ${expression}`, line, why: superlinear(expression) }))
    .filter(({ why }) => why.length > 0);
  expect(slow.filter(({ key }) => !(key in SHORT))).toEqual([]);
  expect(
    Object.keys(SHORT).filter((key) => !slow.some((s) => s.key === key)),
    'no longer needed',
  ).toEqual([]);
});

describe('the look at expressions', () => {
  test.each([
    /^(a+)+$/,
    /^(a*)*$/,
    /^(a|a)*$/,
    /^(a|ab|b)*$/,
    /^([a-z]+[0-9]*)+$/,
    /^(\w+\s?)*$/,
    /^(.*)(.*)$/,
    /^\d+\d+$/,
    /^[a-z]*[a-z0-9]*!$/,
    /^a*b?a*$/,
    /\s+$/,
    /^(?=a+)b/,
    /^(a+)\1$/,
    /^(a?){2000}$/,
    /^(?:x|(?:y+)+)$/,
  ])('%s is named', (expression) => expect(superlinear(expression)).not.toEqual([]));

  test.each([
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    /^a+$/,
    /a+/g,
    /^a*b*$/,
    /^[^,]*,[^,]*$/,
    /^(?:[a-z]+,)*$/,
    /^(\.[a-z]+)*$/,
    /^(http|http2|grpc)(-|$)/,
    /(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)/y,
    /\/$/,
    /^"(?:[^"\\]|\\.)*"$/,
    /-----BEGIN-----[^-]+-----END-----/g,
  ])('%s is not', (expression) => expect(superlinear(expression)).toEqual([]));
});

describe('the search for expressions', () => {
  const sources = (text: string) => literalsOf(text).map(({ expression }) => `${expression}`);
  test.each([
    ['const a = /x/g;', ['/x/g']],
    ['const a = b / c / d;', []],
    ['f(/[/]\\//i, x)', ['/[/]\\//i']],
    ['// /no/\n/* /no/ */ "/no/" + \'/no/\'', []],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a source
    ['`/no/ ${x.replace(/yes/, `/no/ ${/too/.test(y)}`)} /no/`', ['/yes/', '/too/']],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a source
    ['`${{ a: 1 }.a} /no/`', []],
    ['return /yes/;', ['/yes/']],
    ['a ? /b/ : /c/', ['/b/', '/c/']],
    ['x[0] / 2', []],
    ['(a) / 2 / (b)', []],
    ['"a\\"/no/" + 1', []],
  ])('%j', (text, expected) => expect(sources(text)).toEqual(expected));
});
