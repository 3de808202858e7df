import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeProblems, readSpec, type SpecProblem, type SpecSources } from './spec.ts';
import { MAX_SPEC_CHARS } from './spec-text.ts';

const read = (sources: SpecSources | string) =>
  readSpec(typeof sources === 'string' ? { annotation: sources } : sources, { name: 'reviews' });
/** `npm run fuzz` tries more. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 2000);
const TIMEOUT_MS = 60_000 + 100 * RUNS;
/** Texts of this size take a thousandth of it. */
const MAX_USER_US = 1_000_000;

const said = (sources: SpecSources | string): string => describeProblems(read(sources).problems ?? []);

describe('a spec', () => {
  test('has a default for everything', () => {
    expect(read({}).spec).toEqual({
      service: {},
      analysis: {
        interval: '1m',
        threshold: 5,
        maxWeight: 50,
        stepWeight: 10,
        metrics: [
          { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' },
          { name: 'request-duration', thresholdRange: { max: 500 }, interval: '1m' },
        ],
        webhooks: [],
        judge: 'evidence',
        compare: {
          enabled: true,
          alpha: 0.05,
          ratio: 1.5,
          minErrors: 5,
          earlyPromote: { enabled: false, ratio: 2, beta: 0.05 },
        },
        holdTimeout: '1h',
      },
      progressDeadlineSeconds: 600,
      skipAnalysis: false,
      rollbackWindow: { revisions: 0 },
      allowSideBySide: false,
      allowPolicyMismatch: false,
    });
  });

  test.each(['', '\n', '# nothing yet', '{}', '---\n', '~'])('%j says nothing', (text) => {
    expect(read(text).spec).toEqual(read({}).spec);
  });

  test('may be that of a Flagger Canary for this Deployment', () => {
    const { spec, problems } = read(`
targetRef: {apiVersion: apps/v1, kind: Deployment, name: reviews}
provider: istio
progressDeadlineSeconds: 60
service: {port: 9080, targetPort: 9080}
analysis:
  interval: 1m
  threshold: 5
  maxWeight: 50
  stepWeight: 10
  metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
    - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
  webhooks:
    - name: load-test
      url: http://flagger-loadtester.default/
      timeout: 5s
      metadata: {cmd: "hey -z 1m http://reviews-canary.default:9080/health"}
`);
    expect(problems).toBeUndefined();
    expect(spec).toMatchObject({
      service: { port: 9080, targetPort: 9080 },
      analysis: { webhooks: [{ name: 'load-test', type: 'rollout', timeout: '5s' }] },
    });
    expect(spec).not.toHaveProperty('targetRef');
  });
});

describe('sources', () => {
  const defaults = { analysis: { threshold: 1, stepWeight: 1, maxWeight: 1 } };

  test('the annotation is over the ConfigMap, which is over the defaults, field by field', () => {
    const sources = {
      annotation: 'analysis: {threshold: 3}',
      configMap: 'analysis: {threshold: 2, stepWeight: 2}',
      defaults,
    };
    expect(read(sources).spec?.analysis).toMatchObject({ threshold: 3, stepWeight: 2, maxWeight: 1 });
  });

  test('a list is taken whole', () => {
    const one = 'analysis: {metrics: [{name: request-duration, thresholdRange: {max: 9}}]}';
    const two =
      'analysis: {metrics: [{name: request-success-rate, thresholdRange: {min: 9}}, {name: request-duration, thresholdRange: {max: 8}}]}';
    expect(read({ annotation: one, configMap: two }).spec?.analysis.metrics).toEqual([
      { name: 'request-duration', thresholdRange: { max: 9 }, interval: '1m' },
    ]);
  });

  test('are left as they were', () => {
    const before = structuredClone(defaults);
    read({ annotation: 'analysis: {threshold: 3}', defaults });
    expect(defaults).toEqual(before);
  });

  test('a problem is told of the source that has the field, with its line there', () => {
    const configMap = '# one\n\nanalysis:\n  maxWeight: 0\n  metrics:\n    - {name: request-duration}\n';
    const annotation = 'analysis:\n  threshold: 0\n';
    expect(read({ annotation, configMap, defaults: { analysis: { stepWeight: 0 } } }).problems).toMatchObject([
      { source: 'annotation', path: 'analysis.threshold', line: 2 },
      { source: 'configMap', path: 'analysis.maxWeight', line: 4 },
      { source: 'defaults', path: 'analysis.stepWeight' },
      { source: 'configMap', path: 'analysis.metrics[0].thresholdRange', line: 6 },
    ]);
  });

  test('a list of the annotation hides that of the ConfigMap', () => {
    const annotation = 'analysis:\n  metrics:\n    - name: request-duration';
    const configMap = 'analysis: {metrics: [{name: request-duration, thresholdRange: {max: 1}}]}';
    expect(read({ annotation, configMap }).problems).toMatchObject([{ source: 'annotation', line: 3 }]);
  });

  test('a ConfigMap is not quoted: neither values nor keys of its own', () => {
    const secret = [
      'analysis: {maxWeight: hunter2}',
      'hunter2: 1',
      'analysis: {hunter2: 1}',
      'analysis: {webhooks: [{name: a, url: "http://a", metadata: {hunter2: [1]}}]}',
      'analysis: {webhooks: [{name: a, url: "hunter2"}]}',
      'password: "a" "hunter2"',
      'password: *hunter2',
      'password: &hunter2 *hunter2',
      'hunter2',
      '[hunter2',
      '"hunter2\n',
      'provider: hunter2',
      'targetRef: hunter2',
      'a: 1\nhunter2: 1\nhunter2: 1',
      '? [hunter2]\n: 1',
      '!hunter2 a: b',
      '%hunter2\n---\na: 1',
      '\thunter2: 1',
    ];
    for (const configMap of secret) {
      const text = said({ configMap });
      expect(text, configMap).not.toBe('');
      expect(text).not.toContain('hunter2');
    }
    expect(said({ configMap: 'analysis: {maxWeight: 101}' })).toBe(
      'analysis.maxWeight (line 1) is wrong; allowed: a whole number from 1 to 100',
    );
    expect(said({ configMap: 'analysis:\n  iterations: 3' })).toBe(
      'analysis.iterations (line 2) is a field of Flagger that Sidestep does not support',
    );
  });
});

describe('what is wrong is said with field, line, value and what is allowed', () => {
  test.each([
    ['analysis:\n  stepWeight: 0', 'analysis.stepWeight (line 2) is 0; allowed: a whole number from 1 to 100'],
    ['analysis:\n  maxWeight: 101', 'analysis.maxWeight (line 2) is 101; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: 1.5}', 'analysis.maxWeight (line 1) is 1.5; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: "50"}', 'analysis.maxWeight (line 1) is "50"; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: .nan}', 'analysis.maxWeight (line 1) is NaN; allowed: a whole number from 1 to 100'],
    ['analysis: {threshold: 1e99}', 'analysis.threshold (line 1) is 1e+99; allowed: a whole number from 1 to 1000'],
    [
      'analysis: {interval: -5s}',
      'analysis.interval (line 1) is "-5s"; allowed: a duration from 1s to 24h, such as 30s or 1m30s',
    ],
    [
      'analysis: {interval: 9999h}',
      'analysis.interval (line 1) is "9999h"; allowed: a duration from 1s to 24h, such as 30s or 1m30s',
    ],
    [
      'analysis: {interval: 30}',
      'analysis.interval (line 1) is 30; allowed: a duration from 1s to 24h, such as 30s or 1m30s',
    ],
    ['analysis:', 'analysis (line 1) is null; allowed: a map of fields'],
    ['analysis: []', 'analysis (line 1) is a list of 0; allowed: a map of fields'],
    ['skipAnalysis: yes', 'skipAnalysis (line 1) is "yes"; allowed: true or false'],
    ['service: {targetPort: {}}', 'service.targetPort (line 1) is a map; allowed: a port number or name'],
    [
      'service: {name: -a}',
      'service.name (line 1) is "-a"; allowed: lower-case letters, digits and dashes, such as reviews',
    ],
    ['analysis: {maxWeight: ""}', 'analysis.maxWeight (line 1) is ""; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: "0x10"}', 'analysis.maxWeight (line 1) is "0x10"; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: 0xFFF}', 'analysis.maxWeight (line 1) is 4095; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: "1e1"}', 'analysis.maxWeight (line 1) is "1e1"; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: 1e3}', 'analysis.maxWeight (line 1) is 1000; allowed: a whole number from 1 to 100'],
    ['analysis: {maxWeight: .inf}', 'analysis.maxWeight (line 1) is Infinity; allowed: a whole number from 1 to 100'],
    [
      'analysis: {maxWeight: Infinity}',
      'analysis.maxWeight (line 1) is "Infinity"; allowed: a whole number from 1 to 100',
    ],
    [
      'analysis: {metrics: [{name: request-duration, thresholdRange: {max: .inf}}]}',
      'analysis.metrics[0].thresholdRange.max (line 1) is Infinity; allowed: a number',
    ],
    [
      'analysis: {metrics: [{name: constructor, thresholdRange: {max: 1}}]}',
      'analysis.metrics[0].name (line 1) is "constructor"; allowed: one of request-success-rate, request-duration',
    ],
    [
      'analysis: {metrics: [{name: __proto__, thresholdRange: {max: 1}}]}',
      'analysis.metrics[0].name (line 1) is "__proto__"; allowed: one of request-success-rate, request-duration',
    ],
    // What would reach beyond the namespace is not there to be set by anybody.
    ['service: {hosts: ["*"]}', 'service.hosts (line 1) is a field of Flagger that Sidestep does not support'],
    [
      'service: {gateways: [istio-system/public]}',
      'service.gateways (line 1) is a field of Flagger that Sidestep does not support',
    ],
    ['service: {delegation: true}', 'service.delegation (line 1) is a field of Flagger that Sidestep does not support'],
    ['service: {namespace: other}', 'service.namespace (line 1) is not a known field'],
    [
      'service: {name: reviews.other}',
      'service.name (line 1) is "reviews.other"; allowed: lower-case letters, digits and dashes, such as reviews',
    ],
    ['metricsServer: http://evil', 'metricsServer (line 1) is a field of Flagger that Sidestep does not support'],
    ['colour: red', 'colour (line 1) is not a known field'],
    ['analysis:\n  colour:\n    red: 1', 'analysis.colour (line 2) is not a known field'],
    [
      'analysis: {metrics: [{name: x, thresholdRange: {max: 1}}]}',
      'analysis.metrics[0].name (line 1) is "x"; allowed: one of request-success-rate, request-duration',
    ],
    [
      'analysis: {metrics: [{name: request-duration, thresholdRange: {}}]}',
      'analysis.metrics[0].thresholdRange (line 1) is a map; allowed: min, max or both',
    ],
    [
      'analysis: {metrics: [{name: request-duration, thresholdRange: {min: 2, max: 1}}]}',
      'analysis.metrics[0].thresholdRange (line 1) is a map; allowed: min at most max',
    ],
    [
      'analysis: {metrics: [{name: request-success-rate, thresholdRange: {min: 101}}]}',
      'analysis.metrics[0].thresholdRange (line 1) is a map; allowed: percent, from 0 to 100',
    ],
    ['analysis: {metrics: [null]}', 'analysis.metrics[0] (line 1) is null; allowed: a map of fields'],
    [
      'analysis:\n  metrics:\n    - name: request-duration',
      'analysis.metrics[0].thresholdRange (line 3) is missing; allowed: a map of fields',
    ],
    [
      'analysis: {webhooks: [{name: a, url: "file:///etc/passwd"}]}',
      'analysis.webhooks[0].url (line 1) is "file:///etc/passwd"; allowed: an http or https URL of at most 2048 characters',
    ],
    ['provider: linkerd', 'provider (line 1) is "linkerd"; allowed: istio'],
    [
      'targetRef: {kind: Deployment, name: ratings}',
      'targetRef (line 1) must name the Deployment reviews itself; leave it out',
    ],
    [
      'targetRef: {kind: DaemonSet, name: reviews}',
      'targetRef (line 1) must name the Deployment reviews itself; leave it out',
    ],
    ['a: 1\na: 2', 'the spec (line 2) has the same key twice in a map'],
    ['a: 1\na: 2\nb: 1\nb: 2', 'the spec (line 2) has the same key twice in a map'],
    ['? [a]\n: 1', 'the spec (line 1) has a key that is no text'],
    ['["\\𐀀"]', 'the spec (line 1) is not valid YAML: Invalid escape sequence \\�'],
    ['- a', 'the spec (line 1) is not a map of fields such as analysis:'],
    ['just text', 'the spec (line 1) is not a map of fields such as analysis:'],
    ['a: 1\n---\nb: 2', 'the spec (line 2) is not valid YAML: Source contains multiple documents'],
    ['a: *b', 'the spec is not valid YAML: Unresolved alias (the anchor must be set before the alias): b'],
  ])('%j', (yaml, text) => expect(said(yaml)).toBe(text));

  test('a list that is too long', () => {
    const metric = '{name: request-duration, thresholdRange: {max: 1}}, ';
    expect(said(`analysis: {metrics: [${metric.repeat(21)}]}`)).toBe(
      'analysis.metrics (line 1) is a list of 21; allowed: a list of at most 20 metrics',
    );
    expect(read(`analysis: {metrics: [${metric.repeat(20)}]}`).spec?.analysis.metrics).toHaveLength(20);
  });

  test('every field with a line of its own', () => {
    const yaml =
      'service:\n  name: reviews\n  port: 0\n\nanalysis:\n  # steps\n  stepWeight: 0\n  webhooks:\n    - name: a\n      url: http://a\n      timeout: 2h\n';
    expect(read(yaml).problems?.map(({ path, line }) => [path, line])).toEqual([
      ['service.port', 3],
      ['analysis.stepWeight', 7],
      ['analysis.webhooks[0].timeout', 11],
    ]);
  });

  test('a field behind an alias is told at the alias', () => {
    expect(read('service: &a\n  port: 0\nanalysis: *a').problems).toMatchObject([
      { path: 'service.port', line: 2 },
      { path: 'analysis.port', line: 3 },
    ]);
  });

  test('long values, odd keys and many problems stay readable', () => {
    const text = said(
      `analysis: {interval: ${'x'.repeat(999)}}\n"a\\nb": 1\n${Array.from({ length: 50 }, (_, i) => `k${i}: 1\n`).join('')}`,
    );
    expect(text.length).toBeLessThan(1000);
    expect(text).toContain('"a\\nb"');
    expect(text).toMatch(/; and 42 more$/);
  });
});

describe('two sources that do not fit together', () => {
  const configMap = 'analysis: {threshold: 2}';

  test.each([
    ['analysis:', 'analysis (line 1) is null; allowed: a map of fields'],
    ['analysis: x', 'analysis (line 1) is "x"; allowed: a map of fields'],
  ])('%s instead of a map is what holds', (annotation, text) => {
    expect(said({ annotation, configMap })).toBe(text);
  });

  test.each(['analysis:', 'analysis: x'])('a map instead of %s is what holds', (below) => {
    expect(read({ annotation: configMap, configMap: below }).spec?.analysis.threshold).toBe(2);
    expect(read({ annotation: 'analysis: {threshold: 0}', configMap: below }).problems).toMatchObject([
      { source: 'annotation', path: 'analysis.threshold', line: 1 },
    ]);
  });
});

describe('as far as it tells', () => {
  test('of a ConfigMap neither the keys of a hook’s metadata nor what it could not resolve', () => {
    const configMap = 'analysis: {webhooks: [{name: a, url: "http://a/", metadata: {secret: 1}}]}';
    expect(said({ configMap })).toBe('analysis.webhooks[0].metadata (line 1) is wrong; allowed: text');
    expect(said({ configMap: 'a: *secret' })).toBe('the spec is not valid YAML: it cannot be resolved');
  });

  test('a text that is nested too deeply', () => {
    expect(said('['.repeat(MAX_SPEC_CHARS))).toMatch(
      /^the spec \(line 1\) is not valid YAML: it is nested too deeply;/,
    );
  });

  test('a text is read to its last character, and not beyond', () => {
    expect(read(`#${'x'.repeat(MAX_SPEC_CHARS - 1)}`).problems).toBeUndefined();
    expect(said(`#${'x'.repeat(MAX_SPEC_CHARS)}`)).toBe('the spec is longer than 16384 characters');
  });

  test('an anchor is used fewer than twenty times', () => {
    const used = (times: number) => said(`skipAnalysis: &a true\nanalysis: [${Array(times).fill('*a').join(', ')}]`);
    expect(used(19)).toBe('analysis (line 2) is a list of 19; allowed: a map of fields');
    expect(used(20)).toBe('the spec is not valid YAML: Excessive alias count indicates a resource exhaustion attack');
  });

  test('the first three mistakes of syntax are told', () => {
    const lines = said(`${'"\\q"\n'.repeat(5)}`).split('; ');
    expect(lines).toHaveLength(3);
  });

  test('a value is shown up to 60 characters', () => {
    const shown = (length: number) => /is (.*); allowed/.exec(said(`analysis: {interval: ${'x'.repeat(length)}}`))?.[1];
    expect(shown(58)).toBe(`"${'x'.repeat(58)}"`);
    expect(shown(59)).toBe(`"${'x'.repeat(58)}…`);
  });

  test.each([
    ['a.b/c-d_E9', 'a.b/c-d_E9'],
    ['a'.repeat(60), 'a'.repeat(60)],
    ['a'.repeat(61), `"${'a'.repeat(58)}…`],
    ['a b', '"a b"'],
    ['é', '"é"'],
    ['', '""'],
  ])('the field %j is told as %s', (key, text) => {
    expect(said(JSON.stringify({ [key]: 1 }))).toBe(`${text} (line 1) is not a known field`);
  });

  test('ten problems are told, and how many more there are', () => {
    const fields = (count: number) => said(Array.from({ length: count }, (_, i) => `k${i}: 1\n`).join(''));
    expect(fields(10).split('; ')).toHaveLength(10);
    expect(fields(10)).toMatch(/k9 \(line 10\) is not a known field$/);
    expect(fields(11)).toMatch(/k9 \(line 10\) is not a known field; and 1 more$/);
  });
});

describe('how the canary is compared', () => {
  const metric = (more: string) =>
    `analysis: {judge: kayenta, metrics: [{name: request-duration, thresholdRange: {max: 9}, ${more}}]}`;
  test.each([
    [
      'analysis: {compare: {alpha: 0}}',
      'analysis.compare.alpha (line 1) is 0; allowed: a number from 0.000001 to 0.5, such as 0.05',
    ],
    [
      'analysis: {compare: {alpha: .nan}}',
      'analysis.compare.alpha (line 1) is NaN; allowed: a number from 0.000001 to 0.5, such as 0.05',
    ],
    [
      'analysis: {compare: {ratio: 0.9}}',
      'analysis.compare.ratio (line 1) is 0.9; allowed: a number from 1 to 100, such as 1.5',
    ],
    [
      'analysis: {compare: {minErrors: 0}}',
      'analysis.compare.minErrors (line 1) is 0; allowed: a whole number from 1 to 1000000',
    ],
    [
      'analysis: {compare: {enabled: yes please}}',
      'analysis.compare.enabled (line 1) is "yes please"; allowed: true or false',
    ],
    ['analysis: {compare: off}', 'analysis.compare (line 1) is "off"; allowed: a map of fields'],
    ['analysis: {compare: {beta: 1}}', 'analysis.compare.beta (line 1) is not a known field'],
    [
      'analysis: {compare: {earlyPromote: {ratio: 1}}}',
      'analysis.compare.earlyPromote.ratio (line 1) is 1; allowed: a number from 1.1 to 100, such as 2',
    ],
    ['analysis: {judge: netflix}', 'analysis.judge (line 1) is "netflix"; allowed: one of evidence, kayenta'],
    ['analysis: {kayenta: {}}', 'analysis.kayenta (line 1) is a map; allowed: only with judge: kayenta'],
    [
      'analysis: {judge: kayenta, kayenta: {scoreThresholds: {pass: 50, marginal: 60}}}',
      'analysis.kayenta.scoreThresholds (line 1) is a map; allowed: marginal at most pass',
    ],
    [
      'analysis: {judge: kayenta, kayenta: {groupWeights: {a: 60, b: 60}}}',
      'analysis.kayenta.groupWeights (line 1) is a map; allowed: weights of 100 percent in all at most',
    ],
    [
      metric('compare: {alpha: 1}'),
      'analysis.metrics[0].compare.alpha (line 1) is 1; allowed: a number from 0.000001 to 0.5, such as 0.05',
    ],
    [
      metric('kayenta: {direction: up}'),
      'analysis.metrics[0].kayenta.direction (line 1) is "up"; allowed: one of increase, decrease, either',
    ],
    [
      metric('kayenta: {groups: []}'),
      'analysis.metrics[0].kayenta.groups (line 1) is a list of 0; allowed: a list of 1 to 20 names',
    ],
    [
      metric('kayenta: {effectSize: {allowedIncrease: x}}'),
      'analysis.metrics[0].kayenta.effectSize.allowedIncrease (line 1) is "x"; allowed: a number from 0 to 1000',
    ],
  ])('%s is refused', (yaml, problem) => {
    expect(said(yaml)).toBe(problem);
  });

  test('a metric may have settings of its own, and may be left out', () => {
    expect(read(metric('compare: {enabled: false, ratio: 3}')).spec?.analysis.metrics[0]?.compare).toEqual({
      enabled: false,
      ratio: 3,
    });
  });

  test('group weights take no keys that are not their own', () => {
    expect(said('analysis: {judge: kayenta, kayenta: {groupWeights: {__proto__: 5}}}')).not.toContain('Invalid');
  });
});

describe('hostile texts', () => {
  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('%s is a field like any unknown one', (key) => {
    expect(said(`${key}: {skipAnalysis: true}`)).toBe(`${key} (line 1) is not a known field`);
    expect(said(`analysis: {${key}: 1}`)).toBe(`analysis.${key} (line 1) is not a known field`);
    expect(said({ configMap: `${key}: 1` })).toBe('the spec (line 1) has a field that is not known');
    expect(
      read({
        annotation: '',
        defaults: JSON.parse(`{"${key}": {"skipAnalysis": true}}`) as object as Record<string, unknown>,
      }).problems,
    ).toHaveLength(1);
    expect(({} as Record<string, unknown>)['skipAnalysis']).toBeUndefined();
  });

  const full = (part: string) => part.repeat(Math.floor(MAX_SPEC_CHARS / part.length));
  const numbered = (part: (i: number) => string) => {
    let text = '';
    for (let i = 0; text.length < MAX_SPEC_CHARS - 20; i++) text += part(i);
    return text;
  };
  const costly: [string, string][] = [
    ['deep lists', full('[')],
    ['deep maps', full('{a: ')],
    ['deep block lists', full('- ')],
    ['deep explicit keys', full('? ')],
    ['many keys in braces', `{${numbered((i) => `${i.toString(36)},`)}}`],
    ['many keys', numbered((i) => `k${i}: 1\n`)],
    ['many aliases', `a: &a 1\nb: [${numbered(() => '*a,')}]`],
    ['many anchors', `a:\n${numbered((i) => `- &a${i} x\n- *a${i}\n`)}`],
    [
      'aliases of aliases',
      `a: &a [1,1,1,1,1,1]\n${Array.from({ length: 9 }, (_, i) => `${'bcdefghij'[i]}: &${'bcdefghij'[i]} [${`*${'abcdefghij'[i]},`.repeat(9)}]\n`).join('')}`,
    ],
    ['an alias of itself', 'a: &a [*a]'],
    ['too much', 'a'.repeat(MAX_SPEC_CHARS + 1)],
  ];
  test.each(costly)('%s are refused before the API server stops waiting', (_, yaml) => {
    const startedMs = performance.now();
    const { problems } = read(yaml);
    const tookMs = performance.now() - startedMs;
    expect(problems?.length).toBeGreaterThan(0);
    expect(describeProblems(problems!).length).toBeLessThan(2000);
    expect(tookMs).toBeLessThan(2000);
  });

  test('one anchor has at most 19 aliases, and those inside its value count', () => {
    const refused = (yaml: string) => said(yaml).includes('Excessive alias count');
    const aliases = (n: number) => `a: &a 1\nb: [${'*a, '.repeat(n)}]`;
    expect(said(aliases(19))).toContain('is not a known field');
    expect(refused(aliases(20))).toBe(true);
    expect(refused('a: &a 1\nb: &b [*a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]')).toBe(true);
    expect(read('analysis: {maxWeight: &w 30, stepWeight: *w}').spec?.analysis.stepWeight).toBe(30);
  });

  const scalar = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.string(),
    fc.constantFrom(null, '1m', '-1s', '.nan', 'istio', 'http://a/', 'rollout', 'request-duration'),
  );
  const names = fc.constantFrom(
    'analysis',
    'service',
    'metrics',
    'webhooks',
    'thresholdRange',
    'min',
    'max',
    'name',
    'url',
    'interval',
    'metadata',
    'provider',
    'targetRef',
    'port',
    'targetPort',
    'skipAnalysis',
    '__proto__',
    'constructor',
    '<<',
    '0',
    '',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'medium' },
      scalar,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(names, tie('tree'), { maxKeys: 5 }),
    ),
  }));
  const json = tree.map((value) => JSON.stringify(value));
  const broken = fc.tuple(json, fc.nat(), fc.string({ unit: 'grapheme', maxLength: 3 })).map(([text, at, more]) => {
    const cut = text.length === 0 ? 0 : at % text.length;
    return text.slice(0, cut) + more + text.slice(cut);
  });
  const yaml = fc.oneof(json, broken, fc.string(), fc.stringMatching(/^([-?:,[\]{}#&*!|>'"%@ \n\tab1]){0,30}$/));

  const complete = (problem: SpecProblem) =>
    ['annotation', 'configMap', 'defaults'].includes(problem.source) &&
    problem.message !== '' &&
    !problem.message.includes('Invalid input');

  test('a complaint about a character outside the basic plane does not cut it in two', () => {
    const { problems } = read({ annotation: '[" \\\u{10000}",[]]' });
    expect(describeProblems(problems!).isWellFormed()).toBe(true);
  });

  test('never make it throw, never keep it long, and every problem is complete', { timeout: TIMEOUT_MS }, () => {
    const defaults = fc.dictionary(names, tree, { maxKeys: 4 });
    fc.assert(
      fc.property(
        fc.option(yaml, { nil: undefined }),
        fc.option(yaml, { nil: undefined }),
        fc.option(defaults, { nil: undefined }),
        (annotation, configMap, chart) => {
          const before = process.threadCpuUsage();
          const { spec, problems } = read({ annotation, configMap, defaults: chart });
          // Its own time, not the wall's: other tests run beside this one.
          expect(process.threadCpuUsage(before).user).toBeLessThan(MAX_USER_US);
          expect(spec !== undefined).toBe(problems === undefined);
          if (!problems) return;
          expect(problems.length).toBeGreaterThan(0);
          expect(problems.filter((p) => !complete(p))).toEqual([]);
          expect(describeProblems(problems).isWellFormed()).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('what is read is a spec: read again it is the same', () => {
    const good = fc.record(
      {
        skipAnalysis: fc.boolean(),
        progressDeadlineSeconds: fc.integer({ min: 1, max: 86_400 }),
        analysis: fc.record(
          {
            threshold: fc.integer({ min: 1, max: 1000 }),
            maxWeight: fc.integer({ min: 1, max: 100 }),
            interval: fc.constantFrom('1s', '1m30s', '24h'),
            metrics: fc.array(
              fc.record({ name: fc.constant('request-duration'), thresholdRange: fc.record({ max: fc.integer() }) }),
              { maxLength: 3 },
            ),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(good, (value) => {
        const { spec } = read(JSON.stringify(value));
        expect(spec).toBeDefined();
        expect(read(JSON.stringify(spec)).spec).toEqual(spec);
      }),
    );
  });
});
