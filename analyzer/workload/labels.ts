import { RUN_LABEL } from '../../canary/annotations.ts';
import { canaryLabelValue } from '../../canary/names.ts';
import type { Deployment, KubeObject, LabelSelector, Service } from '../../kube/types.ts';
import { Refusal } from '../refusal.ts';
import { changeableKeys, selectorMatches } from './selectors.ts';

type Labels = Record<string, string>;

export interface PodDisruptionBudget extends KubeObject {
  /** policy/v1: an empty selector selects every pod of the namespace, an absent one none. */
  spec: { selector?: LabelSelector | null };
}

/** What sets the canary's pods apart from the primary's. */
export interface CanaryLabels {
  /** Labels of the canary's pods. */
  pod: Labels;
  /** Selector of the canary Deployment. */
  selector: LabelSelector;
  /** Labels that have another value than the primary's. */
  changed: Map<string, { from: string; to: string }>;
}

/** Which selector label is changed first: those that say whose pods they are, as charts and tutorials use them. */
const PREFERRED = ['app.kubernetes.io/name', 'app', 'name'];

/**
 * Labels with which the canary's pods belong to nothing of the primary: neither its ReplicaSets, nor a Service, nor a disruption
 * budget. As few as possible are changed, and rather none that a policy looks at.
 * Throws `Refusal` where labels cannot tell the two apart.
 */
export function canaryLabels(
  primary: Deployment,
  services: Service[],
  pdbs: PodDisruptionBudget[],
  usedByPolicies: ReadonlySet<string>,
  run: string,
): CanaryLabels {
  const original = primary.spec.template.metadata?.labels ?? {};
  const claims = claimsOn(primary, services, pdbs).filter(({ selector }) => selectorMatches(selector, original));
  const changed: CanaryLabels['changed'] = new Map();
  const pod = { ...original };
  for (const { what, selector } of claims) {
    if (!selectorMatches(selector, pod)) continue;
    const key = keyToChange(selector, original, usedByPolicies);
    if (key === undefined)
      throw new Refusal(`${what} matches the pods by no label value that the canary's pods could change`);
    const from = original[key]!;
    pod[key] = canaryLabelValue(from);
    changed.set(key, { from, to: pod[key] });
  }
  const stillClaimed = [...claimsOn(primary, services, pdbs)].filter(({ selector }) => selectorMatches(selector, pod));
  if (stillClaimed.length > 0)
    throw new Refusal(`the canary's pods would belong to ${stillClaimed.map(({ what }) => what).join(', ')}`);
  // Pods of an earlier run's canary may be on their way out still: they are not to be taken for this one's.
  pod[RUN_LABEL] = run;
  const keys = new Set([...Object.keys(primary.spec.selector.matchLabels ?? {}), ...changed.keys(), RUN_LABEL]);
  return { pod, selector: { matchLabels: Object.fromEntries([...keys].map((key) => [key, pod[key]!])) }, changed };
}

interface Claim {
  what: string;
  selector: LabelSelector;
}

function claimsOn(primary: Deployment, services: Service[], pdbs: PodDisruptionBudget[]): Claim[] {
  return [
    { what: `Deployment ${primary.metadata.name}`, selector: primary.spec.selector },
    ...services
      .filter(({ spec }) => Object.keys(spec.selector ?? {}).length > 0)
      .map(({ metadata, spec }) => ({ what: `Service ${metadata.name}`, selector: { matchLabels: spec.selector! } })),
    ...pdbs.flatMap(({ metadata, spec: { selector } }) =>
      selector ? [{ what: `PodDisruptionBudget ${metadata.name}`, selector }] : [],
    ),
  ];
}

function keyToChange(selector: LabelSelector, labels: Labels, usedByPolicies: ReadonlySet<string>): string | undefined {
  const rank = (key: string): number => {
    const preferred = PREFERRED.indexOf(key);
    return (usedByPolicies.has(key) ? 100 : 0) + (preferred === -1 ? PREFERRED.length : preferred);
  };
  return changeableKeys(selector)
    .filter((key) => labels[key] !== undefined)
    .map((key, order) => ({ key, order }))
    .sort((a, b) => rank(a.key) - rank(b.key) || a.order - b.order)[0]?.key;
}
