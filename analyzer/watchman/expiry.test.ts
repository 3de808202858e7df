import { expect, test } from 'vitest';
import type { Lease } from '../../kube/types.ts';
import { Expiry } from './expiry.ts';

const lease = (name: string, resourceVersion = '1', holderIdentity = 'job-1'): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name, resourceVersion },
  spec: { holderIdentity },
});
const names = (leases: Lease[]) => leases.map(({ metadata }) => metadata.name);

test('a lease is due once it has not changed for the whole time', () => {
  const expiry = new Expiry(15_000);
  expiry.saw(lease('a'), 0);
  expiry.saw(lease('b'), 0);
  expiry.saw(lease('b', '2'), 5000);
  expect(names(expiry.due(14_999))).toEqual([]);
  expect(names(expiry.due(15_000))).toEqual(['a']);
  expect(names(expiry.due(20_000))).toEqual(['a', 'b']);
});

test('one that is due is told again a little later, as last seen', () => {
  const expiry = new Expiry(1000);
  expiry.saw(lease('a', '7'), 0);
  expect(expiry.due(1000)[0]?.metadata.resourceVersion).toBe('7');
  expect(expiry.due(1500)).toEqual([]);
  expect(names(expiry.due(4000))).toEqual(['a']);
});

test('released, deleted and settled leases are not waited for', () => {
  const expiry = new Expiry(1000);
  for (const name of ['released', 'deleted', 'settled']) expiry.saw(lease(name), 0);
  expiry.saw(lease('released', '2', ''), 10);
  expiry.gone(lease('deleted'));
  expiry.done(lease('settled'));
  expect(expiry.due(5000)).toEqual([]);
});

test('while the API server cannot be heard, nobody expires', () => {
  const expiry = new Expiry(1000);
  expiry.saw(lease('a'), 0);
  expiry.deaf(900);
  expect(expiry.due(1800)).toEqual([]);
  expect(names(expiry.due(1900))).toEqual(['a']);
});
