import { join } from 'node:path';
import type { Kind } from './components.ts';
import { insideCommand, insideEnvironment } from './environment.ts';
import { inspect } from './instance.ts';
import { type Paths, paths } from './paths.ts';
import { run } from './run.ts';

// The cluster as tests use it. Start and stop run in a process of their own, because the one that starts an instance becomes a
// member of the instance's control group, and so ends with it.

export type { Kind } from './components.ts';
export { externalKubeconfig, instanceName, type Paths, paths } from './paths.ts';

/** Whether the instance runs; with a kind, whether it runs at least that. */
export function isUp(name?: string, kind: Kind = 'control-plane'): boolean {
  const state = inspect(paths(name));
  return state.state === 'up' && (state.kind === kind || state.kind === 'full');
}

function tool(instance: Paths, command: string): Promise<string> {
  const env = { ...process.env, SIDESTEP_CLUSTER: instance.name };
  return run(process.execPath, [join(import.meta.dirname, 'main.ts'), command], { env });
}

/** @throws CommandError with the tool's output */
export async function start(name: string | undefined, kind: Kind): Promise<Paths> {
  const instance = paths(name);
  await tool(instance, kind === 'full' ? 'up' : 'control-plane');
  return instance;
}

/** @throws CommandError with the tool's output */
export async function stop(name?: string): Promise<void> {
  await tool(paths(name), 'down');
}

/**
 * Runs a command inside the instance's network, with KUBECONFIG, kubectl and helm.
 *
 * @returns its standard output
 * @throws CommandError if it fails
 */
export function runInside(command: readonly string[], name?: string): Promise<string> {
  const instance = paths(name);
  const [program = '', ...args] = insideCommand(instance, command);
  return run(program, args, { env: insideEnvironment(instance) });
}
