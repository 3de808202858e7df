import * as z from 'zod';
import { formatDuration, parseDuration } from './duration.ts';
import { compare, fields, judge, kayenta, metricCompare, metricKayenta } from './spec-compare.ts';

const DAY_MS = 86_400_000;

// The error of a schema is told for its checks, too.

/** A duration field: reads Go's form, keeps it as text so that the spec stays readable where it is stored. */
function duration(minMs: number, maxMs: number) {
  const allowed = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 30s or 1m30s`;
  return z.string({ error: allowed }).refine((text) => {
    const ms = parseDuration(text) ?? Number.NaN;
    return ms >= minMs && ms <= maxMs;
  });
}

const integer = (min: number, max: number) => {
  const error = `a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min).max(max);
};

const finite = z.number({ error: 'a number' });

const text = (min: number, max: number) => {
  const error = `a text of ${min} to ${max} characters`;
  return z.string({ error }).min(min).max(max);
};

const flag = () => z.boolean({ error: 'true or false' }).default(false);

/** Far more of one kind than anybody can watch. */
const MAX_ITEMS = 20;
const list = <T extends z.ZodType>(item: T, what: string) => {
  const error = `a list of at most ${MAX_ITEMS} ${what}`;
  return z.array(item, { error }).max(MAX_ITEMS);
};

const dnsName = z
  .string({ error: 'a name' })
  .max(63, { error: 'a name of at most 63 characters' })
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, { error: 'lower-case letters, digits and dashes, such as reviews' });

const port = integer(1, 65_535);

const service = fields({
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

const metric = fields({
  name: z.enum(METRIC_NAMES, { error: `one of ${METRIC_NAMES.join(', ')}` }),
  thresholdRange: fields({ min: finite.optional(), max: finite.optional() })
    .refine((r) => r.min !== undefined || r.max !== undefined, { error: 'min, max or both' })
    .refine((r) => r.min === undefined || r.max === undefined || r.min <= r.max, { error: 'min at most max' }),
  /** The window of the query. */
  interval: duration(1000, DAY_MS).default('1m'),
  /** What is different for this metric from `analysis.compare`. */
  compare: metricCompare.optional(),
  kayenta: metricKayenta.optional(),
}).refine((m) => m.name !== 'request-success-rate' || inPercent(m.thresholdRange), {
  path: ['thresholdRange'],
  error: 'percent, from 0 to 100',
});

const inPercent = (range: { min?: number | undefined; max?: number | undefined }): boolean =>
  [range.min, range.max].every((v) => v === undefined || (v >= 0 && v <= 100));

const MAX_URL = 2048;
const URL_ALLOWED = `an http or https URL of at most ${MAX_URL} characters`;

const webhook = fields({
  name: text(1, 63),
  type: z.literal('rollout', { error: 'rollout' }).default('rollout'),
  url: z.url({ protocol: /^https?$/, error: URL_ALLOWED }).max(MAX_URL),
  timeout: duration(100, 60_000).default('10s'),
  metadata: z.record(z.string(), z.string({ error: 'text' }), { error: 'a map of texts' }).default({}),
});

/** As many as a Deployment keeps ReplicaSets by default. */
export const MAX_ROLLBACK_REVISIONS = 10;

const rollbackWindow = fields({
  /** So many versions promoted before the one that serves may come back without analysis; the term and the shape of Argo Rollouts. */
  revisions: integer(0, MAX_ROLLBACK_REVISIONS).default(0),
});

const analysis = fields({
  interval: duration(1000, DAY_MS).default('1m'),
  /** Failed checks at which the version is rolled back. */
  threshold: integer(1, 1000).default(5),
  /** Percent of requests that the canary gets at most before promotion. */
  maxWeight: integer(1, 100).default(50),
  stepWeight: integer(1, 100).default(10),
  metrics: list(metric, 'metrics').default([
    { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' },
    { name: 'request-duration', thresholdRange: { max: 500 }, interval: '1m' },
  ]),
  webhooks: list(webhook, 'webhooks').default([]),
  judge,
  compare: compare.prefault({}),
  kayenta: kayenta.optional(),
  /** How long a run may wait for evidence before it is rolled back. */
  holdTimeout: duration(1000, 7 * DAY_MS).default('1h'),
}).refine((a) => a.kayenta === undefined || a.judge === 'kayenta', {
  path: ['kayenta'],
  error: 'only with judge: kayenta',
});

export const schema = fields({
  service: service.prefault({}),
  analysis: analysis.prefault({}),
  /** Seconds that the canary, and later the primary, may take to get ready. */
  progressDeadlineSeconds: integer(1, 86_400).default(600),
  skipAnalysis: flag(),
  rollbackWindow: rollbackWindow.prefault({}),
  /** Accepts that two versions run at the same time although the template looks as if they must not. */
  allowSideBySide: flag(),
  /** Accepts that policies which select the primary's pods by a label do not select the canary's. */
  allowPolicyMismatch: flag(),
});

/** A complete analysis: every default filled in. */
export type CanarySpec = z.infer<typeof schema>;
export type MetricSpec = CanarySpec['analysis']['metrics'][number];
export type WebhookSpec = CanarySpec['analysis']['webhooks'][number];

/** Fields of Flagger's `Canary.spec` that a pasted spec may bring and that this version does not act on. */
export const UNSUPPORTED_FLAGGER = new Set([
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
