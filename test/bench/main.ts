import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from '../../kube/client.ts';
import * as cluster from '../cluster/index.ts';
import { connect } from '../e2e/support/cluster.ts';
import { install } from '../e2e/support/install.ts';
import { type Admission, admission } from './admission.ts';
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
import { CONTROL_PLANE, WHOLE_CLUSTER } from './webhooks.ts';

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
  const latency = await admissionMeasured(client);
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

const ADMISSION = join(ROOT, 'dist', 'bench-admission.json');

/** On the embedded cluster measured before, beside a control plane alone; on a cluster of the user's own, with pods. */
async function admissionMeasured(client: KubeClient): Promise<Admission> {
  if (existsSync(ADMISSION)) return JSON.parse(readFileSync(ADMISSION, 'utf8')) as Admission;
  say('admission: updates held anew at 100/s, beside a webhook that only says yes');
  return admission(client, WHOLE_CLUSTER);
}

/** What else runs on a whole cluster of two cores would be measured too: every quantile would tell of Envoys and compilers. */
async function measureAdmissionAlone(): Promise<void> {
  const instance = process.env['SIDESTEP_CLUSTER'];
  process.env['SIDESTEP_CLUSTER'] = 'sidestep-bench-admission';
  say('admission: updates held anew at 100/s, beside a webhook that only says yes');
  try {
    await tool('control-plane');
    await tool('exec', '--', process.execPath, import.meta.filename, 'admission');
  } finally {
    await tool('down');
    process.env['SIDESTEP_CLUSTER'] = instance;
  }
}

async function main(): Promise<void> {
  if (process.argv[2] === 'measure') return measure();
  if (process.argv[2] === 'admission') {
    const measured = await admission(connect(), CONTROL_PLANE);
    say(`admission: ${JSON.stringify(measured)}`);
    return writeFileSync(ADMISSION, JSON.stringify(measured));
  }
  process.env['SIDESTEP_CLUSTER'] ??= 'sidestep-bench';
  await sh(join(ROOT, 'build.ts'));
  rmSync(ADMISSION, { force: true });
  if (!process.env['SIDESTEP_KUBECONFIG']) await measureAdmissionAlone();
  const fresh = !cluster.isUp(undefined, 'full');
  if (fresh) await tool('up');
  try {
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
