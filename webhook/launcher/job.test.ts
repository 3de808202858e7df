import { expect, test } from 'vitest';
import { readSpec } from '../../canary/spec.ts';
import type { Job } from '../../kube/types.ts';
import type { AnalyzerConfig } from '../config.ts';
import { SPEC, UID } from './fixtures.ts';
import { type Attempt, analyzerJob, deadlineSeconds, readJob } from './job.ts';

const config: AnalyzerConfig = {
  image: 'sidestep:1',
  serviceAccount: 'sidestep-analyzer',
  resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } },
  env: { PROMETHEUS_URL: 'http://prometheus:9090', SIDESTEP_NAMESPACE: 'sidestep-system' },
};
const long = 'a-very-long-name-of-a-deployment-'.repeat(4);
const wanted: Attempt = {
  uid: UID,
  namespace: 'shop',
  deployment: long,
  run: 'r1',
  attempt: 2,
  rollbackOnly: true,
  deadlineSeconds: 3600,
};
const job = analyzerJob(wanted, 'sidestep-system', config);

test('the whole Job', () => {
  expect(job).toMatchInlineSnapshot(`
    {
      "apiVersion": "batch/v1",
      "kind": "Job",
      "metadata": {
        "annotations": {
          "sidestep.dev/deployment": "a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-",
          "sidestep.dev/namespace": "shop",
        },
        "labels": {
          "app.kubernetes.io/managed-by": "sidestep",
          "sidestep.dev/attempt": "2",
          "sidestep.dev/deployment-uid": "7f3f2d3c-0000-4000-8000-000000000001",
          "sidestep.dev/run": "r1",
        },
        "name": "sidestep-e9183f328c7beb55",
        "namespace": "sidestep-system",
      },
      "spec": {
        "activeDeadlineSeconds": 3600,
        "backoffLimit": 0,
        "template": {
          "metadata": {
            "annotations": {
              "sidecar.istio.io/inject": "false",
              "sidestep.dev/deployment": "a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-",
              "sidestep.dev/namespace": "shop",
            },
            "labels": {
              "app.kubernetes.io/managed-by": "sidestep",
              "sidecar.istio.io/inject": "false",
              "sidestep.dev/attempt": "2",
              "sidestep.dev/deployment-uid": "7f3f2d3c-0000-4000-8000-000000000001",
              "sidestep.dev/run": "r1",
            },
          },
          "spec": {
            "containers": [
              {
                "args": [
                  "--max-semi-space-size=1",
                  "/app/analyzer.mjs",
                  "--namespace",
                  "shop",
                  "--deployment",
                  "a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-a-very-long-name-of-a-deployment-",
                  "--uid",
                  "7f3f2d3c-0000-4000-8000-000000000001",
                  "--run",
                  "r1",
                  "--attempt",
                  "2",
                  "--rollback-only",
                ],
                "env": [
                  {
                    "name": "PROMETHEUS_URL",
                    "value": "http://prometheus:9090",
                  },
                  {
                    "name": "SIDESTEP_NAMESPACE",
                    "value": "sidestep-system",
                  },
                  {
                    "name": "JOB_NAME",
                    "value": "sidestep-e9183f328c7beb55",
                  },
                ],
                "image": "sidestep:1",
                "name": "analyzer",
                "resources": {
                  "limits": {
                    "memory": "128Mi",
                  },
                  "requests": {
                    "cpu": "10m",
                    "memory": "64Mi",
                  },
                },
                "securityContext": {
                  "allowPrivilegeEscalation": false,
                  "capabilities": {
                    "drop": [
                      "ALL",
                    ],
                  },
                  "readOnlyRootFilesystem": true,
                },
              },
            ],
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": {
              "runAsNonRoot": true,
              "seccompProfile": {
                "type": "RuntimeDefault",
              },
            },
            "serviceAccountName": "sidestep-analyzer",
          },
        },
        "ttlSecondsAfterFinished": 3600,
      },
    }
  `);
});

test('the same attempt has the same name, another one another', () => {
  const nameOf = (change: Partial<Attempt>) =>
    analyzerJob({ ...wanted, ...change }, 'sidestep-system', config).metadata.name;
  expect(nameOf({ rollbackOnly: false })).toBe(job.metadata.name);
  const others = [nameOf({ attempt: 3 }), nameOf({ run: 'r2' }), nameOf({ uid: 'other' })];
  expect(new Set([job.metadata.name, ...others]).size).toBe(4);
});

test('labels fit into 63 characters whatever the Deployment is called', () => {
  for (const value of Object.values(job.metadata.labels!)) expect(value.length).toBeLessThanOrEqual(63);
});

test('a Job that was written is read back, in each state', () => {
  const { rollbackOnly: _, ...told } = wanted;
  const at = '2026-03-01T12:00:00Z';
  const state = (type?: string) =>
    readJob({ ...job, status: { conditions: type ? [{ type, status: 'True', lastTransitionTime: at }] : [] } });
  expect(state()).toMatchObject({ ...told, state: 'active' });
  expect(state()).not.toHaveProperty('endedMs');
  expect(state('Complete')).toMatchObject({ ...told, state: 'complete', endedMs: Date.parse(at) });
  expect(state('Failed')).toMatchObject({ ...told, state: 'failed', endedMs: Date.parse(at) });
  expect(state('Failed')).not.toHaveProperty('expired');
  const reason = { type: 'Failed', status: 'True' as const, reason: 'DeadlineExceeded', lastTransitionTime: at };
  expect(readJob({ ...job, status: { conditions: [reason] } })).toMatchObject({ state: 'failed', expired: true });
  // Pods of it are still ending.
  expect(state('FailureTarget')).toMatchObject({ state: 'active' });
  expect(readJob({ ...job, status: { conditions: [{ type: 'Failed', status: 'False' }] } })).toMatchObject({
    state: 'active',
  });
});

test('a Job that is not of this kind is none of ours', () => {
  const without = (change: object): Job => ({ ...job, metadata: { ...job.metadata, ...change } });
  expect(readJob(without({ labels: { 'app.kubernetes.io/managed-by': 'sidestep' } }))).toBeUndefined();
  expect(readJob(without({ annotations: {} }))).toBeUndefined();
  expect(readJob(without({ labels: { ...job.metadata.labels, 'sidestep.dev/attempt': 'x' } }))).toBeUndefined();
});

test('the deadline leaves room for the longest run', () => {
  // 5 steps, 5 failed checks and one more, each 60 s and 60 s of scaling; 1 h for evidence; twice 600 s; 900 s.
  expect(deadlineSeconds({ spec: SPEC })).toBe(11 * 120 + 3600 + 1200 + 900);
  const { spec } = readSpec(
    {
      annotation: `
analysis:
  interval: 10s
  threshold: 2
  maxWeight: 30
  stepWeight: 20
  holdTimeout: 30m
  webhooks: [{name: load, url: "http://load.shop/", timeout: 5s}]
progressDeadlineSeconds: 60`,
    },
    { name: 'reviews' },
  );
  expect(deadlineSeconds({ spec: spec! })).toBe(5 * 75 + 1800 + 120 + 900);
  const order = { requester: 'jane', time: '' };
  expect(deadlineSeconds({ spec: SPEC, order: { ...order, command: 'pause' } })).toBe(
    deadlineSeconds({ spec: SPEC }) + 7 * 86_400,
  );
  expect(deadlineSeconds({ spec: SPEC, order: { ...order, command: 'promote' } })).toBe(
    deadlineSeconds({ spec: SPEC }),
  );
});
