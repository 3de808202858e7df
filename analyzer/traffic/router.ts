import { isDeepStrictEqual } from 'node:util';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { VIRTUAL_SERVICES } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference, ServicePort } from '../../kube/types.ts';
import { fencedCreate, fencedUpdate, stamp, type WriteDeps } from '../fenced-write.ts';
import { isOurs, marks } from '../marks.ts';
import { Refusal } from '../refusal.ts';
import {
  acceptStored,
  created,
  guardShare,
  isDisposable,
  isEdited,
  putShare,
  readKept,
  type Share,
  shareOf,
} from './kept.ts';
import { mirrorRules } from './mirror.ts';
import { routedSubsets, routesTo, type Split } from './split.ts';
import type { VirtualService } from './types.ts';
import { delegatesTo, governsMesh, ownVirtualService } from './virtual-service.ts';

export { removeMirrors } from './mirror.ts';
export { restoreRoutes } from './restore.ts';

export interface TrafficTarget {
  namespace: string;
  primary: string;
  /** The Service whose requests are split, and the port of it. */
  service: string;
  port: number;
  ports: ServicePort[];
  canaryService: string;
  run: string;
  owner: OwnerReference;
  /** Labels of the new version's template: they must not leave a subset that routes use. */
  templateLabels: Record<string, string>;
}

export interface RouterDeps extends WriteDeps {
  log: Log;
  /** Whether VirtualServices of other namespaces can be read. */
  clusterWide: boolean;
}

/** The routes of one run. Both may be called again at any time, and put in again what somebody else has taken out. */
export interface Router {
  /**
   * Finds the user's routes and makes ours where there are none, for the canary with weight 0 or the one it has; mirrors
   * DestinationRules. Throws `Refusal` where routes cannot be split, naming the objects.
   */
  prepare(): Promise<void>;
  /** Sends this percent of the requests to the canary. Returns when stored, not when the proxies know. Throws `Refusal` as above. */
  setWeight(percent: number): Promise<void>;
}

export function createRouter(deps: RouterDeps, target: TrafficTarget): Router {
  return {
    prepare: async () => {
      refuseForeign(await listRoutes(deps, deps.clusterWide ? undefined : target.namespace), target);
      await arrange(deps, target, undefined);
    },
    setWeight: (percent) => arrange(deps, target, percent),
  };
}

const splitOf = ({ namespace, service, canaryService, port, ports }: TrafficTarget): Split => ({
  namespace,
  service,
  canaryService,
  port,
  severalPorts: ports.length > 1,
});

/** All routes to the Service with this weight; without one, with the weight they have. */
async function arrange(deps: RouterDeps, target: TrafficTarget, percent: number | undefined): Promise<void> {
  const split = splitOf(target);
  const routes = await listRoutes(deps, target.namespace);
  const { users, own } = planOf(routes, target);
  await mirrorRules(deps, target, [
    ...new Set(users.flatMap((vs) => routedSubsets(readKept(vs)?.spec ?? vs.spec, split))),
  ]);
  for (const { metadata } of users) await putWeight(deps, target, metadata.name, percent);
  if (own === 'none') return;
  if (own === 'missing') await createOwn(deps, target);
  await putWeight(deps, target, target.service, percent);
}

async function listRoutes(deps: RouterDeps, namespace: string | undefined): Promise<VirtualService[]> {
  try {
    const { items } = await deps.client.list<VirtualService>(VIRTUAL_SERVICES, { namespace }, { signal: deps.signal });
    return items;
  } catch (e) {
    if (isNotFound(e))
      throw new Refusal('the cluster has no VirtualServices (networking.istio.io): is Istio installed?');
    if (!isForbidden(e) || namespace !== undefined) throw e;
    deps.log.warn('routes of other namespaces cannot be read', { error: e.message });
    return [];
  }
}

/** Routes of other namespaces could be split by nobody but their owners, and would go past the weight or over ours. */
function refuseForeign(all: VirtualService[], target: TrafficTarget): void {
  const service = { name: target.service, namespace: target.namespace };
  const foreign = all.filter(
    (vs) =>
      vs.metadata.namespace !== target.namespace &&
      (routesTo(vs.spec, splitOf(target), vs.metadata.namespace) || governsMesh(vs, service, false)),
  );
  if (foreign.length === 0) return;
  throw new Refusal(
    `Service ${target.service} is routed to by VirtualServices of other namespaces, which a run must not change: ${namesOf(foreign, true)}`,
  );
}

