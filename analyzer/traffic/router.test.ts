import { expect, test } from 'vitest';
import { memoryLog } from '../../kube/log.ts';
import { DESTINATION_RULES, VIRTUAL_SERVICES } from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import { type Fence, FencedOut } from '../fence.ts';
import { createRouter, type RouterDeps, removeMirrors, restoreRoutes, type TrafficTarget } from './router.ts';
import type { DestinationRule, VirtualService } from './types.ts';

const FENCE: Fence = {
  token: 3,
  check: async () => {},
  guard: () => {},
  renew: async () => {},
  release: async () => {},
};
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
const hostsAndWeights = (vs: VirtualService | undefined) =>
  (vs?.spec.http ?? []).flatMap(({ route = [] }) => route.map((d) => [d.destination?.host, d.weight]));
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

const RATINGS: TrafficTarget = {
  ...TARGET,
  primary: 'ratings',
  service: 'ratings',
  canaryService: 'ratings-canary',
  owner: { ...OWNER, name: 'ratings', uid: 'u2' },
};
const GATEWAY = {
  hosts: ['shop.example.com'],
  gateways: ['public'],
  http: [
    { match: [{ uri: { prefix: '/ratings' } }], route: [{ destination: { host: 'ratings' } }] },
    { route: [{ destination: { host: 'reviews' } }] },
  ],
};

test('canaries of several workloads share an object, each with its own Lease, and leave it in any order', async () => {
  const { deps, vs } = setUp(users(GATEWAY, 'edge'));
  const late: RouterDeps = { ...deps, fence: { ...FENCE, token: 1 } };
  await createRouter(deps, TARGET).prepare();
  await createRouter(late, RATINGS).prepare();
  await createRouter(deps, TARGET).setWeight(10);
  await createRouter(late, RATINGS).setWeight(30);
  expect(hostsAndWeights(vs('edge'))).toEqual([
    ['ratings', 70],
    ['ratings-canary', 30],
    ['reviews', 90],
    ['reviews-canary', 10],
  ]);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(hostsAndWeights(vs('edge'))).toEqual([
    ['ratings', 70],
    ['ratings-canary', 30],
    ['reviews', undefined],
  ]);
  await restoreRoutes(late, 'shop', 'ratings');
  expect(vs('edge')!.spec).toEqual(GATEWAY);
  expect(vs('edge')!.metadata.annotations).toBeUndefined();
});

test('two workloads cannot split one port of one Service', async () => {
  const { deps } = setUp(users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] }));
  await createRouter(deps, { ...TARGET, primary: 'other' }).prepare();
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('split for a canary of other already');
});

test("routes of a gateway are split, and the mesh's own requests get routes of ours beside them", async () => {
  const { deps, vs } = setUp(users(GATEWAY, 'edge'));
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(10);
  expect(weights(vs())).toEqual([
    ['reviews', 90],
    ['reviews-canary', 10],
  ]);
  expect(hostsAndWeights(vs('edge')).slice(1)).toEqual(weights(vs()));
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()).toBeUndefined();
  expect(vs('edge')!.spec).toEqual(GATEWAY);
});

test('a delegate of the namespace is split in place of its root', async () => {
  const { deps, vs } = setUp(
    users({ hosts: ['reviews'], http: [{ delegate: { name: 'sub' } }] }, 'root'),
    users({ http: [{ route: [{ destination: { host: 'reviews' } }] }] }, 'sub'),
  );
  await createRouter(deps, TARGET).setWeight(10);
  expect(weights(vs('sub'))).toHaveLength(2);
  expect(vs('root')!.metadata.annotations).toBeUndefined();
  expect(vs()).toBeUndefined();
});

