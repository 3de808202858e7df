import * as z from 'zod';
import { formatDuration, parseDuration } from '../canary/duration.ts';
import { describeProblems, readSpec } from '../canary/spec.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../kube/log.ts';

/** Compute resources of a container, as Kubernetes writes them. */
export interface Resources {
  requests?: Record<string, string> | undefined;
  limits?: Record<string, string> | undefined;
}

export interface AnalyzerConfig {
  image: string;
  serviceAccount: string;
  resources: Resources;
  /** Handed on to each Job as it is. */
  env: Record<string, string>;
}

export interface CertificateConfig {
  mode: 'own' | 'cert-manager';
  /** Of cert-manager's files. */
  folder: string;
  /** Of our own CA and certificate. */
  secretName: string;
  webhookConfigName: string;
  dnsNames: string[];
}

/** Who may call for a decision. */
export interface CallersConfig {
  /** PEM file with the CAs of callers' certificates; empty where callers need none. */
  caFile: string;
  /** Common names that are allowed; empty means all that a CA vouches for. */
  names: string[];
}

export interface WebhookConfig {
  /** Sidestep's own namespace: Jobs, Leases, the Secret. */
  ownNamespace: string;
  /** Where Deployments may be opted in; empty means everywhere. */
  namespaces: string[];
  analyzer: AnalyzerConfig;
  certificates: CertificateConfig;
  callers: CallersConfig;
  specDefaults: Record<string, unknown>;
  port: number;
  metricsPort: number;
  shutdownGraceMs: number;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

type Environment = Record<string, string | undefined>;

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const name = z
  .string({ error: 'is missing' })
  .regex(NAME, { error: 'the name of an object: lower-case letters, digits, - and .' });
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);
const names = list.refine((list) => list.every((part) => NAME.test(part)), { error: 'names, separated by commas' });
const port = z
  .string()
  .regex(/^\d{1,5}$/, { error: 'a port from 0 to 65535' })
  .transform(Number)
  .refine((n) => n <= 65_535, { error: 'a port from 0 to 65535' });

const MAX_GRACE_MS = 60_000;
const MAX_PROPAGATION_MS = 60_000;
const duration = (maxMs: number) =>
  z.string().refine((text) => (parseDuration(text) ?? Number.POSITIVE_INFINITY) <= maxMs, {
    error: `a duration from 0s to ${formatDuration(maxMs)}, such as 5s`,
  });

const quantities = z.record(z.string(), z.string()).optional();
const resources = z.strictObject({ requests: quantities, limits: quantities });

/** Analyzers are small: one Deployment, one watch, a query now and then. */
const DEFAULT_RESOURCES = JSON.stringify({ requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } });

const schema = z.object({
  SIDESTEP_NAMESPACE: name,
  NAMESPACES: names.prefault(''),
  ANALYZER_IMAGE: z.string({ error: 'is missing' }).regex(/^\S+$/, { error: 'the reference of an image' }),
  ANALYZER_SERVICE_ACCOUNT: name.default('sidestep-analyzer'),
  ANALYZER_RESOURCES: json(resources, 'JSON such as {"requests":{"memory":"64Mi"}}').prefault(DEFAULT_RESOURCES),
  PROMETHEUS_URL: z.url({ protocol: /^https?$/, error: 'an http or https URL' }),
  PROPAGATION_DELAY: duration(MAX_PROPAGATION_MS).default('2s'),
  ALLOWED_HOOK_HOSTS: z.string().default(''),
  SPEC_DEFAULTS: json(z.record(z.string(), z.unknown()), 'a JSON object').superRefine(checkDefaults).prefault('{}'),
  SERVICE_NAME: name.default('sidestep-webhook'),
  SECRET_NAME: name.default('sidestep-webhook-tls'),
  WEBHOOK_CONFIG_NAME: name.default('zz-sidestep'),
  CERT_MODE: z.enum(['own', 'cert-manager'], { error: 'own or cert-manager' }).default('own'),
  CERT_DIR: z.string().min(1).default('/etc/sidestep/tls'),
  CLIENT_CA_FILE: z.string().default(''),
  CLIENT_NAMES: list.prefault(''),
  PORT: port.prefault('8443'),
  METRICS_PORT: port.prefault('8080'),
  SHUTDOWN_GRACE: duration(MAX_GRACE_MS).default('5s'),
  LOG_LEVEL: z.enum(LOG_LEVELS, { error: LOG_LEVELS.join(', ') }).default('info'),
  LOG_FORMAT: z.enum(LOG_FORMATS, { error: LOG_FORMATS.join(', ') }).default('json'),
});

