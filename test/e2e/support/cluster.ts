import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { type ClusterAccess, createKubeClient, type KubeClient } from '../../../kube/client.ts';

/** The cluster that KUBECONFIG names: the embedded one (`npm run cluster -- exec`), or the user's own. */
export function connect(): KubeClient {
  const config = new KubeConfig();
  config.loadFromDefault();
  return createKubeClient(config as ClusterAccess);
}

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a real client. Never throws: what it exits with is part of what is tested. */
export function run(command: string, args: readonly string[], input?: string): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      args,
      { maxBuffer: 64 * 1024 * 1024, timeout: 600_000 },
      (error, stdout, stderr) => {
        resolve({ code: error ? (typeof error.code === 'number' ? error.code : 1) : 0, stdout, stderr });
      },
    );
    child.stdin?.end(input ?? '');
  });
}

/** As `run`, for steps that must go well: throws with the client's own words. */
export async function must(command: string, args: readonly string[], input?: string): Promise<Result> {
  const result = await run(command, args, input);
  if (result.code !== 0)
    throw new Error(`${command} ${args.join(' ')}: exit ${result.code}: ${result.stderr || result.stdout}`);
  return result;
}

/** Ends one component of the embedded cluster, such as kube-apiserver, and starts it again. */
export const restartComponent = (name: string): Promise<Result> =>
  must(process.execPath, [join(import.meta.dirname, '../../cluster/main.ts'), 'restart', name]);

/** Starts a client that goes on in the background, such as `kubectl rollout status`. */
export interface Started {
  done: Promise<Result & { atMs: number }>;
  /** What it has printed so far. */
  stdout(): string;
  kill(): void;
}

export function start(command: string, args: readonly string[]): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return {
    done: new Promise((resolve) =>
      child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr, atMs: Date.now() })),
    ),
    stdout: () => stdout,
    kill: () => void child.kill(),
  };
}

/** Asks until the answer is neither undefined nor false; the error tells what was waited for and what was seen last. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined | false>,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (e) {
      last = e;
    }
    if (Date.now() >= end)
      throw new Error(`not within ${timeoutMs} ms: ${what}${last instanceof Error ? ` (${last.message})` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
