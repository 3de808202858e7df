import { messageOf } from '../../kube/errors.ts';
import { type InstantQuery, MetricsError } from './prometheus.ts';
import { either, quote } from './queries.ts';

/** @returns why the callers' counts cannot be built on yet, for a person; undefined once they can. Never rejects for what Prometheus does. */
export type Reread = () => Promise<string | undefined>;

export interface RereadOptions {
  ask: InstantQuery;
  namespace: string;
  /** Services whose callers are meant: the primary's and the canary's. */
  services: readonly string[];
}

const NOT_YET = 'Prometheus has not read all callers again since the last canary';

/**
 * Callers name every canary of a Deployment alike, and are scraped each 15 to 60 s: what Prometheus knows of them may lack the last
 * requests of the canary before, which would be taken for this one's when they appear. So before the first request each caller has to
 * be scraped once more. All by Prometheus' own clock: the first call that it answers notes the time, and the others look whether the
 * oldest last scrape of a caller is newer. To be called first when no canary before this one gets requests any more.
 */
export function createReread({ ask, namespace, services }: RereadOptions): Reread {
  const callers = `reporter="source",destination_service_namespace=${quote(namespace)},destination_service_name=~${either(...services)}`;
  let since: number | undefined;
  const look = async (): Promise<string | undefined> => {
    if (since === undefined) {
      since = (await ask('vector(time())'))[0]?.value;
      return NOT_YET;
    }
    const [oldest] = await ask(`min(timestamp(istio_requests_total{${callers}}))`);
    return oldest === undefined || oldest.value > since ? undefined : NOT_YET;
  };
  return async () => {
    try {
      return await look();
    } catch (e) {
      if (!(e instanceof MetricsError)) throw e;
      return messageOf(e);
    }
  };
}
