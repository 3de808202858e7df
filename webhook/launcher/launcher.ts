import { MANAGED_BY, MANAGED_BY_LABEL, WATCHED_LABEL } from '../../canary/annotations.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { DEPLOYMENTS, JOBS, type Resource } from '../../kube/resources.ts';
import type { Job, KubeObject } from '../../kube/types.ts';
import { type Informer, type InformerOptions, startInformer } from '../../kube/watch.ts';
import type { AnalyzerConfig } from '../config.ts';
import type { Metrics } from '../server/metrics.ts';
import { clearPatch, keepDeployment, resetPatch, type WatchedDeployment } from './conditions.ts';
import { type Attempt, analyzerJob, type PastAttempt, readJob } from './job.ts';
import { type Action, plan } from './plan.ts';
import { WorkQueue } from './queue.ts';

export interface LauncherOptions {
  client: KubeClient;
  ownNamespace: string;
  /** Empty means all. */
  namespaces: readonly string[];
  analyzer: AnalyzerConfig;
  metrics: Pick<Metrics, 'launched' | 'launcherFailed' | 'watchFailed'>;
  log: Log;
  signal: AbortSignal;
  now: () => Date;
  random?: () => number;
}

export interface Launcher {
  /** The watches that have not seen everything yet; empty when the launcher works. */
  pending(): string[];
}

/**
 * Sees to it that every run has its analyzer. Level-triggered: what to do follows from what is there, not from what happened, so that
 * restarts and lost events do no harm. Every replica does the same; names of Jobs and versions of objects let one of them through.
 */
export function startLauncher(options: LauncherOptions): Launcher {
  return new RunLauncher(options);
}

class RunLauncher implements Launcher {
  readonly #options: LauncherOptions;
  readonly #queue: WorkQueue;
  readonly #jobs: Informer<Job>;
  readonly #deployments: Informer<WatchedDeployment>[];
  /** By uid: what else is known of a Deployment is known by it alone. */
  readonly #byUid = new Map<string, WatchedDeployment>();
  /** When this process saw an attempt ended, by its own clock: the API server's may be ahead, and a back-off must end. */
  readonly #seenMs = new WeakMap<Job, number>();
  readonly #givenUp = new Set<string>();

