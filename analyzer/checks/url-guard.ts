import { BlockList, isIP } from 'node:net';

export interface GuardOptions {
  /** Namespace of the workload: its Services may be called. */
  namespace: string;
  /** Hosts that the chart allows beyond: exact, or `*.example.com`. */
  allowedHosts: readonly string[];
  /** Addresses that are never called, such as the API server's. */
  forbiddenAddresses: readonly string[];
}

/** Loopback, link-local (with the clouds' metadata service, which some have elsewhere, too), multicast, unspecified, broadcast. */
const NEVER = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  NEVER.addSubnet(net, prefix, 'ipv4');
}
for (const [net, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fec0::', 10],
] as const) {
  NEVER.addSubnet(net, prefix, 'ipv6');
}

/** Where an IPv6 address leads to an IPv4 one: the 16-bit groups in which that stands, by the prefix (in groups) that says so. */
const EMBEDDED: readonly { prefix: readonly number[]; at: number }[] = [
  // ::ffff:a.b.c.d, mapped; ::ffff:0:a.b.c.d, translated; ::a.b.c.d, compatible.
  { prefix: [0, 0, 0, 0, 0, 0xffff], at: 6 },
  { prefix: [0, 0, 0, 0, 0xffff, 0], at: 6 },
  { prefix: [0, 0, 0, 0, 0, 0], at: 6 },
  // 64:ff9b::a.b.c.d, NAT64; 2002:a.b.c.d::, 6to4.
  { prefix: [0x64, 0xff9b, 0, 0, 0, 0], at: 6 },
  { prefix: [0x2002], at: 1 },
];

/** What may follow the namespace in a Service's name. Any other ending could be a domain of somebody else's. */
const ENDINGS: readonly string[] = ['', 'svc', 'svc.cluster.local'];

/**
 * The host to connect to, or the reason why not. Services of the workload's own namespace are written in full, because the analyzer
 * runs in another namespace, where their short names mean something else.
 */
export function guardHost(url: URL, { namespace, allowedHosts }: GuardOptions): { host: string } | { refused: string } {
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  if (url.username || url.password) return { refused: 'credentials in a hook URL are not allowed' };
  if (allowedHosts.some((allowed) => hostAllowed(host, allowed.toLowerCase()))) return { host };
  if (isIP(host.replace(/^\[|\]$/g, ''))) return { refused: `hook URLs must name a Service, not the address ${host}` };
  const [service, ns = namespace, ...rest] = host.split('.');
  const ending = rest.join('.');
  if (ns === namespace && ENDINGS.includes(ending))
    return { host: ending === '' ? `${service}.${namespace}.svc` : host };
  return {
    refused: `host ${host} is neither a Service of namespace ${namespace} nor allowed by the chart (hooks.allowedHosts)`,
  };
}

function hostAllowed(host: string, allowed: string): boolean {
  return allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed;
}

/** Whether an address that a name resolved to may be called. IPv4 in IPv6 clothes counts as either. */
export function addressAllowed(
  address: string,
  { forbiddenAddresses }: Pick<GuardOptions, 'forbiddenAddresses'>,
): boolean {
  const forbidden = new Set(forbiddenAddresses.flatMap(meanings));
  const meant = meanings(address);
  return meant.length > 0 && meant.every((plain) => !NEVER.check(plain, familyOf(plain)) && !forbidden.has(plain));
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** The address in its one canonical form, and the IPv4 address in it; none for what is no address, or one with a zone (link-local). */
function meanings(address: string): string[] {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return [];
  if (version === 4) return [address];
  // The one parser of URLs that Node.js has writes every form the same way.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const groups = groupsOf(canonical);
  const embedded = EMBEDDED.filter(({ prefix }) => prefix.every((group, i) => groups[i] === group)).map(({ at }) =>
    [groups[at]! >> 8, groups[at]! & 255, groups[at + 1]! >> 8, groups[at + 1]! & 255].join('.'),
  );
  return [canonical, ...embedded];
}

/** The eight groups of an IPv6 address in the URL standard's form: no dots, one `::` at most. */
function groupsOf(canonical: string): number[] {
  const [head = [], tail] = canonical.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const gap = tail === undefined ? 0 : 8 - head.length - tail.length;
  return [...head, ...Array<string>(gap).fill('0'), ...(tail ?? [])].map((group) => Number.parseInt(group, 16));
}
