import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { routedSubsets, routesTo, splitSpec, unsplitSpec, type WeightedSplit } from './split.ts';
import { ROUTE_KINDS, type Route, type RouteDestination, type VirtualServiceSpec } from './types.ts';

const splitOf = (service: string, percent: number): WeightedSplit => ({
  namespace: 'shop',
  service,
  canaryService: `${service}-canary`,
  port: 9080,
  severalPorts: true,
  percent,
});
const REVIEWS = splitOf('reviews', 20);
const RATINGS = splitOf('ratings', 5);
const spec = (yaml: string): VirtualServiceSpec => parse(yaml) as VirtualServiceSpec;

const TESTDATA = join(import.meta.dirname, 'testdata');

test.each(readdirSync(TESTDATA))('%s: as the user wrote it, and with a fifth at the canary', (file) => {
  const documents = parseAllDocuments(readFileSync(join(TESTDATA, file), 'utf8'));
  const [users, split] = documents.map((d) => d.toJS() as VirtualServiceSpec);
  expect(documents).toHaveLength(2);
  expect(splitSpec(users!, [REVIEWS, RATINGS])).toEqual(split);
  expect(unsplitSpec(split!, [REVIEWS, RATINGS], 'return')).toEqual(users);
  expect(unsplitSpec(split!, [RATINGS, REVIEWS], 'keep')).toEqual(users);
});

test('what routes to the Service is found, with the subsets that it uses', () => {
  const users = spec(`
http:
- route: [{destination: {host: reviews, subset: a}, weight: 1}, {destination: {host: legacy, subset: x}, weight: 1}]
- route: [{destination: {host: reviews.shop.svc, subset: b}}]
tcp:
- route: [{destination: {host: reviews, subset: c, port: {number: 9090}}}]`);
  expect(routesTo(users, REVIEWS)).toBe(true);
  expect(routesTo(users, RATINGS)).toBe(false);
  expect(routesTo(spec('http: [{route: [{destination: {host: reviews}}]}]'), REVIEWS, 'elsewhere')).toBe(false);
  expect(routesTo(spec('http: [{route: [{destination: {host: reviews.shop}}]}]'), REVIEWS, 'elsewhere')).toBe(true);
  expect(routesTo(spec('http: [{redirect: {uri: /}}]'), REVIEWS)).toBe(false);
  expect(routedSubsets(users, REVIEWS)).toEqual(['a', 'b']);
});

test.each([
  ['no match', '{}', true],
  ['a match without a port', '{match: [{port: 9090}, {uri: {prefix: /}}]}', true],
  ['a match for the split port', '{match: [{port: 9090}, {port: 9080}]}', true],
  ['matches for other ports only', '{match: [{port: 9090}, {port: 9091, uri: {prefix: /}}]}', false],
])('a destination without a port counts by the ports of its route: %s', (_, route, expected) => {
  const users = { http: [{ ...(parse(route) as Route), route: [{ destination: { host: 'reviews' } }] }] };
  expect(routesTo(users, REVIEWS)).toBe(expected);
  expect(routesTo(users, { ...REVIEWS, severalPorts: false })).toBe(true);
});

test('an edit of split routes is kept apart from the weights, wherever the canary was moved', () => {
  const edited = spec(`
http:
- timeout: 2s
  route:
  - {destination: {host: reviews-canary, subset: a}, weight: 40}
  - {destination: {host: legacy}, weight: 300}
  - {destination: {host: reviews, subset: b}, weight: 100}
  - {destination: {host: reviews, subset: a}, weight: 160}`);
  expect(unsplitSpec(edited, [REVIEWS], 'return')).toEqual(
    spec(`
http:
- timeout: 2s
  route:
  - {destination: {host: legacy}, weight: 3}
  - {destination: {host: reviews, subset: b}, weight: 1}
  - {destination: {host: reviews, subset: a}, weight: 2}`),
  );
});

test('a canary without its primary goes back to it, unless the user had canary routes before', () => {
  const edited = spec('http: [{route: [{destination: {host: reviews-canary}, weight: 20}]}]');
  expect(unsplitSpec(edited, [REVIEWS], 'return')).toEqual(spec('http: [{route: [{destination: {host: reviews}}]}]'));
  expect(unsplitSpec(edited, [REVIEWS], 'keep')).toEqual(
    spec('http: [{route: [{destination: {host: reviews-canary}}]}]'),
  );
});

test("a user's own destination of the canary's name survives", () => {
  const users = spec(
    'http: [{route: [{destination: {host: reviews}, weight: 99}, {destination: {host: reviews-canary}, weight: 1}]}]',
  );
  const split = splitSpec(users, [REVIEWS]);
  expect(split.http![0]!.route!.map(({ weight }) => weight)).toEqual([99 * 80, 99 * 20, 100]);
  expect(unsplitSpec(split, [REVIEWS], 'keep')).toEqual(users);
});

