import { expect, test } from 'vitest';
import { isDeployment } from './deployment.ts';

const container = { name: 'main', image: 'a:1', ports: [{ containerPort: 80 }], volumeMounts: [{ name: 'a' }] };
const whole = {
  metadata: {
    name: 'reviews',
    uid: 'u',
    generation: 3,
    labels: { app: 'reviews' },
    annotations: { a: 'b' },
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: {
    replicas: 2,
    revisionHistoryLimit: 10,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { app: 'reviews' } },
    template: {
      metadata: { labels: { app: 'reviews' }, annotations: { a: 'b' }, creationTimestamp: null },
      spec: { containers: [container], initContainers: [container], volumes: [{ name: 'a', emptyDir: {} }] },
    },
  },
  status: { conditions: [{ type: 'Available', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
};

/** The value with another one at a path; undefined takes the field away. */
function at(path: string, value: unknown): unknown {
  const copy: Record<string, unknown> = structuredClone(whole);
  const keys = path.split('.');
  const last = keys.pop()!;
  const parent = keys.reduce((v, key) => v[key] as Record<string, unknown>, copy);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}

test('a whole one, and a small one', () => {
  expect(isDeployment(whole)).toBe(true);
  expect(isDeployment({ metadata: {}, spec: { selector: {}, template: { spec: { containers: [] } } } })).toBe(true);
});

const NEEDED = [
  'metadata',
  'spec',
  'spec.selector',
  'spec.template',
  'spec.template.spec',
  'spec.template.spec.containers',
];
test.each(NEEDED)('not without %s', (path) => expect(isDeployment(at(path, undefined))).toBe(false));

const OPTIONAL = [
  'metadata.name',
  'metadata.uid',
  'metadata.generation',
  'metadata.labels',
  'metadata.labels.app',
  'metadata.annotations',
  'metadata.annotations.a',
  'metadata.creationTimestamp',
  'spec.replicas',
  'spec.revisionHistoryLimit',
  'spec.strategy',
  'spec.template.metadata',
  'spec.template.metadata.labels',
  'spec.template.metadata.annotations',
  'spec.template.spec.initContainers',
  'spec.template.spec.volumes',
  'spec.template.spec.containers.0.ports',
  'spec.template.spec.containers.0.volumeMounts',
  'status',
  'status.conditions',
  'status.conditions.0.lastTransitionTime',
];
test.each(OPTIONAL)('%s may be absent, but is of its kind', (path) => {
  expect(isDeployment(at(path, undefined))).toBe(true);
  expect(isDeployment(at(path, true))).toBe(false);
});

// The API server writes times that nobody set as null: conditions of other controllers may have none.
test.each(['metadata.creationTimestamp', 'status.conditions.0.lastTransitionTime'])('%s may be null', (path) => {
  expect(isDeployment(at(path, null))).toBe(true);
});

test.each([
  'spec.template.spec.containers.0',
  'spec.template.spec.containers.0.ports.0',
  'spec.template.spec.volumes.0',
  'status.conditions.0',
])('no item of a list is null: %s', (path) => expect(isDeployment(at(path, null))).toBe(false));

test('a volume whose source is null', () => {
  expect(isDeployment(at('spec.template.spec.volumes.0.persistentVolumeClaim', null))).toBe(false);
});