test.each([
  ['sends the host elsewhere', { hosts: ['reviews'], http: [{ redirect: { uri: '/' } }] }],
  [
    'routes another port',
    { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews', port: { number: 1 } } }] }] },
  ],
  ['takes the host in by a wildcard', { hosts: ['*.shop.svc.cluster.local'], http: [{ redirect: { uri: '/' } }] }],
  ['delegates to another namespace', { hosts: ['reviews'], http: [{ delegate: { name: 'sub', namespace: 'edge' } }] }],
])('an object of the namespace that %s is refused by name', async (_, spec) => {
  const { deps, vs } = setUp(users(spec));
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('VirtualService routes is for host reviews');
  expect(vs()).toBeUndefined();
});

test('an object of another namespace for the host is refused; without sight of it, nothing is said', async () => {
  const { deps } = setUp(users({ hosts: ['reviews.shop.svc.cluster.local'], http: [] }, 'x', 'edge'));
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('edge/x');
  await createRouter({ ...deps, clusterWide: false }, TARGET).prepare();
});

test('an edit keeps the weight out until the next one, and an edit of our weights alone does not keep ours alive', async () => {
  const { cluster, deps, vs } = setUp();
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(20);
  cluster.edit(VIRTUAL_SERVICES, 'shop', 'reviews', (o) => {
    (o as VirtualService).spec.http![0]!.route![1]!.weight = 0;
  });
  await router.prepare();
  expect(weights(vs())?.[1]).toEqual(['reviews-canary', 0]);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()).toBeUndefined();
});

test('an object of ours that the user applies over becomes theirs, and outlives the run', async () => {
  const { cluster, deps, vs } = setUp();
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(20);
  const spec = { hosts: ['reviews'], http: [{ timeout: '2s', route: [{ destination: { host: 'reviews' } }] }] };
  cluster.edit(VIRTUAL_SERVICES, 'shop', 'reviews', (o) => {
    Object.assign(o, { spec });
    o.metadata.labels = { ...o.metadata.labels, team: 'a' };
  });
  await router.setWeight(30);
  expect(weights(vs())).toEqual([
    ['reviews', 70],
    ['reviews-canary', 30],
  ]);
  await restoreRoutes(deps, 'shop', 'reviews');
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()).toMatchObject({ spec, metadata: { labels: { team: 'a' }, ownerReferences: [] } });
  expect(vs()!.metadata.labels).toEqual({ team: 'a' });
  expect(vs()!.metadata.annotations).toBeUndefined();
});

test('what a mutating webhook adds to an object of ours does not keep it alive', async () => {
  const { cluster, deps, vs } = setUp();
  const { create } = cluster.client;
  deps.client = {
    ...cluster.client,
    create: (resource, target, body) => {
      const mutated = structuredClone(body) as unknown as VirtualService;
      for (const route of mutated.spec.http ?? []) route['timeout'] = '15s';
      return create(resource, target, mutated) as never;
    },
  };
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await router.setWeight(20);
  expect(vs()!.spec.http![0]!['timeout']).toBe('15s');
  expect(weights(vs())?.[1]).toEqual(['reviews-canary', 20]);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()).toBeUndefined();
});

test('a change between the look and the deletion saves the object', async () => {
  const { cluster, deps, vs } = setUp();
  await createRouter(deps, TARGET).prepare();
  const spec = { hosts: ['reviews'], http: [{ timeout: '2s', route: [{ destination: { host: 'reviews' } }] }] };
  let once = true;
  cluster.before = (method) => {
    if (method === 'DELETE' && once) {
      once = false;
      cluster.edit(VIRTUAL_SERVICES, 'shop', 'reviews', (o) => Object.assign(o, { spec }));
    }
  };
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs()!.spec).toEqual(spec);
  expect(vs()!.metadata.annotations).toBeUndefined();
});

test('routes of the user that appear beside ours carry the weight too', async () => {
  const { cluster, deps, vs } = setUp();
  const router = createRouter(deps, TARGET);
  await router.prepare();
  await cluster.client.create(
    VIRTUAL_SERVICES,
    { namespace: 'shop' },
    users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] }) as VirtualService,
  );
  await router.setWeight(40);
  expect(weights(vs())).toEqual(weights(vs('routes')));
  expect(weights(vs())?.[1]).toEqual(['reviews-canary', 40]);
});

