import { expect, test } from 'vitest';
import { ORIGINAL } from '../../canary/annotations.ts';
import { memoryLog } from '../../kube/log.ts';
import { DESTINATION_RULES, VIRTUAL_SERVICES } from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import type { Fence } from '../fence.ts';
import { createRouter, type RouterDeps, removeMirrors, restoreRoutes, type TrafficTarget } from './router.ts';
import type { DestinationRule, VirtualService } from './types.ts';

const FENCE: Fence = { token: 3, check: async () => {}, guard: () => {}, release: async () => {} };
const OWNER = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'reviews', uid: 'u1' };
const TARGET: TrafficTarget = {
  namespace: 'shop',
  primary: 'reviews',
  service: 'reviews',
  port: 9080,
  ports: [{ name: 'http', port: 9080 }],
  canaryService: 'reviews-canary',
  run: 'r1',
  owner: OWNER,
  templateLabels: { app: 'reviews', version: 'v2' },
};

function setUp(...objects: object[]) {
  const cluster = new FakeCluster(objects);
  const deps: RouterDeps = {
    client: cluster.client,
    fence: FENCE,
    log: memoryLog(),
    signal: new AbortController().signal,
    clusterWide: true,
  };
  const vs = (name = 'reviews', namespace = 'shop') => cluster.find<VirtualService>(VIRTUAL_SERVICES, namespace, name);
  return { cluster, deps, vs };
}

const users = (spec: object, name = 'routes', namespace = 'shop') => ({
  apiVersion: VIRTUAL_SERVICES.apiVersion,
  kind: 'VirtualService',
  metadata: { name, namespace },
  spec,
});
const weights = (vs: VirtualService | undefined) =>
  vs?.spec.http?.[0]?.route?.map((d) => [d.destination?.host, d.weight]);

test('without routes of the user ours appear with weight 0, take the weight, and go', async () => {
  const { deps, vs } = setUp();
  const router = createRouter(deps, TARGET);
  await router.prepare();
  expect(weights(vs())).toEqual([
    ['reviews', 100],
    ['reviews-canary', 0],
  ]);
  expect(vs()!.metadata).toMatchObject({
    ownerReferences: [OWNER],
    labels: { 'app.kubernetes.io/managed-by': 'sidestep', 'sidestep.dev/run': 'r1' },
    annotations: { 'sidestep.dev/fence': '3' },
  });
  await router.setWeight(30);
  expect(weights(vs())).toEqual([
    ['reviews', 70],
    ['reviews-canary', 30],
  ]);
  await router.prepare();
  expect(weights(vs())).toEqual([
    ['reviews', 70],
    ['reviews-canary', 30],
  ]);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()).toBeUndefined();
});

test("the user's routes are split in place and restored to the byte, foreign annotations kept", async () => {
  const spec = {
    hosts: ['reviews'],
    http: [{ match: [{ uri: { prefix: '/' } }], route: [{ destination: { host: 'reviews' } }] }],
  };
  const { deps, vs } = setUp({
    ...users(spec),
    metadata: { name: 'routes', namespace: 'shop', annotations: { note: 'mine' } },
  });
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(10);
  expect(weights(vs('routes'))).toEqual([
    ['reviews', 90],
    ['reviews-canary', 10],
  ]);
  expect(vs()).toBeUndefined();
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs('routes')!.spec).toEqual(spec);
  expect(vs('routes')!.metadata.annotations).toEqual({ note: 'mine' });
});

test('what the user edits while the routes are split is kept and split again', async () => {
  const { cluster, deps, vs } = setUp(
    users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] }),
  );
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(10);
  const edited = { hosts: ['reviews'], http: [{ timeout: '2s', route: [{ destination: { host: 'reviews' } }] }] };
  cluster.edit(VIRTUAL_SERVICES, 'shop', 'routes', (o) => Object.assign(o, { spec: edited }));
  await router.setWeight(20);
  expect(weights(vs('routes'))).toEqual([
    ['reviews', 80],
    ['reviews-canary', 20],
  ]);
  expect(vs('routes')!.spec.http![0]!['timeout']).toBe('2s');
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs('routes')!.spec).toEqual(edited);
});

