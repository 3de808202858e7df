import { setTimeout as sleep } from 'node:timers/promises';
import { MANAGED_BY, MANAGED_BY_LABEL, WATCHED_LABEL } from '../../canary/annotations.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound, messageOf } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import {
  DEPLOYMENTS,
  JOBS,
  LEASES,
  MUTATING_WEBHOOKS,
  type Resource,
  SECRETS,
  type Target,
} from '../../kube/resources.ts';
import type { Deployment, KubeObject, Lease } from '../../kube/types.ts';
import { type Workload, workloadOf } from '../fence.ts';
import type { UninstallSettings } from '../settings.ts';
import { cleanUp } from './clean-up.ts';
import { letGo } from './let-go.ts';

export interface UninstallDeps {
  client: KubeClient;
  settings: UninstallSettings;
  log: Log;
  signal: AbortSignal;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
}

const RETRY_MS = 1000;

export const realSleep =
  (signal: AbortSignal) =>
  (ms: number): Promise<void> =>
    sleep(ms, undefined, { signal });

/**
 * What has to be done before the release's objects go, in an order that leaves users free at every point: first nothing is refused or
 * held any more, then every Deployment is let go, then routes return and canaries go. Can be done again, from any point.
 * @returns the workloads that could not be cleaned up; empty if nothing is left
 */
export async function uninstall(deps: UninstallDeps): Promise<string[]> {
  const { settings, log } = deps;
  const { ownNamespace } = settings;
  await remove(deps, MUTATING_WEBHOOKS, { name: settings.webhookConfigName });
  log.info('webhook configuration removed');
  const failed: string[] = [];
  for (const deployment of await watched(deps))
    await attempt(deps, nameOf(deployment.metadata), failed, () => letGo(deps, deployment));
  // Its launcher would start further attempts.
  const webhook = { namespace: ownNamespace, name: settings.webhookDeployment };
  await remove(deps, DEPLOYMENTS, webhook, { propagationPolicy: 'Foreground' });
  const leases = await leasesOf(deps);
  await Promise.all(
    leases.map(({ lease, workload }) =>
      attempt(deps, nameOf({ namespace: workload.namespace, name: workload.deployment }), failed, () =>
        cleanUp(deps, lease, workload),
      ),
    ),
  );
  if (failed.length > 0) return failed;
  await removeOwn(
    deps,
    leases.map(({ lease }) => lease),
  );
  await gone(deps, DEPLOYMENTS, webhook);
  // Not before its pods are gone: they would make it anew.
  if (settings.secretName) await remove(deps, SECRETS, { namespace: ownNamespace, name: settings.secretName });
  return [];
}

const nameOf = ({ namespace, name }: { namespace?: string; name: string }): string => `${namespace}/${name}`;

async function watched({ client, settings, signal }: UninstallDeps): Promise<Deployment[]> {
  const query = { labelSelector: `${WATCHED_LABEL}=true` };
  const namespaces = settings.namespaces.length > 0 ? settings.namespaces : [undefined];
  const lists = await Promise.all(
    namespaces.map((namespace) => client.list<Deployment>(DEPLOYMENTS, { namespace }, { signal, query })),
  );
  return lists.flatMap(({ items }) => items);
}

/** One Lease for each workload that ever had a run, whatever became of it since. */
async function leasesOf({ client, settings, signal }: UninstallDeps): Promise<{ lease: Lease; workload: Workload }[]> {
  const query = { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` };
  const { items } = await client.list<Lease>(LEASES, { namespace: settings.ownNamespace }, { signal, query });
  return items.flatMap((lease) => {
    const workload = workloadOf(lease);
    return workload ? [{ lease, workload }] : [];
  });
}

/** Tries once more after any error: others write the same objects, and API servers restart. */
async function attempt({ log, sleep }: UninstallDeps, what: string, failed: string[], work: () => Promise<void>) {
  for (const last of [false, false, true]) {
    try {
      return await work();
    } catch (e) {
      log.warn('not let go', { workload: what, error: messageOf(e), last });
      if (last) failed.push(what);
      else await sleep(RETRY_MS);
    }
  }
}

/** Jobs and Leases are no part of the release: Helm does not know them. */
async function removeOwn(deps: UninstallDeps, leases: readonly Lease[]): Promise<void> {
  const namespace = deps.settings.ownNamespace;
  const query = { labelSelector: `${MANAGED_BY_LABEL}=${MANAGED_BY}` };
  const { items: jobs } = await deps.client.list<KubeObject>(JOBS, { namespace }, { signal: deps.signal, query });
  const background = { propagationPolicy: 'Background' };
  for (const { metadata } of jobs) await remove(deps, JOBS, { namespace, name: metadata.name }, background);
  for (const { metadata } of leases) await remove(deps, LEASES, { namespace, name: metadata.name });
}

async function remove(
  { client, signal }: UninstallDeps,
  resource: Resource,
  target: Target,
  body?: object,
): Promise<void> {
  try {
    await client.delete(resource, target, body, { signal });
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}

async function gone({ client, signal, sleep }: UninstallDeps, resource: Resource, target: Target): Promise<void> {
  for (;;) {
    try {
      await client.get(resource, target, { signal });
    } catch (e) {
      if (isNotFound(e)) return;
      throw e;
    }
    await sleep(RETRY_MS);
  }
}
