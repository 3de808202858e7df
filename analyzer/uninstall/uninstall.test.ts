import { beforeEach, describe, expect, test } from 'vitest';
import * as keys from '../../canary/annotations.ts';
import { leaseName } from '../../canary/names.ts';
import { readSpec } from '../../canary/spec.ts';
import type { RunStatus } from '../../canary/status.ts';
import { KubeError } from '../../kube/errors.ts';
import { memoryLog } from '../../kube/log.ts';
import {
  DEPLOYMENTS,
  EVENTS,
  JOBS,
  LEASES,
  MUTATING_WEBHOOKS,
  type Resource,
  SECRETS,
  SERVICES,
  VIRTUAL_SERVICES,
} from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import type { Deployment } from '../../kube/types.ts';
import { marks } from '../marks.ts';
import type { UninstallSettings } from '../settings.ts';
import { uninstall } from './uninstall.ts';

const OWN = 'sidestep-system';
const SHOP = 'shop';

const SETTINGS: UninstallSettings = {
  ownNamespace: OWN,
  jobName: 'job',
  prometheusUrl: 'http://prometheus',
  propagationMs: 2000,
  allowedHookHosts: [],
  namespaces: [],
  clusterWide: true,
  logLevel: 'error',
  logFormat: 'json',
  webhookDeployment: 'sidestep-webhook',
  webhookConfigName: 'zz-sidestep',
  secretName: 'sidestep-webhook-tls',
  heldVersions: 'stay',
};

const object = ({ apiVersion, kind }: Resource, namespace: string | undefined, name: string, more: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name, ...(namespace ? { namespace } : {}), uid: `uid-${name}`, ...more },
});

const MANAGED = { [keys.MANAGED_BY_LABEL]: keys.MANAGED_BY };
const { spec } = readSpec({}, { name: 'reviews' });

function primary(phase: 'held' | 'promoting' | 'rejected', more: object = {}) {
  const run = { id: 'r1', phase, hash: 'h2', stable: 'h1', requester: 'me', time: '2026-01-01T00:00:00Z', spec };
  const status: RunStatus = {
    run: 'r1',
    attempt: 1,
    phase: ({ held: 'Progressing', promoting: 'Promoting', rejected: 'Failed' } as const)[phase],
    weight: 20,
    step: 2,
    steps: 5,
    failedChecks: 0,
    threshold: 3,
    message: '',
    startedAt: run.time,
    updatedAt: run.time,
    replicas: 2,
    ...(phase === 'promoting' ? { promotingSince: run.time } : {}),
  };
  const annotations = {
    [keys.CANARY]: keys.ENABLED,
    [keys.RUN]: JSON.stringify(run),
    [keys.PHASE]: phase,
    [keys.STATUS]: JSON.stringify(status),
    note: 'mine',
  };
  return {
    ...object(DEPLOYMENTS, SHOP, 'reviews', { annotations, labels: { [keys.WATCHED_LABEL]: 'true' } }),
    spec: { replicas: 2, ...(phase === 'promoting' ? {} : { paused: true }), template: { spec: { containers: [] } } },
    status: { availableReplicas: 2, conditions: [{ type: 'Promoted', status: 'Unknown' }] },
    ...more,
  };
}

const lease = (holderIdentity: string) => ({
  ...object(LEASES, OWN, leaseName('uid-reviews'), {
    labels: { ...MANAGED, [keys.DEPLOYMENT_UID_LABEL]: 'uid-reviews' },
    annotations: { [keys.JOB_NAMESPACE]: SHOP, [keys.JOB_DEPLOYMENT]: 'reviews' },
  }),
  spec: { holderIdentity, leaseTransitions: 3 },
});

