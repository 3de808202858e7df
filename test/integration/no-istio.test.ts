import { expect, test } from 'vitest';
import type { Fence } from '../../analyzer/fence.ts';
import { createRouter, type RouterDeps, removeMirrors, restoreRoutes } from '../../analyzer/traffic/router.ts';
import { connect } from '../../kube/connect.ts';
import { memoryLog } from '../../kube/log.ts';

const FENCE: Fence = {
  token: 1,
  check: async () => {},
  guard: () => {},
  renew: async () => {},
  release: async () => {},
};

// The control plane of the integration tests has no Istio: its API server does not know VirtualServices.
test('a cluster without Istio is told so, and cleaning up there is no error', async () => {
  const client = await connect();
  const deps: RouterDeps = {
    client,
    fence: FENCE,
    log: memoryLog(),
    signal: new AbortController().signal,
    clusterWide: true,
  };
  const router = createRouter(deps, {
    namespace: 'default',
    primary: 'reviews',
    service: 'reviews',
    port: 9080,
    ports: [{ port: 9080, name: 'http' }],
    canaryService: 'reviews-canary',
    run: 'r1',
    owner: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'reviews', uid: 'none' },
    templateLabels: { app: 'reviews' },
  });
  await expect(router.prepare()).rejects.toThrow(/VirtualService.*Istio/);
  await expect(restoreRoutes(deps, 'default', 'reviews')).resolves.toBeUndefined();
  await expect(removeMirrors(deps, 'default', 'reviews')).resolves.toBeUndefined();
});
