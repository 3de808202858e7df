import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';
import { parseDuration } from '../../canary/duration.ts';
import * as cluster from '../cluster/index.ts';
import { play } from './play.ts';
import { note, say, title } from './terminal.ts';

// `make demo`: sets up everything and plays the tutorial. Runs itself a second time inside the cluster's network for the play.
const ROOT = join(import.meta.dirname, '..', '..');
const INTERVAL = process.env['DEMO_INTERVAL'] ?? '10s';

function sh(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args[0] ?? ''} ended with ${code}`)),
    );
  });
}

const tool = (...args: string[]): Promise<void> => sh(process.execPath, [join(ROOT, 'test/cluster/main.ts'), ...args]);

async function setUp(): Promise<void> {
  title('A Kubernetes cluster with Istio and Prometheus');
  if (!cluster.isUp(undefined, 'full')) await tool('up');
  else note('up already');
  title('The images of Sidestep and of the bookshop');
  await sh(process.execPath, [join(ROOT, 'build.ts')]);
  await tool('images');
}

function lookAround(): void {
  title('Look around');
  if (process.env['SIDESTEP_KUBECONFIG']) {
    say('kubectl -n bookinfo describe deployment reviews                 # conditions, Events, what was measured');
    say('kubectl -n bookinfo port-forward service/productpage 9080       # http://127.0.0.1:9080/productpage');
    say('kubectl delete namespace bookinfo                               # removes the shop');
    return;
  }
  const cluster = `SIDESTEP_CLUSTER=${process.env['SIDESTEP_CLUSTER'] ?? 'sidestep'} npm run -s cluster --`;
  say('make demo-open     # http://127.0.0.1:9080/productpage and Prometheus on http://127.0.0.1:9090');
  say(`${cluster} shell   # kubectl and helm in the cluster's network`);
  say(`${cluster} exec -- kubectl -n bookinfo describe deployment reviews`);
  note('make demo-down     # removes it all');
}

async function main(): Promise<void> {
  const intervalMs = parseDuration(INTERVAL);
  if (intervalMs === undefined || intervalMs < 1000)
    throw new Error(`DEMO_INTERVAL is ${JSON.stringify(INTERVAL)}; allowed: a duration from 1s, such as 10s or 1m`);
  if (process.argv[2] === 'play') {
    const read = (file: string) => readFileSync(join(ROOT, 'examples/bookinfo', file), 'utf8');
    await play({ intervalMs, interval: INTERVAL, read });
    return;
  }
  await setUp();
  await tool('exec', '--', process.execPath, import.meta.filename, 'play');
  lookAround();
}

try {
  await main();
} catch (e) {
  process.stderr.write(`${pc.red('demo:')} ${e instanceof Error ? e.message : String(e)}\n`);
  process.exit(1);
}
process.exit(0);
