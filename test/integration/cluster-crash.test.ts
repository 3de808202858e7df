import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { groupExists } from '../cluster/cgroup.ts';
import { daemons } from '../cluster/components.ts';
import { readRecord } from '../cluster/daemon.ts';
import { paths as instancePaths, isUp, type Kind, start, stop } from '../cluster/index.ts';
import { inspect } from '../cluster/instance.ts';
import { mountsBelow } from '../cluster/mounts.ts';
import { isAlive, processStat } from '../cluster/procfs.ts';
import { run } from '../cluster/run.ts';
import { waitUntil } from '../cluster/wait.ts';

// The embedded cluster after `kill -9` of any of its parts and of the command that starts it. SIDESTEP_CRASH_KIND=full also tests
// containerd, the kubelet and what they leave, which takes minutes.

const KIND: Kind = process.env['SIDESTEP_CRASH_KIND'] === 'full' ? 'full' : 'control-plane';
const paths = instancePaths('crash');
const TIMEOUT = KIND === 'full' ? 300_000 : 120_000;

// This instance is its own, whatever cluster the other tests use.
delete process.env['SIDESTEP_KUBECONFIG'];

/** Processes whose command line names the instance's folder. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(`${paths.state}/`) && processStat(Number(pid))?.state !== 'Z' ? [command] : [];
      } catch {
        return []; // ended while the folder was read
      }
    });
}

/** Files and links of a folder that all instances share, which name this one's folder. */
function ours(folder: string, target: (path: string) => string): string[] {
  const all = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return all.filter((path) => target(path).includes(`${paths.state}/`));
}

/** Everything an instance can leave behind; empty if it left nothing. */
function traces(): string[] {
  return [
    ...processes().map((command) => `process ${command}`),
    ...mountsBelow(paths.state).map((point) => `mount ${point}`),
    ...(existsSync(paths.netns) ? [`network namespace ${paths.netns}`] : []),
    ...(groupExists(paths) ? ['control group'] : []),
    ...(existsSync(paths.state) ? [`folder ${paths.state}`] : []),
    ...ours('/var/lib/cni/results', (path) => readFileSync(path, 'utf8')),
    ...ours('/var/log/containers', readlinkSync),
  ];
}

function killDaemon(name: string): void {
  const record = readRecord(paths, name);
  if (!record || !isAlive(record)) throw new Error(`${name} does not run`);
  process.kill(record.pid, 'SIGKILL');
}

/** Starts the instance by the command line and kills the command as soon as the file is there. */
async function killStartOnce(file: string): Promise<void> {
  const command = KIND === 'full' ? 'up' : 'control-plane';
  const main = join(import.meta.dirname, '../cluster/main.ts');
  const env = { ...process.env, SIDESTEP_CLUSTER: paths.name };
  const child = spawn(process.execPath, [main, command], { env, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('close', resolve));
  const giveUp = () => {
    if (child.exitCode !== null) throw new Error('the start ended before it could be killed');
  };
  await waitUntil(async () => existsSync(file), { what: file, timeout: 60_000, interval: 5, giveUp });
  child.kill('SIGKILL');
  await ended;
}

const record = (name: string) => join(paths.records, `${name}.json`);

beforeAll(() => stop(paths.name));
afterAll(() => stop(paths.name));

describe('embedded cluster', () => {
  test('ends without a trace', { timeout: TIMEOUT }, async () => {
    await start(paths.name, KIND);
    expect(isUp(paths.name, KIND)).toBe(true);
    await stop(paths.name);
    expect(traces()).toEqual([]);
    await stop(paths.name); // once more: nothing to do is no error
    expect(traces()).toEqual([]);
  });

  test.each(daemons(paths, KIND).map(({ name }) => name))(
    'after kill -9 of %s it is seen as broken, starts anew and ends without a trace',
    { timeout: TIMEOUT },
    async (name) => {
      await start(paths.name, KIND);
      killDaemon(name);
      await waitUntil(async () => !isUp(paths.name), { what: 'the loss to be seen', timeout: 5000 });
      expect(inspect(paths)).toEqual({ state: 'broken', reason: `not running: ${name}` });
      await start(paths.name, KIND);
      expect(isUp(paths.name, KIND)).toBe(true);
      killDaemon(name);
      await stop(paths.name);
      expect(traces()).toEqual([]);
    },
  );

  const moments: Record<string, string> = {
    'at its beginning': join(paths.state, 'instance.json'),
    'with a network': paths.netns,
    'with etcd': record('etcd'),
    'with an API server': record('kube-apiserver'),
    'with a controller manager': record('kube-controller-manager'),
    ...(KIND === 'full' ? { 'with a kubelet': record('kubelet') } : {}),
  };
  test.each(Object.keys(moments))('a start killed %s can be taken down', { timeout: TIMEOUT }, async (moment) => {
    await killStartOnce(moments[moment] ?? '');
    expect(inspect(paths).state).toBe('broken');
    await stop(paths.name);
    expect(traces()).toEqual([]);
  });

  test('a killed start can be repeated at once', { timeout: TIMEOUT }, async () => {
    await killStartOnce(record('kube-apiserver'));
    await start(paths.name, KIND);
    expect(isUp(paths.name, KIND)).toBe(true);
    await stop(paths.name);
    expect(traces()).toEqual([]);
  });

  test('a process that got the id of one that ended is not touched', { timeout: TIMEOUT }, async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    const pid = stranger.pid ?? 0;
    mkdirSync(paths.records, { recursive: true });
    const stale = { name: 'etcd', command: 'etcd', pid, startTime: (processStat(pid)?.startTime ?? 0) - 1 };
    writeFileSync(record('etcd'), JSON.stringify(stale));
    await stop(paths.name);
    expect(processStat(pid)?.state).toBe('S');
    stranger.kill();
    expect(traces()).toEqual([]);
  });

  test('two instances run side by side', { timeout: TIMEOUT }, async () => {
    const other = instancePaths('crash-2');
    try {
      await Promise.all([start(paths.name, KIND), start(other.name, 'control-plane')]);
      const [one, two] = await Promise.all([inside(paths.name), inside(other.name)]);
      expect(one).not.toBe(two);
      await stop(other.name);
      expect(isUp(paths.name, KIND)).toBe(true);
    } finally {
      await stop(other.name);
      await stop(paths.name);
    }
    expect(traces()).toEqual([]);
  });
});

/** The id of an instance's kube-system namespace: what tells clusters apart. */
function inside(name: string): Promise<string> {
  const main = join(import.meta.dirname, '../cluster/main.ts');
  const query = ['kubectl', 'get', 'namespace', 'kube-system', '-o', 'jsonpath={.metadata.uid}'];
  return run(process.execPath, [main, 'exec', '--', ...query], { env: { ...process.env, SIDESTEP_CLUSTER: name } });
}
