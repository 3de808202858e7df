import { MANAGED_BY, MANAGED_BY_LABEL } from '../canary/annotations.ts';
import type { KubeClient } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import { SECRETS } from '../kube/resources.ts';
import type { Secret } from '../kube/types.ts';

/** The one Secret that holds CA and serving certificate, shared by all replicas. */
export interface SecretStore {
  /** As it is now; undefined if there is none. */
  read(): Promise<Secret | undefined>;
  /**
   * Writes the data over the Secret as it was read, or creates it.
   * @returns what was written, or undefined if another replica was faster: read again, and take what it wrote
   */
  write(previous: Secret | undefined, data: Record<string, string>): Promise<Secret | undefined>;
}

export function secretStore(
  client: KubeClient,
  target: { namespace: string; name: string },
  signal: AbortSignal,
): SecretStore {
  return {
    read: () => client.get<Secret>(SECRETS, target, { signal }).catch(unless(isNotFound)),
    write: (previous, data) => {
      const { apiVersion, kind } = SECRETS;
      if (previous) {
        return client
          .update<Secret>(SECRETS, target, { ...previous, apiVersion, kind, data }, { signal })
          .catch(unless((e) => isConflict(e) || isNotFound(e)));
      }
      const metadata = { ...target, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } };
      return client
        .create<Secret>(SECRETS, target, { apiVersion, kind, metadata, type: 'Opaque', data }, { signal })
        .catch(unless(isAlreadyExists));
    },
  };
}

/** Turns an expected error into undefined. */
const unless =
  (expected: (e: unknown) => boolean) =>
  (e: unknown): undefined => {
    if (!expected(e)) throw e;
    return undefined;
  };