/** Everything that a run and a release leave lying around, and a little of others'. */
const REST = [
  object(MUTATING_WEBHOOKS, undefined, 'zz-sidestep'),
  object(MUTATING_WEBHOOKS, undefined, 'other'),
  object(DEPLOYMENTS, OWN, 'sidestep-webhook'),
  object(SECRETS, OWN, 'sidestep-webhook-tls'),
  object(JOBS, OWN, 'job-1', { labels: MANAGED }),
  object(JOBS, OWN, 'backup'),
  object(DEPLOYMENTS, SHOP, 'reviews-canary', { labels: marks('reviews', 'r1') }),
  object(SERVICES, SHOP, 'reviews-canary', { labels: marks('reviews', 'r1') }),
  object(SERVICES, SHOP, 'reviews'),
  { ...object(VIRTUAL_SERVICES, SHOP, 'reviews', { labels: marks('reviews', 'r1') }), spec: { hosts: ['reviews'] } },
];

let cluster: FakeCluster;
let nowMs: number;
let order: string[];

function prepare(...objects: object[]): void {
  cluster = new FakeCluster([...REST, ...objects]);
  nowMs = Date.parse('2026-01-01T00:00:00Z');
  order = [];
  cluster.before = (method, key) => {
    if (method !== 'GET' && method !== 'LIST') order.push(`${method} ${key}`);
  };
}

const go = (settings: Partial<UninstallSettings> = {}) =>
  uninstall({
    client: cluster.client,
    settings: { ...SETTINGS, ...settings },
    log: memoryLog(),
    signal: new AbortController().signal,
    now: () => new Date(nowMs),
    sleep: async (ms) => {
      nowMs += ms;
    },
  });

const reviews = () => cluster.find<Deployment>(DEPLOYMENTS, SHOP, 'reviews')!;
const stateOf = ({ metadata }: Deployment) =>
  Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith('sidestep.dev/') && key !== keys.CANARY);

describe('a held version', () => {
  beforeEach(() => prepare(primary('held'), lease('')));

  test('stays paused, and nothing else of Sidestep stays', async () => {
    expect(await go()).toEqual([]);
    expect(reviews().spec.paused).toBe(true);
    expect(stateOf(reviews())).toEqual([keys.PAUSED_BY]);
    expect(reviews().metadata.annotations?.['note']).toBe('mine');
    expect(reviews().status?.conditions).toEqual([]);
    for (const [resource, namespace, name] of [
      [DEPLOYMENTS, SHOP, 'reviews-canary'],
      [SERVICES, SHOP, 'reviews-canary'],
      [VIRTUAL_SERVICES, SHOP, 'reviews'],
      [DEPLOYMENTS, OWN, 'sidestep-webhook'],
      [SECRETS, OWN, 'sidestep-webhook-tls'],
      [JOBS, OWN, 'job-1'],
      [LEASES, OWN, leaseName('uid-reviews')],
      [MUTATING_WEBHOOKS, '', 'zz-sidestep'],
    ] as const)
      expect.soft([name, cluster.find(resource, namespace, name)]).toEqual([name, undefined]);
    for (const [resource, namespace, name] of [
      [SERVICES, SHOP, 'reviews'],
      [JOBS, OWN, 'backup'],
      [MUTATING_WEBHOOKS, '', 'other'],
    ] as const)
      expect.soft([name, cluster.find(resource, namespace, name)?.metadata.name]).toEqual([name, name]);
  });

  test('updates are free before anything else is done, and routes go before pods', async () => {
    await go();
    const steps = [
      'DELETE MutatingWebhookConfiguration',
      'PATCH Deployment/shop/reviews',
      'DELETE Deployment/sidestep-system',
    ];
    const routes = ['DELETE VirtualService', 'DELETE Deployment/shop/reviews-canary', 'DELETE Secret'];
    const at = [...steps, ...routes].map((step) => order.findIndex((done) => done.startsWith(step)));
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(at).not.toContain(-1);
  });

  test('rolls out where the chart says so', async () => {
    await go({ heldVersions: 'rollOut' });
    expect(reviews().spec.paused).toBeUndefined();
    expect(stateOf(reviews())).toEqual([]);
  });

  test('says on the Deployment what has become of it', async () => {
    await go();
    const { items } = await cluster.client.list(EVENTS, { namespace: SHOP });
    expect(items).toMatchObject([
      { reason: 'SidestepUninstalled', message: expect.stringContaining('kubectl rollout resume') },
    ]);
  });

  test('is found although webhooks go on putting its state back for a while', async () => {
    let calls = 0;
    cluster.before = (method, key) => {
      if (method !== 'PATCH' || key !== 'Deployment/shop/reviews' || ++calls > 3) return;
      throw new KubeError(500, 'InternalError', 'failed calling webhook');
    };
    expect(await go()).toEqual([]);
    expect(stateOf(reviews())).toEqual([keys.PAUSED_BY]);
  });
});

