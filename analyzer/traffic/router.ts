import { isDeepStrictEqual } from 'node:util';
import { ORIGINAL, WRITTEN } from '../../canary/annotations.ts';
import { canonicalJson, digest } from '../../canary/hash.ts';
import { canaryServiceName } from '../../canary/names.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { DESTINATION_RULES, VIRTUAL_SERVICES } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference, ServicePort } from '../../kube/types.ts';
import { fencedCreate, fencedDelete, fencedUpdate, stamp, type WriteDeps } from '../fenced-write.ts';
import { isOurs, marks, marksSelector } from '../marks.ts';
import { Refusal } from '../refusal.ts';
import { mirrorRule, subsetMismatch } from './destination-rule.ts';
import { namesService } from './hosts.ts';
import { routedSubsets, routesTo, type Split, splitSpec, unsplitSpec } from './split.ts';
import type { DestinationRule, VirtualService, VirtualServiceSpec } from './types.ts';
import { ownVirtualService, withWeight } from './virtual-service.ts';

/** What the API server takes in one object's annotations together is 256 KiB. */
const MAX_ORIGINAL_CHARS = 200 * 1024;

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

/** The routes of one run. */
export interface Router {
  /** Finds the user's routes or makes ours, with weight 0 or the one they have; mirrors DestinationRules. Throws `Refusal`. */
  prepare(): Promise<void>;
  /** Sends this percent of the requests to the canary. */
  setWeight(percent: number): Promise<void>;
}

export function createRouter(deps: RouterDeps, target: TrafficTarget): Router {
  const splitOf = (objectNamespace: string): Split => ({
    objectNamespace,
    service: { name: target.service, namespace: target.namespace },
    canaryService: target.canaryService,
    port: target.port,
  });
  return {
    prepare: async () => {
      const users = await usersRoutes(deps, target, splitOf(target.namespace));
      const rules = await readRules(deps, target);
      refuseLeftSubsets(users, rules, target, splitOf(target.namespace));
      await mirrorRules(deps, target, rules);
      if (users.length === 0) await ensureOwn(deps, target);
      for (const vs of users) await splitUsers(deps, vs, undefined, splitOf(target.namespace), target);
    },
    setWeight: async (percent) => {
      const users = await usersRoutes(deps, target, splitOf(target.namespace));
      if (users.length === 0) {
        await ensureOwn(deps, target);
        await setOwnWeight(deps, target, percent);
      }
      for (const vs of users) await splitUsers(deps, vs, percent, splitOf(target.namespace), target);
    },
  };
}

async function listRoutes({ client, signal, clusterWide }: RouterDeps, namespace: string): Promise<VirtualService[]> {
  try {
    const { items } = await client.list<VirtualService>(VIRTUAL_SERVICES, clusterWide ? {} : { namespace }, { signal });
    return items;
  } catch (e) {
    if (isNotFound(e))
      throw new Refusal('the cluster has no VirtualServices (networking.istio.io): is Istio installed?');
    if (isForbidden(e) && clusterWide)
      return listRoutes({ client, signal, clusterWide: false } as RouterDeps, namespace);
    throw e;
  }
}

/** The user's own VirtualServices that route to the Service; those of other namespaces cannot be split and are refused. */
async function usersRoutes(deps: RouterDeps, target: TrafficTarget, split: Split): Promise<VirtualService[]> {
  const all = await listRoutes(deps, target.namespace);
  const foreign = all.filter(
    (vs) =>
      vs.metadata.namespace !== target.namespace &&
      routesTo(vs.spec, { ...split, objectNamespace: vs.metadata.namespace! }),
  );
  if (foreign.length > 0) {
    throw new Refusal(
      `Service ${target.service} is routed to by VirtualServices of other namespaces, which a run must not change: ${namesOf(foreign, true)}`,
    );
  }
  return all.filter(
    (vs) => vs.metadata.namespace === target.namespace && !isOurs(vs, target.primary) && routesTo(vs.spec, split),
  );
}

const namesOf = (objects: KubeObject[], withNamespace = false): string =>
  objects
    .map(({ metadata }) => (withNamespace ? `${metadata.namespace}/${metadata.name}` : metadata.name))
    .sort()
    .join(', ');

async function ensureOwn(deps: RouterDeps, target: TrafficTarget): Promise<void> {
  const vs = ownVirtualService({ ...target, name: target.service, labels: marks(target.primary, target.run) });
  const { object } = await fencedCreate(deps, VIRTUAL_SERVICES, vs);
  if (!isOurs(object, target.primary, target.owner)) {
    throw new Refusal(
      `VirtualService ${target.service} exists, does not route to Service ${target.service} and is not Sidestep's: rename it or let it route to the Service`,
    );
  }
}

async function setOwnWeight(deps: RouterDeps, target: TrafficTarget, percent: number): Promise<void> {
  const ref = { namespace: target.namespace, name: target.service };
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, ref, (vs) => {
    const next = withWeight(vs, percent, target.canaryService);
    vs.spec = next.spec;
    vs.metadata.labels = { ...vs.metadata.labels, ...marks(target.primary, target.run) };
    stamp(vs, deps.fence);
    return true;
  });
}

const digestOf = (spec: VirtualServiceSpec): string => digest([canonicalJson(spec)], 20);

/** Which Service a split belongs to, so that a clean-up that knows only the marks can take it apart. */
interface Original {
  primary: string;
  service: string;
  port: number;
  spec: VirtualServiceSpec;
}

/**
 * Puts the weight into a user's routes. Their spec as they wrote it is kept beside; what they edit meanwhile becomes the spec that is
 * kept. Without a percent, routes that are split already stay as they are.
 */
