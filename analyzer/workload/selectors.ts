import type { LabelSelector, LabelSelectorRequirement } from '../../kube/types.ts';

type Labels = Record<string, string>;

/** Kubernetes' rule for label selectors: every requirement must hold; an empty selector matches everything. */
export function selectorMatches({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    mapMatches(matchLabels, labels) && matchExpressions.every((requirement) => requirementHolds(requirement, labels))
  );
}

/** Kubernetes' rule for the selectors of Services: plain equality; a Service without a selector selects nothing. */
export const serviceSelects = (selector: Labels | undefined, labels: Labels): boolean =>
  selector !== undefined && Object.keys(selector).length > 0 && mapMatches(selector, labels);

const mapMatches = (wanted: Labels, labels: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

function requirementHolds({ key, operator, values = [] }: LabelSelectorRequirement, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** The labels that a selector looks at and that can be given another value so that it no longer matches. */
export const changeableKeys = ({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string[] => [
  ...Object.keys(matchLabels),
  ...matchExpressions.filter(({ operator }) => operator === 'In').map(({ key }) => key),
];
