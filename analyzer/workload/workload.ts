import { canaryDeploymentName, canaryServiceName } from '../../canary/names.ts';
import { isKubeError } from '../../kube/errors.ts';
import { DEPLOYMENTS, ENDPOINT_SLICES, PODS, type Resource, SERVICES } from '../../kube/resources.ts';
import type { Deployment, EndpointSlice, KubeObject, OwnerReference, Pod, Service } from '../../kube/types.ts';
import { fencedCreate, fencedDelete, fencedUpdate, stamp, type WriteDeps } from '../fenced-write.ts';
import { isOurs, marks, marksSelector } from '../marks.ts';
import { Refusal } from '../refusal.ts';
import { buildCanaryDeployment, buildCanaryService } from './canary-deployment.ts';
import type { CanaryLabels } from './labels.ts';
import { type Readiness, readinessOf, readyEndpoints } from './readiness.ts';

export type { Readiness } from './readiness.ts';

export interface WorkloadTarget {
  primary: Deployment;
  service: Service;
  labels: CanaryLabels;
  run: string;
  owner: OwnerReference;
}

/** The canary's own objects. */
export interface Workload {
  /** Creates what is missing; throws `Refusal` where a name is taken by somebody else, or the API server refuses the template. */
  prepare(replicas: number): Promise<void>;
  scale(replicas: number): Promise<void>;
  readiness(): Promise<Readiness>;
  pods(): Promise<Pod[]>;
}

export function createWorkload(deps: WriteDeps, target: WorkloadTarget): Workload {
  const { primary, service, labels, run, owner } = target;
  const namespace = primary.metadata.namespace!;
  const name = canaryDeploymentName(primary.metadata.name);
  const parts = { labels, owner, marks: marks(primary.metadata.name, run) };
  return {
    prepare: async (replicas) => {
      await ensure(
        deps,
        SERVICES,
        buildCanaryService(service, { ...parts, name: canaryServiceName(service.metadata.name) }),
        target,
      );
      await ensure(deps, DEPLOYMENTS, buildCanaryDeployment(primary, { ...parts, replicas }), target);
    },
    scale: async (replicas) => {
      await fencedUpdate<Deployment>(deps, DEPLOYMENTS, { namespace, name }, (canary) => {
        if (canary.spec.replicas === replicas) return false;
        canary.spec.replicas = replicas;
        stamp(canary, deps.fence);
        return true;
      });
    },
    readiness: () => readCanary(deps, target, name),
    pods: () => listMatching<Pod>(deps, PODS, namespace, labels.selector.matchLabels ?? {}),
  };
}

async function listMatching<T extends KubeObject>(
  { client, signal }: WriteDeps,
  resource: Resource,
  namespace: string,
  labels: Record<string, string>,
): Promise<T[]> {
  const labelSelector = Object.entries(labels)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
  return (await client.list<T>(resource, { namespace }, { signal, query: { labelSelector } })).items;
}

async function readCanary(
  deps: WriteDeps,
  { primary, service, labels }: WorkloadTarget,
  name: string,
): Promise<Readiness> {
  const namespace = primary.metadata.namespace!;
  const canary = await deps.client.get<Deployment>(DEPLOYMENTS, { namespace, name }, { signal: deps.signal });
  const first = readinessOf(canary, []);
  if (first.ready >= first.wanted) {
    // A pod that is ready but not yet among the endpoints gets no request from any proxy.
    const serviceName = canaryServiceName(service.metadata.name);
    const slices = await listMatching<EndpointSlice>(deps, ENDPOINT_SLICES, namespace, {
      'kubernetes.io/service-name': serviceName,
    });
    return { ...first, ready: Math.min(first.ready, readyEndpoints(slices)) };
  }
  if (first.problem) return first;
  return readinessOf(canary, await listMatching<Pod>(deps, PODS, namespace, labels.selector.matchLabels ?? {}));
}

/** Makes the object, or takes over the one that an earlier attempt of the same run made. */
async function ensure<T extends KubeObject>(
  deps: WriteDeps,
  resource: typeof DEPLOYMENTS,
  wanted: T,
  { primary, run, owner }: WorkloadTarget,
): Promise<void> {
  const { kind } = resource;
  const { name, namespace } = wanted.metadata;
  try {
    const { object, created } = await fencedCreate(deps, resource, wanted);
    if (created) return;
    if (!isOurs(object, primary.metadata.name, owner))
      throw new Refusal(
        `${kind} ${name} exists and is not Sidestep's: it is left alone, and the canary needs that name`,
      );
    if (object.metadata.labels?.['sidestep.dev/run'] !== run)
      throw new Refusal(
        `${kind} ${name} is left over from another run of ${primary.metadata.name}; delete it and retry`,
      );
    await fencedUpdate(deps, resource, { namespace: namespace!, name }, (o) => {
      stamp(o, deps.fence);
      return true;
    });
  } catch (e) {
    if (isKubeError(e, 422) || isKubeError(e, 403) || isKubeError(e, 400))
      throw new Refusal(`the API server refuses ${kind} ${name}: ${e.message}`, 'CanaryNotRunnable');
    throw e;
  }
}

/** Canary Deployment and Service of a primary, by their marks alone. Gone already is fine. */
export async function removeCanary(deps: WriteDeps, namespace: string, primary: string): Promise<void> {
  const query = { labelSelector: marksSelector(primary) };
  for (const resource of [DEPLOYMENTS, SERVICES]) {
    const { items } = await deps.client.list(resource, { namespace }, { signal: deps.signal, query });
    for (const object of items) await fencedDelete(deps, resource, object);
  }
}
