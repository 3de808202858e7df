import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import * as cluster from '../cluster/index.ts';
import { connect } from '../e2e/support/cluster.ts';
import { install } from '../e2e/support/install.ts';
import { admission } from './admission.ts';
import { analyzers, footprint } from './footprint.ts';
import { report } from './report.ts';
import {
  analyzerGone,
  badVersion,
  failedPromotion,
  goodVersion,
  INTERVAL_S,
  optInAndOut,
  pushedV3,
  sharedFault,
} from './scenarios.ts';

// `make bench`: measures on a whole cluster and prints the figures beside Flagger's; the last line is one JSON object. Runs itself again
// inside the cluster's network. BENCH_RUNS sets how often the two main scenarios are repeated.
const ROOT = join(import.meta.dirname, '..', '..');
const RUNS = Number(process.env['BENCH_RUNS'] ?? 3);

const say = (text: string) => process.stdout.write(`[${new Date().toISOString().slice(11, 19)}] ${text}\n`);

function sh(...args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${args.join(' ')}: exit ${code}`))));
  });
}

const tool = (...args: string[]) => sh(join(ROOT, 'test/cluster/main.ts'), ...args);

async function measure(): Promise<void> {
  const client = connect();
  say('installing Sidestep');
  await install();
  say('admission: updates held anew at 100/s, beside a webhook that only says yes');
  const latency = await admission(client);
  say('footprint: 100 opted-in Deployments among 1,000 others');
  const rest = await footprint(client);
  const good = [];
  const bad = [];
  for (let i = 1; i <= RUNS; i++) {
    say(`a good version, run ${i} of ${RUNS}`);
    good.push(await goodVersion());
    say(`a version that fails every request, run ${i} of ${RUNS}`);
    bad.push(await badVersion({ ERROR_RATE: '1' }));
  }
  say(
    'thresholds alone, 20 % of failures, slow answers, a pushed v3, a failed promotion, opt-in and opt-out, a shared fault, a lost analyzer',
  );
  const [thresholds, fifth, slow, pushed, stuck, opt, shared, gone] = [
    await badVersion({ ERROR_RATE: '1' }, false),
    await badVersion({ ERROR_RATE: '0.2' }),
    await badVersion({ DELAY_MS: '800' }),
    await pushedV3(),
    await failedPromotion(),
    await optInAndOut(),
    await sharedFault(),
    await analyzerGone(),
  ];
  const { markdown, json } = report({
    latency,
    rest,
    good,
    bad,
    thresholds,
    fifth,
    slow,
    pushed,
    stuck,
    opt,
    shared,
    gone,
    analyzers: await analyzers(),
    intervalS: INTERVAL_S,
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}`,
    date: new Date().toISOString().slice(0, 10),
  });
  process.stdout.write(`\n${markdown}\n`);
  writeFileSync(join(ROOT, 'docs/performance.md'), markdown);
  process.stdout.write(`${JSON.stringify(json)}\n`);
}

async function main(): Promise<void> {
  if (process.argv[2] === 'measure') return measure();
  process.env['SIDESTEP_CLUSTER'] ??= 'sidestep-bench';
  const fresh = !cluster.isUp(undefined, 'full');
  if (fresh) await tool('up');
  try {
    await sh(join(ROOT, 'build.ts'));
    await tool('images');
    await tool('exec', '--', process.execPath, import.meta.filename, 'measure');
  } finally {
    if (fresh) await tool('down');
  }
}

try {
  await main();
  process.exit(0);
} catch (e) {
  process.stderr.write(`bench: ${e instanceof Error ? e.message : String(e)}\n`);
  process.exit(1);
}
