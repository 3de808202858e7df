import { expect, test } from 'vitest';
import { RUN_LABEL } from '../../canary/annotations.ts';
import type { Deployment, LabelSelector, Service } from '../../kube/types.ts';
import { canaryLabels, type PodDisruptionBudget } from './labels.ts';
import { selectorMatches } from './selectors.ts';

const labels = { app: 'reviews', tier: 'web', version: 'v1' };
const primary = (selector: LabelSelector, pod: Record<string, string> = labels): Deployment => ({
  metadata: { name: 'reviews' },
  spec: { selector, template: { metadata: { labels: pod }, spec: { containers: [] } } },
});
const service = (name: string, selector: Record<string, string>): Service => ({
  metadata: { name },
  spec: { selector },
});
const pdb = (name: string, selector: LabelSelector): PodDisruptionBudget => ({
  metadata: { name },
  spec: { selector },
});

const plan = (
  selector: LabelSelector,
  services: Service[] = [],
  pdbs: PodDisruptionBudget[] = [],
  policies: string[] = [],
  pod?: Record<string, string>,
) => canaryLabels(primary(selector, pod), services, pdbs, new Set(policies), 'r1');

const APP = { matchLabels: { app: 'reviews' } };
const byExpression = (key: string, operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', values?: string[]) => ({
  matchExpressions: [{ key, operator, ...(values ? { values } : {}) }],
});

test('the tutorial: app is another one, the run is told, the selector is the canary’s alone', () => {
  const { pod, selector, changed } = plan(APP, [service('reviews', { app: 'reviews' })]);
  expect(pod).toEqual({ app: 'reviews-canary', tier: 'web', version: 'v1', [RUN_LABEL]: 'r1' });
  expect(selector).toEqual({ matchLabels: { app: 'reviews-canary', [RUN_LABEL]: 'r1' } });
  expect([...changed]).toEqual([['app', { from: 'reviews', to: 'reviews-canary' }]]);
});

test('a selector of expressions only: the label that one of them lists is another one', () => {
  const selector = byExpression('app', 'In', ['reviews', 'ratings']);
  const { pod, selector: own } = plan(selector);
  expect(pod['app']).toBe('reviews-canary');
  expect(selectorMatches(selector, pod)).toBe(false);
  expect(own.matchLabels).toEqual({ app: 'reviews-canary', [RUN_LABEL]: 'r1' });
});

test.each<[string, LabelSelector]>([
  ['that a label is there', byExpression('app', 'Exists')],
  ['that a label is not there', byExpression('legacy', 'DoesNotExist')],
  ['that a label is not this', byExpression('app', 'NotIn', ['ratings'])],
  ['nothing', {}],
])('a selector that asks only %s cannot be left: refused', (_what, selector) => {
  expect(() => plan(selector)).toThrow(/Deployment reviews matches the pods by no label value/);
});

test('a list that has the canary’s value, too: refused', () => {
  expect(() => plan(byExpression('app', 'In', ['reviews', 'reviews-canary']))).toThrow(
    "the canary's pods would belong to Deployment reviews",
  );
});

test('Services and budgets that select by other labels get a label each', () => {
  const { pod } = plan(APP, [service('web', { tier: 'web' })], [pdb('v1', { matchLabels: { version: 'v1' } })]);
  expect(pod).toMatchObject({ app: 'reviews-canary', tier: 'web-canary', version: 'v1-canary' });
});

test('one label is enough for all that look at it', () => {
  const { changed } = plan(APP, [service('a', { app: 'reviews', tier: 'web' })], [pdb('b', APP)]);
  expect([...changed.keys()]).toEqual(['app']);
});

test('a budget for everything, or for all that have a label: refused with its name', () => {
  expect(() => plan(APP, [], [pdb('everything', {})])).toThrow('PodDisruptionBudget everything');
  expect(() => plan(APP, [], [pdb('web', byExpression('tier', 'Exists'))])).toThrow('PodDisruptionBudget web');
});

test('a budget without a selector claims nothing', () => {
  const without: PodDisruptionBudget = { metadata: { name: 'none' }, spec: {} };
  const emptied: PodDisruptionBudget = { metadata: { name: 'null' }, spec: { selector: null } };
  expect([...plan(APP, [], [without, emptied]).changed.keys()]).toEqual(['app']);
});

test('a Service of somebody else that selects the canary’s value: refused with its name', () => {
  expect(() => plan(APP, [service('mine', { app: 'reviews-canary' })])).toThrow(
    "the canary's pods would belong to Service mine",
  );
});

test('a Service without a selector claims nothing', () => {
  expect(plan(APP, [{ metadata: { name: 'external' }, spec: {} }]).pod['app']).toBe('reviews-canary');
});

test('rather a label that no policy looks at', () => {
  const selector = { matchLabels: { app: 'reviews', tier: 'web' } };
  expect([...plan(selector, [], [], ['app']).changed.keys()]).toEqual(['tier']);
});

test.each([57, 58, 62, 63])('a value of %d characters leaves a value', (length) => {
  const app = 'r'.repeat(length);
  const { pod } = plan({ matchLabels: { app } }, [], [], [], { app });
  expect(pod['app']).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
  expect(pod['app']).not.toBe(app);
});
