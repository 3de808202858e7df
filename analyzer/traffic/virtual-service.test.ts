import { expect, test } from 'vitest';
import type { VirtualService, VirtualServiceSpec } from './types.ts';
import { delegatesTo, governsMesh, ownVirtualService } from './virtual-service.ts';

const OWNER = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'reviews', uid: 'u1' };
const own = (port: number, ...ports: { port: number; name?: string; protocol?: string }[]) =>
  ownVirtualService({ namespace: 'shop', service: 'reviews', port, ports, labels: { a: 'b' }, owner: OWNER });

test('one port: one route, no match, nothing that overrides what holds without it', () => {
  expect(own(9080, { port: 9080 })).toEqual({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'shop', labels: { a: 'b' }, ownerReferences: [OWNER] },
    spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews', port: { number: 9080 } } }] }] },
  });
});

test('several ports: each route is for its port, TLS and UDP are left to Istio', () => {
  const { spec } = own(
    9080,
    { port: 9080, name: 'http' },
    { port: 9090, name: 'grpc-admin' },
    { port: 5432, name: 'tcp-db' },
    { port: 443, name: 'https' },
    { port: 53, name: 'dns', protocol: 'UDP' },
  );
  const route = (port: number) => ({
    match: [{ port }],
    route: [{ destination: { host: 'reviews', port: { number: port } } }],
  });
  expect(spec).toEqual({ hosts: ['reviews'], http: [route(9080), route(9090)], tcp: [route(5432)] });
});

test('a TLS port cannot be split without the names that its clients ask for', () => {
  expect(() => own(443, { port: 443, name: 'https' })).toThrow(/port 443 of Service reviews is TLS/);
});

const vs = (spec: VirtualServiceSpec, namespace = 'shop', name = 'x'): VirtualService => ({
  metadata: { name, namespace },
  spec,
});
const SERVICE = { name: 'reviews', namespace: 'shop' };

test.each([
  ['the short host', vs({ hosts: ['reviews'] }), true],
  ['a short host in another namespace', vs({ hosts: ['reviews'] }, 'other'), false],
  ['the full host, from another namespace', vs({ hosts: ['reviews.shop.svc.cluster.local'] }, 'other'), true],
  ['a gateway only', vs({ hosts: ['reviews'], gateways: ['public'] }), false],
  ['a gateway and the mesh', vs({ hosts: ['reviews'], gateways: ['public', 'mesh'] }), true],
  ['another host', vs({ hosts: ['reviews.example.com'] }), false],
  ['a wildcard', vs({ hosts: ['*.shop.svc.cluster.local'] }), true],
  ['a delegate, which has no hosts', vs({}), false],
])('governs the requests of the mesh: %s', (_, object, expected) => {
  expect(governsMesh(object, SERVICE, true)).toBe(expected);
});

test('delegation is followed within a namespace', () => {
  const root = (namespace?: string) =>
    vs({ hosts: ['reviews'], http: [{ delegate: { name: 'sub', ...(namespace ? { namespace } : {}) } }] });
  const sub = vs({}, 'shop', 'sub');
  expect(delegatesTo(root(), [sub])).toBe(true);
  expect(delegatesTo(root('shop'), [sub])).toBe(true);
  expect(delegatesTo(root('other'), [sub])).toBe(false);
  expect(delegatesTo(root(), [])).toBe(false);
});
