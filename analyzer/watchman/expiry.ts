import type { Lease } from '../../kube/types.ts';

/** How long after a failed try the next one may follow. */
const RETRY_MS = 3000;

/**
 * Which Leases have not been renewed for too long. Goes by when this process saw them change, not by the times in them: clocks of two
 * nodes may differ by more than a Lease lasts.
 */
export class Expiry {
  readonly #expireMs: number;
  readonly #held = new Map<string, { lease: Lease; dueMs: number }>();

  /** @param expireMs how long a holder may be silent */
  constructor(expireMs: number) {
    this.#expireMs = expireMs;
  }

  /** A Lease as the API server tells it now; one without a holder is not waited for. */
  saw(lease: Lease, nowMs: number): void {
    if (lease.spec?.holderIdentity) this.#held.set(lease.metadata.name, { lease, dueMs: nowMs + this.#expireMs });
    else this.gone(lease);
  }

  gone({ metadata }: Lease): void {
    this.#held.delete(metadata.name);
  }

  /** The API server could not be heard: holders could not renew either, and get their whole time again. */
  deaf(nowMs: number): void {
    for (const held of this.#held.values()) held.dueMs = nowMs + this.#expireMs;
  }

  /** Leases whose holder is gone. Each is told again later, until it changes or `done` is said. */
  due(nowMs: number): Lease[] {
    const due = [...this.#held.values()].filter(({ dueMs }) => dueMs <= nowMs);
    for (const held of due) held.dueMs = nowMs + RETRY_MS;
    return due.map(({ lease }) => lease);
  }

  /** Nothing is left to be done for this one until it changes. */
  done({ metadata }: Lease): void {
    this.#held.delete(metadata.name);
  }
}
