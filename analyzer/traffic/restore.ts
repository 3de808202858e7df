import { isNotFound } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { VIRTUAL_SERVICES } from '../../kube/resources.ts';
import { fencedDelete, fencedUpdate, type WriteDeps } from '../fenced-write.ts';
import { isOurs } from '../marks.ts';
import { dropShare, guardShare, isDisposable, readKept, shareOf, strip } from './kept.ts';
import type { VirtualService } from './types.ts';

/**
 * The routes of a primary as they were before any run: the user's own put back, ours deleted. Goes by what is on the objects alone, so
 * it works for any attempt, any number of times, also when the primary is gone. Fine without Istio's kinds.
 */
export async function restoreRoutes(deps: WriteDeps & { log: Log }, namespace: string, primary: string): Promise<void> {
  for (const vs of await listRoutes(deps, namespace)) {
    if (isDoomed(vs, primary)) {
      await fencedDelete(deps, VIRTUAL_SERVICES, vs, (current) => isDoomed(current as VirtualService, primary));
    }
    // The deletion was refused if somebody made the object theirs in between.
    if (readKept(vs)) await restore(deps, vs, primary);
  }
}

async function listRoutes({ client, signal }: WriteDeps, namespace: string): Promise<VirtualService[]> {
  try {
    return (await client.list<VirtualService>(VIRTUAL_SERVICES, { namespace }, { signal })).items;
  } catch (e) {
    if (isNotFound(e)) return [];
    throw e;
  }
}

/** Made by a run of this primary, in use by no other, and nobody else's since. */
function isDoomed(vs: VirtualService, primary: string): boolean {
  const kept = readKept(vs);
  if (!kept) return isOurs(vs, primary);
  return isDisposable(vs) && kept.shares.every((share) => share.primary === primary) && isOurs(vs, primary);
}

/**
 * In two writes: the API server counts routes as owned by whoever changed them last, so their owners can be named only by a write that
 * changes none.
 */
async function restore(deps: WriteDeps & { log: Log }, { metadata }: VirtualService, primary: string): Promise<void> {
  const ref = { namespace: metadata.namespace!, name: metadata.name };
  let changed = false;
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, ref, (vs) => {
    guardShare(vs, primary, deps.fence.token);
    changed = shareOf(vs, primary) !== undefined && dropShare(vs, primary);
    return changed;
  });
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, ref, strip);
  if (changed) deps.log.info('routes restored', { virtualService: ref.name });
}
