import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PodTemplate } from '../kube/types.ts';
import { POD_TEMPLATE_HASH, RESTARTED_AT } from './annotations.ts';
import { canonicalJson, digest, sameTemplate, templateHash } from './hash.ts';

const template = (change: object = {}): PodTemplate => ({
  metadata: { labels: { app: 'reviews' }, annotations: { team: 'books' } },
  spec: { containers: [{ name: 'reviews', image: 'reviews:1' }], ...change },
});

/** The same value with the keys of every map in reverse. */
function reversed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(reversed);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([k, v]) => [k, reversed(v)]),
  );
}

const json = fc.jsonValue({ maxDepth: 4 });
/** Keys as JSON.parse makes them: own ones, whatever their name. */
const map = fc
  .dictionary(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '1', '10', '2')), json)
  .map((m) => JSON.parse(JSON.stringify(m)) as Record<string, unknown>);

test('the form is stable: a new hash of an old template would make every held version a new one', () => {
  expect(templateHash(template())).toBe('v1-323c1a563ce007a4f8b0');
});

test('the order of keys does not matter', () => {
  fc.assert(
    fc.property(map, (volume) => {
      const one = template({ volumes: [{ name: 'a', flexVolume: { options: volume } }] });
      expect(templateHash(reversed(one) as PodTemplate)).toBe(templateHash(one));
    }),
  );
});

test('the order of a list does', () => {
  const containers = [{ name: 'a' }, { name: 'b' }];
  expect(templateHash(template({ containers }))).not.toBe(
    templateHash(template({ containers: containers.toReversed() })),
  );
});

test('a Deployment and its ReplicaSet have the same, whatever else they differ in', () => {
  const ofReplicaSet = template();
  ofReplicaSet.metadata = {
    ...ofReplicaSet.metadata,
    labels: { ...ofReplicaSet.metadata!.labels, [POD_TEMPLATE_HASH]: '5d4f8c' },
    creationTimestamp: null,
  };
  expect(templateHash(ofReplicaSet)).toBe(templateHash(template()));
});

test('a restart is no new version, with and without other annotations', () => {
  const restarted = (annotations: Record<string, string>): PodTemplate => ({
    ...template(),
    metadata: { labels: { app: 'reviews' }, annotations: { ...annotations, [RESTARTED_AT]: '2026-01-01T12:00:00Z' } },
  });
  expect(templateHash(restarted({ team: 'books' }))).toBe(templateHash(template()));
  const bare = { ...template(), metadata: { labels: { app: 'reviews' } } };
  expect(templateHash(restarted({}))).toBe(templateHash(bare));
  expect(sameTemplate(restarted({ team: 'books' }), template())).toBe(false);
});

test('any other difference is a new version', () => {
  fc.assert(
    fc.property(map, map, (a, b) => {
      const [one, other] = [a, b].map((options) => templateHash(template({ volumes: [{ name: 'a', options }] })));
      expect(one === other).toBe(canonicalJson(a) === canonicalJson(b));
    }),
  );
  expect(templateHash({ ...template(), metadata: { labels: { app: 'reviews' } } })).not.toBe(templateHash(template()));
});

test('no metadata at all is as good as empty metadata', () => {
  const { spec } = template();
  expect(templateHash({ spec })).toBe(templateHash({ metadata: { labels: {}, annotations: {} }, spec }));
});

test('a key named __proto__ counts like any other', () => {
  const odd = JSON.parse('{"volumes":[{"name":"a","csi":{"volumeAttributes":{"__proto__":{"a":"1"}}}}]}') as object;
  const plain = { volumes: [{ name: 'a', csi: { volumeAttributes: {} } }] };
  expect(templateHash(template(odd))).not.toBe(templateHash(template(plain)));
  expect(sameTemplate(template(odd), template(plain))).toBe(false);
});

test('canonical JSON is JSON of the same value', () => {
  fc.assert(
    fc.property(map, (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(value);
    }),
  );
});

test('a digest tells its parts apart', () => {
  expect(digest(['a', 'b'], 10)).toMatch(/^[0-9a-f]{10}$/);
  expect(digest(['a', 'b'], 10)).not.toBe(digest(['ab'], 10));
  expect(digest(['1'], 10)).not.toBe(digest([1], 10));
});
