import { rolloutComplete } from '../../canary/conditions.ts';
import { templateHash } from '../../canary/hash.ts';
import type { Run } from '../../canary/run.ts';
import type { ReplicaSet } from '../../kube/types.ts';
import type { Facts } from './facts.ts';

/** The ReplicaSet that serves: the one with the most available pods, the older one of two equals; undefined if none has any. */
export function stableFromReplicaSets(replicaSets: ReplicaSet[]): ReplicaSet | undefined {
  const available = (rs: ReplicaSet) => rs.status?.availableReplicas ?? 0;
  const created = (rs: ReplicaSet) => rs.metadata.creationTimestamp ?? '';
  return replicaSets
    .filter((rs) => available(rs) > 0)
    .sort((a, b) => available(b) - available(a) || created(a).localeCompare(created(b)))[0];
}

/**
 * Hash of the version that serves beside a run: the one it recorded. Only a rejected run that had interrupted a promotion may have
 * left the primary on the version of that promotion.
 */
export async function servingHash({ old, reads }: Facts, run: Run): Promise<string> {
  if (run.phase !== 'rejected' || run.interrupted === undefined) return run.stable;
  const either = (await reads.replicaSets(old!)).filter((rs) =>
    [run.stable, run.interrupted].includes(templateHash(rs.spec.template)),
  );
  const serving = stableFromReplicaSets(either);
  return serving ? templateHash(serving.spec.template) : run.stable;
}

/** Hash of the version that serves: the recorded one, else the stored template once it is fully rolled out, else what most pods run. */
export async function stableHash(facts: Facts): Promise<string | undefined> {
  const { run, old, oldHash, wasPaused, reads } = facts;
  if (run) return servingHash(facts, run);
  // Behind a pause the stored template runs nowhere.
  if (!wasPaused && rolloutComplete(old!)) return oldHash;
  const stable = stableFromReplicaSets(await reads.replicaSets(old!));
  return stable && templateHash(stable.spec.template);
}
