import { existsSync } from 'node:fs';
import { NODE_ADDRESS, NODE_PREFIX } from './network.ts';
import type { Paths } from './paths.ts';
import { CommandError, run } from './run.ts';

/**
 * The command that runs another one inside the instance's network namespace. Not `ip netns exec`: it mounts a new /sys, which hides
 * the control groups from the kubelet.
 */
export function enter(paths: Paths, command: readonly string[]): string[] {
  return ['nsenter', `--net=${paths.netns}`, '--', ...command];
}

/** `ip -batch` input for a namespace without any uplink: traffic of tests cannot leave it. */
function links(): string {
  return [
    'link set lo up',
    'link add br0 type bridge',
    `address add ${NODE_ADDRESS}/${NODE_PREFIX} dev br0`,
    // A bridge is up only while one of its ports is.
    'link add uplink0 type veth peer name uplink1',
    'link set uplink0 master br0',
    'link set uplink0 up',
    'link set uplink1 up',
    'link set br0 up',
    // Services need a route for the kernel to look at before it rewrites the address.
    `route add default via ${NODE_ADDRESS} dev br0`,
    '',
  ].join('\n');
}

/** Makes the namespace with the node's address in it, and routing between bridges switched on. */
export async function createNetns(paths: Paths): Promise<void> {
  await run('ip', ['netns', 'add', paths.label]);
  const inside = (command: readonly string[], input?: string) => {
    const [program = '', ...args] = enter(paths, command);
    return run(program, args, input === undefined ? {} : { input });
  };
  await inside(['ip', '-batch', '-'], links());
  await inside(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  // Two pods on one bridge: the answer must pass the address translation of Services too. Absent where br_netfilter is not loaded.
  await inside(['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1']).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
  });
}

export async function deleteNetns(paths: Paths): Promise<void> {
  if (existsSync(paths.netns)) await run('ip', ['netns', 'delete', paths.label]);
}
