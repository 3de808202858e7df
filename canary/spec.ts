import { type Document, isMap, LineCounter, parseDocument } from 'yaml';
import * as z from 'zod';
import { formatDuration, parseDuration } from './duration.ts';

/** What one annotation or ConfigMap may hold: far more than any sensible analysis, far less than the API server's 256 KiB. */
const MAX_SPEC_CHARS = 65_536;
const DAY_MS = 86_400_000;

/** A duration field: reads Go's form, keeps it as text so that the spec stays readable where it is stored. */
function duration(minMs: number, maxMs: number) {
  const allowed = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 30s or 1m30s`;
  return z.string({ error: allowed }).refine(
    (text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms >= minMs && ms <= maxMs;
    },
    { error: allowed },
  );
}

const integer = (min: number, max: number) => {
  const error = `a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

const finite = z.number({ error: 'a number' });

const dnsName = z
  .string({ error: 'a name' })
  .max(63, { error: 'a name of at most 63 characters' })
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, { error: 'lower-case letters, digits and dashes, such as reviews' });

const port = integer(1, 65_535);

const service = z.strictObject({
  /** The Service whose traffic is split; by default the one with the Deployment's name, or the only one that selects its pods. */
  name: dnsName.optional(),
  /** The Service's port that is split; by default its only one. */
  port: port.optional(),
  /** Checked against the Service, never changed. */
  targetPort: z.union([port, dnsName], { error: 'a port number or name' }).optional(),
});

/** The metrics that Sidestep knows by name: name → unit of the range. */
export const METRICS = { 'request-success-rate': 'percent', 'request-duration': 'milliseconds' } as const;
export type MetricName = keyof typeof METRICS;
const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

const metric = z
  .strictObject({
    name: z.enum(METRIC_NAMES, { error: `one of ${METRIC_NAMES.join(', ')}` }),
    thresholdRange: z
      .strictObject({ min: finite.optional(), max: finite.optional() })
      .refine((r) => r.min !== undefined || r.max !== undefined, { error: 'min, max or both' })
      .refine((r) => r.min === undefined || r.max === undefined || r.min <= r.max, { error: 'min at most max' }),
    /** The window of the query. */
    interval: duration(1000, DAY_MS).default('1m'),
  })
  .refine((m) => m.name !== 'request-success-rate' || inPercent(m.thresholdRange), {
    path: ['thresholdRange'],
    error: 'percent, from 0 to 100',
  });

const inPercent = (range: { min?: number | undefined; max?: number | undefined }): boolean =>
  [range.min, range.max].every((v) => v === undefined || (v >= 0 && v <= 100));

const webhook = z.strictObject({
  name: z.string({ error: 'a name' }).min(1).max(63),
  type: z.literal('rollout', { error: 'rollout' }).default('rollout'),
  url: z.url({ protocol: /^https?$/, error: 'an http or https URL' }).max(2048),
  timeout: duration(100, 60_000).default('10s'),
  metadata: z.record(z.string(), z.string({ error: 'text' }), { error: 'a map of texts' }).default({}),
});

