import { digest } from '../../canary/hash.ts';
import { clip } from '../../canary/run.ts';
import type { KubeClient } from '../../kube/client.ts';
import { messageOf } from '../../kube/errors.ts';
import type { Log } from '../../kube/log.ts';
import { DEPLOYMENTS, EVENTS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/** Longest message that the API server takes in an Event. */
const MAX_MESSAGE = 1000;

/** Names end at 253 characters, and neither part of one may end with a dash or a dot. */
const head = (name: string): string => name.slice(0, 230).replace(/[-.]+$/, '');

interface Event extends KubeObject {
  involvedObject: { apiVersion: string; kind: string; namespace: string; name: string; uid: string };
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  source: { component: string };
  firstTimestamp: string;
  lastTimestamp: string;
  count: number;
}

export interface EventTarget {
  namespace: string;
  name: string;
  uid: string;
}

export interface Events {
  /** Says something on the Deployment, for `kubectl describe`. A lost Event is logged; no run waits for it or fails of it. */
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Settles when all that was said is written or lost: to be awaited before the process ends. */
  written(): Promise<void>;
}

export function createEvents(client: KubeClient, log: Log, target: EventTarget, now: () => Date): Events {
  let sequence = 0;
  const pending = new Set<Promise<void>>();
  const event: Events['event'] = (type, reason, message) => {
    const time = now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
    const { namespace, name, uid } = target;
    const object: Event = {
      apiVersion: EVENTS.apiVersion,
      kind: EVENTS.kind,
      metadata: { name: `${head(name)}.${digest([uid, now().getTime(), sequence++], 16)}`, namespace },
      involvedObject: { apiVersion: DEPLOYMENTS.apiVersion, kind: DEPLOYMENTS.kind, namespace, name, uid },
      type,
      reason,
      message: clip(message, MAX_MESSAGE),
      source: { component: 'sidestep' },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    const written = client
      .create(EVENTS, { namespace }, object)
      .catch((e) => log.warn('event not written', { reason, error: messageOf(e) }))
      .then(() => void pending.delete(written));
    pending.add(written);
  };
  return { event, written: async () => void (await Promise.all(pending)) };
}
