import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { namesService, withName } from './hosts.ts';
import { routedSubsets, routesTo, type Split, splitSpec, unsplitSpec } from './split.ts';
import type { RouteDestination, VirtualServiceSpec } from './types.ts';

const SPLIT: Split = {
  objectNamespace: 'shop',
  service: { name: 'reviews', namespace: 'shop' },
  canaryService: 'reviews-canary',
  port: 9080,
};

const spec = (yaml: string): VirtualServiceSpec => parse(yaml) as VirtualServiceSpec;

test.each([
  ['reviews', 'shop', true],
  ['reviews', 'other', false],
  ['reviews.shop', 'other', true],
  ['reviews.shop.svc', 'other', true],
  ['reviews.shop.svc.cluster.local', 'other', true],
  ['reviews.other.svc', 'shop', false],
  ['reviews-v2', 'shop', false],
  ['reviews.shop.example.com', 'shop', false],
])('host %s in namespace %s names the Service: %s', (host, namespace, expected) => {
  expect(namesService(host, namespace, SPLIT.service)).toBe(expected);
});

test('the canary takes the form of the host that it stands beside', () => {
  expect(withName('reviews.shop.svc.cluster.local', 'reviews-canary')).toBe('reviews-canary.shop.svc.cluster.local');
});

test('one destination becomes two; matches, rewrites, retries and other hosts stay', () => {
  const users = spec(`
hosts: [reviews, reviews.example.com]
gateways: [mesh, public]
http:
- match: [{uri: {prefix: /api}}]
  rewrite: {uri: /}
  retries: {attempts: 3}
  route: [{destination: {host: reviews.shop.svc, subset: fast}, headers: {request: {set: {a: b}}}}]
- route: [{destination: {host: elsewhere}}]
- redirect: {uri: /moved}`);
  const split = splitSpec(users, 20, SPLIT);
  expect(split.http).toEqual([
    {
      ...users.http![0],
      route: [
        {
          destination: { host: 'reviews.shop.svc', subset: 'fast' },
          headers: { request: { set: { a: 'b' } } },
          weight: 80,
        },
        {
          destination: { host: 'reviews-canary.shop.svc', subset: 'fast' },
          headers: { request: { set: { a: 'b' } } },
          weight: 20,
        },
      ],
    },
    users.http![1],
    users.http![2],
  ]);
  expect(split.hosts).toEqual(users.hosts);
  expect(routesTo(users, SPLIT)).toBe(true);
  expect(routedSubsets(users, SPLIT)).toEqual(['fast']);
});

test('several destinations keep their proportions exactly', () => {
  const users = spec(
    'http: [{route: [{destination: {host: reviews}, weight: 70}, {destination: {host: legacy}, weight: 30}]}]',
  );
  const weights = splitSpec(users, 15, SPLIT).http![0]!.route!.map(({ weight }) => weight);
  expect(weights).toEqual([70 * 85, 70 * 15, 30 * 100]);
});

test('TCP and TLS routes are split as well, another port of the Service is not', () => {
  const users = spec(`
tcp: [{match: [{port: 9080}], route: [{destination: {host: reviews, port: {number: 9080}}}]}, {match: [{port: 9090}], route: [{destination: {host: reviews, port: {number: 9090}}}]}]
tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: reviews}}]}]`);
  const split = splitSpec(users, 10, SPLIT);
  expect(split.tcp![0]!.route).toHaveLength(2);
  expect(split.tcp![1]).toEqual(users.tcp![1]);
  expect(split.tls![0]!.route).toHaveLength(2);
});

const destination = fc.record(
  {
    destination: fc.record({ host: fc.constantFrom('reviews', 'reviews.shop.svc', 'legacy', 'other.shop') }),
    weight: fc.integer({ min: 1, max: 100 }),
  },
  { requiredKeys: ['destination', 'weight'] },
);
const anySpec = fc.record({
  http: fc.array(
    fc.record({
      route: fc.uniqueArray(destination, { minLength: 1, maxLength: 4, selector: (d) => d.destination.host }),
    }),
    { maxLength: 4 },
  ),
});

test('after splitting and taking apart again, every destination has its share of before', () => {
  fc.assert(
    fc.property(anySpec, fc.integer({ min: 0, max: 100 }), (users, percent) => {
      const before = (users as VirtualServiceSpec).http!;
      const after = unsplitSpec(splitSpec(users as VirtualServiceSpec, percent, SPLIT), SPLIT).http!;
      expect(after.map(shares)).toEqual(before.map(shares));
    }),
  );
});

function shares({ route = [] }: { route?: RouteDestination[] }): Record<string, number> {
  const of = (d: RouteDestination) => (route.length === 1 ? 1 : (d.weight ?? 0));
  const total = route.reduce((n, d) => n + of(d), 0);
  return Object.fromEntries(route.map((d) => [d.destination!.host, Math.round((of(d) / total) * 1e9)]));
}
