import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Fence } from '../../analyzer/fence.ts';
import { createRouter, type RouterDeps, restoreRoutes, type TrafficTarget } from '../../analyzer/traffic/router.ts';
import type { VirtualService } from '../../analyzer/traffic/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { connect } from '../../kube/connect.ts';
import { isConflict, isNotFound } from '../../kube/errors.ts';
import { memoryLog } from '../../kube/log.ts';
import { DEPLOYMENTS, type Resource, VIRTUAL_SERVICES } from '../../kube/resources.ts';
import type { Deployment, KubeObject } from '../../kube/types.ts';

const NAMESPACES: Resource = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces' };
const NAMESPACE = `routes-${process.pid}`;
const FENCE: Fence = {
  token: 1,
  check: async () => {},
  guard: () => {},
  renew: async () => {},
  release: async () => {},
};

let client: KubeClient;
let deps: RouterDeps;
let target: TrafficTarget;

beforeAll(async () => {
  client = await connect();
  const { apiVersion, kind } = NAMESPACES;
  await client.create<KubeObject>(NAMESPACES, {}, { apiVersion, kind, metadata: { name: NAMESPACE } });
  const labels = { app: 'reviews' };
  // Without its owner, the garbage collector would delete what the owner is to have.
  const owner = await client.create<Deployment>(
    DEPLOYMENTS,
    { namespace: NAMESPACE },
    {
      apiVersion: DEPLOYMENTS.apiVersion,
      kind: DEPLOYMENTS.kind,
      metadata: { name: 'reviews', namespace: NAMESPACE },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'none' }] } },
      },
    },
  );
  deps = { client, fence: FENCE, log: memoryLog(), signal: new AbortController().signal, clusterWide: true };
  target = {
    namespace: NAMESPACE,
    primary: 'reviews',
    service: 'reviews',
    port: 9080,
    ports: [{ port: 9080, name: 'http' }],
    canaryService: 'reviews-canary',
    run: 'r1',
    owner: { apiVersion: DEPLOYMENTS.apiVersion, kind: DEPLOYMENTS.kind, name: 'reviews', uid: owner.metadata.uid! },
    templateLabels: labels,
  };
});

afterAll(() => client.delete(NAMESPACES, { name: NAMESPACE }));

beforeEach(() => restoreRoutes(deps, NAMESPACE, 'reviews'));

const ref = (name: string) => ({ namespace: NAMESPACE, name });
const read = (name: string) => client.get<VirtualService>(VIRTUAL_SERVICES, ref(name));

const manifest = (name: string, http: object[]) => ({
  apiVersion: VIRTUAL_SERVICES.apiVersion,
  kind: VIRTUAL_SERVICES.kind,
  metadata: { name, namespace: NAMESPACE },
  spec: { hosts: ['reviews'], http },
});
const apply = (name: string, manager: string, http: object[], force = false) =>
  client.patch<VirtualService>(VIRTUAL_SERVICES, ref(name), 'apply', manifest(name, http), {
    query: { fieldManager: manager, force },
  });

const toReviews = (timeout: string) => [
  { timeout, route: [{ destination: { host: 'reviews', port: { number: 9080 } } }] },
];

/** Owners and fields, without times and in any order. */
const ownersOf = ({ metadata }: VirtualService) =>
  (metadata.managedFields as { manager: string; operation: string; fieldsV1: unknown }[])
    .map(({ manager, operation, fieldsV1 }) => ({ manager, operation, fieldsV1 }))
    .sort((a, b) => a.manager.localeCompare(b.manager));

test('our own routes are accepted at every weight, and go without a trace', async () => {
  const router = createRouter(deps, target);
  await router.prepare();
  for (const percent of [1, 50, 99, 100, 0]) {
    await router.setWeight(percent);
    expect((await read('reviews')).spec.http![0]!.route!.map(({ weight }) => weight)).toEqual([100 - percent, percent]);
  }
  const { resourceVersion } = (await read('reviews')).metadata;
  await router.setWeight(0);
  await router.prepare();
  expect((await read('reviews')).metadata.resourceVersion).toBe(resourceVersion);
  await restoreRoutes(deps, NAMESPACE, 'reviews');
  await expect(read('reviews')).rejects.toSatisfy(isNotFound);
});

test('routes applied on the server side are restored with their owners: the next apply meets no conflict', async () => {
  const before = await apply('applied', 'flux', toReviews('1s'));
  const router = createRouter(deps, target);
  await router.setWeight(30);
  await expect(apply('applied', 'flux', toReviews('2s'))).rejects.toSatisfy(isConflict);
  await restoreRoutes(deps, NAMESPACE, 'reviews');
  const after = await read('applied');
  expect(after.spec).toEqual(before.spec);
  expect(after.metadata.annotations).toBeUndefined();
  expect(ownersOf(after)).toEqual(ownersOf(before));
  await apply('applied', 'flux', toReviews('2s'));
  await expect(apply('applied', 'somebody', toReviews('3s'))).rejects.toSatisfy(isConflict);
  await client.delete(VIRTUAL_SERVICES, ref('applied'));
});

test('routes put back by force during the run are split again, and restored to what was put', async () => {
  await apply('applied', 'flux', toReviews('1s'));
  const router = createRouter(deps, target);
  await router.setWeight(30);
  const forced = await apply('applied', 'argocd', toReviews('2s'), true);
  expect(forced.spec.http![0]!.route).toHaveLength(1);
  await router.setWeight(40);
  expect((await read('applied')).spec.http![0]!.route!.map(({ weight }) => weight)).toEqual([60, 40]);
  await restoreRoutes(deps, NAMESPACE, 'reviews');
  const after = await read('applied');
  expect(after.spec).toEqual(forced.spec);
  await apply('applied', 'argocd', toReviews('3s'));
  await client.delete(VIRTUAL_SERVICES, ref('applied'));
});
