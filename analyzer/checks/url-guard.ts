import { BlockList, isIP } from 'node:net';

export interface GuardOptions {
  /** Namespace of the workload: its Services may be called. */
  namespace: string;
  /** Hosts that the chart allows beyond: exact, or `*.example.com`. */
  allowedHosts: readonly string[];
  /** Addresses that are never called, such as the API server's. */
  forbiddenAddresses: readonly string[];
}

/** Loopback, link-local (with the clouds' metadata service), multicast, unspecified, broadcast. */
const NEVER = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  NEVER.addSubnet(net, prefix, 'ipv4');
}
for (const [net, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fec0::', 10],
] as const) {
  NEVER.addSubnet(net, prefix, 'ipv6');
}

/**
 * The host to connect to, or the reason why not. Services of the workload's own namespace are written in full, because the analyzer
 * runs in another namespace, where their short names mean something else.
 */
export function guardHost(url: URL, { namespace, allowedHosts }: GuardOptions): { host: string } | { refused: string } {
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  if (url.username || url.password) return { refused: 'credentials in a hook URL are not allowed' };
  if (allowedHosts.some((allowed) => hostAllowed(host, allowed.toLowerCase()))) return { host };
  if (isIP(host.replace(/^\[|\]$/g, ''))) return { refused: `hook URLs must name a Service, not the address ${host}` };
  const [service, ns, svc] = host.split('.');
  if (ns === undefined) return { host: `${service}.${namespace}.svc` };
  if (ns === namespace && (svc === undefined || svc === 'svc'))
    return { host: svc === undefined ? `${service}.${namespace}.svc` : host };
  return {
    refused: `host ${host} is neither a Service of namespace ${namespace} nor allowed by the chart (hooks.allowedHosts)`,
  };
}

function hostAllowed(host: string, allowed: string): boolean {
  return allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed;
}

/** Whether an address that a name resolved to may be called. IPv4 in IPv6 clothes counts as IPv4. */
export function addressAllowed(
  address: string,
  { forbiddenAddresses }: Pick<GuardOptions, 'forbiddenAddresses'>,
): boolean {
  const plain = plainAddress(address);
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
  return isIP(plain) !== 0 && !NEVER.check(plain, family) && !forbiddenAddresses.some((f) => plainAddress(f) === plain);
}

function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/i.exec(address);
  if (mapped) return mapped[1]!;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (!hex) return address.toLowerCase();
  const [high, low] = [Number.parseInt(hex[1]!, 16), Number.parseInt(hex[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
