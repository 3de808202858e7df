import type { KubeObject } from '../../kube/types.ts';

/** `VERB RESOURCE[/SUBRESOURCE][.GROUP]`, as kubectl writes resources. */
export type Permission = string;

export const permission = (verb: string, group: string, resource: string): Permission =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`}`;

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

interface RbacObject extends KubeObject {
  kind: string;
  rules?: Rule[];
  roleRef?: { kind: string; name: string };
  subjects?: { kind: string; name: string; namespace: string }[];
}

/** By user name of the service account: all that Roles and ClusterRoles among these manifests grant it. */
export function grantsOf(manifests: readonly KubeObject[]): Map<string, Set<Permission>> {
  const objects = manifests as readonly RbacObject[];
  const grants = new Map<string, Set<Permission>>();
  for (const { kind, roleRef, subjects = [], metadata } of objects) {
    if (kind !== 'RoleBinding' && kind !== 'ClusterRoleBinding') continue;
    const role = objects.find(
      (o) =>
        o.kind === roleRef?.kind &&
        o.metadata.name === roleRef.name &&
        (o.kind === 'ClusterRole' || o.metadata.namespace === metadata.namespace),
    );
    if (!role) throw new Error(`${kind} ${metadata.name} names no Role of the chart`);
    for (const { namespace, name } of subjects) {
      const user = `system:serviceaccount:${namespace}:${name}`;
      const known = grants.get(user) ?? new Set();
      for (const granted of permissionsOf(role.rules ?? [])) known.add(granted);
      grants.set(user, known);
    }
  }
  return grants;
}

const permissionsOf = (rules: readonly Rule[]): Permission[] =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((r) => verbs.map((verb) => permission(verb, group, r)))),
  );
