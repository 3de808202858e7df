import type { KubeClient } from '../../../kube/client.ts';
import { PODS } from '../../../kube/resources.ts';
import type { Pod } from '../../../kube/types.ts';

/** What the load generator saw; every key of a count is `STATUS|VERSION`, such as `200|v1`; status 0 is a broken connection. Times in epoch ms. */
export interface LoadStats {
  startedAtMs: number;
  nowMs: number;
  totals: Record<string, number>;
  slow: number;
  firstSeenMs: Record<string, number>;
  lastSeenMs: Record<string, number>;
  seconds: { t: number; counts: Record<string, number> }[];
  errors?: string[];
}

/** A running load generator, read through the API server's pod proxy so that it works with any kubeconfig. */
export interface Load {
  stats(): Promise<LoadStats>;
  reset(): Promise<void>;
}

export async function findLoad(client: KubeClient, namespace: string): Promise<Load> {
  const { items } = await client.list<Pod>(PODS, { namespace }, { query: { labelSelector: 'app=loadgen' } });
  const pod = items.find((p) => p.status?.phase === 'Running');
  if (!pod) throw new Error(`no running loadgen pod in ${namespace}`);
  const proxy = `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}:8080/proxy`;
  return {
    stats: () => client.raw<LoadStats>('GET', `${proxy}/stats`),
    reset: async () => {
      await client.raw('POST', `${proxy}/reset`, {});
    },
  };
}

const parts = (key: string): { status: number; version: string } => {
  const [status, version = '-'] = key.split('|');
  return { status: Number(status), version };
};

const sum = (counts: Record<string, number>, fits: (part: { status: number; version: string }) => boolean): number =>
  Object.entries(counts).reduce((total, [key, n]) => (fits(parts(key)) ? total + n : total), 0);

/** Answers that a user would call failed: 5xx and broken connections. */
export const failures = (stats: LoadStats): number => sum(stats.totals, ({ status }) => isFailure(status));
/** The failed answers by what they were, such as `503|-`, with their number and when they came; empty if there are none. */
export const failedAnswers = ({ totals, firstSeenMs, lastSeenMs, errors = [] }: LoadStats): Record<string, string> => {
  const at = (ms: number | undefined) => new Date(ms ?? 0).toISOString();
  const failed = Object.entries(totals).filter(([key]) => isFailure(parts(key).status));
  const told = failed.map(([key, n]) => [key, `${n} from ${at(firstSeenMs[key])} to ${at(lastSeenMs[key])}`] as const);
  return Object.fromEntries(
    told.map(([key, text]) => [key, key.startsWith('0|') ? `${text}: ${errors.join('; ')}` : text]),
  );
};
const isFailure = (status: number): boolean => status === 0 || status >= 500;
export const total = (stats: LoadStats): number => sum(stats.totals, () => true);
export const answersOf = (stats: LoadStats, version: string): number => sum(stats.totals, (p) => p.version === version);

/** Share of one version, 0 to 1, among the answers to requests sent between two moments (whole seconds inside them). */
export function shareOf(
  stats: LoadStats,
  version: string,
  fromMs: number,
  toMs: number,
): { share: number; requests: number } {
  const inside = stats.seconds.filter(({ t }) => t >= Math.ceil(fromMs / 1000) * 1000 && t + 1000 <= toMs);
  const requests = inside.reduce((n, { counts }) => n + sum(counts, () => true), 0);
  const hits = inside.reduce((n, { counts }) => n + sum(counts, (p) => p.version === version), 0);
  return { share: requests === 0 ? 0 : hits / requests, requests };
}

/**
 * Bounds within which a share of `requests` answers lies when each goes to the canary with probability `weight`, but for one run in
 * about a million: 5 standard deviations, and one answer of rounding.
 */
export function binomialBounds(weight: number, requests: number): { low: number; high: number } {
  const spread = 5 * Math.sqrt((weight * (1 - weight)) / requests) + 1 / requests;
  return { low: Math.max(0, weight - spread), high: Math.min(1, weight + spread) };
}

/** First and last moment at which a version was seen to answer, whatever the status; undefined if never. */
export function seen(stats: LoadStats, version: string): { firstMs: number; lastMs: number } | undefined {
  const times = (of: Record<string, number>) =>
    Object.entries(of)
      .filter(([key]) => parts(key).version === version)
      .map(([, t]) => t);
  const first = times(stats.firstSeenMs);
  return first.length === 0 ? undefined : { firstMs: Math.min(...first), lastMs: Math.max(...times(stats.lastSeenMs)) };
}
