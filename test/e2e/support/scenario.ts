import { stringify } from 'yaml';
import { CANARY, COMMAND, DEPLOYMENT_UID_LABEL, ENABLED, PHASE, SPEC } from '../../../canary/annotations.ts';
import { canaryDeploymentName } from '../../../canary/names.ts';
import { type Run, runOf } from '../../../canary/run.ts';
import { type RunStatus, statusOf } from '../../../canary/status.ts';
import type { KubeClient } from '../../../kube/client.ts';
import { isNotFound } from '../../../kube/errors.ts';
import {
  DEPLOYMENTS,
  DESTINATION_RULES,
  JOBS,
  PODS,
  REPLICA_SETS,
  SERVICES,
  VIRTUAL_SERVICES,
} from '../../../kube/resources.ts';
import type { Deployment, Job, KubeObject, Pod, ReplicaSet } from '../../../kube/types.ts';
import * as fixtures from '../../fixtures/manifests.ts';
import { connect, eventually, must, type Result, run } from './cluster.ts';
import { NAMESPACE } from './install.ts';
import { findLoad, type Load, total } from './load.ts';

/**
 * The tutorial's analysis, an interval of seconds instead of a minute. The limit of the duration leaves room for a machine whose two cores
 * start pods of other scenarios meanwhile; the scenario of the slow version sets the tutorial's own.
 */
export const QUICK = {
  progressDeadlineSeconds: 60,
  service: { port: 9080, targetPort: 9080 },
  analysis: {
    interval: '3s',
    threshold: 3,
    maxWeight: 50,
    stepWeight: 10,
    metrics: [
      { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '3s' },
      { name: 'request-duration', thresholdRange: { max: 2500 }, interval: '3s' },
    ],
  },
};

/** Long enough at each weight that something can happen meanwhile. */
export const SLOW = { ...QUICK, analysis: { ...QUICK.analysis, interval: '8s' } };

/** By thresholds alone, as the tutorial judges. */
export const THRESHOLDS = { ...QUICK, analysis: { ...QUICK.analysis, compare: { enabled: false } } };

type Spec = typeof QUICK | Record<string, unknown>;

export interface Version {
  version: string;
  env?: Record<string, string>;
  replicas?: number;
  spec?: Spec | null;
  image?: string;
  annotations?: Record<string, string>;
  change?: (deployment: Deployment) => void;
}

export interface ScenarioOptions {
  /** Requests per second; 0 for none. */
  rate?: number;
  replicas?: number;
  spec?: Spec;
  optIn?: boolean;
  /** Environment of the first version. */
  env?: Record<string, string>;
  /** How the first version is applied: the two kinds of apply own fields differently. */
  how?: 'apply' | 'applyServerSide';
  /** What else the namespace gets before the load starts. */
  objects?: (namespace: string) => KubeObject[];
}

/** One namespace with reviews v1 opted in and a user load on it. */
export class Scenario {
  readonly client: KubeClient = connect();
  readonly namespace: string;
  readonly options: Required<Pick<ScenarioOptions, 'rate' | 'replicas' | 'spec' | 'optIn'>> & ScenarioOptions;
  load!: Load;

  constructor(name: string, options: ScenarioOptions) {
    this.namespace = `e2e-${name}-${Math.random().toString(36).slice(2, 7)}`;
    this.options = { rate: 25, replicas: 1, spec: QUICK, optIn: true, ...options };
  }

  async begin(): Promise<this> {
    const { namespace, options } = this;
    await this.kubectlApply(fixtures.namespace(namespace, { injection: true }));
    await this.kubectlApply(fixtures.reviewsService({ namespace }), ...(options.objects?.(namespace) ?? []));
    await this[options.how ?? 'apply']({ version: 'v1', ...(options.env ? { env: options.env } : {}) });
    await must('kubectl', ['-n', namespace, 'rollout', 'status', 'deployment/reviews', '--timeout=90s']);
    if (options.rate > 0) await this.startLoad();
    return this;
  }

  async startLoad(): Promise<void> {
    const { namespace, client, options } = this;
    await this.kubectlApply(
      fixtures.loadgen({ namespace, target: 'http://reviews:9080/reviews/1', rate: options.rate }),
    );
    this.load = await eventually('a running load generator', 60_000, () =>
      findLoad(client, namespace).catch(() => undefined),
    );
    await eventually('steady load', 60_000, async () => total(await this.load.stats()) > options.rate);
    // What failed while the sidecars were starting says nothing about Sidestep.
    await this.load.reset();
  }

  async end(): Promise<void> {
    await run('kubectl', ['delete', 'namespace', this.namespace, '--wait=false']);
  }

  /** The manifest that a user would have in a repository. */
  manifest({
    version,
    env,
    replicas = this.options.replicas,
    spec = this.options.spec,
    image,
    annotations,
    change,
  }: Version): Deployment {
    const optIn = this.options.optIn && spec !== null ? { [CANARY]: ENABLED, [SPEC]: stringify(spec) } : {};
    const deployment = fixtures.reviewsDeployment({
      namespace: this.namespace,
      version,
      replicas,
      annotations: { ...optIn, ...annotations },
      ...(env ? { env } : {}),
      ...(image ? { image } : {}),
    }) as unknown as Deployment;
    change?.(deployment);
    return deployment;
  }

  /** `kubectl apply` of objects, client-side. */
  kubectlApply(...objects: object[]): Promise<Result> {
    return must('kubectl', ['apply', '-f', '-'], objects.map((o) => JSON.stringify(o)).join('\n---\n'));
  }

