import { isDeepStrictEqual } from 'node:util';
import { canaryServiceName } from '../../canary/names.ts';
import { isNotFound } from '../../kube/errors.ts';
import { DESTINATION_RULES } from '../../kube/resources.ts';
import { fencedCreate, fencedDelete, fencedUpdate, stamp, type WriteDeps } from '../fenced-write.ts';
import { isOurs, marks, marksSelector } from '../marks.ts';
import { Refusal } from '../refusal.ts';
import { mirrorRule, subsetMismatch, undefinedSubsets } from './destination-rule.ts';
import { namesService } from './hosts.ts';
import type { TrafficTarget } from './router.ts';
import type { DestinationRule } from './types.ts';

/**
 * Gives the canary's host what DestinationRules of the namespace give the Service's. To be done before routes name the canary.
 * Throws `Refusal` where a subset that routes use could not be kept.
 * @param routed the subsets of the Service that its routes use
 */
export async function mirrorRules(deps: WriteDeps, target: TrafficTarget, routed: string[]): Promise<void> {
  const rules = await readRules(deps, target);
  refuseSubsets(rules, routed, target);
  for (const rule of rules) await mirror(deps, target, rule);
}

async function readRules({ client, signal }: WriteDeps, target: TrafficTarget): Promise<DestinationRule[]> {
  const { namespace, primary, service } = target;
  const { items } = await client.list<DestinationRule>(DESTINATION_RULES, { namespace }, { signal });
  return items.filter(
    (rule) => !isOurs(rule, primary) && namesService(rule.spec.host, namespace, { name: service, namespace }),
  );
}

function refuseSubsets(
  rules: DestinationRule[],
  routed: string[],
  { templateLabels, service, namespace }: TrafficTarget,
): void {
  const unknown = undefinedSubsets(rules, routed);
  if (unknown.length > 0) {
    throw new Refusal(
      `routes use a subset of Service ${service} that no DestinationRule for that host in namespace ${namespace} defines, so the canary cannot have it: ${unknown.join(', ')}`,
    );
  }
  const left = subsetMismatch(rules, routed, templateLabels);
  if (left.length > 0) {
    throw new Refusal(
      `the new version's labels leave a subset of Service ${service} that routes use: DestinationRule ${left.join(', ')}; after promotion those routes would have no pods`,
    );
  }
}

async function mirror(deps: WriteDeps, target: TrafficTarget, rule: DestinationRule): Promise<void> {
  const name = canaryServiceName(rule.metadata.name);
  const wanted = mirrorRule(rule, { ...target, name, labels: marks(target.primary, target.run) });
  const { object, created } = await fencedCreate(deps, DESTINATION_RULES, wanted);
  if (created) return;
  if (!isOurs(object, target.primary)) {
    throw new Refusal(
      `DestinationRule ${name} exists and is not Sidestep's: it is left alone, and the mirror of ${rule.metadata.name} needs that name`,
    );
  }
  await fencedUpdate<DestinationRule>(deps, DESTINATION_RULES, { namespace: target.namespace, name }, (present) => {
    const before = structuredClone(present);
    present.spec = wanted.spec;
    present.metadata.labels = { ...present.metadata.labels, ...wanted.metadata.labels };
    present.metadata.ownerReferences = [target.owner];
    stamp(present, deps.fence);
    return !isDeepStrictEqual(before, present);
  });
}

/** Deletes the mirrored rules of a primary; only once no route names the canary any more. Fine without Istio's kinds. */
export async function removeMirrors(deps: WriteDeps, namespace: string, primary: string): Promise<void> {
  const options = { signal: deps.signal, query: { labelSelector: marksSelector(primary) } };
  try {
    const { items } = await deps.client.list<DestinationRule>(DESTINATION_RULES, { namespace }, options);
    for (const rule of items) await fencedDelete(deps, DESTINATION_RULES, rule);
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}
