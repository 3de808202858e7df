import pc from 'picocolors';
import { connect, eventually, must, run } from '../e2e/support/cluster.ts';
import { install } from '../e2e/support/install.ts';
import { failures, findLoad, type Load, type LoadStats, total } from '../e2e/support/load.ts';
import * as fixtures from '../fixtures/manifests.ts';
import { follow, type Outcome } from './follow.ts';
import { note, say, seconds, title, typed, warning } from './terminal.ts';

const NAMESPACE = 'bookinfo';
/** Requests per second of the bookshop's users. */
const RATE = 50;

export interface Play {
  interval: string;
  intervalMs: number;
  /** A file of examples/bookinfo. */
  read: (file: string) => string;
}

/** The tutorial: opt in, promote a good version, roll a bad one back. */
export async function play({ interval, read }: Play): Promise<void> {
  title('Sidestep, by its chart');
  typed('helm install sidestep charts/sidestep --namespace sidestep-system --create-namespace');
  await install();

  title('The bookshop: productpage, ratings, reviews in version 1');
  const load = await openShop(read);

  title('Opt in: one annotation, no restart');
  await apply('reviews-v1-optin.yaml', read, interval);

  title('Version 2: black stars');
  const good = await deploy('reviews-v2.yaml', 'v2', load, read, interval);

  title('Version 3: red stars, but one request in five fails');
  const bad = await deploy('reviews-v3-bad.yaml', 'v3', load, read, interval);

  summary(interval, good, bad);
  if (good.phase !== 'Succeeded' || bad.phase !== 'Failed') throw new Error('the tutorial did not end as it should');
}

/** A demo played before leaves the last version rejected: the shop is opened anew, so that each demo is the first. */
async function openShop(read: (file: string) => string): Promise<Load> {
  await run('kubectl', ['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait', '--timeout=120s']);
  typed('kubectl apply -f examples/bookinfo/bookinfo.yaml -f examples/bookinfo/loadtester.yaml');
  for (const file of ['bookinfo.yaml', 'loadtester.yaml']) await must('kubectl', ['apply', '-f', '-'], read(file));
  for (const name of ['productpage', 'ratings', 'reviews', 'loadtester']) {
    await must('kubectl', ['-n', NAMESPACE, 'rollout', 'status', `deployment/${name}`, '--timeout=120s']);
  }
  const users = fixtures.loadgen({
    namespace: NAMESPACE,
    target: 'http://productpage:9080/productpage',
    rate: 1,
    name: 'visitor',
  });
  const callers = fixtures.loadgen({ namespace: NAMESPACE, target: 'http://reviews:9080/reviews/1', rate: RATE });
  await must('kubectl', ['apply', '-f', '-'], [users, callers].map((o) => JSON.stringify(o)).join('\n---\n'));
  const client = connect();
  const load = await eventually('the users of the shop', 90_000, () =>
    findLoad(client, NAMESPACE).catch(() => undefined),
  );
  await eventually('steady requests', 60_000, async () => total(await load.stats()) > RATE);
  await load.reset();
  note(`${RATE} requests per second to reviews through the mesh, each answer counted`);
  return load;
}

/** `kubectl apply` of an example, with the interval of this demo in the place of the tutorial's minute. */
async function apply(file: string, read: (file: string) => string, interval: string): Promise<void> {
  typed(`kubectl apply -f examples/bookinfo/${file}${interval === '1m' ? '' : pc.dim(`   # interval: ${interval}`)}`);
  const manifest = read(file).replaceAll(/interval: (1m|30s)/g, `interval: ${interval}`);
  const { stdout, stderr } = await must('kubectl', ['apply', '-f', '-'], manifest);
  if (stderr.trim()) warning(stderr.trim());
  say(stdout.trim());
}

async function deploy(
  file: string,
  version: string,
  load: Load,
  read: (file: string) => string,
  interval: string,
): Promise<Outcome> {
  await load.reset();
  const appliedMs = Date.now();
  await apply(file, read, interval);
  const outcome = await follow(connect(), NAMESPACE, load, version, appliedMs);
  const verdict = await run('kubectl', ['-n', NAMESPACE, 'rollout', 'status', 'deployment/reviews', '--timeout=30s']);
  typed('kubectl -n bookinfo rollout status deployment/reviews; echo $?');
  say(`${(verdict.stdout || verdict.stderr).trim()}\n${verdict.code}`);
  return outcome;
}

function summary(interval: string, good: Outcome, bad: Outcome): void {
  title('Summary');
  say(`interval ${interval}`);
  for (const [name, outcome] of [
    ['v2', good],
    ['v3', bad],
  ] as const) {
    say(
      `${pc.bold(name)}  ${outcome.phase === 'Succeeded' ? pc.green('promoted') : pc.red('rolled back')} after ${seconds(outcome.endedMs)}; first answer after ${outcome.firstAnswerMs === undefined ? '–' : seconds(outcome.firstAnswerMs)}`,
    );
    say(pc.dim(`    ${outcome.message}`));
    say(`    ${answers(outcome.stats)}; failed: ${failures(outcome.stats)} of ${total(outcome.stats)}`);
  }
}

const answers = ({ totals }: LoadStats): string =>
  Object.entries(totals)
    .sort()
    .map(([key, n]) => `${key.replace('|', ' by ')}: ${n}`)
    .join(', ');
