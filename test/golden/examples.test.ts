import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CANARY, ENABLED, SPEC } from '../../canary/annotations.ts';
import { readSpec } from '../../canary/spec.ts';
import type { Deployment, KubeObject } from '../../kube/types.ts';

const FOLDER = join(import.meta.dirname, '../../examples/bookinfo');

const manifests = (file: string): KubeObject[] =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as KubeObject;
  });

function reviews(file: string): Deployment {
  const found = manifests(file).find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'reviews');
  return found as Deployment;
}

const VERSIONS = ['reviews-v1-optin.yaml', 'reviews-v2.yaml', 'reviews-v3-bad.yaml'];

test('every example is about one namespace', () => {
  for (const file of readdirSync(FOLDER)) {
    for (const { kind, metadata } of manifests(file)) {
      expect.soft([file, kind === 'Namespace' ? metadata.name : metadata.namespace]).toEqual([file, 'bookinfo']);
    }
  }
});

test('opting in changes nothing but annotations, so that no pod restarts', () => {
  const { annotations, ...metadata } = reviews('reviews-v1-optin.yaml').metadata;
  const before = reviews('bookinfo.yaml');
  expect(Object.keys(annotations!)).toEqual([CANARY, SPEC]);
  expect(metadata).toEqual(before.metadata);
  expect(reviews('reviews-v1-optin.yaml').spec).toEqual(before.spec);
});

test.each(VERSIONS)('%s: the analysis of the tutorial', (file) => {
  const { annotations } = reviews(file).metadata;
  expect(annotations?.[CANARY]).toBe(ENABLED);
  const { spec, problems } = readSpec({ annotation: annotations![SPEC]! }, { name: 'reviews' });
  expect(problems).toBeUndefined();
  expect(spec).toMatchObject({
    progressDeadlineSeconds: 60,
    service: { port: 9080, targetPort: 9080 },
    analysis: {
      interval: '1m',
      threshold: 5,
      maxWeight: 50,
      stepWeight: 10,
      metrics: [
        { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' },
        { name: 'request-duration', thresholdRange: { max: 500 }, interval: '30s' },
      ],
      webhooks: [{ name: 'load-test', url: 'http://loadtester/', timeout: '5s' }],
    },
  });
});

test.each(VERSIONS.slice(1))('%s: changes the version, and nothing that a Service selects by', (file) => {
  const { spec, metadata } = reviews(file);
  const before = reviews('reviews-v1-optin.yaml');
  const { version, ...labels } = spec.template.metadata!.labels!;
  const { version: versionBefore, ...labelsBefore } = before.spec.template.metadata!.labels!;
  expect(version).not.toBe(versionBefore);
  expect(labels).toEqual(labelsBefore);
  expect(metadata).toEqual(before.metadata);
  expect({ ...spec, template: undefined }).toEqual({ ...before.spec, template: undefined });
});
