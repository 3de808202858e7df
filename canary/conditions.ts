import type { Condition, Deployment } from '../kube/types.ts';

/** Ours, beside the Deployment controller's own: Unknown while a version is analysed, True once promoted, False once rejected. */
export const PROMOTED_CONDITION = 'Promoted';

/** Kubernetes' own words: a Deployment with this reason makes `kubectl rollout status` and kstatus report failure. */
export const PROGRESSING = 'Progressing';
export const DEADLINE_EXCEEDED = 'ProgressDeadlineExceeded';
/** What the Deployment controller sets on a paused Deployment that has no failure recorded. */
export const DEPLOYMENT_PAUSED = 'DeploymentPaused';
export const AVAILABLE = 'Available';

export type PromotedReason =
  | 'AnalysisStarting'
  | 'Analysing'
  | 'WaitingForTraffic'
  | 'MetricsUnavailable'
  | 'Paused'
  | 'Promoting'
  | 'Promoted'
  | 'RolledBack'
  | 'Aborted'
  | 'CanaryNotReady'
  | 'CanaryNotRunnable'
  | 'PromotionFailed'
  | 'InvalidTarget';

export const conditionOf = (d: Pick<Deployment, 'status'>, type: string): Condition | undefined =>
  d.status?.conditions?.find((c) => c.type === type);

export const isDeadlineExceeded = (d: Pick<Deployment, 'status'>): boolean =>
  conditionOf(d, PROGRESSING)?.reason === DEADLINE_EXCEEDED;

/** Whether every wanted pod runs the current template and is available: the Deployment controller's own rule for a complete rollout. */
export function rolloutComplete(d: Deployment): boolean {
  const wanted = d.spec.replicas ?? 1;
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = d.status ?? {};
  return (
    observedGeneration >= (d.metadata.generation ?? 0) &&
    updatedReplicas === wanted &&
    replicas === wanted &&
    availableReplicas === wanted
  );
}

/** A condition with its times set; the transition time is kept while the status stays the same. */
export function condition(
  previous: Condition | undefined,
  now: Date,
  next: Omit<Condition, 'lastUpdateTime' | 'lastTransitionTime'>,
): Condition {
  const time = now.toISOString().replace(/\.\d+Z$/, 'Z');
  const lastTransitionTime = previous?.status === next.status ? (previous.lastTransitionTime ?? time) : time;
  return { ...next, lastUpdateTime: time, lastTransitionTime };
}
