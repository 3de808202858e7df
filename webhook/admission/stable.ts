import type { ReplicaSet } from '../../kube/types.ts';

/** The ReplicaSet that serves: the one with the most available pods, the older one of two equals; undefined if none has any. */
export function stableFromReplicaSets(replicaSets: ReplicaSet[]): ReplicaSet | undefined {
  const available = (rs: ReplicaSet) => rs.status?.availableReplicas ?? 0;
  const created = (rs: ReplicaSet) => rs.metadata.creationTimestamp ?? '';
  return replicaSets
    .filter((rs) => available(rs) > 0)
    .sort((a, b) => available(b) - available(a) || created(a).localeCompare(created(b)))[0];
}
