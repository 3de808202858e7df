import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archive, type Entry, fingerprint, folderEntries, parentFolders, storeImage } from './oci.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'oci-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ENTRIES: Entry[] = [
  { path: 'usr/bin/hello', content: 'hello', mode: 0o755 },
  { path: 'usr/bin/hi', target: 'hello' },
  { path: 'tmp/', folderMode: 0o1777 },
];

async function bytes(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const tar = (args: string[], input: Buffer) => execFileSync('tar', args, { input, encoding: 'utf8' });
const store = (entries: readonly Entry[]) => storeImage(folder, 'localhost/test:1', [entries], { Entrypoint: ['/hi'] });

test('every folder above a path is named, those above before those below', () => {
  expect(parentFolders(['usr/bin/a', 'usr/lib/', 'b'])).toEqual(['usr/', 'usr/bin/']);
});

test('a layer is an archive that tar reads: folders before their files, modes, links', async () => {
  const { manifest } = await store(ENTRIES);
  const blob = (digest: string) => readFileSync(join(folder, 'blobs/sha256', digest.replace('sha256:', '')));
  const { layers } = JSON.parse(blob(manifest.digest).toString()) as { layers: { digest: string }[] };
  const listing = tar(['-tvf', '-'], blob(layers[0]!.digest));
  const lines = listing
    .trim()
    .split('\n')
    .map((line) =>
      line
        .split(/\s+/)
        .filter((_, i) => i === 0 || i > 4)
        .join(' '),
    );
  expect(lines).toEqual([
    'drwxrwxrwt tmp/',
    'drwxr-xr-x usr/',
    'drwxr-xr-x usr/bin/',
    '-rwxr-xr-x usr/bin/hello',
    'lrwxrwxrwx usr/bin/hi -> hello',
  ]);
});

test('the same content gives the same digest, another content another one', async () => {
  const one = await store(ENTRIES);
  expect((await store([...ENTRIES].reverse())).manifest.digest).toBe(one.manifest.digest);
  const changed: Entry = { path: 'usr/bin/hello', content: 'hallo', mode: 0o755 };
  expect((await store([changed, ...ENTRIES.slice(1)])).manifest.digest).not.toBe(one.manifest.digest);
});

test('an archive of several images holds a layer that they share once', async () => {
  const one = await storeImage(folder, 'localhost/one:1', [ENTRIES], {});
  const two = await storeImage(folder, 'localhost/two:1', [ENTRIES], { User: '65532' });
  const names = tar(['-tf', '-'], await bytes(archive(folder, [one, two])))
    .trim()
    .split('\n');
  // Layout, index, two manifests, two configurations, one layer.
  expect(names).toHaveLength(7);
  expect(new Set(names).size).toBe(7);
});

test('a fingerprint changes with the content of a small file, and not with its age', () => {
  const source = join(folder, 'file');
  const entry: Entry = { path: 'file', source, mode: 0o644 };
  writeFileSync(source, 'one');
  const before = fingerprint([entry]);
  execFileSync('touch', ['-d', '2001-01-01', source]);
  expect(fingerprint([entry])).toBe(before);
  writeFileSync(source, 'two');
  expect(fingerprint([entry])).not.toBe(before);
});

test('a folder becomes entries with their places below a prefix', () => {
  writeFileSync(join(folder, 'run'), '', { mode: 0o755 });
  expect(folderEntries(folder, 'app')).toEqual([{ path: 'app/run', source: join(folder, 'run'), mode: 0o755 }]);
});