const analysis = z.strictObject({
  interval: duration(1000, DAY_MS).default('1m'),
  /** Failed checks at which the version is rolled back. */
  threshold: integer(1, 1000).default(5),
  /** Percent of requests that the canary gets at most before promotion. */
  maxWeight: integer(1, 100).default(50),
  stepWeight: integer(1, 100).default(10),
  metrics: z
    .array(metric, { error: 'a list of metrics' })
    .max(20)
    .default([
      { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' },
      { name: 'request-duration', thresholdRange: { max: 500 }, interval: '1m' },
    ]),
  webhooks: z.array(webhook, { error: 'a list of webhooks' }).max(20).default([]),
  /** How long a run may wait for evidence before it is rolled back. */
  holdTimeout: duration(1000, 7 * DAY_MS).default('1h'),
});

const schema = z.strictObject({
  service: service.prefault({}),
  analysis: analysis.prefault({}),
  /** Seconds that the canary, and later the primary, may take to get ready. */
  progressDeadlineSeconds: integer(1, 86_400).default(600),
  skipAnalysis: z.boolean({ error: 'true or false' }).default(false),
  /** Accepts that two versions run at the same time although the template looks as if they must not. */
  allowSideBySide: z.boolean({ error: 'true or false' }).default(false),
  /** Accepts that policies which select the primary's pods by a label do not select the canary's. */
  allowPolicyMismatch: z.boolean({ error: 'true or false' }).default(false),
});

/** A complete analysis: every default filled in. */
export type CanarySpec = z.infer<typeof schema>;
export type MetricSpec = CanarySpec['analysis']['metrics'][number];
export type WebhookSpec = CanarySpec['analysis']['webhooks'][number];

/** Fields of Flagger's `Canary.spec` that a pasted spec may bring and that this version does not act on. */
const UNSUPPORTED_FLAGGER = new Set([
  'autoscalerRef',
  'ingressRef',
  'routeRef',
  'upstreamRef',
  'metricsServer',
  'revertOnDeletion',
  'suspend',
  'service.portName',
  'service.portDiscovery',
  'service.appProtocol',
  'service.gateways',
  'service.hosts',
  'service.match',
  'service.rewrite',
  'service.retries',
  'service.headers',
  'service.timeout',
  'service.trafficPolicy',
  'service.corsPolicy',
  'service.mirror',
  'service.delegation',
  'service.apex',
  'service.primary',
  'service.canary',
  'service.backends',
  'analysis.iterations',
  'analysis.match',
  'analysis.mirror',
  'analysis.mirrorWeight',
  'analysis.stepWeights',
  'analysis.stepWeightPromotion',
  'analysis.primaryReadyThreshold',
  'analysis.canaryReadyThreshold',
  'analysis.alerts',
  'analysis.sessionAffinity',
  'analysis.metrics.query',
  'analysis.metrics.threshold',
  'analysis.metrics.templateRef',
  'analysis.metrics.templateVariables',
  'analysis.webhooks.muteAlert',
  'analysis.webhooks.retries',
  'analysis.webhooks.disableTLS',
]);

/** One thing that is wrong with a spec, in words for its author. */
export interface SpecProblem {
  /** Such as `analysis.metrics[0].interval`; empty for the document as a whole. */
  path: string;
  /** Line of the source, from 1; undefined where the field is missing or came from the chart's defaults. */
  line?: number;
  message: string;
}

export type SpecResult = { spec: CanarySpec; problems?: undefined } | { spec?: undefined; problems: SpecProblem[] };

/** Where a spec comes from, in falling precedence. */
export interface SpecSources {
  /** YAML of the annotation. */
  annotation?: string | undefined;
  /** YAML of the ConfigMap. */
  configMap?: string | undefined;
  /** The chart's defaults, already an object. */
  defaults?: Record<string, unknown> | undefined;
}

/**
 * Reads, merges and checks a spec. Maps are merged field by field; lists are taken whole from the first source that has them.
 * Never throws: what is wrong comes back as problems, each with its place.
 */
export function readSpec(sources: SpecSources, target: { name: string }): SpecResult {
  const parsed = [sources.annotation, sources.configMap].map((text) =>
    text === undefined ? undefined : parseYaml(text),
  );
  const broken = parsed.flatMap((p) => p?.problems ?? []);
  if (broken.length > 0) return { problems: broken };
  const merged = parsed.reduceRight<unknown>((under, p) => (p ? merge(under, p.value) : under), sources.defaults ?? {});
  const checked = checkFlaggerTarget(merged as Record<string, unknown>, target);
  if (checked.problems) return locate(checked.problems, parsed);
  const result = schema.safeParse(checked.value);
  if (result.success) return { spec: result.data };
  return locate(
    result.error.issues.flatMap((issue) => problemsOf(issue, checked.value)),
    parsed,
  );
}

type RawProblem = { path: PropertyKey[]; message: string };

interface Parsed {
  value: unknown;
  document?: Document;
  lines?: LineCounter;
  problems?: SpecProblem[];
}

function parseYaml(text: string): Parsed {
  if (text.length > MAX_SPEC_CHARS)
    return { value: {}, problems: [{ path: '', message: `longer than ${MAX_SPEC_CHARS} characters` }] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  if (document.errors.length > 0) {
    const problems = document.errors
      .slice(0, 5)
      .map((e) => ({ path: '', line: lines.linePos(e.pos[0]).line, message: `not valid YAML: ${e.message}` }));
    return { value: {}, problems };
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: 20 }) ?? {};
    if (!isMap(document.contents) && document.contents !== null)
      return { value: {}, problems: [{ path: '', line: 1, message: 'must be a map of fields such as analysis:' }] };
    return { value, document, lines };
  } catch (e) {
    return {
      value: {},
      problems: [{ path: '', message: `not valid YAML: ${e instanceof Error ? e.message : String(e)}` }],
    };
  }
}

const isPlainObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

function merge(under: unknown, over: unknown): unknown {
  if (!isPlainObject(under) || !isPlainObject(over)) return over;
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over))
    merged.set(key, merged.has(key) ? merge(merged.get(key), value) : value);
  return Object.fromEntries(merged);
}

/** `targetRef` and `provider` of a pasted Flagger spec say what is true anyway, or they are a mistake. */
function checkFlaggerTarget(
  { targetRef, provider, ...value }: Record<string, unknown>,
  target: { name: string },
): { value: Record<string, unknown>; problems?: RawProblem[] } {
  const problems: RawProblem[] = [];
  if (targetRef !== undefined) {
    const { kind, name } = isPlainObject(targetRef) ? targetRef : {};
    if (kind !== 'Deployment' || name !== target.name) {
      problems.push({ path: ['targetRef'], message: `must name the Deployment ${target.name} itself; leave it out` });
    }
  }
  if (provider !== undefined && provider !== 'istio')
    problems.push({ path: ['provider'], message: `is ${show(provider)}; allowed: istio` });
  return problems.length > 0 ? { value, problems } : { value };
}

function problemsOf(issue: z.core.$ZodIssue, root: unknown): RawProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: unknownField([...issue.path, key]) }));
  }
  const value = issue.path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | undefined)?.[key], root);
  return [
    {
      path: issue.path,
      message:
        value === undefined ? `is missing; allowed: ${issue.message}` : `is ${show(value)}; allowed: ${issue.message}`,
    },
  ];
}

function unknownField(path: PropertyKey[]): string {
  const plain = path
    .filter((p) => typeof p !== 'number')
    .map(String)
    .join('.');
  return UNSUPPORTED_FLAGGER.has(plain)
    ? 'is a field of Flagger that Sidestep does not support'
    : 'is not a known field';
}

/** The value as the author would recognise it, never longer than a line. */
function show(value: unknown): string {
  const text =
    typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'a map') : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function locate(problems: RawProblem[], sources: (Parsed | undefined)[]): SpecResult {
  return {
    problems: problems.map(({ path, message }) => {
      const line = lineOf(path, sources);
      return { path: pathText(path), ...(line === undefined ? {} : { line }), message };
    }),
  };
}

function lineOf(path: PropertyKey[], sources: (Parsed | undefined)[]): number | undefined {
  for (const source of sources) {
    for (let depth = path.length; source?.document && depth > 0; depth--) {
      const node = source.document.getIn(path.slice(0, depth), true) as
        | { range?: [number, number, number] }
        | undefined;
      if (node?.range) return source.lines!.linePos(node.range[0]).line;
    }
  }
  return undefined;
}

const pathText = (path: PropertyKey[]): string =>
  path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`),
    '',
  );

/** One line per problem: `analysis.stepWeight (line 4) is 0; allowed: a whole number from 1 to 100`. */
export const describeProblems = (problems: SpecProblem[]): string =>
  problems
    .map((p) => `${p.path === '' ? 'the spec' : p.path}${p.line === undefined ? '' : ` (line ${p.line})`} ${p.message}`)
    .join('; ');