test('a rejected version stays paused, whatever the chart says', async () => {
  prepare(primary('rejected'), lease(''));
  await go({ heldVersions: 'rollOut' });
  expect(reviews().spec.paused).toBe(true);
  expect(stateOf(reviews())).toEqual([keys.PAUSED_BY]);
});

test('a promotion goes on natively; the canary serves until the primary can', async () => {
  const rolling = primary('promoting', { status: { availableReplicas: 0 } });
  prepare(rolling, lease(''));
  let looks = 0;
  const before = cluster.before;
  cluster.before = (method, key) => {
    before(method, key);
    if (method === 'DELETE' && key.includes('reviews-canary')) expect(looks).toBeGreaterThan(3);
    if (method !== 'GET' || key !== 'Deployment/shop/reviews' || ++looks !== 4) return;
    cluster.edit(DEPLOYMENTS, SHOP, 'reviews', (o) => {
      (o as Deployment).status = { availableReplicas: 2 };
    });
  };
  expect(await go()).toEqual([]);
  expect(looks).toBeGreaterThan(3);
  expect(reviews().spec.paused).toBeUndefined();
  expect(stateOf(reviews())).toEqual([]);
});

test('a primary that cannot carry all requests keeps its canary, and that is said', async () => {
  prepare(primary('promoting', { status: { availableReplicas: 1 } }), lease(''));
  expect(await go()).toEqual(['shop/reviews']);
  expect(cluster.find(DEPLOYMENTS, SHOP, 'reviews-canary')).toBeDefined();
  expect(cluster.find(VIRTUAL_SERVICES, SHOP, 'reviews')).toBeDefined();
  expect(cluster.find(MUTATING_WEBHOOKS, '', 'zz-sidestep')).toBeUndefined();
});

test('pods of a rollout that its controller has not seen yet are not counted', async () => {
  const stale = primary('promoting', { status: { availableReplicas: 2, observedGeneration: 1 } });
  Object.assign(stale.metadata, { generation: 2 });
  prepare(stale, lease(''));
  expect(await go()).toEqual(['shop/reviews']);
});

test('an analyzer at work is waited for; one that is silent is stood in for', async () => {
  prepare(primary('held'), lease('job-1'));
  const fromMs = nowMs;
  expect(await go()).toEqual([]);
  expect(nowMs - fromMs).toBeGreaterThanOrEqual(15_000);
  expect(cluster.find(SERVICES, SHOP, 'reviews-canary')).toBeUndefined();
});

test('what a deleted Deployment has left is cleaned up by its Lease', async () => {
  prepare(lease(''));
  expect(await go()).toEqual([]);
  expect(cluster.find(VIRTUAL_SERVICES, SHOP, 'reviews')).toBeUndefined();
});

test('a workload that cannot be cleaned up is named, and its Lease and Jobs stay for another try', async () => {
  prepare(primary('held'), lease(''));
  cluster.before = (method, key) => {
    if (method === 'DELETE' && key.startsWith('Service/')) throw new KubeError(403, 'Forbidden', 'no');
  };
  expect(await go()).toEqual(['shop/reviews']);
  expect(cluster.find(LEASES, OWN, leaseName('uid-reviews'))).toBeDefined();
  cluster.before = () => {};
  expect(await go()).toEqual([]);
  expect(cluster.find(LEASES, OWN, leaseName('uid-reviews'))).toBeUndefined();
});

test('a Secret of cert-manager’s is left alone', async () => {
  prepare();
  await go({ secretName: undefined });
  expect(cluster.find(SECRETS, OWN, 'sidestep-webhook-tls')).toBeDefined();
});
