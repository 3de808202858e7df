import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Paths } from './paths.ts';
import { identify, isAlive, type ProcessIdentity } from './procfs.ts';
import { lastLines } from './run.ts';
import { waitUntil } from './wait.ts';

/** A long-running program of the cluster on the host: everything that is not a pod. */
export interface Daemon {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment of the caller. */
  readonly env?: Readonly<Record<string, string>>;
  /** Resolves to true, or rejects, by its health; polled until it is true. */
  readonly healthy: () => Promise<boolean>;
}

/** What is written when a daemon starts, so that another run of the tool ends exactly this process. */
export interface ProcessRecord extends ProcessIdentity {
  readonly name: string;
  readonly command: string;
}

/** Milliseconds a daemon may take to become healthy: API server and kubelet on two busy cores stay under 20 s. */
const HEALTHY_TIMEOUT = 90_000;

/** Milliseconds between asking a daemon to end and killing it: an API server waits for its watches for a minute. */
const STOP_TIMEOUT = 3_000;

function recordFile(paths: Paths, name: string): string {
  return join(paths.records, `${name}.json`);
}

/** Path of the log that takes both outputs of a daemon. */
export function logFile(paths: Paths, name: string): string {
  return join(paths.logs, `${name}.log`);
}

/** @returns undefined if the daemon was never started, or the record is damaged by a crash while it was written */
export function readRecord(paths: Paths, name: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordFile(paths, name), 'utf8')) as ProcessRecord;
  } catch {
    return undefined;
  }
}

/** All daemons that were started and not stopped in order, whether they live or not. */
export function records(paths: Paths): ProcessRecord[] {
  if (!existsSync(paths.records)) return [];
  const names = readdirSync(paths.records).filter((file) => file.endsWith('.json'));
  return names.flatMap((file) => readRecord(paths, file.slice(0, -'.json'.length)) ?? []);
}

/** Starts a daemon without waiting for its health. It outlives this process and writes to its own log. */
export function startDaemon(paths: Paths, daemon: Daemon): ProcessRecord {
  mkdirSync(paths.logs, { recursive: true });
  mkdirSync(paths.records, { recursive: true });
  const log = openSync(logFile(paths, daemon.name), 'a');
  const child = spawn(daemon.command, daemon.args, {
    cwd: paths.state,
    env: { ...process.env, ...daemon.env },
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', () => {}); // seen below: no process id
  child.unref();
  if (child.pid === undefined) throw new Error(`${daemon.name}: cannot start ${daemon.command}`);
  const record = { name: daemon.name, command: daemon.command, ...identify(child.pid) };
  const file = recordFile(paths, daemon.name);
  writeFileSync(`${file}.tmp`, JSON.stringify(record));
  renameSync(`${file}.tmp`, file);
  return record;
}

/** @throws Error with the end of its log if the daemon ends or is not healthy in time */
export async function waitHealthy(paths: Paths, daemon: Daemon): Promise<void> {
  const record = readRecord(paths, daemon.name);
  const logEnd = () => {
    const file = logFile(paths, daemon.name);
    return existsSync(file) ? `\n${lastLines(readFileSync(file, 'utf8'), 15)}` : '';
  };
  const giveUp = () => {
    if (!record || !isAlive(record)) throw new Error(`${daemon.name} has ended; its log:${logEnd()}`);
  };
  await waitUntil(daemon.healthy, { what: daemon.name, timeout: HEALTHY_TIMEOUT, giveUp });
}

export async function startAndWait(paths: Paths, daemon: Daemon): Promise<void> {
  startDaemon(paths, daemon);
  await waitHealthy(paths, daemon);
}

/** Ends a recorded daemon and no other process, and forgets it. Does nothing if it does not run. */
export async function stopDaemon(paths: Paths, name: string): Promise<void> {
  const record = readRecord(paths, name);
  if (record && isAlive(record)) {
    process.kill(record.pid, 'SIGTERM');
    const ended = () => Promise.resolve(!isAlive(record));
    await waitUntil(ended, { what: name, timeout: STOP_TIMEOUT, interval: 50 }).catch(() => {
      if (isAlive(record)) process.kill(record.pid, 'SIGKILL');
    });
  }
  rmSync(recordFile(paths, name), { force: true });
}
