import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { step } from './progress.ts';
import { run } from './run.ts';

/** A program the rig calls, and the Debian package that has it. */
interface Tool {
  readonly file: string;
  readonly debian: string;
}

const CONTROL_PLANE_TOOLS: readonly Tool[] = [
  { file: 'ip', debian: 'iproute2' },
  { file: 'nsenter', debian: 'util-linux' },
  { file: 'sysctl', debian: 'procps' },
  { file: 'openssl', debian: 'openssl' },
];

const NODE_TOOLS: readonly Tool[] = [
  { file: 'containerd', debian: 'containerd' },
  { file: 'runc', debian: 'runc' },
  { file: '/usr/lib/cni/bridge', debian: 'containernetworking-plugins' },
  { file: 'buildah', debian: 'buildah' },
  { file: 'iptables', debian: 'iptables' },
  { file: 'xtables-nft-multi', debian: 'iptables' },
  { file: 'conntrack', debian: 'conntrack' },
  { file: 'prometheus', debian: 'prometheus' },
  { file: 'hey', debian: 'hey' },
  { file: 'socat', debian: 'socat' },
  { file: 'tar', debian: 'tar' },
];

/** Debian keeps administrative programs in sbin, which is not on every user's PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** @returns the absolute path of a program, or undefined */
export function findProgram(name: string, path = process.env['PATH'] ?? ''): string | undefined {
  if (name.startsWith('/')) return existsSync(name) ? name : undefined;
  const folders = [...SYSTEM_FOLDERS, ...path.split(':').filter((folder) => folder.startsWith('/'))];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** @throws Error if the program is not there */
export function program(name: string): string {
  const found = findProgram(name);
  if (!found) throw new Error(`${name} is not installed`);
  return found;
}

/**
 * Installs what is missing, by apt.
 *
 * @throws Error naming the missing programs where there is no apt
 */
export async function installTools(kind: 'control-plane' | 'full'): Promise<void> {
  const tools = kind === 'full' ? [...CONTROL_PLANE_TOOLS, ...NODE_TOOLS] : CONTROL_PLANE_TOOLS;
  const missing = tools.filter((tool) => !findProgram(tool.file));
  if (missing.length === 0) return;
  if (!findProgram('apt-get')) {
    throw new Error(`these programs are missing: ${missing.map((tool) => tool.file).join(', ')}`);
  }
  const names = [...new Set(missing.map((tool) => tool.debian))];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await step(`packages ${names.join(', ')}`, async () => {
    await run('apt-get', ['update', '-q'], { env });
    await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...names], { env });
  });
}
