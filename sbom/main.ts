import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bundle, billOfMaterials, type Lock, packageOf } from './cyclonedx.ts';

/** `npm run sbom`, after a build: writes `dist/sbom.cdx.json`. */
const ROOT = join(import.meta.dirname, '..');
const OUTPUT = join(ROOT, 'dist', 'sbom.cdx.json');

interface BuildOutputs {
  [file: string]: { inputs: Record<string, unknown> };
}

const json = <T>(...path: string[]): T => JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')) as T;

const bundles = Object.entries(json<BuildOutputs>('dist', 'metafile.json'))
  .map(([file, { inputs }]): Bundle => {
    const packages = Object.keys(inputs).flatMap((input) => packageOf(input) ?? []);
    const sha256 = createHash('sha256')
      .update(readFileSync(join(ROOT, file)))
      .digest('hex');
    return { file, sha256, packages: [...new Set(packages)].sort() };
  })
  .sort((a, b) => (a.file < b.file ? -1 : 1));
const bom = billOfMaterials(bundles, json<Lock>('package-lock.json'));
writeFileSync(OUTPUT, `${JSON.stringify(bom, undefined, 2)}\n`);
process.stdout.write(
  `dist/sbom.cdx.json: ${new Set(bundles.flatMap(({ packages }) => packages)).size} packages in ${bundles.length} bundles\n`,
);