  constructor(options: LauncherOptions) {
    const { namespaces, ownNamespace, signal, log, metrics, random } = options;
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (uid) => this.#bringUpToDate(uid),
      onError: (uid, error) => {
        metrics.launcherFailed();
        log.error('launcher failed, trying again', { deploymentUid: uid, error: error as Error });
      },
      ...(random ? { random } : {}),
    });
    signal.addEventListener('abort', () => this.#queue.stop(), { once: true });
    this.#jobs = this.#watch<Job>(JOBS, {
      target: { namespace: ownNamespace },
      query: { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` },
      keep: keepJob,
      onChange: (job) => this.#look(readJob(job)?.uid),
    });
    this.#deployments = (namespaces.length > 0 ? namespaces : [undefined]).map((namespace) =>
      this.#watch<WatchedDeployment>(DEPLOYMENTS, {
        target: { namespace },
        query: { labelSelector: `${WATCHED_LABEL}=true` },
        keep: keepDeployment,
        onChange: (deployment, deleted) => this.#note(deployment, deleted),
      }),
    );
  }

  pending(): string[] {
    const watches: [string, Informer<KubeObject>][] = [
      ['watch of Jobs', this.#jobs],
      ...this.#deployments.map((informer): [string, Informer<KubeObject>] => ['watch of Deployments', informer]),
    ];
    return watches.filter(([, informer]) => !informer.synced()).map(([name]) => name);
  }

  #watch<T extends KubeObject>(
    resource: Resource,
    options: Pick<InformerOptions<T>, 'target' | 'query' | 'keep' | 'onChange'>,
  ): Informer<T> {
    const { client, signal, log, metrics, random } = this.#options;
    return startInformer<T>({
      client,
      resource,
      signal,
      ...options,
      ...(random ? { random } : {}),
      onSynced: () => this.#lookAtAll(),
      onError: (error) => {
        metrics.watchFailed(resource.plural);
        log.warn('watch failed, trying again', { resource: resource.plural, error: error as Error });
      },
    });
  }

  #note(deployment: WatchedDeployment, deleted: boolean): void {
    const { uid } = deployment.metadata;
    if (!uid) return;
    if (deleted) this.#byUid.delete(uid);
    else this.#byUid.set(uid, deployment);
    this.#look(uid);
  }

  /** Nothing is decided on half of the facts: an attempt that is not seen yet is not a missing one. */
  #look(uid: string | undefined): void {
    if (uid !== undefined && this.pending().length === 0) this.#queue.add(uid);
  }

  #lookAtAll(): void {
    if (this.pending().length > 0) return;
    const ofJobs = this.#jobs.items().map((job) => readJob(job)?.uid);
    for (const uid of new Set([...this.#byUid.keys(), ...ofJobs])) this.#look(uid);
  }

  async #bringUpToDate(uid: string): Promise<number | undefined> {
    const nowMs = this.#options.now().getTime();
    const actions = plan({ deployment: this.#present(uid), attempts: this.#attempts(uid, nowMs) }, nowMs);
    const results = await Promise.allSettled(actions.map((action) => this.#act(action)));
    const failed = results.find((r) => r.status === 'rejected');
    if (failed) throw failed.reason;
    const waits = actions.flatMap((action) => (action.kind === 'wait' ? [action.untilMs - nowMs] : []));
    return waits.length > 0 ? Math.min(...waits) : undefined;
  }

  /** An object that was replaced by one of the same name between two lists is gone, without an event of its own. */
  #present(uid: string): WatchedDeployment | undefined {
    const known = this.#byUid.get(uid);
    if (!known) return undefined;
    const { namespace, name } = known.metadata;
    if (this.#deployments.some((informer) => informer.get(namespace, name)?.metadata.uid === uid)) return known;
    this.#byUid.delete(uid);
    return undefined;
  }

  #attempts(uid: string, nowMs: number): PastAttempt[] {
    return this.#jobs.items().flatMap((job) => {
      const attempt = readJob(job);
      if (attempt?.uid !== uid) return [];
      if (attempt.endedMs === undefined) return [attempt];
      if (!this.#seenMs.has(job)) this.#seenMs.set(job, nowMs);
      const seenMs = this.#seenMs.get(job)!;
      // What is waited for after a clean end is our own copy of the Deployment.
      return [{ ...attempt, endedMs: attempt.state === 'complete' ? seenMs : Math.min(attempt.endedMs, seenMs) }];
    });
  }

  async #act(action: Action): Promise<void> {
    if (action.kind === 'launch') return this.#launch(action.attempt);
    if (action.kind === 'give-up') return this.#giveUp(action.attempt);
    if (action.kind === 'wait') return;
    const { deployment } = action;
    const patch =
      action.kind === 'clear-condition'
        ? clearPatch(deployment)
        : resetPatch(deployment, action.run, this.#options.now());
    await this.#patchConditions(action.kind, deployment, patch);
  }

  async #launch(attempt: Attempt): Promise<void> {
    const { client, ownNamespace, analyzer, metrics, log, signal } = this.#options;
    const { namespace, deployment, run, rollbackOnly } = attempt;
    const job = analyzerJob(attempt, ownNamespace, analyzer);
    try {
      await client.create<Job>(JOBS, { namespace: ownNamespace }, job, { signal });
      metrics.launched('launch');
      log.info('analyzer started', {
        namespace,
        deployment,
        run,
        attempt: attempt.attempt,
        rollbackOnly,
        job: job.metadata.name,
      });
    } catch (e) {
      if (!isAlreadyExists(e)) throw e;
      // The other replica was faster; its Job is on its way to our watch.
      metrics.launched('exists');
    }
  }

  #giveUp({ namespace, deployment, run, attempt }: PastAttempt): void {
    if (this.#givenUp.has(run)) return;
    this.#givenUp.add(run);
    this.#options.metrics.launched('give-up');
    this.#options.log.error('run given up: every attempt died', { namespace, deployment, run, attempts: attempt });
  }

  async #patchConditions(
    kind: string,
    { metadata: { namespace, name } }: WatchedDeployment,
    patch: object,
  ): Promise<void> {
    const { client, metrics, log, signal } = this.#options;
    try {
      await client.patch(DEPLOYMENTS, { namespace, name, subresource: 'status' }, 'strategic', patch, { signal });
      metrics.launched(kind);
      log.info('conditions put right', { namespace, deployment: name, action: kind });
    } catch (e) {
      // Changed, or gone, since we saw it: the event that tells us so brings the next look.
      if (!isConflict(e) && !isNotFound(e)) throw e;
    }
  }
}

function keepJob({ metadata, spec, status }: Job): Job {
  const { managedFields: _, ...kept } = metadata;
  return {
    metadata: kept,
    spec: { template: { spec: { containers: [] } }, ...deadline(spec) },
    ...(status ? { status } : {}),
  };
}

const deadline = ({ activeDeadlineSeconds }: Job['spec']) =>
  activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds };
