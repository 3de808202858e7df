import { afterAll, expect, test } from 'vitest';
import { PAUSED_BY, RUN } from '../../../canary/annotations.ts';
import { JOBS, SECRETS, VIRTUAL_SERVICES } from '../../../kube/resources.ts';
import type { KubeObject, Secret } from '../../../kube/types.ts';
import { connect, eventually, must, run, sleep } from '../support/cluster.ts';
import { install, NAMESPACE, PREVIOUS_CHART, RELEASE, uninstall } from '../support/install.ts';
import { answersOf, failedAnswers, total } from '../support/load.ts';
import { usersRule } from '../support/objects.ts';
import { inScenario, inScenarios, QUICK, type Scenario } from '../support/scenario.ts';

// What happens to runs, routes and updates when the installation itself changes. One after the other: there is one installation.

const client = connect();

/** Long enough at each weight that something can happen meanwhile. */
const SLOW = { ...QUICK, analysis: { ...QUICK.analysis, interval: '8s', stepWeight: 20, maxWeight: 40 } };
/** For a run that nobody sends requests to. */
const SLOW_TO_GIVE_UP = { ...SLOW, analysis: { ...SLOW.analysis, holdTimeout: '10m' } };

// Whatever a test left, the files that follow find Sidestep as it is installed by default.
afterAll(() => install());

const usersRoutes = (namespace: string): KubeObject[] => [
  {
    apiVersion: VIRTUAL_SERVICES.apiVersion,
    kind: VIRTUAL_SERVICES.kind,
    metadata: { name: 'mine', namespace },
    spec: { hosts: ['reviews'], http: [{ timeout: '7s', route: [{ destination: { host: 'reviews' } }] }] },
  } as KubeObject,
];

test('an upgrade from the version before leaves a run on: it goes on and fails no request', async () => {
  await uninstall();
  await install({ chart: PREVIOUS_CHART });
  await inScenario('upgrade', { spec: SLOW }, async (s) => {
    await s.apply({ version: 'v2' });
    await s.weight(20);
    const before = (await s.run())!;
    await install();
    expect((await s.run())!.id).toBe(before.id);
    await s.ended('Succeeded');
    await s.nothingLeft();
    expect((await s.jobs()).filter((j) => j.metadata.labels?.['sidestep.dev/run'] === before.id)).toHaveLength(1);
    expect(failedAnswers(await s.load.stats())).toEqual({});
  });
});

/** What is in Sidestep's namespace beside what every namespace has. */
async function leftInOwnNamespace(): Promise<string[]> {
  const kinds = 'all,leases,secrets,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets';
  const { stdout } = await must('kubectl', ['-n', NAMESPACE, 'get', kinds, '-o', 'name', '--ignore-not-found']);
  return stdout.split('\n').filter((name) => name !== '' && !/serviceaccount\/default$/.test(name));
}

async function leftInCluster(): Promise<string[]> {
  const kinds =
    'clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings';
  const selector = `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/name=sidestep`;
  const { stdout } = await must('kubectl', ['get', kinds, '-l', selector, '-o', 'name']);
  return stdout.split('\n').filter((name) => name !== '');
}

const scale = (part: 'webhook' | 'watchman', replicas: number) =>
  must('kubectl', ['-n', NAMESPACE, 'scale', `deployment/${RELEASE}-${part}`, `--replicas=${replicas}`]);

async function podsOf(part: string): Promise<string[]> {
  const selector = `app.kubernetes.io/component=${part}`;
  const { stdout } = await must('kubectl', ['-n', NAMESPACE, 'get', 'pods', '-l', selector, '-o', 'name']);
  return stdout.split('\n').filter((name) => name !== '');
}

/** As a lost node takes it: nothing is said, and nothing starts it again. */
async function loseAnalyzer(s: Scenario): Promise<void> {
  for (const { metadata } of await s.jobs()) {
    const pods = ['-l', `batch.kubernetes.io/job-name=${metadata.name}`];
    await client.delete(JOBS, { namespace: NAMESPACE, name: metadata.name }, { propagationPolicy: 'Orphan' });
    await must('kubectl', ['-n', NAMESPACE, 'delete', 'pods', ...pods, '--force', '--grace-period=0']);
  }
}

