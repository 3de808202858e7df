import { MANAGED_BY, MANAGED_BY_LABEL, PRIMARY_LABEL, RUN_LABEL } from '../canary/annotations.ts';
import { digest } from '../canary/hash.ts';
import type { KubeObject, OwnerReference } from '../kube/types.ts';

/** Label values end at 63 characters; a longer name is told by its digest. */
const primaryValue = (primary: string): string => (primary.length <= 63 ? primary : `sha-${digest([primary], 40)}`);

/** The labels of everything that a run makes: whose it is, and of which run. */
export const marks = (primary: string, run: string): Record<string, string> => ({
  [MANAGED_BY_LABEL]: MANAGED_BY,
  [PRIMARY_LABEL]: primaryValue(primary),
  [RUN_LABEL]: run,
});

/** Selects what runs of this primary made, of any run. */
export const marksSelector = (primary: string): string =>
  `${MANAGED_BY_LABEL}=${MANAGED_BY},${PRIMARY_LABEL}=${primaryValue(primary)}`;

/** Whether an object was made by a run of this primary: its labels say so and, where it has an owner, that is the primary. */
export function isOurs(object: KubeObject, primary: string, owner?: OwnerReference): boolean {
  const { labels = {}, ownerReferences = [] } = object.metadata;
  if (labels[MANAGED_BY_LABEL] !== MANAGED_BY || labels[PRIMARY_LABEL] !== primaryValue(primary)) return false;
  return owner === undefined || ownerReferences.some(({ uid }) => uid === owner.uid);
}
