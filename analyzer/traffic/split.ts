import { namesService, withName } from './hosts.ts';
import { ROUTE_KINDS, type Route, type RouteDestination, type VirtualServiceSpec } from './types.ts';

/** What is split: the requests to this port of this Service. */
export interface Split {
  /** Of the Service, and of every object that is split for it. */
  namespace: string;
  service: string;
  canaryService: string;
  port: number;
  /** Whether the Service has other ports too. */
  severalPorts: boolean;
}

export interface WeightedSplit extends Split {
  /** Of the requests, to the canary: 0 to 100. */
  percent: number;
}

/** Weights are scaled by this, so that a percentage of them is a whole number again. */
const SCALE = 100;

type Owned = Route & { route: RouteDestination[] };

/** Whether any route of an object in this namespace sends requests to the Service's port. */
export const routesTo = (spec: VirtualServiceSpec, split: Split, objectNamespace = split.namespace): boolean =>
  routesOf(spec).some((route) => route.route.some((d) => isPrimary(d, route, split, objectNamespace)));

/** Whether any route names the canary Service. */
export const namesCanary = (spec: VirtualServiceSpec, split: Split): boolean =>
  routesOf(spec).some(({ route }) => route.some((d) => isCanary(d, split)));

/** Subsets of the Service that its routes use, each once. */
export const routedSubsets = (spec: VirtualServiceSpec, split: Split): string[] => [
  ...new Set(
    routesOf(spec).flatMap((route) =>
      route.route.filter((d) => isPrimary(d, route, split)).flatMap(({ destination }) => destination?.subset ?? []),
    ),
  ),
];

const routesOf = (spec: VirtualServiceSpec): Owned[] =>
  ROUTE_KINDS.flatMap((kind) => spec[kind] ?? []).filter((route): route is Owned => route.route !== undefined);

/**
 * The same routes with a percentage of what went to each Service going to its canary instead; every other part of the spec stays the
 * user's own. Proportions are kept exactly: Istio's weights are relative, so those of a route with several destinations are scaled.
 */
export const splitSpec = (spec: VirtualServiceSpec, splits: WeightedSplit[]): VirtualServiceSpec =>
  mapRoutes(spec, (route) => splitRoute(route, splits));

/**
 * The routes without these canaries, after somebody edited them while they were split: a canary's weight goes back to the destination
 * that it was taken from. `unsplitSpec(splitSpec(spec, …), …)` is `spec`, but for the weight of an only destination, which says nothing
 * and is left out.
 * @param strays what becomes of a canary that stands without its primary: back to the primary, or left as it is
 */
export const unsplitSpec = (spec: VirtualServiceSpec, splits: Split[], strays: 'return' | 'keep'): VirtualServiceSpec =>
  mapRoutes(spec, (route) => unsplitRoute(route, splits, strays));

function mapRoutes(spec: VirtualServiceSpec, change: (route: Owned) => Route): VirtualServiceSpec {
  const changed = { ...spec };
  for (const kind of ROUTE_KINDS) {
    const routes = spec[kind];
    if (routes) changed[kind] = routes.map((r) => (r.route ? change(r as Owned) : r));
  }
  return changed;
}

function splitRoute(route: Owned, splits: WeightedSplit[]): Route {
  const only = route.route.length === 1;
  const parts = route.route.map((d) => {
    const carries = only || (d.weight ?? 0) > 0;
    return { d, split: carries ? splits.find((s) => isPrimary(d, route, s)) : undefined };
  });
  if (parts.every(({ split }) => split === undefined)) return route;
  return { ...route, route: parts.flatMap(({ d, split }) => divide(d, only, split)) };
}

function divide(d: RouteDestination, only: boolean, split: WeightedSplit | undefined): RouteDestination[] {
  if (!split) return [d.weight === undefined ? d : { ...d, weight: d.weight * SCALE }];
  // An only destination gets everything, whatever its weight.
  const weight = only ? 1 : d.weight!;
  const host = withName(d.destination!.host, split.canaryService);
  return [
    { ...d, weight: weight * (SCALE - split.percent) },
    { ...d, destination: { ...d.destination!, host }, weight: weight * split.percent },
  ];
}

function unsplitRoute(route: Owned, splits: Split[], strays: 'return' | 'keep'): Route {
  const parts = route.route.map((d) => ({ d: { ...d }, split: splits.find((s) => isCanary(d, s)), fed: false }));
  if (parts.every(({ split }) => split === undefined)) return route;
  const left: RouteDestination[] = [];
  for (const [i, { d, split }] of parts.entries()) {
    // Its primary stood right before it when it was written; the nearest one before, then any, if somebody moved them.
    const order = [...parts.slice(0, i).reverse(), ...parts.slice(i + 1)];
    const home = split && order.find((p) => !p.fed && !p.split && isTwin(p.d, d, route, split));
    if (home) {
      home.fed = true;
      home.d.weight = (home.d.weight ?? 0) + (d.weight ?? 0);
    } else left.push(split && strays === 'return' ? returned(d, split) : d);
  }
  return { ...route, route: unscaled(left) };
}

const returned = (d: RouteDestination, { service }: Split): RouteDestination => ({
  ...d,
  destination: { ...d.destination!, host: withName(d.destination!.host, service) },
});

function unscaled(destinations: RouteDestination[]): RouteDestination[] {
  const [first, ...others] = destinations;
  if (first && others.length === 0) {
    const { weight: _, ...rest } = first;
    return [rest];
  }
  if (destinations.some(({ weight = 0 }) => weight % SCALE !== 0)) return destinations;
  return destinations.map((d) => (d.weight === undefined ? d : { ...d, weight: d.weight / SCALE }));
}

/** Whether the canary destination was split off from this one: the same form of host, the same subset and port. */
const isTwin = (primary: RouteDestination, canary: RouteDestination, route: Route, split: Split): boolean =>
  isPrimary(primary, route, split) &&
  withName(primary.destination!.host, split.canaryService) === canary.destination!.host &&
  primary.destination!.subset === canary.destination!.subset &&
  primary.destination!.port?.number === canary.destination!.port?.number;

function isPrimary(
  { destination }: RouteDestination,
  route: Route,
  { namespace, service, port, severalPorts }: Split,
  objectNamespace = namespace,
): boolean {
  if (!destination || !namesService(destination.host, objectNamespace, { name: service, namespace })) return false;
  const number = destination.port?.number;
  // Without a number, Istio takes the Service's only port, else the port at which the request came in.
  return number === undefined ? !(severalPorts && isForOtherPorts(route, port)) : number === port;
}

const isForOtherPorts = ({ match = [] }: Route, port: number): boolean =>
  match.length > 0 && match.every((m) => m.port !== undefined && m.port !== port);

const isCanary = ({ destination }: RouteDestination, { namespace, canaryService, port }: Split): boolean =>
  destination !== undefined &&
  namesService(destination.host, namespace, { name: canaryService, namespace }) &&
  (destination.port?.number ?? port) === port;
