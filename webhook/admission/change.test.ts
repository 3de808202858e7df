import fc from 'fast-check';
import jsonpatch from 'fast-json-patch';
import { expect, test } from 'vitest';
import type { Deployment } from '../../kube/types.ts';
import { type Change, combine, toPatch } from './change.ts';

type Texts = Record<string, string>;

const deployment = (annotations?: Texts, labels?: Texts, paused?: boolean): Deployment => ({
  metadata: { name: 'reviews', ...(annotations ? { annotations } : {}), ...(labels ? { labels } : {}) },
  spec: { selector: {}, template: { spec: { containers: [] } }, ...(paused === undefined ? {} : { paused }) },
});

const patched = (object: Deployment, change: Change): Deployment =>
  jsonpatch.applyPatch(structuredClone(object), toPatch(object, change), true).newDocument;

test('where there are no maps yet, they are made', () => {
  const change = { annotations: { 'sidestep.dev/run': 'a' }, labels: { 'sidestep.dev/watched': 'true' }, paused: true };
  expect(toPatch(deployment(), change)).toEqual([
    { op: 'add', path: '/metadata/annotations', value: {} },
    { op: 'add', path: '/metadata/annotations/sidestep.dev~1run', value: 'a' },
    { op: 'add', path: '/metadata/labels', value: {} },
    { op: 'add', path: '/metadata/labels/sidestep.dev~1watched', value: 'true' },
    { op: 'add', path: '/spec/paused', value: true },
  ]);
});

test('where nothing is to be done, nothing is', () => {
  expect(toPatch(deployment(), { annotations: { a: null }, labels: { b: null }, paused: false })).toEqual([]);
  expect(toPatch(deployment({ a: '1' }, {}, false), { annotations: { a: '1' }, paused: false })).toEqual([]);
  expect(toPatch(deployment({}, {}, true), { paused: true })).toEqual([]);
});

test('what is removed is what was seen', () => {
  expect(
    toPatch(deployment({ 'a/~b': '1' }, undefined, true), { annotations: { 'a/~b': null }, paused: false }),
  ).toEqual([
    { op: 'test', path: '/metadata/annotations/a~1~0b', value: '1' },
    { op: 'remove', path: '/metadata/annotations/a~1~0b' },
    { op: 'remove', path: '/spec/paused' },
  ]);
});

test('names that every object has are no annotations', () => {
  expect(toPatch(deployment({}), { annotations: { constructor: null, toString: null } })).toEqual([]);
});

test('a later change wins, field by field', () => {
  expect(
    combine({ annotations: { a: '1', b: '1' }, paused: true }, { annotations: { a: null } }, { labels: { c: '1' } }),
  ).toEqual({ annotations: { a: null, b: '1' }, labels: { c: '1' }, paused: true });
  expect(combine({ paused: true }, { paused: false })).toMatchObject({ paused: false });
});

test('the patch makes the change, and only that; made, nothing is left of it', () => {
  const key = fc.constantFrom('a', 'b', 'sidestep.dev/run', 'x/~1', 'constructor');
  const present = fc.option(fc.dictionary(key, fc.string()), { nil: undefined });
  const wanted = fc.dictionary(key, fc.option(fc.string(), { nil: null }));
  const paused = fc.constantFrom(undefined, true, false);
  fc.assert(
    fc.property(present, present, paused, wanted, wanted, paused, (annotations, labels, was, a, l, is) => {
      const object = deployment(annotations, labels, was);
      const change: Change = { annotations: a, labels: l, ...(is === undefined ? {} : { paused: is }) };
      const after = patched(object, change);
      const expected = (before: Texts | undefined, map: Record<string, string | null>) =>
        Object.fromEntries(Object.entries({ ...before, ...map }).filter(([, v]) => v !== null));
      expect({ ...after.metadata.annotations }).toEqual(expected(annotations, a));
      expect({ ...after.metadata.labels }).toEqual(expected(labels, l));
      expect(after.spec.paused ?? false).toBe(is ?? was ?? false);
      expect(after.spec.template).toEqual(object.spec.template);
      expect(toPatch(after, change)).toEqual([]);
    }),
  );
});
