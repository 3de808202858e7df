import type { ServicePort } from '../../kube/types.ts';

/** Which routes of a VirtualService Istio looks at for a port. */
export type RouteKind = 'http' | 'tcp' | 'tls' | 'none';

const KINDS: Readonly<Record<string, RouteKind>> = {
  tcp: 'tcp',
  mongo: 'tcp',
  redis: 'tcp',
  mysql: 'tcp',
  https: 'tls',
  tls: 'tls',
  'kubernetes.io/wss': 'tls',
  udp: 'none',
};

/** Ports whose clients wait for the server to speak first; Istio never looks for HTTP there. */
const SERVER_FIRST_PORTS = new Set([25, 53, 3306, 27017]);

/**
 * The kind of routes that a port takes, by Istio's own rules (`pkg/config/kube/conversion.go`): `appProtocol`, else the name up to its
 * first dash; what it does not know is HTTP where it looks like HTTP.
 */
export function routeKind({ appProtocol, name = '', port, protocol = 'TCP' }: ServicePort): RouteKind {
  if (protocol !== 'TCP') return 'none';
  const said = (appProtocol ?? name).toLowerCase();
  const known = KINDS[said] ?? KINDS[said.split('-')[0]!];
  if (known) return known;
  return isNamedHttp(said) || !SERVER_FIRST_PORTS.has(port) ? 'http' : 'tcp';
}

const isNamedHttp = (said: string): boolean => /^(http|http2|grpc|kubernetes\.io\/(h2c|ws))(-|$)/.test(said);
