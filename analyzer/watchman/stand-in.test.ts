import { expect, test } from 'vitest';
import { CANARY, ENABLED, STATUS } from '../../canary/annotations.ts';
import { runAnnotations } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import { memoryLog } from '../../kube/log.ts';
import { LEASES } from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import type { Lease } from '../../kube/types.ts';
import { takeFence } from '../fence.ts';
import { standIn } from './stand-in.ts';

test('a canary that is still held is taken out, although its run once meant to promote', async () => {
  const status = {
    run: 'r1',
    attempt: 1,
    phase: 'Progressing',
    weight: 50,
    step: 5,
    steps: 5,
    failedChecks: 0,
    threshold: 5,
    message: '',
    startedAt: '',
    updatedAt: '',
    replicas: 2,
    promotingSince: '2026-01-01T00:00:00Z',
  };
  const cluster = new FakeCluster([
    {
      kind: 'Deployment',
      metadata: {
        name: 'reviews',
        namespace: 'shop',
        uid: 'u1',
        annotations: {
          [CANARY]: ENABLED,
          [STATUS]: JSON.stringify(status),
          ...runAnnotations({
            id: 'r1',
            phase: 'held',
            hash: 'v2',
            stable: 'v1',
            requester: '',
            time: '',
            spec: readSpec({}, { name: 'reviews' }).spec!,
          }),
        },
      },
      spec: { selector: {}, template: { spec: { containers: [] } } },
    },
  ]);
  const { client } = cluster;
  const signal = new AbortController().signal;
  const now = () => new Date();
  await takeFence({
    client,
    namespace: 'own',
    workload: { namespace: 'shop', deployment: 'reviews', uid: 'u1' },
    holder: 'job',
    now,
    signal,
  });
  const lease = (await client.list<Lease>(LEASES, { namespace: 'own' })).items[0]!;
  const log = memoryLog();
  await standIn({ client, log, signal, ownNamespace: 'own', now }, lease);
  expect(cluster.find<Lease>(LEASES, 'own', lease.metadata.name)?.spec?.leaseTransitions).toBe(2);
});
