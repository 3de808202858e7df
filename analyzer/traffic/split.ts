import { namesService, type ServiceRef, withName } from './hosts.ts';
import type { Route, RouteDestination, VirtualServiceSpec } from './types.ts';

/** What is split: requests to this port of this Service, as routes of an object in this namespace name it. */
export interface Split {
  objectNamespace: string;
  service: ServiceRef;
  canaryService: string;
  port: number;
}

const KINDS = ['http', 'tcp', 'tls'] as const;

/** Whether any route of the VirtualService sends requests to the Service's port. */
export const routesTo = (spec: VirtualServiceSpec, split: Split): boolean =>
  KINDS.some((kind) => spec[kind]?.some((route) => route.route?.some((d) => isPrimary(d, split))));

/** Subsets of the Service that its routes use. */
export const routedSubsets = (spec: VirtualServiceSpec, split: Split): string[] => [
  ...new Set(
    KINDS.flatMap((kind) => spec[kind] ?? [])
      .flatMap((route) => route.route ?? [])
      .filter((d) => isPrimary(d, split))
      .flatMap(({ destination }) => destination?.subset ?? []),
  ),
];

/**
 * The same routes with `percent` of what went to the Service going to the canary instead; every other part of the spec is the
 * user's own. Proportions are kept exactly: Istio's weights are relative, so those of a route with several destinations are
 * scaled by 100 before they are divided.
 */
export function splitSpec(spec: VirtualServiceSpec, percent: number, split: Split): VirtualServiceSpec {
  const changed = { ...spec };
  for (const kind of KINDS) {
    if (spec[kind]) changed[kind] = spec[kind].map((route) => splitRoute(route, percent, split));
  }
  return changed;
}

function splitRoute(route: Route, percent: number, split: Split): Route {
  if (!route.route?.some((d) => isPrimary(d, split))) return route;
  const single = route.route.length === 1;
  const weightOf = (d: RouteDestination): number => (single ? 1 : (d.weight ?? 0));
  return {
    ...route,
    route: route.route.flatMap((d) => {
      if (!isPrimary(d, split)) return [{ ...d, weight: weightOf(d) * 100 }];
      return [
        { ...d, weight: weightOf(d) * (100 - percent) },
        {
          ...d,
          destination: { ...d.destination!, host: withName(d.destination!.host, split.canaryService) },
          weight: weightOf(d) * percent,
        },
      ];
    }),
  };
}

/**
 * The routes without the canary, after somebody edited them while they were split: its weight goes back to the destination that it
 * was taken from. Weights stay scaled; their proportions are what the user wrote.
 */
export function unsplitSpec(spec: VirtualServiceSpec, split: Split): VirtualServiceSpec {
  const changed = { ...spec };
  for (const kind of KINDS) {
    if (spec[kind]) changed[kind] = spec[kind].map((route) => unsplitRoute(route, split));
  }
  return changed;
}

function unsplitRoute(route: Route, split: Split): Route {
  if (!route.route?.some((d) => isCanary(d, split))) return route;
  const kept: RouteDestination[] = [];
  for (const d of route.route) {
    const home = isCanary(d, split) ? kept.find((k) => isTwin(k, d, split)) : undefined;
    if (home) home.weight = (home.weight ?? 0) + (d.weight ?? 0);
    else if (!isCanary(d, split)) kept.push({ ...d });
  }
  const [only] = kept;
  if (kept.length === 1 && only) delete only.weight;
  return { ...route, route: kept };
}

/** The destination that this canary destination was split off from: the same form of host, the same subset. */
const isTwin = (primary: RouteDestination, canary: RouteDestination, split: Split): boolean =>
  isPrimary(primary, split) &&
  withName(primary.destination!.host, split.canaryService) === canary.destination?.host &&
  primary.destination?.subset === canary.destination.subset;

function isPrimary({ destination }: RouteDestination, { objectNamespace, service, port }: Split): boolean {
  if (!destination || !namesService(destination.host, objectNamespace, service)) return false;
  return destination.port?.number === undefined || destination.port.number === port;
}

function isCanary(
  { destination }: RouteDestination,
  { objectNamespace, service, canaryService, port }: Split,
): boolean {
  if (
    !destination ||
    !namesService(destination.host, objectNamespace, { name: canaryService, namespace: service.namespace })
  )
    return false;
  return destination.port?.number === undefined || destination.port.number === port;
}
