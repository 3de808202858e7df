import { describe, expect, test } from 'vitest';
import { readSpec } from './spec.ts';

// What each field takes: the first and the last values allowed, and those next to them.

const DURATION = 'such as 30s or 1m30s';
const FLAG = 'true or false';
const PERCENT = 'a number from 0 to 100';
const EFFECT = 'a number from 0 to 1000';
const NAME = 'a text of 1 to 63 characters';
const ALPHA = 'a number from 0.000001 to 0.5, such as 0.05';
const RATIO = 'a number from 1 to 100, such as 1.5';
const MIN_ERRORS = 'a whole number from 1 to 1000000';
const DNS = 'lower-case letters, digits and dashes, such as reviews';
const METRIC = 'analysis.metrics[0]';
const HOOK = 'analysis.webhooks[0]';

/** A spec with the value at the path, such as `analysis.metrics[0].interval`. */
function specWith(path: string, value: unknown): unknown {
  const spec = {
    analysis: {
      judge: 'kayenta',
      metrics: [{ name: 'request-duration', thresholdRange: { max: 9 } }],
      webhooks: [{ name: 'a', url: 'http://a/' }],
    },
  };
  const keys = path.split(/[.[\]]+/).filter((key) => key !== '');
  const last = keys.pop()!;
  let at = spec as unknown as Record<string, unknown>;
  for (const [i, key] of keys.entries()) {
    at[key] ??= /^\d+$/.test(keys[i + 1] ?? last) ? [] : {};
    at = at[key] as Record<string, unknown>;
  }
  at[last] = value;
  return spec;
}

const read = (path: string, value: unknown) =>
  readSpec({ annotation: JSON.stringify(specWith(path, value)) }, { name: 'reviews' });

const valueAt = (spec: unknown, path: string): unknown =>
  path
    .split(/[.[\]]+/)
    .filter((key) => key !== '')
    .reduce((v, key) => (v as Record<string, unknown> | undefined)?.[key], spec);

/** What the answer allows, by field. */
const allowed = (path: string, value: unknown) =>
  read(path, value).problems?.map(({ path: at, message }) => [at, message.replace(/^.*; allowed: /, '')]);

type Field = [path: string, allowed: string, good: unknown[], bad: unknown[]];

