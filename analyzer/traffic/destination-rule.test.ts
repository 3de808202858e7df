import { expect, test } from 'vitest';
import { mirrorRule, subsetMismatch, undefinedSubsets } from './destination-rule.ts';
import type { DestinationRule } from './types.ts';

const rule = (name: string, ...subsets: DestinationRule['spec']['subsets'] & object): DestinationRule => ({
  metadata: { name, namespace: 'shop', labels: { team: 'a' }, annotations: { note: 'mine' } },
  spec: {
    host: 'reviews.shop.svc.cluster.local',
    trafficPolicy: { outlierDetection: { consecutive5xxErrors: 7 } },
    exportTo: ['.'],
    workloadSelector: { matchLabels: { app: 'web' } },
    subsets,
  },
});
const OWNER = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'reviews', uid: 'u1' };

test('the mirror has the same policy for the canary host; subsets keep name and policy, not their labels', () => {
  const users = rule(
    'r',
    { name: 'a', labels: { version: 'v1' }, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
    { name: 'b', labels: { version: 'v2' } },
  );
  const options = {
    name: 'r-canary',
    namespace: 'shop',
    canaryService: 'reviews-canary',
    labels: { l: 'x' },
    owner: OWNER,
  };
  expect(mirrorRule(users, options)).toEqual({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'r-canary', namespace: 'shop', labels: { l: 'x' }, ownerReferences: [OWNER] },
    spec: {
      host: 'reviews-canary.shop.svc.cluster.local',
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: 7 } },
      exportTo: ['.'],
      workloadSelector: { matchLabels: { app: 'web' } },
      subsets: [{ name: 'a', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } }, { name: 'b' }],
    },
  });
});

test('a template that leaves a routed subset is told by its rule', () => {
  const rules = [
    rule('one', { name: 'v1', labels: { version: 'v1' } }),
    rule('two', { name: 'all', labels: { app: 'r' } }),
  ];
  expect(subsetMismatch(rules, ['v1', 'all'], { app: 'r', version: 'v2' })).toEqual(['one']);
  expect(subsetMismatch(rules, ['all'], { app: 'r', version: 'v2' })).toEqual([]);
  expect(subsetMismatch(rules, ['v1'], { version: 'v1' })).toEqual([]);
});

test('a routed subset that no rule defines is told', () => {
  expect(undefinedSubsets([rule('one', { name: 'a' })], ['a', 'b'])).toEqual(['b']);
  expect(undefinedSubsets([], [])).toEqual([]);
});
