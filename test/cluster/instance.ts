import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupExists } from './cgroup.ts';
import { daemons, type Kind } from './components.ts';
import { readRecord } from './daemon.ts';
import type { Paths } from './paths.ts';
import { identify, isAlive, type ProcessIdentity } from './procfs.ts';

/** What is known of an instance from its folder. */
interface InstanceFile {
  readonly kind: Kind;
  /** False while it starts. */
  readonly ready: boolean;
  /** The process that starts it, or has. */
  readonly owner: ProcessIdentity;
}

export type InstanceState =
  | { readonly state: 'absent' }
  | { readonly state: 'starting'; readonly owner: ProcessIdentity }
  | { readonly state: 'up'; readonly kind: Kind }
  /** A start that was interrupted, or daemons that have ended since. */
  | { readonly state: 'broken'; readonly reason: string };

function instanceFile(paths: Paths): string {
  return join(paths.state, 'instance.json');
}

/** Notes what this process is about to do, or has done. */
export function writeInstance(paths: Paths, kind: Kind, ready: boolean): void {
  mkdirSync(paths.state, { recursive: true, mode: 0o700 });
  const content: InstanceFile = { kind, ready, owner: identify(process.pid) };
  writeFileSync(`${instanceFile(paths)}.tmp`, JSON.stringify(content));
  renameSync(`${instanceFile(paths)}.tmp`, instanceFile(paths));
}

function readInstance(paths: Paths): InstanceFile | undefined {
  try {
    return JSON.parse(readFileSync(instanceFile(paths), 'utf8')) as InstanceFile;
  } catch {
    return undefined;
  }
}

/** Looks at the instance's folder, its kernel objects and its processes. */
export function inspect(paths: Paths): InstanceState {
  const instance = readInstance(paths);
  if (!instance) {
    const traces = existsSync(paths.state) || existsSync(paths.netns) || groupExists(paths);
    return traces ? { state: 'broken', reason: 'its folder is incomplete' } : { state: 'absent' };
  }
  if (!instance.ready) {
    if (isAlive(instance.owner)) return { state: 'starting', owner: instance.owner };
    return { state: 'broken', reason: 'its start was interrupted' };
  }
  const dead = daemons(paths, instance.kind).filter(({ name }) => {
    const record = readRecord(paths, name);
    return !record || !isAlive(record);
  });
  if (dead.length > 0) return { state: 'broken', reason: `not running: ${dead.map(({ name }) => name).join(', ')}` };
  if (!existsSync(paths.netns)) return { state: 'broken', reason: 'its network namespace is gone' };
  return { state: 'up', kind: instance.kind };
}
