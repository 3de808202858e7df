import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Daemon } from './daemon.ts';
import { NODE_POD_RANGE } from './network.ts';
import { archive, type StoredImage } from './oci.ts';
import { program } from './packages.ts';
import type { Paths } from './paths.ts';
import { run } from './run.ts';

/** The namespace of containerd that Kubernetes uses. */
const NAMESPACE = 'k8s.io';

/** Folder of Debian's containernetworking-plugins. */
const CNI_PLUGINS = '/usr/lib/cni';

/** Where the CNI library notes results; not configurable in containerd. */
const CNI_RESULTS = '/var/lib/cni/results';

/** Where the kubelet makes links to container logs; not configurable. */
const CONTAINER_LOG_LINKS = '/var/log/containers';

/** Where shims have their sockets; not configurable. */
const SHIM_SOCKETS = '/run/containerd/s/';

const folder = (paths: Paths) => dirname(paths.containerdSocket);

function config(paths: Paths): string {
  const own = folder(paths);
  return `version = 2
root = "${own}/root"
state = "${own}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt",
]
[grpc]
  address = "${paths.containerdSocket}"
[ttrpc]
  address = "${paths.containerdSocket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # An unprivileged parent may not let runc lower its score; without this nothing starts in a nested environment.
  restrict_oom_score_adj = true
  # The mounts of the pods' network namespaces lie below the instance's folder, so that tear-down finds them there.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    BinaryName = "${program('runc')}"
    Root = "${own}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${own}/cni"
`;
}

/** Pods on a bridge of the node; the pod's network namespace leads back to it by a veth pair, which ends with the pod. */
function cniConfig(paths: Paths): string {
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: {
      type: 'host-local',
      dataDir: join(folder(paths), 'addresses'),
      ranges: [[{ subnet: NODE_POD_RANGE }]],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  };
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  return JSON.stringify({ cniVersion: '0.4.0', name: paths.label, plugins: [bridge, portmap] }, null, 2);
}

export function prepareContainerd(paths: Paths): void {
  mkdirSync(join(folder(paths), 'cni'), { recursive: true });
  writeFileSync(join(folder(paths), 'config.toml'), config(paths));
  writeFileSync(join(folder(paths), 'cni', '10-bridge.conflist'), cniConfig(paths));
}

export function containerd(paths: Paths): Daemon {
  return {
    name: 'containerd',
    command: program('containerd'),
    args: [`--config=${join(folder(paths), 'config.toml')}`, '--log-level=warn'],
    healthy: async () => {
      if (!existsSync(paths.containerdSocket)) return false;
      await ctr(paths, ['version']);
      return true;
    },
  };
}

function ctrFlags(paths: Paths): string[] {
  return ['--address', paths.containerdSocket, '--namespace', NAMESPACE];
}

function ctr(paths: Paths, args: readonly string[]): Promise<string> {
  return run(program('ctr'), [...ctrFlags(paths), ...args]);
}

/** Image name → manifest digest of all images in the store. */
export async function importedImages(paths: Paths): Promise<Map<string, string>> {
  return parseImageList(await ctr(paths, ['images', 'list']));
}

/** Reads the table of `ctr images list`: REF TYPE DIGEST …, one heading line. */
export function parseImageList(table: string): Map<string, string> {
  const rows = table
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/));
  return new Map(rows.flatMap(([name, , digest]) => (name && digest ? [[name, digest] as const] : [])));
}

/** Imports those images that the store does not have with the same content, and unpacks them for their first containers. */
export async function importImages(
  paths: Paths,
  layout: string,
  images: readonly StoredImage[],
): Promise<StoredImage[]> {
  const present = await importedImages(paths);
  const changed = images.filter((image) => present.get(image.name) !== image.manifest.digest);
  if (changed.length === 0) return [];
  await run(program('ctr'), [...ctrFlags(paths), 'images', 'import', '-'], { input: archive(layout, changed) });
  return changed;
}

/** Forgets what the instance's containers left outside its folder. Their processes must have ended. */
export function removeTraces(paths: Paths): void {
  for (const socket of shimSockets(paths)) rmSync(socket, { force: true });
  for (const file of list(CNI_RESULTS).map((name) => join(CNI_RESULTS, name))) {
    if (readFileSync(file, 'utf8').includes(`"sandbox":"${paths.state}/`)) rmSync(file, { force: true });
  }
  for (const file of list(CONTAINER_LOG_LINKS)) {
    const link = join(CONTAINER_LOG_LINKS, file);
    if (lstatSync(link).isSymbolicLink() && readlinkSync(link).startsWith(`${paths.state}/`)) rmSync(link);
  }
}

/** Each running container's folder has a file with the address of its shim. */
function shimSockets(paths: Paths): string[] {
  const bundles = join(folder(paths), 'state', 'io.containerd.runtime.v2.task', NAMESPACE);
  return list(bundles).flatMap((bundle) => {
    const file = join(bundles, bundle, 'address');
    const socket = existsSync(file) ? readFileSync(file, 'utf8').replace('unix://', '') : '';
    return socket.startsWith(SHIM_SOCKETS) ? [socket] : [];
  });
}

function list(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}
