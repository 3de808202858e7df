import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Bundle, billOfMaterials, type Lock, packageOf, purlOf } from './cyclonedx.ts';

test.each([
  ['webhook/main.ts', undefined],
  ['node_modules/zod/index.js', 'node_modules/zod'],
  ['../../shared/node_modules/zod/v4/index.js', 'node_modules/zod'],
  ['node_modules/@peculiar/x509/build/x509.es.js', 'node_modules/@peculiar/x509'],
  ['node_modules/a/node_modules/@b/c/index.js', 'node_modules/a/node_modules/@b/c'],
  ['cli/node_modules.ts', undefined],
])('the package of %s', (input, folder) => {
  expect(packageOf(input)).toBe(folder);
});

test('scopes and build numbers are escaped in package URLs', () => {
  expect(purlOf('@peculiar/x509', '2.2.0')).toBe('pkg:npm/%40peculiar/x509@2.2.0');
  expect(purlOf('a', '1.0.0+b')).toBe('pkg:npm/a@1.0.0%2Bb');
});

const LOCK: Lock = {
  version: '0.1.0',
  packages: {
    'node_modules/a': {
      version: '1.0.0',
      license: 'MIT',
      integrity: 'sha512-AAEC',
      dependencies: { b: '^2', c: '^1' },
    },
    'node_modules/a/node_modules/b': { version: '2.0.0', license: 'MIT OR Apache-2.0' },
    'node_modules/b': { version: '1.0.0', license: 'ISC' },
    'node_modules/c': { version: '1.0.0' },
  },
};
const bundle = (file: string, ...packages: string[]): Bundle => ({ file, sha256: '00', packages });

test('each package once, with licence and hash, and below it those of its dependencies that are bundled', () => {
  const bom = billOfMaterials(
    [
      bundle('dist/x.mjs', 'node_modules/a', 'node_modules/a/node_modules/b'),
      bundle('dist/y.mjs', 'node_modules/a', 'node_modules/b'),
    ],
    LOCK,
  ) as { components: { name: string }[]; dependencies: { ref: string; dependsOn: string[] }[] };
  expect(bom.components).toEqual([
    expect.objectContaining({ type: 'file', name: 'dist/x.mjs' }),
    expect.objectContaining({ type: 'file', name: 'dist/y.mjs' }),
    {
      type: 'library',
      'bom-ref': 'pkg:npm/a@1.0.0',
      purl: 'pkg:npm/a@1.0.0',
      name: 'a',
      version: '1.0.0',
      licenses: [{ license: { id: 'MIT' } }],
      hashes: [{ alg: 'SHA-512', content: '000102' }],
    },
    expect.objectContaining({ purl: 'pkg:npm/b@2.0.0', licenses: [{ expression: 'MIT OR Apache-2.0' }] }),
    expect.objectContaining({ purl: 'pkg:npm/b@1.0.0' }),
  ]);
  expect(bom.dependencies).toEqual([
    { ref: 'sidestep', dependsOn: ['dist/x.mjs', 'dist/y.mjs'] },
    { ref: 'dist/x.mjs', dependsOn: ['pkg:npm/a@1.0.0', 'pkg:npm/b@2.0.0'] },
    { ref: 'dist/y.mjs', dependsOn: ['pkg:npm/a@1.0.0', 'pkg:npm/b@1.0.0'] },
    { ref: 'pkg:npm/a@1.0.0', dependsOn: ['pkg:npm/b@2.0.0'] },
    { ref: 'pkg:npm/b@2.0.0', dependsOn: [] },
    { ref: 'pkg:npm/b@1.0.0', dependsOn: [] },
  ]);
});

test('the same bundles give the same serial number, others another one', () => {
  const serial = (...bundles: Bundle[]) => (billOfMaterials(bundles, LOCK) as { serialNumber: string }).serialNumber;
  expect(serial(bundle('dist/x.mjs', 'node_modules/c'))).toBe(serial(bundle('dist/x.mjs', 'node_modules/c')));
  expect(serial(bundle('dist/x.mjs', 'node_modules/c'))).not.toBe(serial(bundle('dist/x.mjs', 'node_modules/b')));
  expect(serial(bundle('dist/x.mjs'))).toMatch(
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

test('a package that is not locked is a mistake', () => {
  expect(() => billOfMaterials([bundle('dist/x.mjs', 'node_modules/none')], LOCK)).toThrow('has no node_modules/none');
});

test('the image is made of files alone: nothing is run to build it, and it starts without a shell', () => {
  const lines = readFileSync(join(import.meta.dirname, '../Dockerfile'), 'utf8')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line));
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['ARG', 'FROM', 'COPY', 'ENV', 'USER', 'ENTRYPOINT', 'CMD']);
  expect(lines[0]).toContain('gcr.io/distroless/');
  expect(lines.find((line) => line.startsWith('USER'))).toBe('USER 65532:65532');
  for (const line of lines.slice(-2)) expect(line).toMatch(/^(ENTRYPOINT|CMD) \[".*"\]$/);
});
