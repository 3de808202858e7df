import { expect, test, vi } from 'vitest';
import { type CanarySpec, readSpec } from '../../canary/spec.ts';
import { rememberSpecs } from './spec-cache.ts';

const counted = (maxChars?: number) => {
  const read = vi.fn(readSpec);
  return { read, remembered: rememberSpecs(read, maxChars) };
};
const interval = (seconds: number) => `analysis: {interval: ${seconds}s}`;

test('the same sources are read once, and give what they gave', () => {
  const { read, remembered } = counted();
  const sources = { annotation: interval(10), configMap: 'analysis: {threshold: 7}', defaults: { skipAnalysis: true } };
  const first = remembered(sources, { name: 'reviews' });
  expect(first).toEqual(readSpec(sources, { name: 'reviews' }));
  expect(remembered({ ...sources, defaults: { skipAnalysis: true } }, { name: 'reviews' })).toEqual(first);
  expect(read).toHaveBeenCalledTimes(1);
});

test.each([
  ['the annotation', { annotation: interval(11) }, 'reviews'],
  ['the ConfigMap', { annotation: interval(10), configMap: 'skipAnalysis: true' }, 'reviews'],
  ['the chart’s defaults', { annotation: interval(10), defaults: { skipAnalysis: true } }, 'reviews'],
  ['the place: a ConfigMap is no annotation', { configMap: interval(10) }, 'reviews'],
  ['the name, which a targetRef must be', { annotation: interval(10) }, 'ratings'],
])('another spec by %s is read', (_what, sources, name) => {
  const { read, remembered } = counted();
  remembered({ annotation: interval(10) }, { name: 'reviews' });
  expect(remembered(sources, { name })).toEqual(readSpec(sources, { name }));
  expect(read).toHaveBeenCalledTimes(2);
});

test('a targetRef that was right for one Deployment is wrong for another', () => {
  const { remembered } = counted();
  const sources = { annotation: 'targetRef: {kind: Deployment, name: reviews}' };
  expect(remembered(sources, { name: 'reviews' }).spec).toBeDefined();
  expect(remembered(sources, { name: 'ratings' }).problems).toHaveLength(1);
});

test('what is refused is refused again, in full', () => {
  const { read, remembered } = counted();
  const first = remembered({ annotation: interval(0) }, { name: 'reviews' });
  expect(first.problems).toHaveLength(1);
  expect(remembered({ annotation: interval(0) }, { name: 'reviews' })).toEqual(first);
  expect(read).toHaveBeenCalledTimes(2);
});

test('what is refused takes no room from what is remembered', () => {
  const { read, remembered } = counted(JSON.stringify(['reviews', interval(10), undefined, undefined]).length);
  for (const seconds of [10, 0, 10]) remembered({ annotation: interval(seconds) }, { name: 'reviews' });
  expect(read).toHaveBeenCalledTimes(2);
});

test('a spec may hold null', () => {
  const spec = { skipAnalysis: null } as unknown as CanarySpec;
  expect(rememberSpecs(() => ({ spec }))({}, { name: 'reviews' })).toEqual({ spec });
});

test('nobody can change a spec that others are given, at any depth', () => {
  const { remembered } = counted();
  const { spec } = remembered({ annotation: interval(10) }, { name: 'reviews' });
  expect(() => Object.assign(spec!.analysis.metrics[0]!, { interval: '1s' })).toThrow(TypeError);
  expect(() => Object.assign(spec!, { skipAnalysis: true })).toThrow(TypeError);
});

test('the oldest go when all together are larger than the limit, and not before', () => {
  const key = JSON.stringify(['reviews', interval(10), undefined, undefined]);
  const { read, remembered } = counted(2 * key.length);
  const ask = (seconds: number) => {
    const before = read.mock.calls.length;
    remembered({ annotation: interval(seconds) }, { name: 'reviews' });
    return read.mock.calls.length > before ? 'read' : 'remembered';
  };
  expect([10, 11, 10, 11].map(ask)).toEqual(['read', 'read', 'remembered', 'remembered']);
  expect([12, 11, 12].map(ask)).toEqual(['read', 'remembered', 'remembered']);
  expect([10, 12].map(ask)).toEqual(['read', 'remembered']);
  expect([11, 10].map(ask)).toEqual(['read', 'remembered']);
});

test('a spec that is larger than the limit by itself is read each time', () => {
  const { read, remembered } = counted(10);
  for (let i = 0; i < 2; i++) expect(remembered({ annotation: interval(10) }, { name: 'reviews' }).spec).toBeDefined();
  expect(read).toHaveBeenCalledTimes(2);
});
