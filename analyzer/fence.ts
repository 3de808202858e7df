import { FENCE } from '../canary/annotations.ts';
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
  /** Gives the Lease back at a clean end. */
  release(): Promise<void>;
}

export interface FenceOptions {
  client: KubeClient;
  /** Sidestep's own namespace, where Leases are. */
  namespace: string;
  deploymentUid: string;
  /** This attempt's Job. */
  holder: string;
  now: () => Date;
  signal: AbortSignal;
}

/**
 * Takes the Lease of a workload, whoever holds it. Taking it from a live holder is safe: that one's writes carry the resourceVersion
 * it read before its last check, and fail once the new holder's token is on the object. Waiting for expiry would only leave a
 * canary in traffic for longer.
 */
export async function takeFence(options: FenceOptions): Promise<Fence> {
  const { client, namespace, deploymentUid, holder, signal } = options;
  const target = { namespace, name: leaseName(deploymentUid) };
  const token = await acquire(options, target);
  const current = () => client.get<Lease>(LEASES, target, { signal });
  return {
    token,
    check: async () => {
      const lease = await current();
      if (lease.spec?.leaseTransitions !== token) throw new FencedOut(lease.spec?.holderIdentity ?? 'nobody');
    },
    guard: (object) => {
      const written = Number(object.metadata.annotations?.[FENCE] ?? 0);
      if (written > token) throw new FencedOut(`holder number ${written}, ${holder} is number ${token}`);
    },
    release: async () => {
      const lease = await current();
      if (lease.spec?.leaseTransitions !== token) return;
      await client.update(LEASES, target, { ...lease, spec: { ...lease.spec, holderIdentity: '' } }, { signal });
    },
  };
}

async function acquire(
  { client, holder, now, signal }: FenceOptions,
  target: { namespace: string; name: string },
): Promise<number> {
  for (;;) {
    const lease = await read(client, target, signal);
    const token = (lease?.spec?.leaseTransitions ?? 0) + 1;
    const time = now().toISOString().replace('Z', '000Z');
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: 15,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: token,
    };
    try {
      if (lease) await client.update<Lease>(LEASES, target, { ...lease, spec }, { signal });
      else
        await client.create<Lease>(
          LEASES,
          target,
          { apiVersion: LEASES.apiVersion, kind: LEASES.kind, metadata: target, spec },
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