test('R15 uninstalled in the middle of runs, with and without their analyzers: routes are restored, nothing is left, no request fails', async () => {
  await install();
  const options = {
    r15: { spec: SLOW },
    'r15-lost': { spec: SLOW, objects: usersRule },
    'r15-mine': { spec: SLOW_TO_GIVE_UP, objects: usersRoutes, rate: 0 },
  };
  await inScenarios(options, async ({ r15: alive, 'r15-lost': lost, 'r15-mine': mine }) => {
    const all = [alive, lost, mine];
    const routesBefore = await mine.find<KubeObject & { spec: object }>(VIRTUAL_SERVICES, 'mine');
    for (const s of all) await s.apply({ version: 'v2' });
    await alive.weight(20);
    await lost.weight(20);
    await mine.weight(20);
    // Nobody but the hook is there for these two.
    await scale('watchman', 0);
    await scale('webhook', 0);
    await eventually(
      'no webhook and no watchman',
      60_000,
      async () => [...(await podsOf('webhook')), ...(await podsOf('watchman'))].length === 0,
    );
    await Promise.all([loseAnalyzer(lost), loseAnalyzer(mine)]);
    await uninstall();
    for (const s of all) {
      await s.nothingLeft(1000);
      const { spec, metadata } = await s.primary();
      expect(spec.paused).toBe(true);
      expect(metadata.annotations).toHaveProperty([PAUSED_BY]);
      expect(
        Object.keys(metadata.annotations ?? {}).filter((key) => /^sidestep.dev\/(run|phase|status)$/.test(key)),
      ).toEqual([]);
      const { stdout } = await s.kubectl(
        'get',
        'events',
        '--field-selector',
        'reason=SidestepUninstalled',
        '-o',
        'name',
      );
      expect(stdout.trim().split('\n')).toHaveLength(1);
    }
    const routes = await mine.find<KubeObject & { spec: object }>(VIRTUAL_SERVICES, 'mine');
    expect([routes?.spec, routes?.metadata.annotations]).toEqual([
      routesBefore!.spec,
      routesBefore!.metadata.annotations,
    ]);
    expect(await leftInCluster()).toEqual([]);
    await eventually('an empty namespace', 60_000, async () => (await leftInOwnNamespace()).length === 0);
    for (const s of [alive, lost]) expect(failedAnswers(await s.load.stats())).toEqual({});

    // Afterwards they are Deployments like any other.
    await alive.load.reset();
    await sleep(2000);
    const stats = await alive.load.stats();
    expect(answersOf(stats, 'v1')).toBe(total(stats));
    await alive.apply({ version: 'v3' });
    await must('kubectl', ['-n', alive.namespace, 'rollout', 'resume', 'deployment/reviews']);
    await must('kubectl', ['-n', alive.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=90s']);
    expect(failedAnswers(await alive.load.stats())).toEqual({});
  });
});

test('with a list of namespaces: Roles there alone, a run there is promoted, and a Deployment elsewhere is not touched', () =>
  inScenarios({ listed: {}, unlisted: { rate: 0 } }, async ({ listed, unlisted }) => {
    await uninstall();
    await install({ extra: [`namespaces={${listed.namespace}}`] });
    // RBAC for an object that is in no namespace is a ClusterRole; this one is about the webhook's own configuration and nothing else.
    const { stdout } = await must('kubectl', [
      ...['get', 'clusterroles', '-l', `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/name=sidestep`],
      ...['-o', 'json'],
    ]);
    const roles = (JSON.parse(stdout) as { items: { rules: object[] }[] }).items;
    expect(roles.map(({ rules }) => rules)).toEqual([
      [
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['mutatingwebhookconfigurations'],
          resourceNames: [`zz-${RELEASE}.${NAMESPACE}`],
          verbs: ['list', 'watch', 'patch'],
        },
      ],
    ]);
    expect((await listed.apply({ version: 'v2' })).stderr).toContain('canary of reviews started');
    await unlisted.apply({ version: 'v2' });
    await must('kubectl', ['-n', unlisted.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=90s']);
    const { metadata } = await unlisted.primary();
    expect(metadata.annotations).not.toHaveProperty([RUN]);
    expect(metadata.labels).toEqual({ app: 'reviews' });
    await listed.ended('Succeeded');
    await listed.nothingLeft();
    expect(failedAnswers(await listed.load.stats())).toEqual({});
    await uninstall();
    expect(await leftInCluster()).toEqual([]);
  }));

test('R8 while the webhook is down the way out of the documentation works, and so does the way back', async () => {
  await install();
  await inScenario('r8-out', {}, async (s) => {
    expect((await podsOf('webhook')).length).toBe(2);
    await scale('webhook', 0);
    await eventually('no webhook pod', 60_000, async () => (await podsOf('webhook')).length === 0);
    const refused = await run('kubectl', ['apply', '-f', '-'], JSON.stringify(s.manifest({ version: 'v2' })));
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/failed calling webhook "canary.sidestep.dev"/);
    await must('kubectl', ['delete', 'mutatingwebhookconfiguration', '-l', 'app.kubernetes.io/name=sidestep']);
    await s.apply({ version: 'v2' });
    await must('kubectl', ['-n', s.namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=90s']);
    await scale('webhook', 2);
    await install();
    const again = JSON.stringify(s.manifest({ version: 'v3' }));
    await eventually('the webhook asked again', 30_000, async () =>
      (await run('kubectl', ['apply', '--dry-run=server', '-f', '-'], again)).stderr.includes('canary of reviews'),
    );
    expect((await s.apply({ version: 'v3' })).stderr).toContain('canary of reviews started');
    await s.ended('Succeeded');
    expect(failedAnswers(await s.load.stats())).toEqual({});
  });
});

test('the webhook’s Secret emptied, then deleted: new certificates, and no update is refused meanwhile', () =>
  inScenario('secret', { rate: 0 }, async (s) => {
    const target = { namespace: NAMESPACE, name: `${RELEASE}-webhook-tls` };
    const secret = () => client.get<Secret>(SECRETS, target).catch(() => undefined);
    const label = (value: number) => s.kubectl('patch', 'deployment', 'reviews', '--type=merge', '-p', optedIn(value));
    let stop = false;
    const refusals: string[] = [];
    let sent = 0;
    const updating = (async () => {
      while (!stop) {
        const { code, stderr } = await label(sent++);
        if (code !== 0) refusals.push(stderr);
      }
    })();
    const before = (await secret())!.data;
    await client.patch(SECRETS, target, 'merge', { data: { 'tls.crt': null, 'tls.key': null } });
    await eventually('a new certificate', 20_000, async () => (await secret())?.data?.['tls.crt'] !== undefined);
    await client.delete(SECRETS, target);
    const after = await eventually('a new Secret', 20_000, async () => (await secret())?.data);
    expect(after['ca.crt']).not.toBe(before?.['ca.crt']);
    await sleep(3000);
    stop = true;
    await updating;
    expect(refusals).toEqual([]);
    expect(sent).toBeGreaterThan(10);
  }));

/** A change that the webhook is asked about, and that starts nothing: the analysis alone. */
const optedIn = (value: number): string =>
  JSON.stringify({ metadata: { annotations: { 'sidestep.dev/spec': `analysis: {interval: ${10 + (value % 50)}s}` } } });
