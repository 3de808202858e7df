import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { binary, istioAssets } from './build.ts';
import { archive, type Entry, folderEntries, type RunConfig, type StoredImage, storeImage } from './oci.ts';
import { program } from './packages.ts';
import { cacheFolder, REPOSITORY } from './paths.ts';
import { note } from './progress.ts';
import { run } from './run.ts';

/** The layout that holds the images of all instances. */
export const LAYOUT = () => join(cacheFolder(), 'images');

const NODE_IMAGE = 'localhost/node:24';
const SIDESTEP_IMAGE = 'localhost/sidestep:dev';

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** The user of Sidestep's own containers, as in distroless images. */
const NOBODY = 65532;

/** Istio's proxy: its init container lets this user's traffic pass the sidecar. */
const ISTIO_PROXY = 1337;

/** What every image but `pause` needs: users, a place for temporary files, and certificate authorities. */
function base(): Entry[] {
  const users = [
    `root:x:0:0::/:/`,
    `istio-proxy:x:${ISTIO_PROXY}:${ISTIO_PROXY}::/:/`,
    `nobody:x:${NOBODY}:${NOBODY}::/:/`,
  ];
  const groups = ['root:x:0:', `istio-proxy:x:${ISTIO_PROXY}:`, `nobody:x:${NOBODY}:`];
  return [
    { path: 'tmp/', folderMode: 0o1777 },
    { path: 'run/', folderMode: 0o755 },
    { path: 'etc/passwd', content: `${users.join('\n')}\n`, mode: 0o644 },
    { path: 'etc/group', content: `${groups.join('\n')}\n`, mode: 0o644 },
    ...(existsSync(CERTIFICATES) ? [{ path: CERTIFICATES.slice(1), source: CERTIFICATES, mode: 0o644 }] : []),
  ];
}

function file(path: string, source: string): Entry {
  return { path, source, mode: 0o755 };
}

/** Absolute paths in the output of `ldd`. */
export function parseLibraries(output: string): string[] {
  return [...new Set(output.match(/\/[^\s)]+(?=\s+\(0x)/g))];
}

/** The shared libraries of some programs, at the same paths as on this machine; none for static programs. */
async function libraries(...programs: string[]): Promise<Entry[]> {
  const outputs = await Promise.all(programs.map((file) => run('ldd', [file]).catch(() => '')));
  const found = [...new Set(outputs.flatMap(parseLibraries))];
  return found.map((path) => file(path.slice(1), path));
}