test('what GitOps puts back mid-run is the original, to the letter', async () => {
  const spec = {
    hosts: ['reviews'],
    http: [
      {
        route: [
          { destination: { host: 'reviews' }, weight: 100 },
          { destination: { host: 'reviews-canary' }, weight: 0 },
        ],
      },
    ],
  };
  const { cluster, deps, vs } = setUp(users(spec));
  const router = createRouter(deps, TARGET);
  await router.setWeight(10);
  cluster.edit(VIRTUAL_SERVICES, 'shop', 'routes', (o) => Object.assign(o, { spec }));
  await router.setWeight(20);
  expect(weights(vs('routes'))).toEqual([
    ['reviews', 8000],
    ['reviews-canary', 2000],
    ['reviews-canary', 0],
  ]);
  await restoreRoutes(deps, 'shop', 'reviews');
  expect(vs('routes')!.spec).toEqual(spec);
});

test('the same weight again writes nothing; a later attempt puts its token on the share', async () => {
  const { cluster, deps, vs } = setUp(users(GATEWAY, 'edge'));
  const router = createRouter(deps, TARGET);
  await router.setWeight(10);
  const writes: string[] = [];
  cluster.before = (method, key) => void (method === 'PUT' && writes.push(key));
  await router.setWeight(10);
  expect(writes).toEqual([]);
  await createRouter({ ...deps, fence: { ...FENCE, token: 4 } }, TARGET).prepare();
  expect(writes.sort()).toEqual(['VirtualService/shop/edge', 'VirtualService/shop/reviews']);
  expect(hostsAndWeights(vs('edge')).at(-1)).toEqual(['reviews-canary', 10]);
  await expect(router.setWeight(20)).rejects.toThrow(FencedOut);
  await expect(restoreRoutes(deps, 'shop', 'reviews')).rejects.toThrow(FencedOut);
});

test('routes too large to be kept are refused, and left alone', async () => {
  const match = Array.from({ length: 3000 }, (_, i) => ({ uri: { exact: `/${i}${'x'.repeat(80)}` } }));
  const { deps, vs } = setUp(
    users({ hosts: ['reviews'], http: [{ match, route: [{ destination: { host: 'reviews' } }] }] }),
  );
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('at most 204800 can be kept');
  expect(vs('routes')!.metadata.annotations).toBeUndefined();
});

test('a routed subset that no rule of the namespace defines is refused', async () => {
  const { deps } = setUp(
    users({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews', subset: 'v1' } }] }] }),
  );
  await expect(createRouter(deps, TARGET).prepare()).rejects.toThrow('cannot have it: v1');
});

test('the mirror follows its rule during the run, and a foreign object of its name is left alone', async () => {
  const rule = (name: string, host: string, spec: object = {}) => ({
    apiVersion: DESTINATION_RULES.apiVersion,
    kind: 'DestinationRule',
    metadata: { name, namespace: 'shop' },
    spec: { host, ...spec },
  });
  const { cluster, deps } = setUp(rule('policy', 'reviews'));
  const router = createRouter(deps, TARGET);
  await router.prepare();
  cluster.edit(DESTINATION_RULES, 'shop', 'policy', (o) =>
    Object.assign(o, rule('policy', 'reviews', { trafficPolicy: { a: 1 } })),
  );
  await router.setWeight(10);
  expect(cluster.find<DestinationRule>(DESTINATION_RULES, 'shop', 'policy-canary')?.spec).toEqual({
    host: 'reviews-canary',
    trafficPolicy: { a: 1 },
  });
  const other = setUp(rule('policy', 'reviews'), rule('policy-canary', 'elsewhere'));
  await expect(createRouter(other.deps, TARGET).prepare()).rejects.toThrow('DestinationRule policy-canary exists');
  expect(other.vs()).toBeUndefined();
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
  expect(vs('routes')!.metadata.annotations).toBeUndefined();
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
