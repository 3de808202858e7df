import { STATUS } from '../../canary/annotations.ts';
import { PROMOTED_CONDITION } from '../../canary/conditions.ts';
import { type RunStatus, statusAnnotation } from '../../canary/status.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Condition, Deployment } from '../../kube/types.ts';

const statusOf = ({ metadata }: Deployment) => ({
  namespace: metadata.namespace!,
  name: metadata.name,
  subresource: 'status' as const,
});

const asRead = ({ metadata: { uid, resourceVersion } }: Deployment) => ({ uid, resourceVersion });

/**
 * The report and the conditions in one patch of the status subresource: no webhook call, no new generation. The uid makes it fail on
 * another Deployment of the same name, the resourceVersion (`Conflict`) on one that was changed since `primary` was read.
 */
export function writeStatus(
  client: KubeClient,
  primary: Deployment,
  status: RunStatus,
  conditions: Condition[],
  signal: AbortSignal,
): Promise<Deployment> {
  const body = {
    metadata: { ...asRead(primary), annotations: statusAnnotation(status) },
    ...(conditions.length > 0 ? { status: { conditions } } : {}),
  };
  return client.patch<Deployment>(DEPLOYMENTS, statusOf(primary), 'strategic', body, { signal });
}

/** Takes the report and our condition away; fails like `writeStatus`. */
export function eraseStatus(client: KubeClient, primary: Deployment, signal: AbortSignal): Promise<Deployment> {
  const has = primary.status?.conditions?.some(({ type }) => type === PROMOTED_CONDITION);
  const body = {
    metadata: { ...asRead(primary), annotations: { [STATUS]: null } },
    ...(has ? { status: { conditions: [{ $patch: 'delete', type: PROMOTED_CONDITION }] } } : {}),
  };
  return client.patch<Deployment>(DEPLOYMENTS, statusOf(primary), 'strategic', body, { signal });
}