/** What each variable is for, in the order of `--help`. */
export const VARIABLES: Record<keyof z.infer<typeof schema>, string> = {
  SIDESTEP_NAMESPACE: 'namespace of Sidestep itself (required)',
  NAMESPACES: 'namespaces in which Deployments may be opted in, separated by commas (default: all)',
  ANALYZER_IMAGE: 'image of the analyzer (required)',
  ANALYZER_SERVICE_ACCOUNT: 'service account of the analyzer (default: sidestep-analyzer)',
  ANALYZER_RESOURCES: 'requests and limits of the analyzer, as JSON',
  PROMETHEUS_URL: 'where the analyzer asks for metrics (required)',
  PROPAGATION_DELAY: 'how long the mesh may take to follow a route change (default: 2s)',
  ALLOWED_HOOK_HOSTS: 'hosts outside their own namespace that hooks may call, separated by commas',
  SPEC_DEFAULTS: 'defaults of every analysis, as JSON',
  SERVICE_NAME: 'Service in front of this webhook (default: sidestep-webhook)',
  SECRET_NAME: 'Secret with CA and certificate, CERT_MODE own (default: sidestep-webhook-tls)',
  WEBHOOK_CONFIG_NAME: 'MutatingWebhookConfiguration that points here, CERT_MODE own (default: zz-sidestep)',
  CERT_MODE: 'own: a CA of our own, kept in the Secret; cert-manager: files in CERT_DIR (default: own)',
  CERT_DIR: 'folder with tls.crt and tls.key, CERT_MODE cert-manager (default: /etc/sidestep/tls)',
  CLIENT_CA_FILE: 'PEM file with the CAs of API servers; with it, nobody else is answered (default: all callers are)',
  CLIENT_NAMES: 'common names of API servers, separated by commas, CLIENT_CA_FILE (default: all)',
  PORT: 'HTTPS port of the webhook (default: 8443)',
  METRICS_PORT: 'HTTP port of /metrics, /healthz and /readyz (default: 8080)',
  SHUTDOWN_GRACE: 'how long to go on serving after SIGTERM (default: 5s)',
  LOG_LEVEL: `${LOG_LEVELS.join(', ')} (default: info)`,
  LOG_FORMAT: `${LOG_FORMATS.join(', ')} (default: json)`,
};

/** @throws Error with one line for each wrong variable: its name, its value, what is allowed */
export function readConfig(env: Environment): WebhookConfig {
  const known = Object.keys(VARIABLES).map((key) => [key, env[key] === '' ? undefined : env[key]]);
  const parsed = schema.safeParse(Object.fromEntries(known));
  if (!parsed.success) throw new Error(parsed.error.issues.map((issue) => describe(issue, env)).join('\n'));
  const c = parsed.data;
  return {
    ownNamespace: c.SIDESTEP_NAMESPACE,
    namespaces: c.NAMESPACES,
    analyzer: {
      image: c.ANALYZER_IMAGE,
      serviceAccount: c.ANALYZER_SERVICE_ACCOUNT,
      resources: c.ANALYZER_RESOURCES,
      env: {
        SIDESTEP_NAMESPACE: c.SIDESTEP_NAMESPACE,
        NAMESPACES: c.NAMESPACES.join(','),
        PROMETHEUS_URL: c.PROMETHEUS_URL,
        PROPAGATION_DELAY: c.PROPAGATION_DELAY,
        ALLOWED_HOOK_HOSTS: c.ALLOWED_HOOK_HOSTS,
        LOG_LEVEL: c.LOG_LEVEL,
        LOG_FORMAT: c.LOG_FORMAT,
      },
    },
    certificates: {
      mode: c.CERT_MODE,
      folder: c.CERT_DIR,
      secretName: c.SECRET_NAME,
      webhookConfigName: c.WEBHOOK_CONFIG_NAME,
      dnsNames: dnsNames(c.SERVICE_NAME, c.SIDESTEP_NAMESPACE),
    },
    callers: { caFile: c.CLIENT_CA_FILE, names: c.CLIENT_NAMES },
    specDefaults: c.SPEC_DEFAULTS,
    port: c.PORT,
    metricsPort: c.METRICS_PORT,
    shutdownGraceMs: parseDuration(c.SHUTDOWN_GRACE)!,
    logLevel: c.LOG_LEVEL,
    logFormat: c.LOG_FORMAT,
  };
}

/** The API server calls `SERVICE.NAMESPACE.svc`; the others are for people with curl. */
const dnsNames = (service: string, namespace: string): string[] => [
  `${service}.${namespace}.svc`,
  `${service}.${namespace}.svc.cluster.local`,
  `${service}.${namespace}`,
];

/** Text that must be JSON of a shape. */
function json<T>(shape: z.ZodType<T>, allowed: string) {
  return z.string().transform((text, ctx): T => {
    try {
      const parsed = shape.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch {
      // Reported below, as any other wrong value.
    }
    ctx.addIssue({ code: 'custom', message: allowed });
    return z.NEVER;
  });
}

function checkDefaults(defaults: Record<string, unknown>, ctx: z.RefinementCtx): void {
  const { problems } = readSpec({ defaults }, { name: '' });
  if (problems) ctx.addIssue({ code: 'custom', message: `an analysis, but ${describeProblems(problems)}` });
}

const MAX_SHOWN = 80;

function describe({ path, message }: z.core.$ZodIssue, env: Environment): string {
  const variable = String(path[0]);
  const value = env[variable];
  if (value === undefined || value === '')
    return `${variable} is missing: ${VARIABLES[variable as keyof typeof VARIABLES]}`;
  const shown = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN - 1)}…` : value;
  return `${variable} is ${JSON.stringify(shown)}; allowed: ${message}`;
}
