import type { Sample } from '../metrics/prometheus.ts';
import type { ComparedNames } from './names.ts';

/** Who counts: the callers' proxies, which also see what never reaches a pod, or the pods' own. */
export type Counter = 'callers' | 'pods';

export interface Sides {
  counter: Counter;
  canary: Sample[];
  primary: Sample[];
}

/** Sorts an answer of `comparedQuery`. Callers are preferred once they count requests to the canary. */
export function sidesOf(samples: readonly Sample[], names: ComparedNames): Sides {
  const callers = sides(samples, 'callers', 'source', 'destination_service_name', names.canaryService, names.service);
  const pods = sides(samples, 'pods', 'destination', 'destination_workload', names.canaryWorkload, names.workload);
  if (callers.canary.length > 0) return callers;
  if (pods.canary.length > 0) return pods;
  return callers.primary.length > 0 ? callers : pods;
}

function sides(
  samples: readonly Sample[],
  counter: Counter,
  reporter: string,
  label: string,
  canary: string,
  primary: string,
): Sides {
  const named = (name: string) =>
    samples.filter(({ labels }) => labels['reporter'] === reporter && labels[label] === name);
  return { counter, canary: named(canary), primary: named(primary) };
}
