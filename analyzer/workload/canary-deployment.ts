import { RUN_LABEL } from '../../canary/annotations.ts';
import { canaryDeploymentName } from '../../canary/names.ts';
import { DEPLOYMENTS, SERVICES } from '../../kube/resources.ts';
import type { Deployment, LabelSelector, OwnerReference, PodTemplate, Service } from '../../kube/types.ts';
import type { CanaryLabels } from './labels.ts';

export interface CanaryParts {
  labels: CanaryLabels;
  replicas: number;
  marks: Record<string, string>;
  owner: OwnerReference;
}

/** A Deployment of the held version with everything that the primary says of how its pods are to run, under labels of its own. */
export function buildCanaryDeployment(
  primary: Deployment,
  { labels, replicas, marks, owner }: CanaryParts,
): Deployment {
  const { paused: _paused, template, selector: _selector, replicas: _replicas, ...rest } = primary.spec;
  return {
    apiVersion: DEPLOYMENTS.apiVersion!,
    kind: DEPLOYMENTS.kind,
    metadata: {
      name: canaryDeploymentName(primary.metadata.name),
      namespace: primary.metadata.namespace!,
      labels: marks,
      ownerReferences: [owner],
    },
    spec: { ...rest, replicas, selector: labels.selector, template: canaryTemplate(template, labels) },
  };
}

function canaryTemplate(template: PodTemplate, { pod, changed }: CanaryLabels): PodTemplate {
  const { affinity, topologySpreadConstraints, ...spec } = template.spec;
  return {
    ...template,
    metadata: { ...template.metadata, labels: pod },
    spec: {
      ...spec,
      ...(affinity === undefined ? {} : { affinity: followed(affinity, changed) }),
      ...(topologySpreadConstraints === undefined
        ? {}
        : { topologySpreadConstraints: followed(topologySpreadConstraints, changed) }),
    },
  };
}

/** A template's own rules about pods like itself speak of the canary's pods now; rules about others stay. */
function followed<T>(rules: T, changed: CanaryLabels['changed']): T {
  return JSON.parse(JSON.stringify(rules), (field, value: unknown) => {
    if (field === 'labelSelector') return followedSelector(value as LabelSelector, changed);
    return value;
  }) as T;
}

function followedSelector(selector: LabelSelector, changed: CanaryLabels['changed']): LabelSelector {
  const to = (key: string, value: string): string => (changed.get(key)?.from === value ? changed.get(key)!.to : value);
  const { matchLabels, matchExpressions } = selector;
  return {
    ...selector,
    ...(matchLabels
      ? { matchLabels: Object.fromEntries(Object.entries(matchLabels).map(([k, v]) => [k, to(k, v)])) }
      : {}),
    ...(matchExpressions
      ? {
          matchExpressions: matchExpressions.map((e) =>
            e.values ? { ...e, values: e.values.map((v) => to(e.key, v)) } : e,
          ),
        }
      : {}),
  };
}

export interface CanaryServiceParts {
  name: string;
  labels: CanaryLabels;
  marks: Record<string, string>;
  owner: OwnerReference;
}

/** A Service with all ports of the primary's, before the canary's pods. */
export function buildCanaryService(service: Service, { name, labels, marks, owner }: CanaryServiceParts): Service {
  const selector = Object.fromEntries(
    [...Object.keys(service.spec.selector ?? {}), RUN_LABEL].map((key) => [key, labels.pod[key]!]),
  );
  const headless = service.spec.clusterIP === 'None' ? { clusterIP: 'None' } : {};
  return {
    apiVersion: SERVICES.apiVersion!,
    kind: SERVICES.kind,
    metadata: { name, namespace: service.metadata.namespace!, labels: marks, ownerReferences: [owner] },
    spec: {
      type: 'ClusterIP',
      selector,
      ...headless,
      ports: (service.spec.ports ?? []).map(({ nodePort: _, ...port }) => port),
    },
  };
}
