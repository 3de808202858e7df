import { CANARY, SPEC, SPEC_FROM } from '../../canary/annotations.ts';
import { templateHash } from '../../canary/hash.ts';
import type { Facts } from './facts.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * `kubectl rollout undo` brings the template of an old ReplicaSet together with its annotations, which may be older than the opt-in.
 * That is no opt-out. It is known by what no other client does: it names no field manager, keeps what was applied last, and the
 * template is one of the Deployment's ReplicaSets'.
 * @returns the user's annotations that it would drop, as stored; undefined if the request is nothing of the kind
 */
export async function droppedByUndo(facts: Facts): Promise<Record<string, string> | undefined> {
  const { old, object, input, wasOptedIn, optedIn, templateChanged } = facts;
  if (!wasOptedIn || optedIn || input.fieldManager || !templateChanged) return undefined;
  const stored = old!.metadata.annotations!;
  if (object.metadata.annotations?.[LAST_APPLIED] !== stored[LAST_APPLIED]) return undefined;
  const replicaSets = await facts.reads.replicaSets(old!);
  if (!replicaSets.some((rs) => templateHash(rs.spec.template) === facts.hash)) return undefined;
  return Object.fromEntries(
    [CANARY, SPEC, SPEC_FROM].flatMap((key) => (stored[key] === undefined ? [] : [[key, stored[key]]])),
  );
}