async function splitUsers(
  deps: RouterDeps,
  { metadata }: VirtualService,
  percent: number | undefined,
  split: Split,
  target: TrafficTarget,
): Promise<void> {
  const ref = { namespace: metadata.namespace!, name: metadata.name };
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, ref, (vs) => {
    const kept = readOriginal(vs);
    if (kept && kept.primary !== target.primary) {
      throw new Refusal(
        `VirtualService ${ref.name} is split for a canary of ${kept.primary} already; one Service can carry one canary at a time`,
      );
    }
    if (kept && percent === undefined && digestOf(vs.spec) === vs.metadata.annotations?.[WRITTEN]) return false;
    const spec = usersSpec(vs, kept, split);
    const original = JSON.stringify({
      primary: target.primary,
      service: target.service,
      port: target.port,
      spec,
    } satisfies Original);
    if (original.length > MAX_ORIGINAL_CHARS)
      throw new Refusal(`VirtualService ${ref.name} is too large to be kept while its routes are split`);
    vs.spec = splitSpec(spec, percent ?? 0, split);
    vs.metadata.annotations = { ...vs.metadata.annotations, [ORIGINAL]: original, [WRITTEN]: digestOf(vs.spec) };
    stamp(vs, deps.fence);
    return true;
  });
}

function readOriginal({ metadata }: VirtualService): Original | undefined {
  const text = metadata.annotations?.[ORIGINAL];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Original;
  } catch {
    return undefined;
  }
}

/** What the user wants: as kept, or as edited since we wrote last. */
function usersSpec(vs: VirtualService, kept: Original | undefined, split: Split): VirtualServiceSpec {
  const edited = kept && digestOf(vs.spec) !== vs.metadata.annotations?.[WRITTEN];
  return kept && !edited ? kept.spec : unsplitSpec(vs.spec, split);
}

async function readRules(
  { client, signal }: RouterDeps,
  { namespace, primary, service }: TrafficTarget,
): Promise<DestinationRule[]> {
  const { items } = await client.list<DestinationRule>(DESTINATION_RULES, { namespace }, { signal });
  return items.filter(
    (rule) => !isOurs(rule, primary) && namesService(rule.spec.host, namespace, { name: service, namespace }),
  );
}

function refuseLeftSubsets(
  routes: VirtualService[],
  rules: DestinationRule[],
  { templateLabels, service }: TrafficTarget,
  split: Split,
): void {
  const routed = routes.flatMap((vs) => routedSubsets(readOriginal(vs)?.spec ?? vs.spec, split));
  const left = subsetMismatch(rules, routed, templateLabels);
  if (left.length > 0) {
    throw new Refusal(
      `the new version's labels leave a subset of Service ${service} that routes use: DestinationRule ${left.join(', ')}; after promotion those routes would have no pods`,
    );
  }
}

async function mirrorRules(deps: RouterDeps, target: TrafficTarget, rules: DestinationRule[]): Promise<void> {
  for (const rule of rules) {
    const name = canaryServiceName(rule.metadata.name);
    const wanted = mirrorRule(rule, { ...target, name, labels: marks(target.primary, target.run) });
    const { object, created } = await fencedCreate(deps, DESTINATION_RULES, wanted);
    if (!isOurs(object, target.primary, target.owner))
      throw new Refusal(`DestinationRule ${name} exists and is not Sidestep's`);
    if (created || isDeepStrictEqual(object.spec, wanted.spec)) continue;
    await fencedUpdate<DestinationRule>(deps, DESTINATION_RULES, { namespace: target.namespace, name }, (mirror) => {
      mirror.spec = wanted.spec;
      stamp(mirror, deps.fence);
      return true;
    });
  }
}

/**
 * The routes of a primary as they were before any run: the user's own put back, ours and the mirrored rules deleted. Goes by the marks
 * on the objects alone, so it works for any attempt, also when the primary is gone.
 */
export async function restoreRoutes(deps: RouterDeps, namespace: string, primary: string): Promise<void> {
  const { client, signal } = deps;
  let routes: VirtualService[];
  try {
    routes = (await client.list<VirtualService>(VIRTUAL_SERVICES, { namespace }, { signal })).items;
  } catch (e) {
    // Without Istio's kinds there are no routes of ours.
    if (isNotFound(e)) return;
    throw e;
  }
  for (const vs of routes.filter((v) => readOriginal(v)?.primary === primary)) await restoreUsers(deps, vs);
  for (const vs of routes.filter((v) => isOurs(v, primary))) await fencedDelete(deps, VIRTUAL_SERVICES, vs);
}

/** Deletes the mirrored rules; only once no route names the canary any more. */
export async function removeMirrors(deps: RouterDeps, namespace: string, primary: string): Promise<void> {
  try {
    const { items } = await deps.client.list<DestinationRule>(
      DESTINATION_RULES,
      { namespace },
      { signal: deps.signal, query: { labelSelector: marksSelector(primary) } },
    );
    for (const rule of items) await fencedDelete(deps, DESTINATION_RULES, rule);
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}

async function restoreUsers(deps: RouterDeps, { metadata }: VirtualService): Promise<void> {
  const ref = { namespace: metadata.namespace!, name: metadata.name };
  await fencedUpdate<VirtualService>(deps, VIRTUAL_SERVICES, ref, (vs) => {
    const kept = readOriginal(vs);
    if (!kept) return false;
    const split = {
      objectNamespace: ref.namespace,
      service: { name: kept.service, namespace: ref.namespace },
      canaryService: canaryServiceName(kept.service),
      port: kept.port,
    };
    vs.spec = usersSpec(vs, kept, split);
    const { [ORIGINAL]: _o, [WRITTEN]: _w, 'sidestep.dev/fence': _f, ...annotations } = vs.metadata.annotations ?? {};
    vs.metadata.annotations = annotations;
    return true;
  });
}
