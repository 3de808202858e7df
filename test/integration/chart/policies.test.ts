import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import { DEPLOYMENTS, JOBS, SECRETS } from '../../../kube/resources.ts';
import type { Deployment, Job, Secret } from '../../../kube/types.ts';
import { readConfig } from '../../../webhook/config.ts';
import { analyzerJob } from '../../../webhook/launcher/job.ts';
import { eventually } from '../../e2e/support/cluster.ts';
import { connect, createNamespace, DRY_RUN, deleteNamespace, deployment, refusalOf } from './api.ts';
import { environment, find, install, type Manifest, render, uninstall } from './helm.ts';

// The chart's ValidatingAdmissionPolicies, and the RBAC beside them, in a real API server. All requests of the accounts are dry runs.

const admin = connect();
let own: string;
let shop: string;
let webhook: ReturnType<typeof connect>;
let analyzer: ReturnType<typeof connect>;
let manifests: Manifest[];

// Values whose text needs quoting somewhere on the way into the policy.
const VALUES = {
  'prometheus.url': 'http://prometheus.istio-system:9090/?a=1&b=<2>\\\'"',
  'hooks.allowedHosts': ['gate.example.com', '*.example.org'],
  'analyzer.resources': { requests: { cpu: 1 }, limits: { memory: '128Mi' } },
};

beforeAll(async () => {
  own = await createNamespace(admin, 'chart-own', { 'pod-security.kubernetes.io/enforce': 'restricted' });
  shop = await createNamespace(admin, 'chart-shop');
  await install(own, VALUES);
  manifests = await render(VALUES, own);
  webhook = connect(`system:serviceaccount:${own}:sidestep-webhook`);
  analyzer = connect(`system:serviceaccount:${own}:sidestep-analyzer`);
  await admin.create(DEPLOYMENTS, { namespace: shop }, deployment(shop, 'plain'));
  await admin.create(
    DEPLOYMENTS,
    { namespace: shop },
    deployment(shop, 'reported', { [keys.STATUS]: '{}', team: 'shop' }),
  );
  await eventually('the policies in force', 20_000, async () => {
    const refusals = [
      await refusalOf(status(admin, 'plain', annotate(keys.RUN, '{}'))),
      await refusalOf(createJob((job) => (pod(job)['hostNetwork'] = true))),
      await refusalOf(createSecret('other', 'Opaque')),
    ];
    return refusals.every((refusal) => refusal.includes('ValidatingAdmissionPolicy'));
  });
});

afterAll(async () => {
  await uninstall(own);
  await deleteNamespace(admin, shop);
  await deleteNamespace(admin, own);
});

type Client = ReturnType<typeof connect>;
const annotate = (key: string, value: string | null) => ({ metadata: { annotations: { [key]: value } } });
const status = (client: Client, name: string, patch: object) =>
  client.patch<Deployment>(DEPLOYMENTS, { namespace: shop, name, subresource: 'status' }, 'merge', patch, DRY_RUN);

const CONDITIONS = { status: { conditions: [{ type: 'Promoted', status: 'True', reason: 'Test', message: 'test' }] } };

