import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './cluster.ts';
import { NAMESPACE } from './install.ts';

/** Keeps what explains a failure before the cluster goes: logs of webhook and analyzers, their Jobs, the events of all namespaces. */
const [, , folder = 'logs'] = process.argv;
const prefix = JSON.parse(process.env['SIDESTEP_DUMP_PREFIX'] ?? '[]') as string[];

async function keep(file: string, ...args: string[]): Promise<void> {
  const [command = 'kubectl', ...rest] = [...prefix, 'kubectl', ...args];
  const { stdout, stderr } = await run(command, rest);
  writeFileSync(join(folder, file), stdout || stderr);
}

mkdirSync(folder, { recursive: true });
await keep(
  'webhook.log',
  '-n',
  NAMESPACE,
  'logs',
  '-l',
  'app.kubernetes.io/component=webhook',
  '--prefix',
  '--tail=-1',
);
await keep(
  'analyzers.log',
  '-n',
  NAMESPACE,
  'logs',
  '-l',
  'app.kubernetes.io/managed-by=sidestep',
  '--prefix',
  '--tail=-1',
  '--max-log-requests=200',
);
await keep('jobs.txt', '-n', NAMESPACE, 'get', 'jobs,pods', '-o', 'wide');
await keep('events.txt', 'get', 'events', '-A', '--sort-by=.lastTimestamp');
await keep('deployments.yaml', 'get', 'deployments', '-A', '-l', 'sidestep.dev/watched=true', '-o', 'yaml');
process.stdout.write(`logs of the failed run: ${folder}\n`);
