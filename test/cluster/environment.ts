import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { toolFolders } from './build.ts';
import { enter } from './netns.ts';
import { externalKubeconfig, type Paths } from './paths.ts';

/** File that names the cluster's DNS server, in the format of resolv.conf. */
export function resolverFile(paths: Paths): string {
  return join(paths.state, 'resolv.conf');
}

/** Puts a file over /etc/resolv.conf in a mount namespace of the command's own; $0 is the file. */
const WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';

/**
 * The command that runs another one inside the instance: in its network and, where it has DNS, with the names of Services resolved,
 * as in `prometheus.istio-system`.
 */
export function insideCommand(paths: Paths, command: readonly string[]): string[] {
  const resolver = resolverFile(paths);
  if (!existsSync(resolver)) return enter(paths, command);
  return enter(paths, ['unshare', '--mount', '--', 'sh', '-c', WITH_RESOLVER, resolver, ...command]);
}

/** The caller's environment with the cluster's kubeconfig and the matching kubectl and helm. */
export function insideEnvironment(paths: Paths, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const external = externalKubeconfig(env);
  if (external) return { ...env, KUBECONFIG: external };
  const path = [...toolFolders(), env['PATH'] ?? ''].join(':');
  return { ...env, SIDESTEP_CLUSTER: paths.name, KUBECONFIG: paths.kubeconfig, PATH: path };
}
