import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKubeClient, type KubeClient } from '../../../kube/client.ts';
import { CONFIG_MAPS, DEPLOYMENTS, MUTATING_WEBHOOKS, SECRETS } from '../../../kube/resources.ts';
import type { ConfigMap, Secret } from '../../../kube/types.ts';
import { eventually, must, type Result, run } from '../../e2e/support/cluster.ts';
import { connect, createNamespace, DRY_RUN, deleteNamespace, deployment, refusalOf } from './api.ts';
import { install, uninstall } from './helm.ts';

// What somebody can do who has taken over the webhook, which the network reaches: its token, in the hands of kubectl.

const admin = connect();
const folder = mkdtempSync(join(tmpdir(), 'stolen-'));
let own: string;
let shop: string;

interface Thief {
  kubectl: (...args: string[]) => Promise<Result>;
  /** For requests that kubectl sends only after reading what they are about. */
  client: KubeClient;
}

/** A token, and nothing else of the administrator's. */
async function thief(account: string): Promise<Thief> {
  const { stdout: token } = await must('kubectl', ['-n', own, 'create', 'token', account]);
  const config = new KubeConfig();
  config.loadFromDefault();
  const { server, caData } = config.getCurrentCluster()!;
  const file = join(folder, account);
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': caData } }],
    users: [{ name: 'u', user: { token: token.trim() } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  writeFileSync(file, JSON.stringify(kubeconfig), { mode: 0o600 });
  const client = createKubeClient({
    getCurrentCluster: () => ({ server }),
    applyToHTTPSOptions: async (options: RequestOptions) => {
      options.ca = Buffer.from(caData!, 'base64');
      options.headers = { authorization: `Bearer ${token.trim()}` };
    },
  });
  return { kubectl: (...args) => run('kubectl', ['--kubeconfig', file, ...args]), client };
}

let webhook: Thief;
let analyzer: Thief;

beforeAll(async () => {
  own = await createNamespace(admin, 'chart-own');
  shop = await createNamespace(admin, 'chart-shop');
  await install(own);
  await admin.create(DEPLOYMENTS, { namespace: shop }, deployment(shop, 'reviews'));
  await admin.create<Secret>(SECRETS, { namespace: shop }, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'password', namespace: shop },
  } as Secret);
  await admin.create<ConfigMap>(CONFIG_MAPS, { namespace: shop }, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: shop },
  } as ConfigMap);
  webhook = await thief('sidestep-webhook');
  analyzer = await thief('sidestep-analyzer');
  await eventually('the policies in force', 20_000, async () => {
    const tries = await Promise.all([
      said(webhook, ['-n', own, 'create', 'job', 'x', '--image=busybox', '--dry-run=server']),
      said(webhook, ['-n', own, 'create', 'secret', 'generic', 'x', '--dry-run=server']),
      said(webhook, status({ status: { replicas: 3 } })),
      said(webhook, configuration([{ op: 'add', path: '/metadata/labels/x', value: 'y' }])),
      said(analyzer, ['-n', 'kube-system', 'create', 'deployment', 'x', '--image=busybox', '--dry-run=server']),
    ]);
    return tries.every((refusal) => POLICY.test(refusal));
  });
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await uninstall(own);
  await deleteNamespace(admin, shop);
  await deleteNamespace(admin, own);
});

/** A request: what kubectl is told, or what is done with the API itself. */
type Attempt = readonly string[] | ((client: KubeClient) => Promise<unknown>);

const status =
  (patch: object): Attempt =>
  (client) =>
    client.patch(DEPLOYMENTS, { namespace: shop, name: 'reviews', subresource: 'status' }, 'merge', patch, DRY_RUN);
const configuration =
  (patch: object[]): Attempt =>
  (client) =>
    client.patch(MUTATING_WEBHOOKS, { name: `zz-sidestep.${own}` }, 'json', patch, DRY_RUN);

/** Why the API server refused; empty if it did not. */
async function said({ kubectl, client }: Thief, attempt: Attempt): Promise<string> {
  if (typeof attempt === 'function') return refusalOf(attempt(client));
  const { code, stderr } = await kubectl(...attempt);
  return code === 0 ? '' : stderr;
}

const FORBIDDEN = /is forbidden: User/;
const POLICY = /ValidatingAdmissionPolicy .*denied request/;

