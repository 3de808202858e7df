import { afterEach, beforeEach, expect, test } from 'vitest';
import { CONFIG_MAPS, REPLICA_SETS } from '../../kube/resources.ts';
import { FakeApiServer } from '../../kube/testing/fake-api-server.ts';
import type { ConfigMap, Deployment, ReplicaSet } from '../../kube/types.ts';
import { apiReads } from './reads.ts';

let server: FakeApiServer;
beforeEach(async () => {
  server = await FakeApiServer.start();
});
afterEach(() => server.stop());

test('a ConfigMap; none; one that cannot be read', async () => {
  const { configMap } = apiReads(server.client());
  server.put<ConfigMap>(CONFIG_MAPS, { metadata: { name: 'canary', namespace: 'shop' }, data: { a: '1' } });
  expect(await configMap('shop', 'canary')).toMatchObject({ data: { a: '1' } });
  expect(await configMap('shop', 'other')).toBeUndefined();
  server.intercept = () => ({ status: 403, body: { reason: 'Forbidden', message: 'no' } });
  await expect(configMap('shop', 'canary')).rejects.toMatchObject({ status: 403 });
});

test('the ReplicaSets that a Deployment owns, not those that only match', async () => {
  const template = { spec: { containers: [] } };
  const replicaSet = (name: string, owner: string): ReplicaSet => ({
    metadata: {
      name,
      namespace: 'shop',
      labels: { app: 'reviews' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'x', uid: owner }],
    },
    spec: { template },
  });
  server.put(REPLICA_SETS, replicaSet('a', 'u1'));
  server.put(REPLICA_SETS, replicaSet('b', 'u2'));
  const deployment: Deployment = {
    metadata: { name: 'reviews', namespace: 'shop', uid: 'u1' },
    spec: { selector: { matchLabels: { app: 'reviews' } }, template },
  };
  const found = await apiReads(server.client()).replicaSets(deployment);
  expect(found.map(({ metadata }) => metadata.name)).toEqual(['a']);
  expect(server.requests[0]!.query.get('labelSelector')).toBe('app=reviews');
});
