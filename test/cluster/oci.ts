import { createHash, randomUUID } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TAR_END, tarHeader, tarPadding } from './tar.ts';

// Images without a registry and without a container engine: an OCI image layout is a folder of blobs named by their digest. Layers
// stay uncompressed, since they travel from one folder of the machine to another only; images that share a layer store it once.

/** One entry of a layer; paths have no leading slash. */
export type Entry =
  | { readonly path: string; readonly source: string; readonly mode: number }
  | { readonly path: string; readonly content: string; readonly mode: number }
  | { readonly path: string; readonly target: string }
  | { readonly path: string; readonly folderMode: number };

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** The part of the image configuration that says how to run it. */
export interface RunConfig {
  readonly Entrypoint?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

export interface StoredImage {
  readonly name: string;
  readonly manifest: Descriptor;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

const MEDIA = {
  layer: 'application/vnd.oci.image.layer.v1.tar',
  config: 'application/vnd.oci.image.config.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
};

/** Go's name of this machine's architecture. */
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;

/** Bytes up to which a file counts by its content; larger ones by size and time, since reading 600 MB would take seconds at every start. */
const SMALL_FILE = 1024 * 1024;

const LAYOUT_VERSION = JSON.stringify({ imageLayoutVersion: '1.0.0' });

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', 'sha256', digest.replace('sha256:', ''));
}

function storeJson(layout: string, mediaType: string, value: unknown): Descriptor {
  const text = JSON.stringify(value);
  const digest = `sha256:${sha256(text)}`;
  const file = blobPath(layout, digest);
  if (!existsSync(file)) {
    const scratch = `${file}.${randomUUID()}`;
    writeFileSync(scratch, text);
    renameSync(scratch, file);
  }
  return { mediaType, digest, size: Buffer.byteLength(text) };
}

/** Changes whenever the layer's content may have changed. */
export function fingerprint(entries: readonly Entry[]): string {
  const parts = entries.map((entry) => {
    if (!('source' in entry)) return entry;
    const { size, mtimeMs } = statSync(entry.source);
    return { ...entry, source: size <= SMALL_FILE ? sha256(readFileSync(entry.source)) : `${size} ${mtimeMs}` };
  });
  return sha256(JSON.stringify(parts));
}

/** All folders above the given paths, each before what is in it; an archive that leaves them out unpacks with arbitrary modes. */
export function parentFolders(paths: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let folder = dirname(path.replace(/\/$/, '')); folder !== '.'; folder = dirname(folder))
      folders.add(`${folder}/`);
  }
  return [...folders].sort();
}

async function* layerBytes(entries: readonly Entry[]): AsyncGenerator<Buffer> {
  const given = new Set(entries.map((entry) => entry.path));
  const implied = parentFolders([...given]).filter((path) => !given.has(path));
  const folders: Entry[] = implied.map((path) => ({ path, folderMode: 0o755 }));
  const sorted = [...folders, ...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const entry of sorted) {
    if ('folderMode' in entry) {
      yield tarHeader({ path: entry.path, mode: entry.folderMode, size: 0, type: 'folder' });
    } else if ('target' in entry) {
      yield tarHeader({ path: entry.path, mode: 0o777, size: 0, type: 'link', target: entry.target });
    } else if ('content' in entry) {
      const size = Buffer.byteLength(entry.content);
      yield tarHeader({ path: entry.path, mode: entry.mode, size, type: 'file' });
      yield Buffer.from(entry.content);
      yield tarPadding(size);
    } else {
      const { size } = statSync(entry.source);
      yield tarHeader({ path: entry.path, mode: entry.mode, size, type: 'file' });
      yield* createReadStream(entry.source, { highWaterMark: SMALL_FILE }) as AsyncIterable<Buffer>;
      yield tarPadding(size);
    }
  }
  yield TAR_END;
}

/** Stores a layer, unless one with the same fingerprint is there already. */
async function storeLayer(layout: string, entries: readonly Entry[]): Promise<Descriptor> {
  const known = join(layout, 'layers', `${fingerprint(entries)}.json`);
  if (existsSync(known)) {
    const descriptor = JSON.parse(readFileSync(known, 'utf8')) as Descriptor;
    if (existsSync(blobPath(layout, descriptor.digest))) return descriptor;
  }
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  const scratch = join(layout, 'blobs', 'sha256', `.layer-${randomUUID()}`);
  await pipeline(Readable.from(layerBytes(entries)), measure, createWriteStream(scratch));
  const descriptor = { mediaType: MEDIA.layer, digest: `sha256:${hash.digest('hex')}`, size };
  renameSync(scratch, blobPath(layout, descriptor.digest));
  writeFileSync(known, JSON.stringify(descriptor));
  return descriptor;
}

/** Stores an image of some layers, the lowest first. */
export async function storeImage(
  layout: string,
  name: string,
  layers: readonly (readonly Entry[])[],
  config: RunConfig,
): Promise<StoredImage> {
  mkdirSync(join(layout, 'blobs', 'sha256'), { recursive: true });
  mkdirSync(join(layout, 'layers'), { recursive: true });
  const stored: Descriptor[] = [];
  for (const entries of layers) stored.push(await storeLayer(layout, entries));
  const configuration = storeJson(layout, MEDIA.config, {
    architecture: ARCHITECTURE,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: stored.map((layer) => layer.digest) },
  });
  const manifest = { schemaVersion: 2, mediaType: MEDIA.manifest, config: configuration, layers: stored };
  return { name, manifest: storeJson(layout, MEDIA.manifest, manifest) };
}

function index(images: readonly StoredImage[]): string {
  const manifests = images.map(({ name, manifest }) => ({
    ...manifest,
    platform: { architecture: ARCHITECTURE, os: 'linux' },
    annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name },
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.index, manifests });
}

/** The digests of all blobs of these images, each once. */
function blobsOf(layout: string, images: readonly StoredImage[]): string[] {
  const digests = images.flatMap(({ manifest }) => {
    const { config, layers } = JSON.parse(readFileSync(blobPath(layout, manifest.digest), 'utf8')) as Manifest;
    return [manifest.digest, config.digest, ...layers.map((layer) => layer.digest)];
  });
  return [...new Set(digests)];
}

/** The images as one OCI archive, the format that `ctr images import -` and `buildah pull oci-archive:` read. */
export async function* archive(layout: string, images: readonly StoredImage[]): AsyncGenerator<Buffer> {
  const texts = { 'oci-layout': LAYOUT_VERSION, 'index.json': index(images) };
  for (const [path, text] of Object.entries(texts)) {
    yield tarHeader({ path, mode: 0o644, size: Buffer.byteLength(text), type: 'file' });
    yield Buffer.from(text);
    yield tarPadding(Buffer.byteLength(text));
  }
  for (const digest of blobsOf(layout, images)) {
    const file = blobPath(layout, digest);
    const { size } = statSync(file);
    yield tarHeader({ path: `blobs/sha256/${digest.replace('sha256:', '')}`, mode: 0o644, size, type: 'file' });
    yield* createReadStream(file, { highWaterMark: SMALL_FILE }) as AsyncIterable<Buffer>;
    yield tarPadding(size);
  }
  yield TAR_END;
}

/** Every file below a folder as an entry below `prefix`; links to files become copies. */
export function folderEntries(folder: string, prefix: string): Entry[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((found) => join(found.parentPath, found.name))
    .filter((source) => statSync(source).isFile())
    .map((source) => ({
      path: join(prefix, source.slice(folder.length + 1)),
      source,
      mode: statSync(source).mode & 0o755,
    }));
}
