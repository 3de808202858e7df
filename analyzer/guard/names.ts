import { either, quote } from '../metrics/queries.ts';

/** What canary and primary are called in Istio's metrics. */
export interface ComparedNames {
  namespace: string;
  /** The Services, by which callers' proxies name what they call. */
  service: string;
  canaryService: string;
  /** The Deployments, by which pods' own proxies name themselves. */
  workload: string;
  canaryWorkload: string;
}

export type Counted = 'errors' | 'latency';

const SERIES: Record<Counted, string> = {
  errors: 'istio_requests_total',
  latency: 'istio_request_duration_milliseconds_bucket',
};

/** Both sides of the split, as callers and as pods count them, in one query of raw counters. */
export function comparedQuery(
  counted: Counted,
  { namespace, service, canaryService, workload, canaryWorkload }: ComparedNames,
): string {
  const series = SERIES[counted];
  const callers = `reporter="source",destination_service_namespace=${quote(namespace)},destination_service_name=~${either(service, canaryService)}`;
  const pods = `reporter="destination",destination_workload_namespace=${quote(namespace)},destination_workload=~${either(workload, canaryWorkload)}`;
  return `${series}{${callers}} or ${series}{${pods}}`;
}