describe('deployments/status', () => {
  test.each(['plain', 'reported'])('%s: what everybody may go on doing', async (name) => {
    const { status: changed } = await status(admin, name, {
      status: { replicas: 3, readyReplicas: 2, ...CONDITIONS.status },
    });
    expect(changed).toMatchObject({ replicas: 3, readyReplicas: 2 });
    await status(admin, name, annotate('example.com/team', 'garden'));
  });

  test.each([...keys.STATE_ANNOTATIONS, keys.CANARY, keys.SPEC, keys.COMMAND])('%s: by nobody else', async (key) => {
    expect(await refusalOf(status(admin, 'plain', annotate(key, 'x')))).toContain(
      'set those of yours on the Deployment',
    );
    expect(await refusalOf(status(webhook, 'plain', annotate(key, 'x')))).toContain('are not to be changed');
  });

  test('the report: neither changed nor removed by others', async () => {
    for (const value of ['{"phase":"Succeeded"}', null]) {
      expect(await refusalOf(status(admin, 'reported', annotate(keys.STATUS, value)))).toContain('not to be changed');
    }
    const all = { metadata: { annotations: null } };
    expect(await refusalOf(status(admin, 'reported', all))).toContain('not to be changed');
  });

  test.each([
    { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'failed' },
    { type: 'Promoted', status: 'True', reason: 'Promoted', message: 'promoted' },
  ])('nobody: a new generation beside $reason of the version before the held one', async (verdict) => {
    const told = (observedGeneration: number) => ({ status: { observedGeneration, conditions: [verdict] } });
    for (const [phase, allowed] of Object.entries({ held: false, rejected: true, promoting: true })) {
      const name = `${verdict.type.toLowerCase()}-${phase}`;
      await admin.create(DEPLOYMENTS, { namespace: shop }, deployment(shop, name, { [keys.PHASE]: phase }));
      const { status: before } = await eventually('the controller', 20_000, async () => {
        const found = await admin.get<Deployment>(DEPLOYMENTS, { namespace: shop, name });
        return found.status?.observedGeneration === found.metadata.generation ? found : undefined;
      });
      const observed = before?.observedGeneration ?? 0;
      await status(admin, name, told(observed));
      const refusal = await refusalOf(status(admin, name, told(observed + 1)));
      expect([phase, refusal]).toEqual([phase, allowed ? '' : expect.stringContaining('still tell the verdict')]);
    }
  });

  test('the analyzer: its report and conditions', async () => {
    await status(analyzer, 'plain', { ...annotate(keys.STATUS, '{"phase":"Progressing"}'), ...CONDITIONS });
    await status(analyzer, 'reported', { ...annotate(keys.STATUS, null), ...CONDITIONS });
  });

  test('the webhook: conditions', async () => {
    const { status: changed } = await status(webhook, 'reported', CONDITIONS);
    expect(changed?.conditions).toHaveLength(1);
  });

  const MORE: [string, object][] = [
    ['the number of replicas', { status: { replicas: 3 } }],
    ['the observed generation', { status: { observedGeneration: 9 } }],
    ['a rare field of the status', { status: { collisionCount: 1 } }],
    ['an annotation of others', annotate('team', 'garden')],
    ['an annotation of others removed', annotate('team', null)],
    ['a finalizer', { metadata: { finalizers: ['example.com/hold'] } }],
    ['an owner', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x', uid: 'x' }] } }],
  ];
  test.each(MORE)('neither the webhook nor the analyzer: %s', async (_what, patch) => {
    for (const client of [webhook, analyzer]) {
      expect(await refusalOf(status(client, 'reported', patch))).toContain(
        'Sidestep writes nothing through deployments/status',
      );
    }
  });

  test.each([keys.RUN, keys.PHASE, keys.DECISION, keys.PROMOTED])('the analyzer: not %s', async (key) => {
    expect(await refusalOf(status(analyzer, 'plain', annotate(key, 'x')))).toContain('but for the report');
  });
});

/** The Job as the launcher makes it from the environment that the chart gives it. */
function job(change: (job: Job) => void = () => undefined): Job {
  const config = readConfig(environment(manifests, { 'metadata.namespace': own }));
  const attempt = {
    uid: 'uid',
    namespace: shop,
    deployment: 'plain',
    run: 'abc',
    attempt: 1,
    rollbackOnly: true,
    deadlineSeconds: 60,
  };
  const made = analyzerJob(attempt, own, config.analyzer);
  change(made);
  return made;
}

const createJob = (change?: (job: Job) => void, namespace = own) => {
  const body = job(change);
  body.metadata.namespace = namespace;
  return webhook.create<Job>(JOBS, { namespace }, body, DRY_RUN);
};
const pod = (made: Job) => made.spec.template.spec as unknown as Record<string, unknown>;
interface MadeContainer {
  image: string;
  args: string[];
  env: { name: string; value?: string; valueFrom?: object }[];
  securityContext: Record<string, unknown>;
  [field: string]: unknown;
}
const container = (made: Job) => made.spec.template.spec.containers[0] as unknown as MadeContainer;

describe('Jobs of the webhook', () => {
  test('an analyzer', async () => {
    const { metadata } = await createJob();
    expect(metadata.name).toBe(job().metadata.name);
  });

  test('an analyzer on nodes of the cluster administrator’s choice', async () => {
    const made = await createJob((j) =>
      Object.assign(pod(j), {
        nodeSelector: { arch: 'arm64' },
        tolerations: [{ operator: 'Exists' }],
        priorityClassName: '',
      }),
    );
    expect(made.spec.template.spec['nodeSelector']).toEqual({ arch: 'arm64' });
  });

  const mount = { name: 'host', mountPath: '/host' };
  test.each<[string, (j: Job) => void]>([
    ['another account', (j) => (pod(j)['serviceAccountName'] = 'default')],
    ['no account', (j) => delete pod(j)['serviceAccountName']],
    ['another image', (j) => (container(j).image = 'localhost/none:1')],
    ['a command', (j) => (container(j)['command'] = ['node'])],
    ['another program', (j) => (container(j).args[1] = '/app/webhook.mjs')],
    ['a program in front', (j) => container(j).args.splice(1, 0, '/proc/self/environ')],
    ['an option of Node', (j) => (container(j).args[0] = '--inspect=0.0.0.0')],
    ['code', (j) => (container(j).args = ['-e', 'x', '/app/analyzer.mjs'])],
    ['no arguments', (j) => (container(j).args = [])],
    ['options of Node by its environment', (j) => container(j).env.push({ name: 'NODE_OPTIONS', value: '--inspect' })],
    ['another API server', (j) => container(j).env.push({ name: 'KUBERNETES_SERVICE_HOST', value: '10.0.0.1' })],
    ['another Prometheus', (j) => (container(j).env.find((e) => e.name === 'PROMETHEUS_URL')!.value = 'http://x')],
    ['more hosts for hooks', (j) => (container(j).env.find((e) => e.name === 'ALLOWED_HOOK_HOSTS')!.value = '*.com')],
    [
      'a value from elsewhere',
      (j) => container(j).env.push({ name: 'JOB_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }),
    ],
    ['an environment from elsewhere', (j) => (container(j)['envFrom'] = [{ configMapRef: { name: 'x' } }])],
    ['a second container', (j) => j.spec.template.spec.containers.push({ ...container(j), name: 'two' } as never)],
    ['an init container', (j) => (pod(j)['initContainers'] = [{ ...container(j), name: 'init' }])],
    ['a volume', (j) => (pod(j)['volumes'] = [{ name: 'host', hostPath: { path: '/' } }])],
    [
      'a mounted volume',
      (j) => {
        pod(j)['volumes'] = [{ name: 'host', hostPath: { path: '/' } }];
        container(j)['volumeMounts'] = [mount];
      },
    ],
    ['the network of the node', (j) => (pod(j)['hostNetwork'] = true)],
    ['the processes of the node', (j) => (pod(j)['hostPID'] = true)],
    [
      'other names for addresses',
      (j) => (pod(j)['hostAliases'] = [{ ip: '10.0.0.1', hostnames: ['prometheus.istio-system'] }]),
    ],
    ['the names of the node', (j) => (pod(j)['dnsPolicy'] = 'Default')],
    ['privileges', (j) => (container(j).securityContext = { privileged: true, allowPrivilegeEscalation: true })],
    ['a root user', (j) => (container(j).securityContext['runAsUser'] = 0)],
    ['more privileges', (j) => delete container(j).securityContext['allowPrivilegeEscalation']],
    ['a capability', (j) => (container(j).securityContext['capabilities'] = { add: ['NET_ADMIN'] })],
    ['another user', (j) => (pod(j)['securityContext'] = { runAsUser: 0 })],
    ['a lifecycle hook', (j) => (container(j)['lifecycle'] = { postStart: { exec: { command: ['node'] } } })],
    ['a probe', (j) => (container(j)['livenessProbe'] = { exec: { command: ['node', '-e', 'x'] } })],
    ['a sidecar', (j) => delete j.spec.template.metadata!.labels!['sidecar.istio.io/inject']],
    ['a volume by a sidecar', (j) => (j.spec.template.metadata!.annotations!['sidecar.istio.io/userVolume'] = '[]')],
  ])('not with %s', async (_what, change) => {
    expect(await refusalOf(createJob(change))).toContain('the webhook creates no Jobs but analyzers');
  });

  test('not in other namespaces', async () => {
    expect(await refusalOf(createJob(undefined, shop))).toContain('cannot create resource "jobs"');
  });

  test('of others are their own business', async () => {
    const body = job((j) => (pod(j)['hostPID'] = true));
    await admin.create<Job>(JOBS, { namespace: own }, body, DRY_RUN);
  });

  test('run under the restricted Pod Security Standard, as the webhook itself does', async () => {
    const ownTemplate = find<Manifest & { spec: { template: { metadata: object; spec: object } } }>(
      manifests,
      'Deployment',
      'sidestep-webhook',
    );
    for (const [name, spec] of [
      ['analyzer', pod(job())],
      ['webhook', ownTemplate.spec.template.spec],
    ] as const) {
      const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: own }, spec };
      await admin.raw('POST', `/api/v1/namespaces/${own}/pods`, body, DRY_RUN);
    }
  });
});

function createSecret(name: string, type: string, annotations = {}): Promise<Secret> {
  const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: own, annotations }, type };
  return webhook.create<Secret>(SECRETS, { namespace: own }, body as Secret, DRY_RUN);
}

describe('Secrets of the webhook', () => {
  test('that of its certificate', async () => {
    expect((await createSecret('sidestep-webhook-tls', 'Opaque')).metadata.name).toBe('sidestep-webhook-tls');
  });

  test('no other, and no token of an account', async () => {
    expect(await refusalOf(createSecret('other', 'Opaque'))).toContain('no Secret but that of its certificate');
    const token = { 'kubernetes.io/service-account.name': 'sidestep-analyzer' };
    const refusal = await refusalOf(createSecret('sidestep-webhook-tls', 'kubernetes.io/service-account-token', token));
    expect(refusal).toContain('no Secret but that of its certificate');
  });

  test('neither account reads those of others', async () => {
    for (const client of [webhook, analyzer]) {
      for (const namespace of [own, shop]) {
        expect(await refusalOf(client.list(SECRETS, { namespace }))).toContain('cannot list resource "secrets"');
        expect(await refusalOf(client.get(SECRETS, { namespace, name: 'other' }))).toContain('cannot get resource');
      }
    }
  });
});
