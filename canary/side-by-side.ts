import type { Deployment, PodSpec } from '../kube/types.ts';

/** Why two versions of a workload must not run at the same time, and the field that says so. */
export interface SideBySideProblem {
  field: string;
  message: string;
}

/** Volume sources that one node, or one pod, may write at a time unless they are mounted read-only. */
const SINGLE_WRITER = [
  'awsElasticBlockStore',
  'azureDisk',
  'cinder',
  'fc',
  'gcePersistentDisk',
  'iscsi',
  'persistentVolumeClaim',
  'photonPersistentDisk',
  'portworxVolume',
  'rbd',
  'scaleIO',
  'storageos',
  'vsphereVolume',
];

/** @returns the first sign in the Deployment that a second version beside the first would do harm */
export function sideBySideProblem({ spec }: Deployment): SideBySideProblem | undefined {
  if (spec.strategy?.type === 'Recreate') {
    return {
      field: 'spec.strategy.type',
      message: 'is Recreate, which says that two versions must not run at the same time',
    };
  }
  const pod = spec.template.spec;
  if (pod.hostNetwork) {
    return {
      field: 'spec.template.spec.hostNetwork',
      message: 'is true: canary and primary would compete for the same ports of a node',
    };
  }
  return hostPort(pod) ?? writableVolume(pod);
}

function hostPort({ containers, initContainers = [] }: PodSpec): SideBySideProblem | undefined {
  for (const container of [...containers, ...initContainers]) {
    const port = container.ports?.find((p) => p.hostPort);
    if (port) {
      const field = `spec.template.spec.containers[${container.name}].ports[${port.containerPort}].hostPort`;
      return { field, message: `is ${port.hostPort}: canary and primary would compete for it` };
    }
  }
  return undefined;
}

function writableVolume(pod: PodSpec): SideBySideProblem | undefined {
  for (const volume of pod.volumes ?? []) {
    const kind = SINGLE_WRITER.find((source) => volume[source] !== undefined);
    if (kind === undefined || (volume[kind] as { readOnly?: boolean }).readOnly || mountedReadOnly(pod, volume.name))
      continue;
    return {
      field: `spec.template.spec.volumes[${volume.name}].${kind}`,
      message: 'is writable and would be used by two versions at the same time',
    };
  }
  return undefined;
}

function mountedReadOnly({ containers, initContainers = [] }: PodSpec, volume: string): boolean {
  const mounts = [...containers, ...initContainers]
    .flatMap((c) => c.volumeMounts ?? [])
    .filter((m) => m.name === volume);
  return mounts.length > 0 && mounts.every((m) => m.readOnly);
}
