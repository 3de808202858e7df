import type { ContainerStatus, Deployment, EndpointSlice, Pod } from '../../kube/types.ts';

/** How far the canary's pods are. */
export interface Readiness {
  wanted: number;
  ready: number;
  /** What keeps them from running at all, in the words of the scheduler, the kubelet or the API server. */
  problem?: string;
}

/** States of a waiting container that do not pass by themselves. */
const BROKEN = new Set([
  'ImagePullBackOff',
  'ErrImagePull',
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
  'CrashLoopBackOff',
  'RunContainerError',
]);

const MAX_CHARS = 300;

export function readinessOf(canary: Deployment, pods: Pod[]): Readiness {
  const { replicas: wanted = 1 } = canary.spec;
  const observed = (canary.status?.observedGeneration ?? 0) >= (canary.metadata.generation ?? 0);
  const ready = observed ? Math.min(canary.status?.updatedReplicas ?? 0, canary.status?.availableReplicas ?? 0) : 0;
  const problem =
    ready >= wanted ? undefined : (replicaFailure(canary) ?? pods.map(podProblem).find((p) => p !== undefined));
  return { wanted, ready, ...(problem === undefined ? {} : { problem: problem.slice(0, MAX_CHARS) }) };
}

/** Pods that proxies are told of; one pod may be in several slices: one for each family of addresses. */
export function readyEndpoints(slices: EndpointSlice[]): number {
  const pods = slices
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === 'Pod')
    .map(({ targetRef }) => targetRef!.name);
  return new Set(pods).size;
}

/** Pods that could not even be created: a quota, Pod Security, another admission webhook. */
function replicaFailure({ status }: Deployment): string | undefined {
  const condition = status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
  return condition && `${condition.reason}: ${condition.message}`;
}

function podProblem({ metadata, status }: Pod): string | undefined {
  const unscheduled = status?.conditions?.find(
    (c) => c.type === 'PodScheduled' && c.status === 'False' && c.reason === 'Unschedulable',
  );
  if (unscheduled) return `pod ${metadata.name}: Unschedulable: ${unscheduled.message}`;
  for (const container of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
    const problem = containerProblem(container);
    if (problem) return `pod ${metadata.name}, container ${container.name}: ${problem}`;
  }
  return undefined;
}

function containerProblem({ state }: ContainerStatus): string | undefined {
  const { waiting, terminated } = state ?? {};
  if (waiting?.reason && BROKEN.has(waiting.reason))
    return waiting.message ? `${waiting.reason}: ${waiting.message}` : waiting.reason;
  if (terminated?.exitCode)
    return `ended with exit code ${terminated.exitCode}${terminated.reason ? ` (${terminated.reason})` : ''}`;
  return undefined;
}