const FIELDS: Field[] = [
  ['service.name', DNS, ['a', '0', 'reviews-1', 'a'.repeat(63)], ['-a', 'a-', 'A', 'a.b', 'a\n', '']],
  ['service.name', 'a name', [], [1, null]],
  ['service.name', 'a name of at most 63 characters', [], ['a'.repeat(64)]],
  ['service.port', 'a whole number from 1 to 65535', [1, 65_535], [0, 65_536, 1.5, '80']],
  ['service.targetPort', 'a port number or name', [1, 65_535, 'http'], [{}, true]],
  ['analysis.interval', `a duration from 1s to 24h, ${DURATION}`, ['1s', '24h'], ['999ms', '24h1s', 'x', 30]],
  ['analysis.threshold', 'a whole number from 1 to 1000', [1, 1000], [0, 1001, 1.5]],
  ['analysis.maxWeight', 'a whole number from 1 to 100', [1, 100], [0, 101]],
  ['analysis.stepWeight', 'a whole number from 1 to 100', [1, 100], [0, 101]],
  ['analysis.holdTimeout', `a duration from 1s to 168h, ${DURATION}`, ['1s', '168h'], ['999ms', '168h1s']],
  ['analysis.judge', 'one of evidence, kayenta', ['evidence', 'kayenta'], ['', 1]],
  ['progressDeadlineSeconds', 'a whole number from 1 to 86400', [1, 86_400], [0, 86_401]],
  ['rollbackWindow.revisions', 'a whole number from 0 to 10', [0, 10], [-1, 11]],
  ['skipAnalysis', FLAG, [true, false], [1, 'true']],
  ['allowSideBySide', FLAG, [true, false], [1]],
  ['allowPolicyMismatch', FLAG, [true, false], [1]],

  [`${METRIC}.name`, 'one of request-success-rate, request-duration', ['request-duration'], ['', 1]],
  [`${METRIC}.interval`, `a duration from 1s to 24h, ${DURATION}`, ['1s', '24h'], ['999ms', '24h1s']],
  [`${METRIC}.thresholdRange`, 'min, max or both', [{ min: 0 }, { max: 1000 }, { min: 5, max: 5 }], [{}]],
  [`${METRIC}.thresholdRange`, 'min at most max', [{ min: -1, max: 1 }], [{ min: 6, max: 5 }]],
  [`${METRIC}.thresholdRange.min`, 'a number', [-5], ['x', null]],
  [`${METRIC}.thresholdRange.max`, 'a number', [10], ['x', null]],

  [`${HOOK}.name`, NAME, ['a', 'a'.repeat(63)], ['', 'a'.repeat(64), 1]],
  [`${HOOK}.type`, 'rollout', ['rollout'], ['pre-rollout', '']],
  [
    `${HOOK}.url`,
    'an http or https URL of at most 2048 characters',
    ['http://a/', 'https://a/', `http://a/${'b'.repeat(2039)}`],
    ['ftp://a/', 'a', 'xhttp://a/', 'httpsx://a/', `http://a/${'b'.repeat(2040)}`, 1],
  ],
  [`${HOOK}.timeout`, `a duration from 100ms to 1m, ${DURATION}`, ['100ms', '1m'], ['99ms', '1m1s']],
  [`${HOOK}.metadata`, 'a map of texts', [{}, { a: 'b' }], [[], 'a']],
  [`${HOOK}.metadata.a`, 'text', ['b', ''], [1, null]],

  ['analysis.compare.enabled', FLAG, [true, false], [1]],
  ['analysis.compare.alpha', ALPHA, [0.000001, 0.5], [0.0000009, 0.51, '0.05']],
  ['analysis.compare.ratio', RATIO, [1, 100], [0.99, 100.1, '2']],
  ['analysis.compare.minErrors', MIN_ERRORS, [1, 1_000_000], [0, 1_000_001, 1.5]],
  ['analysis.compare.earlyPromote.enabled', FLAG, [true, false], [1]],
  ['analysis.compare.earlyPromote.ratio', 'a number from 1.1 to 100, such as 2', [1.1, 100], [1.09, 100.1, '2']],
  ['analysis.compare.earlyPromote.beta', ALPHA, [0.000001, 0.5], [0, 0.51]],
  [`${METRIC}.compare.enabled`, FLAG, [true, false], [1]],
  [`${METRIC}.compare.alpha`, ALPHA, [0.000001, 0.5], [0, 0.51]],
  [`${METRIC}.compare.ratio`, RATIO, [1, 100], [0.99, 101]],
  [`${METRIC}.compare.minErrors`, MIN_ERRORS, [1, 1_000_000], [0, 1_000_001]],

  ['analysis.kayenta.scoreThresholds.pass', PERCENT, [75, 100], [-1, 101, '90']],
  ['analysis.kayenta.scoreThresholds.marginal', PERCENT, [0, 95], [-1, 101]],
  ['analysis.kayenta.scoreThresholds', 'marginal at most pass', [{ pass: 50, marginal: 50 }], [{ pass: 74 }]],
  ['analysis.kayenta.groupWeights', 'a map of percentages by group', [{}, { a: 100 }], [[], 1]],
  ['analysis.kayenta.groupWeights', 'weights of 100 percent in all at most', [{ a: 50, b: 50 }], [{ a: 50, b: 50.1 }]],
  [
    'analysis.kayenta.groupWeights',
    'at most 20 groups',
    [Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`g${i}`, 5]))],
    [Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`g${i}`, 1]))],
  ],
  ['analysis.kayenta.groupWeights.a', PERCENT, [0, 100], [-1, 101, '5']],
  [`${METRIC}.kayenta.groups`, 'a list of 1 to 20 names', [['a'], Array(20).fill('a')], [[], Array(21).fill('a'), 'a']],
  [`${METRIC}.kayenta.groups[0]`, NAME, ['a', 'a'.repeat(63)], ['', 'a'.repeat(64), 1]],
  [`${METRIC}.kayenta.direction`, 'one of increase, decrease, either', ['increase', 'decrease', 'either'], ['']],
  [`${METRIC}.kayenta.nanStrategy`, 'one of remove, replace', ['remove', 'replace'], ['']],
  [`${METRIC}.kayenta.critical`, FLAG, [true, false], [1]],
  [`${METRIC}.kayenta.mustHaveData`, FLAG, [true, false], [1]],
  [`${METRIC}.kayenta.outliers.strategy`, 'one of keep, remove', ['keep', 'remove'], ['']],
  [`${METRIC}.kayenta.outliers.outlierFactor`, 'a number from 0.1 to 100', [0.1, 100], [0.09, 100.1, '3']],
  [`${METRIC}.kayenta.effectSize.measure`, 'one of meanRatio, cles', ['meanRatio', 'cles'], ['']],
  [`${METRIC}.kayenta.effectSize.allowedIncrease`, EFFECT, [0, 1000], [-1, 1001, '1']],
  [`${METRIC}.kayenta.effectSize.allowedDecrease`, EFFECT, [0, 1000], [-1, 1001]],
  [`${METRIC}.kayenta.effectSize.criticalIncrease`, EFFECT, [0, 1000], [-1, 1001]],
  [`${METRIC}.kayenta.effectSize.criticalDecrease`, EFFECT, [0, 1000], [-1, 1001]],
];