describe('the webhook’s token', () => {
  test.each<[string, () => Attempt, RegExp]>([
    [
      'starts no Job of its own',
      () => ['-n', own, 'create', 'job', 'x', '--image=busybox', '--dry-run=server'],
      POLICY,
    ],
    ['starts no pod', () => ['-n', own, 'run', 'x', '--image=busybox'], FORBIDDEN],
    ['starts no Job elsewhere', () => ['-n', shop, 'create', 'job', 'x', '--image=busybox'], FORBIDDEN],
    ['gets no token of the analyzer', () => ['-n', own, 'create', 'token', 'sidestep-analyzer'], FORBIDDEN],
    ['reads no Secret of a workload', () => ['-n', shop, 'get', 'secret', 'password'], FORBIDDEN],
    ['lists no Secrets, not even those of Sidestep', () => ['-n', own, 'get', 'secrets'], FORBIDDEN],
    ['makes no Secret but its own', () => ['-n', own, 'create', 'secret', 'generic', 'x', '--dry-run=server'], POLICY],
    ['lists no ConfigMaps', () => ['-n', shop, 'get', 'configmaps'], FORBIDDEN],
    ['changes no Deployment', () => ['-n', shop, 'set', 'image', 'deployment/reviews', 'main=evil'], FORBIDDEN],
    [
      'annotates no Deployment',
      () => ['-n', shop, 'annotate', 'deployment/reviews', 'sidestep.dev/canary=enabled'],
      FORBIDDEN,
    ],
    ['scales nothing', () => ['-n', shop, 'scale', 'deployment/reviews', '--replicas=0'], FORBIDDEN],
    ['deletes nothing', () => ['-n', shop, 'delete', 'deployment', 'reviews'], FORBIDDEN],
    ['writes no status but conditions', () => status({ status: { replicas: 3 } }), POLICY],
    [
      'writes no state through the status',
      () => status({ metadata: { annotations: { 'sidestep.dev/run': '{}' } } }),
      POLICY,
    ],
    ['writes no routes', () => ['-n', shop, 'create', 'service', 'clusterip', 'x', '--tcp=80'], FORBIDDEN],
    [
      'binds no Role',
      () => ['create', 'clusterrolebinding', 'x', '--clusterrole=cluster-admin', '--user=x'],
      FORBIDDEN,
    ],
    ['removes no webhook', () => ['delete', 'mutatingwebhookconfiguration', `zz-sidestep.${own}`], FORBIDDEN],
    ['removes no policy', () => ['delete', 'validatingadmissionpolicy', '--all'], FORBIDDEN],
    [
      'is called for nothing else',
      () =>
        configuration([
          {
            op: 'replace',
            path: '/webhooks/0/rules',
            value: [{ apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], operations: ['*'] }],
          },
        ]),
      POLICY,
    ],
    [
      'sends no objects elsewhere',
      () => configuration([{ op: 'replace', path: '/webhooks/0/clientConfig/service/namespace', value: 'evil' }]),
      POLICY,
    ],
    [
      'is not asked by more namespaces',
      () => configuration([{ op: 'remove', path: '/webhooks/0/namespaceSelector' }]),
      POLICY,
    ],
    [
      'adds no second webhook',
      () =>
        configuration([
          { op: 'copy', from: '/webhooks/0', path: '/webhooks/-' },
          { op: 'replace', path: '/webhooks/1/name', value: 'x.sidestep.dev' },
        ]),
      POLICY,
    ],
  ])('%s', async (_what, args, why) => {
    expect(await said(webhook, args())).toMatch(why);
  });

  test('what it is for goes on: conditions, and the CAs of its configuration', async () => {
    const conditions = [{ type: 'Promoted', status: 'Unknown', reason: 'Test', message: '' }];
    expect(await said(webhook, status({ status: { conditions } }))).toBe('');
    // The API server reads the bundle before it takes it.
    const { stdout } = await must('kubectl', [
      ...['config', 'view', '--raw', '-o', 'jsonpath={.clusters[0].cluster.certificate-authority-data}'],
    ]);
    const patch = [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: stdout }];
    expect(await said(webhook, configuration(patch))).toBe('');
  });

  test('the configuration of others is out of its reach', async () => {
    const body = {
      apiVersion: MUTATING_WEBHOOKS.apiVersion,
      kind: MUTATING_WEBHOOKS.kind,
      metadata: { name: `other-${own}` },
    };
    await admin.create(MUTATING_WEBHOOKS, {}, body);
    try {
      const attempt: Attempt = (client) =>
        client.patch(MUTATING_WEBHOOKS, { name: body.metadata.name }, 'json', [{ op: 'remove', path: '/webhooks' }]);
      expect(await said(webhook, attempt)).toMatch(FORBIDDEN);
    } finally {
      await admin.delete(MUTATING_WEBHOOKS, { name: body.metadata.name });
    }
  });
});

describe('the analyzer’s token', () => {
  test.each<[string, () => Attempt, RegExp]>([
    ['reads no Secret', () => ['-n', shop, 'get', 'secret', 'password'], FORBIDDEN],
    ['reads no ConfigMap', () => ['-n', shop, 'get', 'configmap', 'settings'], FORBIDDEN],
    ['starts no Job', () => ['-n', own, 'create', 'job', 'x', '--image=busybox'], FORBIDDEN],
    ['runs nothing in a pod', () => ['-n', shop, 'exec', 'reviews', '--', 'sh'], FORBIDDEN],
    ['gets no token', () => ['-n', own, 'create', 'token', 'sidestep-webhook'], FORBIDDEN],
    [
      'binds no Role',
      () => ['create', 'clusterrolebinding', 'x', '--clusterrole=cluster-admin', '--user=x'],
      FORBIDDEN,
    ],
    ['has nothing to do with webhooks', () => ['get', 'mutatingwebhookconfigurations'], FORBIDDEN],
    [
      'changes nothing in kube-system',
      () => ['-n', 'kube-system', 'create', 'deployment', 'x', '--image=busybox', '--dry-run=server'],
      POLICY,
    ],
    [
      'takes no Service of kube-system',
      () => ['-n', 'kube-system', 'create', 'service', 'clusterip', 'x', '--tcp=80', '--dry-run=server'],
      POLICY,
    ],
    ['writes no number of replicas into a status', () => status({ status: { replicas: 3 } }), POLICY],
  ])('%s', async (_what, args, why) => {
    expect(await said(analyzer, args())).toMatch(why);
  });
});
