import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RUN, WATCHED_LABEL } from '../../canary/annotations.ts';
import { jobName } from '../../canary/names.ts';
import type { Run } from '../../canary/run.ts';
import { memoryLog } from '../../kube/log.ts';
import { DEPLOYMENTS, JOBS } from '../../kube/resources.ts';
import { FakeApiServer } from '../../kube/testing/fake-api-server.ts';
import type { Condition, Deployment, Job } from '../../kube/types.ts';
import { run, START_MS, UID } from './fixtures.ts';
import { type Launcher, startLauncher } from './launcher.ts';

const OWN = 'sidestep-system';

let server: FakeApiServer;
let stop: AbortController;
let nowMs: number;
let actions: string[];
let log: ReturnType<typeof memoryLog>;

beforeEach(async () => {
  server = await FakeApiServer.start();
  stop = new AbortController();
  nowMs = START_MS;
  actions = [];
  log = memoryLog();
});

afterEach(async () => {
  stop.abort();
  await server.stop();
});

const start = (namespaces: string[] = []): Launcher =>
  startLauncher({
    client: server.client(),
    ownNamespace: OWN,
    namespaces,
    analyzer: { image: 'sidestep:1', serviceAccount: 'sidestep-analyzer', resources: {}, env: {} },
    metrics: {
      launched: (action) => actions.push(action),
      launcherFailed: () => actions.push('failed'),
      watchFailed: () => {},
    },
    log,
    signal: stop.signal,
    now: () => new Date(nowMs),
    random: () => 0,
  });

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 4000, interval: 5 });

function putDeployment(
  current: Run | undefined,
  { namespace = 'shop', uid = UID, conditions = [] as Condition[] } = {},
) {
  return server.put<Deployment>(DEPLOYMENTS, {
    metadata: {
      name: 'reviews',
      namespace,
      uid,
      labels: { [WATCHED_LABEL]: 'true' },
      annotations: current ? { [RUN]: JSON.stringify(current) } : {},
    },
    spec: { selector: {}, template: { spec: { containers: [] } } },
    status: { conditions },
  });
}

const job = (runId: string, attempt: number) => server.read<Job>(JOBS, OWN, jobName(UID, runId, attempt));
const jobAppears = (runId: string, attempt: number) => eventually(() => expect(job(runId, attempt)).toBeDefined());
const conditions = () => server.read<Deployment>(DEPLOYMENTS, 'shop', 'reviews')!.status!.conditions!;

/** Ends an attempt as the Job controller does. */
function finish(runId: string, attempt: number, type: 'Complete' | 'Failed'): void {
  const lastTransitionTime = new Date(nowMs - 100_000).toISOString();
  server.put<Job>(JOBS, {
    ...job(runId, attempt)!,
    status: { conditions: [{ type, status: 'True', lastTransitionTime }] },
  });
}

test('a held version gets its Job and its conditions', async () => {
  const launcher = start();
  expect(launcher.pending()).toEqual(['watch of Jobs', 'watch of Deployments']);
  await eventually(() => expect(launcher.pending()).toEqual([]));
  const exceeded: Condition = { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' };
  putDeployment(run('r1'), { conditions: [exceeded, { type: 'Available', status: 'True' }] });
  await jobAppears('r1', 1);
  await eventually(() =>
    expect(conditions()).toMatchObject([
      { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused' },
      { type: 'Available', status: 'True' },
      { type: 'Promoted', status: 'Unknown', reason: 'AnalysisStarting' },
    ]),
  );
});

test('one that was held while nobody looked is found at start', async () => {
  putDeployment(run('r1'));
  start();
  await jobAppears('r1', 1);
});

test('two replicas: one Job, and the conditions are written once', async () => {
  const launchers = [start(), start()];
  await eventually(() => expect(launchers.flatMap((l) => l.pending())).toEqual([]));
  putDeployment(run('r1'));
  await eventually(() =>
    expect(actions.filter((a) => a === 'launch' || a === 'exists').length).toBeGreaterThanOrEqual(2),
  );
  expect(actions.filter((a) => a === 'launch')).toEqual(['launch']);
  await eventually(() => expect(actions.filter((a) => a === 'reset-conditions')).toEqual(['reset-conditions']));
  expect(actions).not.toContain('failed');
});

test('an attempt that died is followed by another; a clean end by none', async () => {
  start();
  putDeployment(run('r1'));
  await jobAppears('r1', 1);
  finish('r1', 1, 'Failed');
  await jobAppears('r1', 2);
  putDeployment(run('r1', 'rejected'));
  finish('r1', 2, 'Complete');
  putDeployment(run('r2'));
  await jobAppears('r2', 1);
  expect(job('r1', 3)).toBeUndefined();
});

test('a Deployment that is deleted is cleaned up after, a new one of its name is another', async () => {
  start();
  putDeployment(run('r1'));
  await jobAppears('r1', 1);
  server.remove(DEPLOYMENTS, 'shop', 'reviews');
  putDeployment(undefined, { uid: 'another' });
  finish('r1', 1, 'Failed');
  await jobAppears('r1', 2);
  const { args } = job('r1', 2)!.spec.template.spec.containers[0]! as unknown as { args: string[] };
  expect(args.join(' ')).toContain(`--namespace shop --deployment reviews --uid ${UID} --run r1 --attempt 2`);
});

test('a Job that cannot be created is tried again', async () => {
  server.intercept = ({ method }) => (method === 'POST' ? { status: 500 } : undefined);
  start();
  putDeployment(run('r1'));
  await eventually(() => expect(actions).toContain('failed'));
  server.intercept = () => undefined;
  await jobAppears('r1', 1);
});

test('a clock behind the API server’s does not stretch the back-off', async () => {
  start();
  putDeployment(run('r1'));
  await jobAppears('r1', 1);
  const lastTransitionTime = new Date(nowMs + 3_600_000).toISOString();
  server.put<Job>(JOBS, {
    ...job('r1', 1)!,
    status: { conditions: [{ type: 'Failed', status: 'True', lastTransitionTime }] },
  });
  await new Promise(setImmediate);
  const looks = setInterval(() => {
    nowMs += 100;
  }, 10);
  await jobAppears('r1', 2).finally(() => clearInterval(looks));
});

test('only in the namespaces that are listed', async () => {
  const launcher = start(['billing', 'shop']);
  putDeployment(run('r9'), { namespace: 'elsewhere', uid: 'elsewhere' });
  putDeployment(run('r1'));
  await eventually(() => expect(launcher.pending()).toEqual([]));
  await jobAppears('r1', 1);
  expect(server.requests.some(({ path }) => path === '/apis/apps/v1/deployments')).toBe(false);
  await eventually(() => expect(actions.filter((a) => a === 'launch')).toHaveLength(1));
});

test('nothing is started before the Jobs are known', async () => {
  server.intercept = ({ path, method }) => (path.endsWith('/jobs') && method === 'GET' ? { status: 403 } : undefined);
  const launcher = start();
  putDeployment(run('r1'));
  await eventually(() => expect(launcher.pending()).toEqual(['watch of Jobs']));
  await eventually(() => expect(log.lines.some(({ message }) => message === 'watch failed, trying again')).toBe(true));
  expect(actions).toEqual([]);
  server.intercept = () => undefined;
  await jobAppears('r1', 1);
});
