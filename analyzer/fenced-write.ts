import { FENCE } from '../canary/annotations.ts';
import type { KubeClient } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import type { Resource } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Fence } from './fence.ts';

export interface WriteDeps {
  client: KubeClient;
  fence: Fence;
  signal: AbortSignal;
}

export interface ObjectRef {
  namespace: string;
  name: string;
}

/** Conflicts come from other writers of the same object; routes may be shared by the canaries of a whole application. */
export const MAX_CONFLICTS = 50;

/**
 * Read, fence, write: the write carries the resourceVersion read before the Lease was checked, so that whoever took the Lease since
 * then, and put its token on the object, makes it fail. Never a blind patch.
 * @param mutate gets a copy and changes it, or returns false where nothing is to be written
 * @returns the object as stored, or undefined if it does not exist
 */
export async function fencedUpdate<T extends KubeObject>(
  deps: WriteDeps,
  resource: Resource,
  ref: ObjectRef,
  mutate: (object: T) => boolean | undefined,
): Promise<T | undefined> {
  for (let conflicts = 0; ; conflicts++) {
    const before = await find<T>(deps, resource, ref);
    if (!before) return undefined;
    deps.fence.guard(before);
    const object = structuredClone(before);
    if (mutate(object) === false) return before;
    await deps.fence.check();
    try {
      return await deps.client.update<T>(resource, ref, object, { signal: deps.signal });
    } catch (e) {
      // Deleted meanwhile: the next look finds nothing.
      if ((!isConflict(e) && !isNotFound(e)) || conflicts >= MAX_CONFLICTS) throw e;
    }
  }
}

/** Puts the holder's token on an object, to be written with it. */
export function stamp(object: KubeObject, fence: Fence): void {
  object.metadata.annotations = { ...object.metadata.annotations, [FENCE]: String(fence.token) };
}

/**
 * Creates an object, or returns the one of that name that is there already.
 * @returns created false if it was there
 */
export async function fencedCreate<T extends KubeObject>(
  deps: WriteDeps,
  resource: Resource,
  object: T,
): Promise<{ object: T; created: boolean }> {
  const ref = { namespace: object.metadata.namespace!, name: object.metadata.name };
  await deps.fence.check();
  stamp(object, deps.fence);
  try {
    return { object: await deps.client.create<T>(resource, ref, object, { signal: deps.signal }), created: true };
  } catch (e) {
    if (!isAlreadyExists(e)) throw e;
    return { object: await deps.client.get<T>(resource, ref, { signal: deps.signal }), created: false };
  }
}

/**
 * Deletes this very object, and only as it was read; one that is gone already is fine.
 * @param still asked again where somebody changed the object meanwhile; without it, it is deleted all the same
 */
export async function fencedDelete(
  deps: WriteDeps,
  resource: Resource,
  object: KubeObject,
  still: (current: KubeObject) => boolean = () => true,
): Promise<void> {
  const ref = { namespace: object.metadata.namespace!, name: object.metadata.name };
  let current: KubeObject | undefined = object;
  for (let conflicts = 0; current; conflicts++) {
    deps.fence.guard(current);
    await deps.fence.check();
    const { uid, resourceVersion } = current.metadata;
    try {
      return await deps.client.delete(
        resource,
        ref,
        { propagationPolicy: 'Background', preconditions: { uid, resourceVersion } },
        { signal: deps.signal },
      );
    } catch (e) {
      if (isNotFound(e)) return;
      if (!isConflict(e) || conflicts >= MAX_CONFLICTS) throw e;
      current = await find(deps, resource, ref);
      // Somebody made another one of the same name: not ours to delete.
      if (current && (current.metadata.uid !== uid || !still(current))) return;
    }
  }
}

export async function find<T extends KubeObject>(
  { client, signal }: Pick<WriteDeps, 'client' | 'signal'>,
  resource: Resource,
  ref: ObjectRef,
): Promise<T | undefined> {
  try {
    return await client.get<T>(resource, ref, { signal });
  } catch (e) {
    if (isNotFound(e)) return undefined;
    throw e;
  }
}