/** The node runtime that runs this very tool, from the development dependencies. */
async function nodeLayer(): Promise<Entry[]> {
  const node = join(REPOSITORY, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  const source = existsSync(node) ? node : process.execPath;
  return [...base(), file('usr/bin/node', source), ...(await libraries(source))];
}

const NODE_CONFIG: RunConfig = { Env: ['PATH=/usr/local/bin:/usr/bin:/bin'] };

/** Seconds: Envoy merges its histograms at each flush. Istio's default of 5 s would let canary metrics lag by that much. */
const STATS_FLUSH = '1s';

/**
 * Istio's bootstrap template for Envoy with a shorter default between two flushes of the statistics. A pod's annotation
 * `sidecar.istio.io/statsFlushInterval` still has precedence.
 */
export function withStatsFlush(template: string): string {
  const optional =
    /(\{\{- if \.stats_flush_interval \}\}\s*"stats_flush_interval": "\{\{ \.stats_flush_interval \}\}",\s*)\{\{- end \}\}/;
  if (!optional.test(template)) throw new Error("Istio's bootstrap template has no stats_flush_interval any more");
  return template.replace(optional, `$1{{- else }}\n  "stats_flush_interval": "${STATS_FLUSH}",\n  {{- end }}`);
}

function bootstrapTemplate(): Entry {
  const content = withStatsFlush(readFileSync(join(istioAssets(), 'envoy_bootstrap.json'), 'utf8'));
  return { path: 'var/lib/istio/envoy/envoy_bootstrap_tmpl.json', content, mode: 0o644 };
}

/** Debian's library folder of this architecture. */
const LIBRARY_FOLDER = `/usr/lib/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`;

/** iptables, which the sidecar's init container calls under any of these names. */
async function iptables(): Promise<Entry[]> {
  const multi = { nft: program('xtables-nft-multi'), legacy: program('xtables-legacy-multi') };
  const extensions = join(LIBRARY_FOLDER, 'xtables');
  const links: Entry[] = [];
  for (const name of ['iptables', 'ip6tables']) {
    for (const suffix of ['', '-save', '-restore']) {
      links.push({ path: `usr/sbin/${name}${suffix}`, target: 'xtables-nft-multi' });
      links.push({ path: `usr/sbin/${name}-nft${suffix}`, target: 'xtables-nft-multi' });
      links.push({ path: `usr/sbin/${name}-legacy${suffix}`, target: 'xtables-legacy-multi' });
    }
  }
  const shared = readdirSync(extensions)
    .filter((name) => name.endsWith('.so'))
    .map((name) => join(extensions, name));
  return [
    file('usr/sbin/xtables-nft-multi', multi.nft),
    file('usr/sbin/xtables-legacy-multi', multi.legacy),
    ...links,
    ...folderEntries(extensions, extensions.slice(1)),
    ...(await libraries(multi.nft, multi.legacy, ...shared)),
  ];
}

/** Where two lists name the same path, the first one's entry counts. */
function unique(entries: readonly Entry[]): Entry[] {
  const seen = new Set<string>();
  return entries.filter((entry) => !seen.has(entry.path) && seen.add(entry.path));
}

function store(name: string, layers: readonly (readonly Entry[])[], config: RunConfig): Promise<StoredImage> {
  return storeImage(LAYOUT(), name, layers.map(unique), config);
}

const pause = () => store('localhost/pause:1', [[file('pause', binary('pause'))]], { Entrypoint: ['/pause'] });

const coredns = () =>
  store('localhost/coredns:dev', [[...base(), file('coredns', binary('coredns'))]], { Entrypoint: ['/coredns'] });

const pilot = () =>
  store(
    'localhost/pilot:dev',
    [[...base(), file('usr/local/bin/pilot-discovery', binary('pilot-discovery')), bootstrapTemplate()]],
    {
      Entrypoint: ['/usr/local/bin/pilot-discovery'],
      User: `${ISTIO_PROXY}:${ISTIO_PROXY}`,
    },
  );

async function proxy(): Promise<StoredImage> {
  const programs = [
    ...base(),
    { path: 'etc/istio/', folderMode: 0o755 },
    file('usr/local/bin/pilot-agent', binary('pilot-agent')),
    file('usr/local/bin/envoy', binary('envoy')),
    bootstrapTemplate(),
    ...(await iptables()),
    ...(await libraries(binary('envoy'))),
  ];
  return store('localhost/proxyv2:dev', [programs], {
    Entrypoint: ['/usr/local/bin/pilot-agent'],
    Env: ['PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  });
}

async function prometheus(): Promise<StoredImage> {
  const source = program('prometheus');
  const entries = [...base(), file('usr/bin/prometheus', source), ...(await libraries(source))];
  return store('localhost/prometheus:dev', [[...entries, { path: 'prometheus/', folderMode: 0o755 }]], {
    Entrypoint: ['/usr/bin/prometheus'],
  });
}

const node = async () => store(NODE_IMAGE, [await nodeLayer()], NODE_CONFIG);

/** The services and the load generator of the tests; undefined while there are none. */
async function fixtures(): Promise<StoredImage | undefined> {
  const script = join(REPOSITORY, 'test', 'fixtures', 'build.ts');
  if (!existsSync(script)) return undefined;
  await run(process.execPath, [script], { cwd: REPOSITORY });
  const hey = program('hey');
  const tools = [file('usr/bin/hey', hey), ...(await libraries(hey))];
  const app = folderEntries(join(REPOSITORY, 'dist', 'fixtures'), 'app');
  return store('localhost/sidestep-fixtures:dev', [await nodeLayer(), tools, app], {
    ...NODE_CONFIG,
    WorkingDir: '/app',
  });
}

/** Makes the base image known to buildah, which keeps its own store, once per content. */
async function provideBase(buildah: (args: readonly string[]) => Promise<string>, folder: string): Promise<void> {
  const image = await node();
  const marker = join(folder, 'base');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === image.manifest.digest) return;
  const file = join(folder, 'base.tar');
  await pipeline(Readable.from(archive(LAYOUT(), [image])), createWriteStream(file));
  await buildah(['pull', '-q', `oci-archive:${file}`]);
  writeFileSync(marker, image.manifest.digest);
}

/** Sidestep's own image from the Dockerfile that users build, on a base of this machine; undefined while there is no Dockerfile. */
async function sidestep(): Promise<StoredImage | undefined> {
  if (!existsSync(join(REPOSITORY, 'Dockerfile'))) {
    note('no Dockerfile yet: no image of Sidestep');
    return undefined;
  }
  await run(process.execPath, ['build.ts'], { cwd: REPOSITORY });
  const folder = join(cacheFolder(), 'buildah');
  mkdirSync(folder, { recursive: true });
  const env = { ...process.env, STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot' };
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run')];
  const buildah = (args: readonly string[]) => run(program('buildah'), [...storage, ...args], { env, cwd: REPOSITORY });
  await provideBase(buildah, folder);
  const arguments_ = [
    '--build-arg',
    `BASE_IMAGE=${NODE_IMAGE}`,
    '--pull-never',
    '--timestamp',
    '0',
    '-t',
    SIDESTEP_IMAGE,
  ];
  await buildah(['build', '-q', ...arguments_, '.']);
  await buildah(['push', '-q', '--disable-compression', SIDESTEP_IMAGE, `oci:${LAYOUT()}:${SIDESTEP_IMAGE}`]);
  await buildah(['rmi', SIDESTEP_IMAGE]);
  return storedByBuildah();
}

/** Finds what buildah added to the layout's index. */
function storedByBuildah(): StoredImage {
  const text = readFileSync(join(LAYOUT(), 'index.json'), 'utf8');
  const { manifests } = JSON.parse(text) as {
    manifests: (StoredImage['manifest'] & { annotations?: Record<string, string> })[];
  };
  const found = manifests.find((entry) => entry.annotations?.['org.opencontainers.image.ref.name'] === SIDESTEP_IMAGE);
  if (!found) throw new Error(`buildah stored no ${SIDESTEP_IMAGE}`);
  return { name: SIDESTEP_IMAGE, manifest: { mediaType: found.mediaType, digest: found.digest, size: found.size } };
}

/** Images of the cluster itself: those of the first pods, then those of the mesh. */
export async function clusterImages(): Promise<StoredImage[]> {
  const images: StoredImage[] = [];
  for (const make of [pause, coredns, pilot, proxy, node, prometheus]) images.push(await make());
  return images;
}

/** What came of the images of what is developed here. */
export interface ProjectImages {
  readonly images: readonly StoredImage[];
  /** Why an image is missing: its sources do not build at the moment. */
  readonly failures: readonly Error[];
}

/** Makes the images of Sidestep and of the test fixtures; one that does not build does not keep the other back. */
export async function projectImages(): Promise<ProjectImages> {
  const attempts = await Promise.allSettled([fixtures(), sidestep()]);
  return {
    images: attempts.flatMap((attempt) => (attempt.status === 'fulfilled' && attempt.value ? [attempt.value] : [])),
    failures: attempts.flatMap((attempt) => (attempt.status === 'rejected' ? [attempt.reason as Error] : [])),
  };
}
