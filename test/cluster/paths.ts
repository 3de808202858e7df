import { homedir } from 'node:os';
import { join } from 'node:path';

/** The repository this file belongs to. */
export const REPOSITORY = join(import.meta.dirname, '..', '..');

export const DEFAULT_INSTANCE = 'sidestep';

/** Where one instance keeps everything that it will delete again, and the kernel objects it owns. */
export interface Paths {
  /** Instance name as the user gave it. */
  readonly name: string;
  /** Prefix of every kernel object of the instance: network namespace, control group, CNI network. */
  readonly label: string;
  readonly state: string;
  readonly pki: string;
  readonly logs: string;
  readonly records: string;
  readonly kubeconfig: string;
  readonly auditLog: string;
  /** Mount point of the network namespace, as `ip netns` makes it. */
  readonly netns: string;
  readonly containerdSocket: string;
}

/** Names become network namespace names, folders and control groups, hence DNS labels. At most 24 characters: socket paths may have 107 bytes. */
const INSTANCE_NAME = /^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$/;

/** The instance named by `SIDESTEP_CLUSTER`. */
export function instanceName(env: NodeJS.ProcessEnv = process.env): string {
  return env['SIDESTEP_CLUSTER'] || DEFAULT_INSTANCE;
}

/** @throws Error if the name cannot name a network namespace and a control group. */
export function paths(name: string = instanceName(), env: NodeJS.ProcessEnv = process.env): Paths {
  if (!INSTANCE_NAME.test(name)) {
    throw new Error(`cluster name "${name}" must be a lower-case DNS label of at most 24 characters`);
  }
  const label = name === DEFAULT_INSTANCE ? DEFAULT_INSTANCE : `${DEFAULT_INSTANCE}-${name}`;
  const state = join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'sidestep', name);
  return {
    name,
    label,
    state,
    pki: join(state, 'pki'),
    logs: join(state, 'log'),
    records: join(state, 'processes'),
    kubeconfig: join(state, 'pki', 'admin.kubeconfig'),
    auditLog: join(state, 'log', 'audit.log'),
    netns: join('/var/run/netns', label),
    containerdSocket: join(state, 'containerd', 'containerd.sock'),
  };
}

/** Shared by all instances: binaries, image archives and rendered charts, each under its version or content hash. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sidestep');
}

/** A cluster the user brought along: then nothing here is started or stopped. */
export function externalKubeconfig(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env['SIDESTEP_KUBECONFIG'] || undefined;
}
