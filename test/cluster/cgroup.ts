import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Paths } from './paths.ts';
import { waitUntil } from './wait.ts';

// Every process of an instance lives in the instance's own control group: the command that starts it, the daemons, the shims of
// containerd and, below the kubelet's root, all containers. The kernel's list of the group's members is therefore the one list that
// is complete after any crash, and that never holds a process of somebody else.

const CGROUP_ROOT = '/sys/fs/cgroup';

/** Milliseconds for killed processes to leave the group; those in the middle of disk writes need a moment. */
const KILL_TIMEOUT = 20_000;

/** Whether the machine has the unified hierarchy (version 2) only. */
function isUnified(root: string): boolean {
  return existsSync(join(root, 'cgroup.controllers'));
}

/** The mounted hierarchies: one in version 2, one per controller in version 1 (links such as cpu,cpuacct → cpu are fine). */
function hierarchies(root: string): string[] {
  if (isUnified(root)) return [root];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'cgroup.procs')))
    .map((entry) => join(root, entry.name));
}

/** The hierarchy whose membership is the record of the instance's processes. In version 1 `pids` has no limits by default. */
function trackingHierarchy(root: string): string {
  if (isUnified(root)) return root;
  const pids = join(root, 'pids');
  if (!existsSync(pids)) throw new Error(`no control groups: ${pids} is not mounted`);
  return pids;
}

/** The kubelet's cgroupRoot: a child of the instance's group, because in version 2 only leaves may hold processes. */
export function podsGroup(paths: Paths): string {
  return `/${paths.label}/pods`;
}

/** Makes the instance's groups and moves this process, and so all that it starts from now on, into them. */
export function enterGroup(paths: Paths, root: string = CGROUP_ROOT): void {
  for (const hierarchy of hierarchies(root)) {
    const own = join(hierarchy, paths.label);
    mkdirSync(join(hierarchy, podsGroup(paths)), { recursive: true });
    if (isUnified(root)) delegateControllers([hierarchy, own]);
    else inheritCpuset(hierarchy, [own, join(hierarchy, podsGroup(paths))]);
  }
  const daemons = join(trackingHierarchy(root), paths.label, 'daemons');
  mkdirSync(daemons, { recursive: true });
  writeFileSync(join(daemons, 'cgroup.procs'), String(process.pid));
}

/** Version 2: a child has only the controllers that its parent hands down. */
function delegateControllers(groups: readonly string[]): void {
  for (const group of groups) {
    const controllers = readFileSync(join(group, 'cgroup.controllers'), 'utf8').trim().split(' ');
    writeFileSync(join(group, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
  }
}

/** Version 1: a new group of the cpuset hierarchy has no CPU and no memory node, and nothing could run in it. */
function inheritCpuset(hierarchy: string, groups: readonly string[]): void {
  if (!existsSync(join(hierarchy, 'cpuset.cpus'))) return;
  for (const group of groups) {
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      writeFileSync(join(group, file), readFileSync(join(hierarchy, file), 'utf8'));
    }
  }
}

/** The group and all groups below it, children first, which is the order in which they can be removed. */
export function groupsBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const children = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...children.flatMap((entry) => groupsBelow(join(folder, entry.name))), folder];
}

/** Ids of all processes of the instance; a group may vanish while it is read. */
export function groupMembers(paths: Paths, root: string = CGROUP_ROOT): number[] {
  const groups = groupsBelow(join(trackingHierarchy(root), paths.label));
  return groups.flatMap((group) => {
    try {
      return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

/**
 * Kills every process of the instance, again and again until none is left, since one may fork while it is being killed.
 *
 * @throws Error if a process cannot be killed
 */
export async function killGroup(paths: Paths): Promise<void> {
  const attempt = async () => {
    const members = groupMembers(paths).filter((pid) => pid !== process.pid);
    for (const pid of members) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // ended in between
      }
    }
    return members.length === 0;
  };
  await waitUntil(attempt, { what: `processes of ${paths.label}`, timeout: KILL_TIMEOUT, interval: 50 });
}

/** Removes the instance's groups from every hierarchy. The kernel may still hold a group of a process that just ended. */
export async function removeGroup(paths: Paths, root: string = CGROUP_ROOT): Promise<void> {
  const attempt = async () => {
    for (const hierarchy of hierarchies(root)) {
      for (const group of groupsBelow(join(hierarchy, paths.label))) rmdirSync(group);
    }
    return true;
  };
  await waitUntil(attempt, { what: `control groups of ${paths.label}`, timeout: KILL_TIMEOUT, interval: 50 });
}

/** Whether anything of the instance's groups is left. */
export function groupExists(paths: Paths, root: string = CGROUP_ROOT): boolean {
  return hierarchies(root).some((hierarchy) => existsSync(join(hierarchy, paths.label)));
}