const host = fc.constantFrom('reviews', 'reviews.shop.svc', 'ratings', 'legacy', 'other.shop');
const destination = fc.record(
  {
    destination: fc.record(
      { host, subset: fc.constantFrom('a', 'b'), port: fc.record({ number: fc.constantFrom(9080, 9090) }) },
      { requiredKeys: ['host'] },
    ),
    weight: fc.integer({ min: 0, max: 1000 }),
    headers: fc.constant({ request: { set: { a: 'b' } } }),
  },
  { requiredKeys: ['destination'] },
);
const routes = fc.array(
  fc.record(
    {
      match: fc.array(fc.record({ port: fc.constantFrom(9080, 9090) }, { requiredKeys: [] }), { maxLength: 2 }),
      route: fc.array(destination, { minLength: 1, maxLength: 4 }),
      redirect: fc.constant({ uri: '/' }),
      timeout: fc.constant('1s'),
    },
    { requiredKeys: [] },
  ),
  { maxLength: 4 },
);
const anySpec = fc
  .record({ hosts: fc.constant(['reviews']), http: routes, tcp: routes, tls: routes }, { requiredKeys: [] })
  .map((generated) => generated as unknown as VirtualServiceSpec);
const percents = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }));

/** An only destination's weight says nothing. */
const normal = (users: VirtualServiceSpec): VirtualServiceSpec =>
  unsplitSpec(splitSpec(users, [splitOf('reviews', 0), splitOf('ratings', 0)]), [REVIEWS, RATINGS], 'return');

test('property: taking apart is the inverse of splitting, at any weight and in any order', () => {
  fc.assert(
    fc.property(anySpec, percents, (users, [a, b]) => {
      const splits = [splitOf('reviews', a), splitOf('ratings', b)];
      const back = unsplitSpec(splitSpec(users, splits), splits.toReversed(), 'return');
      for (const kind of ROUTE_KINDS) {
        for (const [i, route] of (users[kind] ?? []).entries()) {
          const only = route.route?.length === 1;
          const { weight: _, ...alone } = route.route?.[0] ?? {};
          const got = back[kind]![i]!;
          if (only && got.route![0]!.weight === undefined) expect(got).toEqual({ ...route, route: [alone] });
          else expect(got).toEqual(route);
        }
      }
      expect(back).toEqual(normal(users));
    }),
  );
});

test('property: every destination keeps its exact share, and weights are whole numbers', () => {
  fc.assert(
    fc.property(anySpec, percents, (users, [a, b]) => {
      const split = splitSpec(users, [splitOf('reviews', a), splitOf('ratings', b)]);
      const before = ROUTE_KINDS.flatMap((kind) => users[kind] ?? []);
      const after = ROUTE_KINDS.flatMap((kind) => split[kind] ?? []);
      for (const [i, { route = [] }] of before.entries()) {
        const [x, y] = [total(route), total(after[i]!.route ?? [])];
        const shares = new Map<string, number>();
        for (const d of after[i]!.route ?? []) {
          expect(Number.isSafeInteger(weightIn(after[i]!.route!, d))).toBe(true);
          const key = keyOf(d);
          shares.set(key, (shares.get(key) ?? 0) + weightIn(after[i]!.route!, d));
        }
        const wanted = new Map<string, number>();
        for (const d of route) wanted.set(keyOf(d), (wanted.get(keyOf(d)) ?? 0) + weightIn(route, d));
        // share / y === wanted / x, without rounding
        for (const [key, share] of shares) expect(share * x).toBe(wanted.get(key)! * y);
      }
    }),
  );
});

test('property: the canary gets its percentage of every route to the split port, and nothing else changes', () => {
  fc.assert(
    fc.property(anySpec, fc.integer({ min: 0, max: 100 }), (users, percent) => {
      const split = splitSpec(users, [splitOf('reviews', percent)]);
      for (const kind of ROUTE_KINDS) {
        for (const [i, route] of (split[kind] ?? []).entries()) {
          const { route: now, ...rest } = route;
          const { route: before, ...restBefore } = users[kind]![i]!;
          expect(rest).toEqual(restBefore);
          for (const [j, d] of (now ?? []).entries()) {
            if (!d.destination!.host.startsWith('reviews-canary')) continue;
            const primary = now![j - 1]!;
            expect(d.weight! * (100 - percent)).toBe(primary.weight! * percent);
            expect({ ...d, weight: 0 }).toEqual({
              ...primary,
              weight: 0,
              destination: { ...primary.destination, host: d.destination!.host },
            });
          }
          if (now === undefined) expect(before).toBeUndefined();
        }
      }
    }),
  );
});

const weightIn = (route: RouteDestination[], { weight }: RouteDestination): number =>
  route.length === 1 ? 1 : (weight ?? 0);
const total = (route: RouteDestination[]): number => route.reduce((sum, d) => sum + weightIn(route, d), 0);
const keyOf = ({ destination: d }: RouteDestination): string =>
  JSON.stringify([d!.host.replace('-canary', ''), d!.subset, d!.port]);
