/** Whose counts: the callers' proxies, which also see what never reaches a pod, or the canary's own. */
export type Side = 'callers' | 'pods';

export interface CanaryNames {
  namespace: string;
  /** The canary Service, by which callers' proxies name the canary. */
  service: string;
  /** The canary Deployment, by which its own proxies name themselves. */
  workload: string;
}

/** PromQL string literal: backslash, quote and line ends are all that needs escaping. */
export const quote = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

/** For `=~`. Names of objects have no other characters that mean something in a regular expression. */
export const either = (...names: string[]): string => quote(names.map((n) => n.replaceAll('.', '\\.')).join('|'));

function selector(side: Side, { namespace, service, workload }: CanaryNames): string {
  return side === 'callers'
    ? `{reporter="source",destination_service_name=${quote(service)},destination_service_namespace=${quote(namespace)}}`
    : `{reporter="destination",destination_workload=${quote(workload)},destination_workload_namespace=${quote(namespace)}}`;
}

/** Istio's standard counter of answers, one series per caller's or canary's pod and response code. */
export const requestsQuery = (side: Side, names: CanaryNames): string => `istio_requests_total${selector(side, names)}`;

/** Istio's standard histogram of durations in milliseconds, one series per pod and bucket. */
export const durationQuery = (side: Side, names: CanaryNames): string =>
  `istio_request_duration_milliseconds_bucket${selector(side, names)}`;
