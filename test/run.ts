import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * `make test`: every stage, one after the other, the long builds of the cluster beside the short stages. The last line is
 * `N passed, N failed`; a stage that is no test run counts as one.
 */
const ROOT = join(import.meta.dirname, '..');
const REPORTS = join(ROOT, 'dist', 'test-reports');
const NODE = process.execPath;
const CLUSTER = join(ROOT, 'test/cluster/main.ts');
const BIN = join(ROOT, 'node_modules/.bin');

const totals = { passed: 0, failed: 0 };
const startedMs = Date.now();

const say = (text: string) => process.stdout.write(`[${elapsed(startedMs)}] ${text}\n`);

function elapsed(sinceMs: number): string {
  const s = Math.round((Date.now() - sinceMs) / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

let current: ReturnType<typeof spawn> | undefined;

/** Runs a command with its output shown; resolves with its exit code. */
function sh(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
    current = child;
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** A stage that either works or does not. */
async function stage(
  name: string,
  command: string,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<boolean> {
  const fromMs = Date.now();
  say(`${name} …`);
  const ok = (await sh(command, args, env)) === 0;
  totals[ok ? 'passed' : 'failed']++;
  if (!ok) failures.push(`the stage "${name}"`);
  say(`${name}: ${ok ? 'ok' : 'FAILED'} (${elapsed(fromMs)})`);
  return ok;
}

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numFailedTestSuites: number;
  testResults: {
    name: string;
    status: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] | null }[];
  }[];
}

/** What the last lines name, so that a log's end says what to look at. */
const failures: string[] = [];

const MESSAGE_LENGTH = 300;

function noteFailures(report: Report): void {
  for (const { name, status, assertionResults } of report.testResults) {
    const file = relative(ROOT, name);
    const bad = assertionResults.filter((a) => a.status !== 'passed');
    if (bad.length === 0 && status === 'failed') failures.push(`${file}: could not be run`);
    for (const a of bad) {
      const why = (a.failureMessages?.[0] ?? a.status).split('\n')[0]!.slice(0, MESSAGE_LENGTH);
      failures.push(`${file}: ${a.fullName}: ${why}`);
    }
  }
}

/** One run of vitest; a skipped test is a failed one, and so is a file that could not be loaded. */
async function vitest(
  project: string,
  prefix: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<void> {
  const fromMs = Date.now();
  say(`${project} tests …`);
  const output = join(REPORTS, `${project}.json`);
  const command = [
    ...prefix,
    NODE,
    join(ROOT, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${output}`,
  ];
  const code = await sh(command[0]!, command.slice(1), env);
  const { passed, failed } = readReport(output);
  totals.passed += passed;
  totals.failed += failed === 0 && code !== 0 ? 1 : failed;
  say(`${project} tests: ${passed} passed, ${failed} failed (${elapsed(fromMs)})`);
}

function readReport(path: string): { passed: number; failed: number } {
  try {
    const r = JSON.parse(readFileSync(path, 'utf8')) as Report;
    noteFailures(r);
    const failed = r.numFailedTests + r.numPendingTests + r.numTodoTests;
    return { passed: r.numPassedTests, failed: failed === 0 ? Math.min(r.numFailedTestSuites, 1) : failed };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

const inCluster = (name: string) => ({ SIDESTEP_CLUSTER: name });
const cluster = (...args: string[]) => [NODE, CLUSTER, ...args] as const;

/** An instance of the cluster for the body, gone afterwards whatever happens. */
async function withCluster(
  name: string,
  kind: 'up' | 'control-plane',
  body: (prefix: string[]) => Promise<void>,
): Promise<void> {
  const env = inCluster(name);
  instances.add(name);
  try {
    if (!(await stage(`cluster ${name}`, ...head(cluster(kind)), env))) return;
    await body([...cluster('exec', '--')]);
  } finally {
    await stage(`cluster ${name} down`, ...head(cluster('down')), env);
    instances.delete(name);
  }
}

const instances = new Set<string>();
const head = ([command, ...args]: readonly string[]): [string, string[]] => [command!, args];

async function main(): Promise<void> {
  rmSync(REPORTS, { recursive: true, force: true });
  mkdirSync(REPORTS, { recursive: true });
  // Lint, types and units need seconds of the minutes that a first build of the cluster takes.
  const built = stage('binaries and packages of the cluster', ...head(cluster('build')));
  await stage('lint', join(BIN, 'biome'), ['check', '--error-on-warnings', '.']);
  await stage('types', join(BIN, 'tsc'), ['--noEmit']);
  await vitest('unit');
  await stage('coverage of canary and webhook/admission', 'npm', ['run', '-s', 'coverage']);
  await stage('bundles', NODE, ['build.ts']);
  if (!(await built)) return;
  await withCluster('sidestep-it', 'control-plane', (prefix) =>
    vitest('integration', prefix, inCluster('sidestep-it')),
  );
  await withCluster('sidestep-e2e', 'up', async (prefix) => {
    const env = inCluster('sidestep-e2e');
    if (!(await stage('images', ...head(cluster('images')), env))) return;
    const failedBefore = totals.failed;
    await vitest('e2e', prefix, env);
    await vitest('e2e-alone', prefix, env);
    // A cluster of the user's own keeps its audit log to itself.
    if (!process.env['SIDESTEP_KUBECONFIG']) await vitest('permissions', prefix, env);
    if (totals.failed > failedBefore)
      await sh(NODE, [join(ROOT, 'test/e2e/support/dump.ts'), join(REPORTS, 'logs')], {
        ...env,
        SIDESTEP_DUMP_PREFIX: JSON.stringify(prefix),
      });
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    current?.kill('SIGTERM');
    for (const name of instances) await sh(...head(cluster('down')), inCluster(name));
    process.exit(130);
  });
}

try {
  await main();
} catch (e) {
  totals.failed++;
  say(`stopped: ${e instanceof Error ? e.message : String(e)}`);
}
say(`all stages done`);
for (const failure of failures) process.stdout.write(`failed: ${failure}\n`);
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
