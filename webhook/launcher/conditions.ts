import { RUN, STATUS } from '../../canary/annotations.ts';
import {
  condition,
  conditionOf,
  DEPLOYMENT_PAUSED,
  isDeadlineExceeded,
  PROGRESSING,
  PROMOTED_CONDITION,
  type PromotedReason,
} from '../../canary/conditions.ts';
import type { Run } from '../../canary/run.ts';
import { statusOf } from '../../canary/status.ts';
import type { Condition, KubeObject } from '../../kube/types.ts';

/** What the launcher keeps of a Deployment: some hundred bytes each, however large its template is. */
export interface WatchedDeployment extends KubeObject {
  status?: { conditions?: Condition[] };
}

const KEPT_ANNOTATIONS = [RUN, STATUS];
const KEPT_CONDITIONS = [PROGRESSING, PROMOTED_CONDITION];

export function keepDeployment({ metadata, status }: WatchedDeployment): WatchedDeployment {
  const { name, namespace, uid, resourceVersion, annotations = {} } = metadata;
  const kept = Object.entries(annotations).filter(([key]) => KEPT_ANNOTATIONS.includes(key));
  const conditions = status?.conditions?.filter(({ type }) => KEPT_CONDITIONS.includes(type)) ?? [];
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      annotations: Object.fromEntries(kept),
    },
    status: { conditions },
  };
}

/** What is said until the run's analyzer says more: of an analysis that is to come, or of one that was aborted before it began. */
const soFar = ({ id, phase }: Run): Pick<Condition, 'message'> & { reason: PromotedReason } =>
  phase === 'rejected'
    ? { reason: 'Aborted', message: `run ${id} was aborted before its analysis began` }
    : { reason: 'AnalysisStarting', message: `analysis of run ${id} is starting` };

/**
 * Whether conditions speak of another version than the one that is held or rejected: the verdict on the last one would be taken for this one's. Once
 * the analyzer has reported on the run, the conditions are its own.
 */
export function needsReset(deployment: WatchedDeployment, run: Run): boolean {
  if (statusOf(deployment)?.run === run.id) return false;
  const promoted = conditionOf(deployment, PROMOTED_CONDITION);
  return isDeadlineExceeded(deployment) || promoted?.status !== 'Unknown' || promoted.message !== soFar(run).message;
}

/** Strategic merge patch of `deployments/status`: conditions only. Refused (409) if the object is not as it was seen. */
export function resetPatch(deployment: WatchedDeployment, run: Run, now: Date): object {
  const promoted = condition(conditionOf(deployment, PROMOTED_CONDITION), now, {
    type: PROMOTED_CONDITION,
    status: 'Unknown',
    ...soFar(run),
  });
  const progressing = condition(conditionOf(deployment, PROGRESSING), now, {
    type: PROGRESSING,
    status: 'Unknown',
    reason: DEPLOYMENT_PAUSED,
    message: 'Deployment is paused',
  });
  return conditionsPatch(deployment, isDeadlineExceeded(deployment) ? [progressing, promoted] : [promoted]);
}

export const clearPatch = (deployment: WatchedDeployment): object =>
  conditionsPatch(deployment, [{ $patch: 'delete', type: PROMOTED_CONDITION }]);

const conditionsPatch = ({ metadata: { resourceVersion } }: WatchedDeployment, conditions: object[]): object => ({
  metadata: { resourceVersion },
  status: { conditions },
});
