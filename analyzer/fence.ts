import {
  DEPLOYMENT_UID_LABEL,
  FENCE,
  JOB_DEPLOYMENT,
  JOB_NAMESPACE,
  MANAGED_BY,
  MANAGED_BY_LABEL,
} from '../canary/annotations.ts';
import { leaseName } from '../canary/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import { LEASES } from '../kube/resources.ts';
import type { KubeObject, Lease } from '../kube/types.ts';

/** Another attempt took over: this process must not write any more, and ends without a clean-up of its own. */
export class FencedOut extends Error {
  constructor(holder: string) {
    super(`another attempt took over: ${holder}`);
    this.name = 'FencedOut';
  }
}

/** Who may write. Every object that a run writes carries the token of its last writer; a lower token never writes over a higher one. */
export interface Fence {
  readonly token: number;
  /** Throws `FencedOut` if another attempt has taken the Lease. To be called before each write. */
  check(): Promise<void>;
  /** Throws `FencedOut` if the object was last written by a later holder. */
  guard(object: KubeObject): void;
  /** Shows that the holder is alive. Throws `FencedOut` if another attempt has taken the Lease. */
  renew(): Promise<void>;
  /** Gives the Lease back at a clean end. */
  release(): Promise<void>;
}

export interface FenceOptions {
  client: KubeClient;
  /** Sidestep's own namespace, where Leases are. */
  namespace: string;
  /** The Deployment whose run is fenced. */
  workload: Workload;
  /** This attempt's Job. */
  holder: string;
  /** Takes the Lease only as it was read: `FencedOut` if anybody wrote to it since. */
  asRead?: string;
  now: () => Date;
  signal: AbortSignal;
}

export interface Workload {
  namespace: string;
  deployment: string;
  uid: string;
}

/** The Deployment that a Lease fences; undefined if it is none of ours. */
export function workloadOf({ metadata }: Lease): Workload | undefined {
  const { annotations = {}, labels = {} } = metadata;
  const [namespace, deployment, uid] = [
    annotations[JOB_NAMESPACE],
    annotations[JOB_DEPLOYMENT],
    labels[DEPLOYMENT_UID_LABEL],
  ];
  return namespace && deployment && uid ? { namespace, deployment, uid } : undefined;
}

/**
 * Takes the Lease of a workload, whoever holds it. Taking it from a live holder is safe: that one's writes carry the resourceVersion
 * it read before its last check, and fail once the new holder's token is on the object. Waiting for expiry would only leave a
 * canary in traffic for longer.
 */
export async function takeFence(options: FenceOptions): Promise<Fence> {
  const { client, namespace, workload, holder, signal } = options;
  const target = { namespace, name: leaseName(workload.uid) };
  const token = await acquire(options, target);
  const current = () => client.get<Lease>(LEASES, target, { signal });
  const own = async () => {
    const lease = await current();
    if (lease.spec?.leaseTransitions !== token) throw new FencedOut(lease.spec?.holderIdentity || 'nobody');
    return lease;
  };
  return {
    token,
    check: async () => {
      await own();
    },
    guard: (object) => {
      const written = Number(object.metadata.annotations?.[FENCE] ?? 0);
      if (written > token) throw new FencedOut(`holder number ${written}, ${holder} is number ${token}`);
    },
    renew: async () => {
      const lease = await own();
      const renewed = { ...lease, spec: { ...lease.spec, renewTime: microTime(options.now()) } };
      await client.update(LEASES, target, renewed, { signal });
    },
    release: async () => {
      const lease = await current();
      if (lease.spec?.leaseTransitions !== token) return;
      await client.update(LEASES, target, { ...lease, spec: { ...lease.spec, holderIdentity: '' } }, { signal });
    },
  };
}

const microTime = (time: Date): string => time.toISOString().replace('Z', '000Z');

/** Seconds without a renewal after which a holder counts as gone. */
export const LEASE_SECONDS = 15;

async function acquire(
  { client, holder, workload, asRead, now, signal }: FenceOptions,
  target: { namespace: string; name: string },
): Promise<number> {
  for (;;) {
    const lease = await read(client, target, signal);
    if (asRead !== undefined && lease?.metadata.resourceVersion !== asRead)
      throw new FencedOut(lease?.spec?.holderIdentity || 'nobody');
    const token = (lease?.spec?.leaseTransitions ?? 0) + 1;
    const time = microTime(now());
    const metadata = {
      ...target,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [DEPLOYMENT_UID_LABEL]: workload.uid },
      annotations: { [JOB_NAMESPACE]: workload.namespace, [JOB_DEPLOYMENT]: workload.deployment },
    };
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: token,
    };
    try {
      if (lease)
        await client.update<Lease>(
          LEASES,
          target,
          { ...lease, metadata: { ...lease.metadata, ...metadata }, spec },
          { signal },
        );
      else
        await client.create<Lease>(
          LEASES,
          target,
          { apiVersion: LEASES.apiVersion, kind: LEASES.kind, metadata, spec },
          { signal },
        );
      return token;
    } catch (e) {
      if (!isConflict(e) && !isAlreadyExists(e)) throw e;
    }
  }
}

async function read(
  client: KubeClient,
  target: { namespace: string; name: string },
  signal: AbortSignal,
): Promise<Lease | undefined> {
  try {
    return await client.get<Lease>(LEASES, target, { signal });
  } catch (e) {
    if (isNotFound(e)) return undefined;
    throw e;
  }
}
