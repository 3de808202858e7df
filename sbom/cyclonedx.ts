import { createHash } from 'node:crypto';

/** A bundle, with the packages of which something is in it, by their folders in the lock file. */
export interface Bundle {
  /** Such as `dist/webhook.mjs`. */
  file: string;
  sha256: string;
  packages: string[];
}

interface LockedPackage {
  version?: string;
  /** Subresource integrity of what the registry handed out, such as `sha512-…`. */
  integrity?: string;
  license?: string;
  dependencies?: Record<string, string>;
}

export interface Lock {
  version: string;
  packages: Record<string, LockedPackage>;
}

/** The folder of the package that a file belongs to, as the lock file writes it; undefined for files of our own. */
export function packageOf(input: string): string | undefined {
  return /(?:^|\/)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
}

const nameOf = (folder: string): string => folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** A package URL; the @ of a scope is escaped in it. */
export const purlOf = (name: string, version: string): string =>
  `pkg:npm/${name.replace(/^@/, '%40')}@${encodeURIComponent(version)}`;

/**
 * What the bundles are made of, as CycloneDX 1.6. The same bundles give the same text: its serial number is made from what it says, and
 * it has no time.
 * @throws Error for a package that the lock file does not have
 */
export function billOfMaterials(bundles: readonly Bundle[], lock: Lock): object {
  const folders = [...new Set(bundles.flatMap(({ packages }) => packages))].sort();
  const refs = new Map(folders.map((folder) => [folder, purlOf(nameOf(folder), locked(lock, folder).version!)]));
  const body = {
    metadata: { component: { type: 'application', 'bom-ref': 'sidestep', name: 'sidestep', version: lock.version } },
    components: [
      ...bundles.map(({ file, sha256 }) => ({
        type: 'file',
        'bom-ref': file,
        name: file,
        hashes: [{ alg: 'SHA-256', content: sha256 }],
      })),
      ...folders.map((folder) => library(folder, refs.get(folder)!, locked(lock, folder))),
    ],
    dependencies: [
      { ref: 'sidestep', dependsOn: bundles.map(({ file }) => file) },
      ...bundles.map(({ file, packages }) => ({ ref: file, dependsOn: packages.map((p) => refs.get(p)!).sort() })),
      ...folders.map((folder) => ({ ref: refs.get(folder)!, dependsOn: dependenciesOf(lock, folder, refs) })),
    ],
  };
  return { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: serialOf(body), version: 1, ...body };
}

function locked({ packages }: Lock, folder: string): LockedPackage {
  const found = packages[folder];
  if (!found?.version) throw new Error(`package-lock.json has no ${folder}: run npm ci, then build again`);
  return found;
}

function library(folder: string, purl: string, { version, integrity, license }: LockedPackage): object {
  return {
    type: 'library',
    'bom-ref': purl,
    name: nameOf(folder),
    version,
    purl,
    ...(license
      ? { licenses: [/ (OR|AND) /.test(license) ? { expression: license } : { license: { id: license } }] }
      : {}),
    ...(integrity?.startsWith('sha512-')
      ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice(7), 'base64').toString('hex') }] }
      : {}),
  };
}

/** Those of its dependencies that are in a bundle, where Node.js would have found them: in its own folder first, then further out. */
function dependenciesOf(lock: Lock, folder: string, refs: ReadonlyMap<string, string>): string[] {
  return Object.keys(locked(lock, folder).dependencies ?? {})
    .flatMap((name) => {
      const found = candidates(folder, name).find((place) => lock.packages[place] !== undefined);
      const ref = found && refs.get(found);
      return ref ? [ref] : [];
    })
    .sort();
}

function candidates(folder: string, name: string): string[] {
  const parts = folder.split('/node_modules/');
  const places = parts.map((_, i) => parts.slice(0, parts.length - i).join('/node_modules/'));
  return [...places.map((place) => `${place}/node_modules/${name}`), `node_modules/${name}`];
}

function serialOf(body: object): string {
  const hex = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${parts.join('-')}`;
}
