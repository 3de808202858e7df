/** A kind of object: where the API server keeps it. */
export interface Resource {
  apiVersion: string;
  kind: string;
  plural: string;
}

const resource = (apiVersion: string, kind: string, plural: string): Resource => ({ apiVersion, kind, plural });

export const DEPLOYMENTS = resource('apps/v1', 'Deployment', 'deployments');
export const REPLICA_SETS = resource('apps/v1', 'ReplicaSet', 'replicasets');
export const PODS = resource('v1', 'Pod', 'pods');
export const SERVICES = resource('v1', 'Service', 'services');
export const ENDPOINT_SLICES = resource('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices');
export const CONFIG_MAPS = resource('v1', 'ConfigMap', 'configmaps');
export const SECRETS = resource('v1', 'Secret', 'secrets');
export const EVENTS = resource('v1', 'Event', 'events');
export const JOBS = resource('batch/v1', 'Job', 'jobs');
export const LEASES = resource('coordination.k8s.io/v1', 'Lease', 'leases');
export const PDBS = resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets');
export const HPAS = resource('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers');
export const NETWORK_POLICIES = resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies');
export const VIRTUAL_SERVICES = resource('networking.istio.io/v1', 'VirtualService', 'virtualservices');
export const DESTINATION_RULES = resource('networking.istio.io/v1', 'DestinationRule', 'destinationrules');
export const SIDECARS = resource('networking.istio.io/v1', 'Sidecar', 'sidecars');
export const ENVOY_FILTERS = resource('networking.istio.io/v1alpha3', 'EnvoyFilter', 'envoyfilters');
export const AUTHORIZATION_POLICIES = resource('security.istio.io/v1', 'AuthorizationPolicy', 'authorizationpolicies');
export const PEER_AUTHENTICATIONS = resource('security.istio.io/v1', 'PeerAuthentication', 'peerauthentications');
export const MUTATING_WEBHOOKS = resource(
  'admissionregistration.k8s.io/v1',
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
);

export interface Target {
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: 'status' | 'scale' | undefined;
}

/** The URL path of a collection, an object or a subresource. */
export function pathOf(r: Resource, { namespace, name, subresource }: Target = {}): string {
  const root = r.apiVersion.includes('/') ? `/apis/${r.apiVersion}` : `/api/${r.apiVersion}`;
  const parts = [root];
  if (namespace) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(r.plural);
  if (name) parts.push(encodeURIComponent(name));
  if (subresource) parts.push(subresource);
  return parts.join('/');
}
