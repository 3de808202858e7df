import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';
import { CONFIG_MAPS, DEPLOYMENTS, REPLICA_SETS } from '../../kube/resources.ts';
import { formatSelector } from '../../kube/selectors.ts';
import type { ConfigMap, Deployment, ReplicaSet } from '../../kube/types.ts';
import type { Reads } from '../admission/types.ts';

/** The API server waits 3 s for us, and no decision needs more than two reads. */
const TIMEOUT_MS = 1000;

/** The look-ups of a decision, answered by the API server itself: a cached answer could be older than the request. */
export function apiReads(client: KubeClient): Reads {
  const options = { timeoutMs: TIMEOUT_MS };
  return {
    configMap: (namespace, name) => orAbsent(client.get<ConfigMap>(CONFIG_MAPS, { namespace, name }, options)),
    deployment: (namespace, name) => orAbsent(client.get<Deployment>(DEPLOYMENTS, { namespace, name }, options)),
    replicaSets: async ({ metadata: { namespace, uid }, spec: { selector } }: Deployment) => {
      const query = { labelSelector: formatSelector(selector) };
      const { items } = await client.list<ReplicaSet>(REPLICA_SETS, { namespace }, { ...options, query });
      return items.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid));
    },
  };
}

async function orAbsent<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (e) {
    if (isNotFound(e)) return undefined;
    throw e;
  }
}
