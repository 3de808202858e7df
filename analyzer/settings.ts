import { Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { formatDuration, parseDuration } from '../canary/duration.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../kube/log.ts';

/** What the launcher tells an analyzer: which run. */
export interface Target {
  namespace: string;
  deployment: string;
  uid: string;
  run: string;
  /** From 1. */
  attempt: number;
  /** Too many attempts died: undo, judge nothing. */
  rollbackOnly: boolean;
}

/** What the chart tells it: where it lives and what it may reach. */
export interface Settings {
  /** Sidestep's own namespace, where Leases are. */
  ownNamespace: string;
  jobName: string;
  prometheusUrl: string;
  propagationMs: number;
  /** Hosts outside the workload's namespace that hooks may call. */
  allowedHookHosts: string[];
  /** Where Deployments may be opted in; empty means everywhere. */
  namespaces: string[];
  /** Whether routes of other namespaces can be read. */
  clusterWide: boolean;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

const positive = (text: string): number => {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new InvalidArgumentError('allowed: a whole number from 1');
  return Number(text);
};

export function parseTarget(argv: readonly string[]): Target {
  const command = new Command('sidestep-analyzer')
    .description(
      'Analyses one held version of one Deployment and promotes or rolls it back. Started as a Job by the Sidestep webhook.',
    )
    .requiredOption('--namespace <name>', 'namespace of the Deployment')
    .requiredOption('--deployment <name>', 'name of the Deployment')
    .requiredOption('--uid <uid>', 'uid of the Deployment')
    .requiredOption('--run <id>', 'id of the run')
    .requiredOption('--attempt <n>', 'number of this attempt', positive)
    .option('--rollback-only', 'undo the run, judge nothing', false);
  return command.parse(argv).opts<Target>();
}

const milliseconds = z
  .string()
  .refine((text) => (parseDuration(text) ?? -1) >= 0 && parseDuration(text)! <= 60_000, {
    error: `allowed: a duration up to ${formatDuration(60_000)}`,
  })
  .transform((text) => parseDuration(text)!);

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

const schema = z.object({
  SIDESTEP_NAMESPACE: z.string({ error: 'is missing' }).min(1),
  JOB_NAME: z.string().min(1).default('sidestep-analyzer'),
  PROMETHEUS_URL: z.url({ protocol: /^https?$/, error: 'allowed: an http or https URL' }),
  PROPAGATION_DELAY: milliseconds.prefault('2s'),
  ALLOWED_HOOK_HOSTS: list.prefault(''),
  NAMESPACES: list.prefault(''),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  LOG_FORMAT: z.enum(LOG_FORMATS).default('json'),
});

type Environment = Record<string, string | undefined>;

const problems = ({ issues }: z.ZodError, env: Environment): Error =>
  new Error(
    issues
      .map((i) => `${i.path.join('.')} is ${JSON.stringify(env[String(i.path[0])] ?? null)}: ${i.message}`)
      .join('; '),
  );

/** @throws Error that names each variable, its value and what is allowed */
export function readSettings(env: Environment): Settings {
  const parsed = schema.safeParse(env);
  if (!parsed.success) throw problems(parsed.error, env);
  const { data } = parsed;
  return {
    ownNamespace: data.SIDESTEP_NAMESPACE,
    jobName: data.JOB_NAME,
    prometheusUrl: data.PROMETHEUS_URL,
    propagationMs: data.PROPAGATION_DELAY,
    allowedHookHosts: data.ALLOWED_HOOK_HOSTS,
    namespaces: data.NAMESPACES,
    clusterWide: data.NAMESPACES.length === 0,
    logLevel: data.LOG_LEVEL,
    logFormat: data.LOG_FORMAT,
  };
}

/** What the chart's pre-delete hook is told beside that. */
export interface UninstallSettings extends Settings {
  webhookDeployment: string;
  webhookConfigName: string;
  /** Of the webhook's own certificate; undefined where it is another's. */
  secretName: string | undefined;
  /** Whether a version that is held when Sidestep goes stays paused, or rolls out as it would have without Sidestep. */
  heldVersions: 'stay' | 'rollOut';
}

const uninstallSchema = z.object({
  WEBHOOK_DEPLOYMENT: z.string({ error: 'is missing' }).min(1),
  WEBHOOK_CONFIG_NAME: z.string({ error: 'is missing' }).min(1),
  SECRET_NAME: z.string().default(''),
  HELD_VERSIONS: z.enum(['stay', 'rollOut'], { error: 'allowed: stay or rollOut' }).default('stay'),
});

/** @throws Error that names each variable, its value and what is allowed */
export function readUninstallSettings(env: Environment): UninstallSettings {
  const parsed = uninstallSchema.safeParse(env);
  if (!parsed.success) throw problems(parsed.error, env);
  const { WEBHOOK_DEPLOYMENT, WEBHOOK_CONFIG_NAME, SECRET_NAME, HELD_VERSIONS } = parsed.data;
  return {
    ...readSettings(env),
    webhookDeployment: WEBHOOK_DEPLOYMENT,
    webhookConfigName: WEBHOOK_CONFIG_NAME,
    secretName: SECRET_NAME || undefined,
    heldVersions: HELD_VERSIONS,
  };
}
