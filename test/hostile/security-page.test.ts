import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

// docs/security.md names the tests that hold it to its word: they must be there under these names.

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
const files = ['canary', 'webhook', 'analyzer', 'certs', 'sbom', 'test'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
);

/** The last column of each row. */
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| threat'))
  .map((line) => line.split(' | ').at(-1)!);

const filesIn = (text: string) =>
  [...text.matchAll(/`([^`]*\.(?:test\.ts|yaml))`/g)].map(([, name]) => ({
    name: name!,
    found: files.filter((file) => file === name || (!name!.includes('/') && file.endsWith(`/${name}`))),
  }));

test('each row names tests', () => {
  expect(rows.length).toBeGreaterThan(35);
  expect(rows.filter((row) => filesIn(row).length === 0)).toEqual([]);
});

test('each file is there', () => {
  const missing = rows.flatMap(filesIn).filter(({ found }) => found.length === 0);
  expect(missing).toEqual([]);
});

test('each title, as far as it is quoted, stands in one of its row’s files', () => {
  const missing = rows.flatMap((row) => {
    const sources = filesIn(row).flatMap(({ found }) => found.map((file) => readFileSync(join(ROOT, file), 'utf8')));
    const titles = [...row.matchAll(/\*([^*]+)\*/g)].flatMap(([, title]) =>
      title!.split('…').map((part) => part.trim()),
    );
    return titles.filter((title) => title !== '' && !sources.some((source) => source.includes(title)));
  });
  expect(missing).toEqual([]);
});