interface Plan {
  /** VirtualServices with routes to split that are not ours. */
  users: VirtualService[];
  /** Our own object: needed where nothing else governs the mesh's own requests to the Service. */
  own: 'none' | 'present' | 'missing';
}

function planOf(routes: VirtualService[], target: TrafficTarget): Plan {
  const split = splitOf(target);
  const theirs = routes.filter((vs) => !isOwn(vs, target));
  const users = theirs.filter((vs) => routesTo(vs.spec, split) || shareOf(vs, target.primary));
  const governing = theirs.filter((vs) => governsMesh(vs, { name: target.service, namespace: target.namespace }, true));
  if (governing.length > 0 && !governing.some((vs) => users.includes(vs) || delegatesTo(vs, users))) {
    throw new Refusal(
      `VirtualService ${namesOf(governing)} is for host ${target.service} but has no route to port ${target.port} of Service ${target.service} that could be split, and routes of ours would not count beside it`,
    );
  }
  const present = routes.length > theirs.length;
  // One that is there although the user's routes govern by now is no less in force: it moves with them until it goes.
  return { users, own: present ? 'present' : governing.length > 0 ? 'none' : 'missing' };
}

/** An object of ours that nobody has made theirs since. */
const isOwn = (vs: VirtualService, { primary }: TrafficTarget): boolean => isOurs(vs, primary) && isDisposable(vs);

const namesOf = (objects: KubeObject[], withNamespace = false): string =>
  objects
    .map(({ metadata }) => (withNamespace ? `${metadata.namespace}/${metadata.name}` : metadata.name))
    .sort()
    .join(', ');

async function createOwn(deps: RouterDeps, target: TrafficTarget): Promise<void> {
  const vs = ownVirtualService({ ...target, labels: marks(target.primary, target.run) });
  putShare(vs, share(deps, target, 0), created(vs));
  const { object, created: isNew } = await fencedCreate(deps, VIRTUAL_SERVICES, vs);
  if (isNew) {
    deps.log.info('routes created', { virtualService: target.service });
    if (isEdited(object)) await acceptMutation(deps, object);
  } else if (!isOwn(object, target)) refuseName(target);
}

async function acceptMutation(deps: RouterDeps, { metadata, spec }: VirtualService): Promise<void> {
  const ref = { namespace: metadata.namespace!, name: metadata.name };
  await fencedUpdate<VirtualService>(
    deps,
    VIRTUAL_SERVICES,
    ref,
    (vs) => isDeepStrictEqual(vs.spec, spec) && acceptStored(vs),
  );
}

function refuseName(target: TrafficTarget): never {
  throw new Refusal(
    `VirtualService ${target.service} exists, is not for host ${target.service} and is not Sidestep's; the canary's routes need that name`,
  );
}

const share = ({ fence }: RouterDeps, target: TrafficTarget, percent: number): Share => {
  const { namespace: _, ...split } = splitOf(target);
  return { ...split, primary: target.primary, fence: fence.token, percent };
};

/** Puts the weight into one object; without one, the weight it has, or 0 where somebody has edited it. */
async function putWeight(
  deps: RouterDeps,
  target: TrafficTarget,
  name: string,
  percent: number | undefined,
): Promise<void> {
  let edited = false;
  let changed = false;
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, { namespace: target.namespace, name }, (vs) => {
    guardShare(vs, target.primary, deps.fence.token);
    edited = isEdited(vs);
    const own = isOwn(vs, target);
    const present = edited ? 0 : (shareOf(vs, target.primary)?.percent ?? 0);
    changed = putShare(vs, share(deps, target, percent ?? present));
    if (!own || !changed) return changed;
    vs.metadata.labels = { ...vs.metadata.labels, ...marks(target.primary, target.run) };
    vs.metadata.ownerReferences = [target.owner];
    stamp(vs, deps.fence);
    return changed;
  });
  if (edited) deps.log.info('routes were edited during the run, the edit is kept', { virtualService: name });
  if (changed) deps.log.info('routes written', { virtualService: name, weightPercent: percent });
}