test('routes from another namespace are refused by name', async () => {
  const { deps } = setUp(
    users({ hosts: ['a'], http: [{ route: [{ destination: { host: 'reviews.shop.svc' } }] }] }, 'edge', 'ingress'),
  );
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('ingress/edge');
});

test('a foreign VirtualService of our name that routes elsewhere is left alone and named', async () => {
  const { deps, vs } = setUp(users({ hosts: ['x'], http: [{ route: [{ destination: { host: 'x' } }] }] }, 'reviews'));
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow(/VirtualService reviews exists/);
  expect(vs()!.spec.hosts).toEqual(['x']);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()!.spec.hosts).toEqual(['x']);
});

test('two canaries cannot split the same routes', async () => {
  const { deps } = setUp(users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] }));
  await createRouter(deps, { ...TARGET, primary: 'other' }).prepare();
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('split for a canary of other already');
});

test('a DestinationRule is mirrored without the labels of its subsets, and the mirror goes', async () => {
  const rule = {
    apiVersion: DESTINATION_RULES.apiVersion,
    kind: 'DestinationRule',
    metadata: { name: 'policy', namespace: 'shop' },
    spec: {
      host: 'reviews',
      trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
      subsets: [{ name: 'all', labels: { app: 'reviews' } }],
    },
  };
  const { cluster, deps } = setUp(rule);
  await createRouter(deps, TARGET).prepare();
  const mirror = cluster.find<DestinationRule>(DESTINATION_RULES, 'shop', 'policy-canary');
  expect(mirror?.spec).toEqual({
    host: 'reviews-canary',
    trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
    subsets: [{ name: 'all' }],
  });
  await removeMirrors(deps, 'shop', 'reviews');
  expect(cluster.find(DESTINATION_RULES, 'shop', 'policy-canary')).toBeUndefined();
  expect(cluster.find(DESTINATION_RULES, 'shop', 'policy')).toBeDefined();
});

test('a version whose labels leave a routed subset is refused, naming the rule', async () => {
  const rule = {
    apiVersion: DESTINATION_RULES.apiVersion,
    kind: 'DestinationRule',
    metadata: { name: 'subsets', namespace: 'shop' },
    spec: { host: 'reviews', subsets: [{ name: 'v1', labels: { version: 'v1' } }] },
  };
  const { deps, vs } = setUp(
    rule,
    users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews', subset: 'v1' } }] }] }),
  );
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('DestinationRule subsets');
  expect(vs('routes')!.metadata.annotations ?? {}).not.toHaveProperty([ORIGINAL]);
});

test('without Istio the refusal says so', async () => {
  const { cluster, deps } = setUp();
  cluster.unknown(VIRTUAL_SERVICES);
  cluster.unknown(DESTINATION_RULES);
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('is Istio installed?');
  await expect(restoreRoutes(deps, 'shop', 'reviews')).resolves.toBeUndefined();
});

test("a later holder's object is not written over", async () => {
  const { deps, cluster } = setUp();
  await createRouter(deps, TARGET).prepare();
  cluster.edit(VIRTUAL_SERVICES, 'shop', 'reviews', (o) =>
    Object.assign(o.metadata.annotations!, { 'sidestep.dev/fence': '4' }),
  );
  const guarded: RouterDeps = {
    ...deps,
    fence: {
      ...FENCE,
      guard: (o) => {
        if (Number(o.metadata.annotations?.['sidestep.dev/fence']) > 3) throw new Error('fenced out');
      },
    },
  };
  await expect(createRouter(guarded, TARGET).setWeight(50)).rejects.toThrow('fenced out');
});