test.each(FIELDS)('%s: %s', (path, what, good, bad) => {
  for (const value of good) expect(valueAt(read(path, value).spec, path), `${path}: ${value}`).toEqual(value);
  for (const value of bad) expect(allowed(path, value), `${path}: ${value}`).toContainEqual([path, what]);
});

test.each([
  'service',
  'analysis',
  'rollbackWindow',
  METRIC,
  `${METRIC}.thresholdRange`,
  `${METRIC}.compare`,
  `${METRIC}.kayenta`,
  `${METRIC}.kayenta.outliers`,
  `${METRIC}.kayenta.effectSize`,
  HOOK,
  'analysis.compare',
  'analysis.compare.earlyPromote',
  'analysis.kayenta',
  'analysis.kayenta.scoreThresholds',
])('%s is a map of known fields', (path) => {
  expect(allowed(path, 5)).toEqual([[path, 'a map of fields']]);
  expect(read(`${path}.colour`, 1).problems).toMatchObject([{ path: `${path}.colour` }]);
});

test.each([
  ['analysis.metrics', 'a list of at most 20 metrics', { name: 'request-duration', thresholdRange: { max: 1 } }],
  ['analysis.webhooks', 'a list of at most 20 webhooks', { name: 'a', url: 'http://a/' }],
])('%s: %s', (path, what, item) => {
  expect(read(path, Array(20).fill(item)).problems).toBeUndefined();
  expect(read(path, []).problems).toBeUndefined();
  for (const value of [Array(21).fill(item), item, 'a']) expect(allowed(path, value)).toEqual([[path, what]]);
});

describe('names of groups', () => {
  test.each(['', 'a'.repeat(64)])('%j is none', (name) => {
    expect(allowed(`${METRIC}.kayenta.groups`, [name])).toEqual([[`${METRIC}.kayenta.groups[0]`, NAME]]);
    expect(read('analysis.kayenta.groupWeights', { [name]: 5 }).problems).toHaveLength(1);
  });
});

test.each<[range: object, fits: boolean]>([
  [{ min: 0 }, true],
  [{ max: 100 }, true],
  [{ min: 0, max: 100 }, true],
  [{ min: -0.1 }, false],
  [{ max: -0.1 }, false],
  [{ min: 100.1 }, false],
  [{ max: 100.1 }, false],
  [{ min: 99, max: 101 }, false],
])('a success rate is percent: %j', (thresholdRange, fits) => {
  const problems = allowed(METRIC, { name: 'request-success-rate', thresholdRange });
  expect(problems).toEqual(fits ? undefined : [[`${METRIC}.thresholdRange`, 'percent, from 0 to 100']]);
});

test('what is left out has its default', () => {
  const kayenta = { outliers: {}, effectSize: {} };
  const { spec } = read('analysis', {
    judge: 'kayenta',
    kayenta: {},
    metrics: [{ name: 'request-duration', thresholdRange: { max: 9 }, kayenta }],
    webhooks: [{ name: 'a', url: 'http://a/' }],
  });
  expect(spec?.analysis).toMatchObject({
    kayenta: { scoreThresholds: { pass: 95, marginal: 75 }, groupWeights: {} },
    metrics: [
      {
        interval: '1m',
        kayenta: { outliers: { strategy: 'keep', outlierFactor: 3 }, effectSize: { measure: 'meanRatio' } },
      },
    ],
    webhooks: [{ name: 'a', type: 'rollout', url: 'http://a/', timeout: '10s', metadata: {} }],
  });
});

test('settings of Kayenta are for its judge alone', () => {
  expect(allowed('analysis', { kayenta: {} })).toEqual([['analysis.kayenta', 'only with judge: kayenta']]);
  expect(allowed('analysis', { judge: 'evidence', kayenta: {} })).toHaveLength(1);
  expect(read('analysis', { judge: 'kayenta' }).problems).toBeUndefined();
});

const OF_FLAGGER = `
  autoscalerRef ingressRef routeRef upstreamRef metricsServer revertOnDeletion suspend
  service.portName service.portDiscovery service.appProtocol service.gateways service.hosts service.match service.rewrite
  service.retries service.headers service.timeout service.trafficPolicy service.corsPolicy service.mirror
  service.delegation service.apex service.primary service.canary service.backends
  analysis.iterations analysis.match analysis.mirror analysis.mirrorWeight analysis.stepWeights
  analysis.stepWeightPromotion analysis.primaryReadyThreshold analysis.canaryReadyThreshold analysis.alerts
  analysis.sessionAffinity
  ${METRIC}.query ${METRIC}.threshold ${METRIC}.templateRef ${METRIC}.templateVariables
  ${HOOK}.muteAlert ${HOOK}.retries ${HOOK}.disableTLS`;

test.each(OF_FLAGGER.trim().split(/\s+/))("%s is known as Flagger's", (path) => {
  expect(read(path, 1).problems).toMatchObject([
    { path, message: 'is a field of Flagger that Sidestep does not support' },
  ]);
});
