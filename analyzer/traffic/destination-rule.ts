import { DESTINATION_RULES } from '../../kube/resources.ts';
import type { OwnerReference } from '../../kube/types.ts';
import { withName } from './hosts.ts';
import type { DestinationRule } from './types.ts';

export interface MirrorOptions {
  name: string;
  namespace: string;
  canaryService: string;
  labels: Record<string, string>;
  owner: OwnerReference;
}

/**
 * The same rule for the canary's host: users meet the policy that they would meet at the primary. Subsets keep name and policy, because
 * routes name them, and lose their labels, because the canary's pods carry the new version's.
 */
export function mirrorRule(
  { spec }: DestinationRule,
  { name, namespace, canaryService, labels, owner }: MirrorOptions,
): DestinationRule {
  const subsets = spec.subsets?.map(({ labels: _, ...subset }) => subset);
  return {
    apiVersion: DESTINATION_RULES.apiVersion,
    kind: DESTINATION_RULES.kind,
    metadata: { name, namespace, labels, ownerReferences: [owner] },
    spec: { ...spec, host: withName(spec.host, canaryService), ...(subsets ? { subsets } : {}) },
  };
}

/** Names of the rules whose routed subset the new template's pods would leave, so that promotion would empty a route. */
export function subsetMismatch(
  rules: DestinationRule[],
  routed: readonly string[],
  templateLabels: Record<string, string>,
): string[] {
  return rules
    .filter(({ spec }) =>
      spec.subsets?.some(
        (s) => routed.includes(s.name) && Object.entries(s.labels ?? {}).some(([k, v]) => templateLabels[k] !== v),
      ),
    )
    .map(({ metadata }) => metadata.name);
}

/** Routed subsets that none of the rules defines: there is nothing to mirror, and the canary's share would meet no subset. */
export const undefinedSubsets = (rules: DestinationRule[], routed: readonly string[]): string[] =>
  routed.filter((name) => !rules.some(({ spec }) => spec.subsets?.some((s) => s.name === name)));
