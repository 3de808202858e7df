import {
  ATTEMPT_LABEL,
  DEPLOYMENT_UID_LABEL,
  JOB_DEPLOYMENT,
  JOB_NAMESPACE,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  RUN_LABEL,
} from '../../canary/annotations.ts';
import { parseDuration } from '../../canary/duration.ts';
import { jobName } from '../../canary/names.ts';
import type { Run } from '../../canary/run.ts';
import { JOBS } from '../../kube/resources.ts';
import type { Container, Job, PodSpec } from '../../kube/types.ts';
import type { AnalyzerConfig } from '../config.ts';

/** One attempt at one run: what the name of its Job is made of, and what its analyzer is told. */
export interface Attempt {
  uid: string;
  namespace: string;
  deployment: string;
  run: string;
  /** From 1. */
  attempt: number;
  /** Undo, judge nothing. */
  rollbackOnly: boolean;
  deadlineSeconds: number;
}

/** Enough for its log to be read, and for the launcher, however long it was away, to see how the attempt ended. */
const KEEP_FINISHED_SECONDS = 3600;
/** Scaling by a few pods, and the mesh that follows a route. A slow start of pods has its own deadline in the spec. */
const STEP_OVERHEAD_SECONDS = 60;
/** Pulling the image, waiting for a node, finding the objects, draining, removing the canary. */
const SLACK_SECONDS = 900;

/** An attempt that outlives its deadline while its run is paused is followed by one that may watch over it for so long. */
const MAX_PAUSE_SECONDS = 7 * 86_400;

/**
 * When Kubernetes ends an attempt that hangs. The longest run that goes on as it should: every step and every failed check takes an
 * interval, its hooks and the scaling; evidence may be waited for once in full; canary and primary may each take their deadline to get
 * ready. A run that waits for evidence more than once may outlive this: its next attempt goes on where it was.
 */
export function deadlineSeconds({
  spec: { analysis, progressDeadlineSeconds },
  order,
}: Pick<Run, 'spec' | 'order'>): number {
  const seconds = (duration: string) => (parseDuration(duration) ?? 0) / 1000;
  const checks = Math.ceil(analysis.maxWeight / analysis.stepWeight) + analysis.threshold + 1;
  const hooks = analysis.webhooks.reduce((sum, { timeout }) => sum + seconds(timeout), 0);
  const perCheck = seconds(analysis.interval) + hooks + STEP_OVERHEAD_SECONDS;
  const paused = order?.command === 'pause' ? MAX_PAUSE_SECONDS : 0;
  return Math.ceil(
    checks * perCheck + seconds(analysis.holdTimeout) + 2 * progressDeadlineSeconds + paused + SLACK_SECONDS,
  );
}

interface AnalyzerContainer extends Container {
  args: string[];
  env: { name: string; value: string }[];
  resources: object;
  securityContext: object;
}

/** The Job of an attempt. Its name says which attempt it is, so that two replicas cannot start it twice. */
export function analyzerJob(
  attempt: Attempt,
  ownNamespace: string,
  { image, serviceAccount, resources, env }: AnalyzerConfig,
): Job {
  const name = jobName(attempt.uid, attempt.run, attempt.attempt);
  const labels = {
    [MANAGED_BY_LABEL]: MANAGED_BY,
    [RUN_LABEL]: attempt.run,
    [DEPLOYMENT_UID_LABEL]: attempt.uid,
    [ATTEMPT_LABEL]: String(attempt.attempt),
  };
  const annotations = { [JOB_NAMESPACE]: attempt.namespace, [JOB_DEPLOYMENT]: attempt.deployment };
  const container: AnalyzerContainer = {
    name: 'analyzer',
    image,
    // A small young generation keeps a process small that makes little garbage.
    args: ['--max-semi-space-size=1', '/app/analyzer.mjs', ...argumentsOf(attempt)],
    env: Object.entries({ ...env, JOB_NAME: name }).map(([key, value]) => ({ name: key, value })),
    resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
  const spec: PodSpec = {
    serviceAccountName: serviceAccount,
    restartPolicy: 'Never',
    enableServiceLinks: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [container],
  };
  const noSidecar = { 'sidecar.istio.io/inject': 'false' };
  return {
    apiVersion: JOBS.apiVersion,
    kind: JOBS.kind,
    metadata: { name, namespace: ownNamespace, labels, annotations },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: attempt.deadlineSeconds,
      ttlSecondsAfterFinished: KEEP_FINISHED_SECONDS,
      template: {
        metadata: { labels: { ...labels, ...noSidecar }, annotations: { ...annotations, ...noSidecar } },
        spec,
      },
    },
  };
}

function argumentsOf({ namespace, deployment, uid, run, attempt, rollbackOnly }: Attempt): string[] {
  const named = { namespace, deployment, uid, run, attempt: String(attempt) };
  return [
    ...Object.entries(named).flatMap(([key, value]) => [`--${key}`, value]),
    ...(rollbackOnly ? ['--rollback-only'] : []),
  ];
}

/** An attempt as its Job tells it. */
export interface PastAttempt extends Attempt {
  state: 'active' | 'complete' | 'failed';
  /** When it completed or failed, in ms since the epoch, by the API server's clock; undefined while it is active. */
  endedMs?: number;
  /** Kubernetes ended it at its deadline: it did not die. */
  expired?: true;
}

/** Reads a Job; undefined if it is none of ours. */
export function readJob({ metadata, spec, status }: Job): PastAttempt | undefined {
  const { labels = {}, annotations = {} } = metadata;
  const [run, uid, attempt] = [labels[RUN_LABEL], labels[DEPLOYMENT_UID_LABEL], Number(labels[ATTEMPT_LABEL])];
  const [namespace, deployment] = [annotations[JOB_NAMESPACE], annotations[JOB_DEPLOYMENT]];
  if (!run || !uid || !namespace || !deployment || !Number.isInteger(attempt) || attempt < 1) return undefined;
  const end = status?.conditions?.find(
    ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  );
  const known = {
    uid,
    namespace,
    deployment,
    run,
    attempt,
    rollbackOnly: false,
    deadlineSeconds: spec.activeDeadlineSeconds ?? KEEP_FINISHED_SECONDS,
  };
  if (!end) return { ...known, state: 'active' };
  const endedMs = Date.parse(end.lastTransitionTime ?? metadata.creationTimestamp ?? '') || 0;
  const expired = end.type === 'Failed' && end.reason === 'DeadlineExceeded';
  return {
    ...known,
    state: end.type === 'Complete' ? 'complete' : 'failed',
    endedMs,
    ...(expired ? { expired } : {}),
  };
}
