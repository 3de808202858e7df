import { existsSync, rmSync } from 'node:fs';
import { groupExists, killGroup, removeGroup } from './cgroup.ts';
import { removeTraces } from './containerd.ts';
import { records } from './daemon.ts';
import { unmountBelow } from './mounts.ts';
import { deleteNetns } from './netns.ts';
import type { Paths } from './paths.ts';
import { isAlive } from './procfs.ts';

/**
 * Removes the instance and everything of it: processes, mounts, network namespace, control groups, folder. Nothing is shut down
 * gently, since nothing is kept; every step works on what a crash at any point may have left, and can be repeated.
 */
export async function stop(paths: Paths): Promise<void> {
  for (const record of records(paths)) if (isAlive(record)) process.kill(record.pid, 'SIGKILL');
  if (groupExists(paths)) await killGroup(paths);
  await unmountBelow(paths.state);
  removeTraces(paths);
  await deleteNetns(paths);
  if (groupExists(paths)) await removeGroup(paths);
  if (existsSync(paths.state)) rmSync(paths.state, { recursive: true, force: true, maxRetries: 3 });
}