  apply(version: Version): Promise<Result> {
    return this.kubectlApply(this.manifest(version));
  }

  applyServerSide(version: Version): Promise<Result> {
    return must(
      'kubectl',
      ['apply', '--server-side', '--field-manager=gitops', '-f', '-'],
      JSON.stringify(this.manifest(version)),
    );
  }

  /** `kubectl ARGS -f -` with a manifest; never throws. */
  kubectlSends(args: readonly string[], manifest: object): Promise<Result> {
    return run('kubectl', ['-n', this.namespace, ...args, '-f', '-'], JSON.stringify(manifest));
  }

  command(order: string): Promise<Result> {
    return must('kubectl', ['-n', this.namespace, 'annotate', 'deployment/reviews', `${COMMAND}=${order}`]);
  }

  kubectl(...args: string[]): Promise<Result> {
    return run('kubectl', ['-n', this.namespace, ...args]);
  }

  async primary(): Promise<Deployment> {
    return this.client.get<Deployment>(DEPLOYMENTS, { namespace: this.namespace, name: 'reviews' });
  }

  async canary(): Promise<Deployment | undefined> {
    return this.find<Deployment>(DEPLOYMENTS, canaryDeploymentName('reviews'));
  }

  async find<T extends KubeObject>(resource: typeof DEPLOYMENTS, name: string): Promise<T | undefined> {
    try {
      return await this.client.get<T>(resource, { namespace: this.namespace, name });
    } catch (e) {
      if (isNotFound(e)) return undefined;
      throw e;
    }
  }

  async run(): Promise<Run | undefined> {
    return runOf(await this.primary());
  }

  async status(): Promise<RunStatus | undefined> {
    return statusOf(await this.primary());
  }

  /** Waits until the analyzer reports this. */
  reported(what: string, timeoutMs: number, fits: (status: RunStatus) => boolean): Promise<RunStatus> {
    return eventually(what, timeoutMs, async () => {
      const status = await this.status();
      return status && fits(status) ? status : undefined;
    });
  }

  weight(percent: number, timeoutMs = 60_000): Promise<RunStatus> {
    return this.reported(`weight ${percent}`, timeoutMs, (s) => s.phase === 'Progressing' && s.weight >= percent);
  }

  /** Waits for the end of the run; one that ends otherwise is told with its reason. */
  async ended(phase: 'Succeeded' | 'Failed', timeoutMs = 150_000): Promise<RunStatus> {
    const current = (await this.run())?.id;
    const status = await this.reported(
      'the end of the run',
      timeoutMs,
      (s) => ['Succeeded', 'Failed'].includes(s.phase) && (!current || s.run === current),
    );
    if (status.phase !== phase) throw new Error(`the run ended ${status.phase}: ${status.message}`);
    return status;
  }

  /** Everything that a run makes is gone again. */
  nothingLeft(timeoutMs = 60_000): Promise<true> {
    return eventually('no canary, route or rule of ours left', timeoutMs, async () => {
      const { namespace } = this;
      const kinds = [DEPLOYMENTS, SERVICES, VIRTUAL_SERVICES, DESTINATION_RULES];
      const lists = await Promise.all(
        kinds.map((k) =>
          this.client.list(k, { namespace }, { query: { labelSelector: 'app.kubernetes.io/managed-by=sidestep' } }),
        ),
      );
      return lists.every(({ items }) => items.length === 0) as true;
    });
  }

  pods(selector = 'app=reviews'): Promise<Pod[]> {
    return this.client
      .list<Pod>(PODS, { namespace: this.namespace }, { query: { labelSelector: selector } })
      .then(({ items }) => items);
  }

  replicaSets(): Promise<ReplicaSet[]> {
    return this.client
      .list<ReplicaSet>(REPLICA_SETS, { namespace: this.namespace }, { query: { labelSelector: 'app=reviews' } })
      .then(({ items }) => items);
  }

  /** Jobs of this Deployment, oldest first. */
  async jobs(): Promise<Job[]> {
    const { metadata } = await this.primary();
    return jobsOf(this.client, metadata.uid!);
  }

  phase(): Promise<string | undefined> {
    return this.primary().then((p) => p.metadata.annotations?.[PHASE]);
  }
}

export async function jobsOf(client: KubeClient, uid: string): Promise<Job[]> {
  const { items } = await client.list<Job>(
    JOBS,
    { namespace: NAMESPACE },
    { query: { labelSelector: `${DEPLOYMENT_UID_LABEL}=${uid}` } },
  );
  return items.sort((a, b) => (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? ''));
}

/** Runs the body in a scenario of its own, which goes away whatever happens. */
export async function inScenario(
  name: string,
  options: ScenarioOptions,
  body: (s: Scenario) => Promise<void>,
): Promise<void> {
  const scenario = new Scenario(name, options);
  try {
    await scenario.begin();
    await body(scenario);
  } finally {
    await scenario.end();
  }
}

/** As `inScenario`, with several that are set up side by side; their names tell them apart. */
export async function inScenarios<Name extends string>(
  options: Record<Name, ScenarioOptions>,
  body: (scenarios: Record<Name, Scenario>) => Promise<void>,
): Promise<void> {
  const named = Object.entries<ScenarioOptions>(options).map(([name, o]) => [name, new Scenario(name, o)] as const);
  try {
    const begun = await Promise.allSettled(named.map(([, scenario]) => scenario.begin()));
    for (const result of begun) if (result.status === 'rejected') throw result.reason;
    await body(Object.fromEntries(named) as Record<Name, Scenario>);
  } finally {
    for (const [, scenario] of named) await scenario.end();
  }
}
