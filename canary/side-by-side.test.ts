import { expect, test } from 'vitest';
import type { Deployment } from '../kube/types.ts';
import { sideBySideProblem } from './side-by-side.ts';

const deployment = (pod: object, strategy: object = {}): Deployment => ({
  metadata: { name: 'reviews' },
  spec: {
    selector: {},
    strategy,
    template: { spec: { containers: [{ name: 'reviews' }], ...pod } },
  },
});
const claim = { persistentVolumeClaim: { claimName: 'data' } };
const mounted = (...readOnly: boolean[]) => ({
  volumes: [{ name: 'data', ...claim }],
  containers: readOnly.map((ro, i) => ({
    name: `c${i}`,
    volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: ro }],
  })),
});

test.each<[string, Deployment]>([
  ['spec.strategy.type', deployment({}, { type: 'Recreate' })],
  ['spec.template.spec.hostNetwork', deployment({ hostNetwork: true })],
  [
    'spec.template.spec.containers[reviews].ports[80].hostPort',
    deployment({
      containers: [{ name: 'reviews', ports: [{ containerPort: 79 }, { containerPort: 80, hostPort: 80 }] }],
    }),
  ],
  [
    'spec.template.spec.containers[setup].ports[80].hostPort',
    deployment({ initContainers: [{ name: 'setup', ports: [{ containerPort: 80, hostPort: 80 }] }] }),
  ],
  ['spec.template.spec.volumes[data].persistentVolumeClaim', deployment({ volumes: [{ name: 'data', ...claim }] })],
  ['spec.template.spec.volumes[data].persistentVolumeClaim', deployment(mounted(true, false))],
  [
    'spec.template.spec.volumes[d].awsElasticBlockStore',
    deployment({ volumes: [{ name: 'd', awsElasticBlockStore: {} }] }),
  ],
])('%s is a problem', (field, d) => expect(sideBySideProblem(d)?.field).toBe(field));

test.each<[string, Deployment]>([
  ['nothing of the kind', deployment({}, { type: 'RollingUpdate' })],
  ['host ports of 0', deployment({ containers: [{ name: 'a', ports: [{ containerPort: 80, hostPort: 0 }] }] })],
  ['a claim that is read-only', deployment({ volumes: [{ name: 'd', persistentVolumeClaim: { readOnly: true } }] })],
  ['a claim that is mounted read-only', deployment(mounted(true, true))],
  [
    'volumes of the pod’s own',
    deployment({
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'b', configMap: {} },
      ],
    }),
  ],
])('%s is none', (_, d) => expect(sideBySideProblem(d)).toBeUndefined());
