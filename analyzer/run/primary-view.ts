import type { KubeClient } from '../../kube/client.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import { startInformer } from '../../kube/watch.ts';

/** The primary as the API server last told it. */
export interface PrimaryView {
  /** undefined once it is deleted. */
  current(): Deployment | undefined;
  /** Takes over what a write answered, so that the next look is not older than our own last write. */
  saw(deployment: Deployment): void;
  /** Settles at the next change, after `timeoutMs`, or when the process is told to stop. */
  nextChange(timeoutMs: number): Promise<void>;
  /**
   * Calls back at every change, and when the process is told to stop.
   * @returns what ends that
   */
  onChange(listener: () => void): () => void;
}

export interface PrimaryViewOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  signal: AbortSignal;
  onError: (error: unknown) => void;
}

/** Watches one Deployment; resolves once it is known whether it exists. */
export async function watchPrimary({
  client,
  namespace,
  name,
  signal,
  onError,
}: PrimaryViewOptions): Promise<PrimaryView> {
  let current: Deployment | undefined;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const resume of waiting) resume();
  };
  await new Promise<void>((resolve) => {
    startInformer<Deployment>({
      client,
      resource: DEPLOYMENTS,
      target: { namespace },
      query: { fieldSelector: `metadata.name=${name}` },
      signal,
      onError,
      onSynced: resolve,
      onChange: (deployment, deleted) => {
        if (deleted) current = undefined;
        else if (!isOlder(deployment, current)) current = deployment;
        wake();
      },
    });
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return {
    current: () => current,
    saw: (deployment) => {
      if (current && !isOlder(deployment, current)) current = deployment;
    },
    nextChange: (timeoutMs) =>
      new Promise((resolve) => {
        const resume = () => {
          clearTimeout(timer);
          waiting.delete(resume);
          signal.removeEventListener('abort', resume);
          resolve();
        };
        const timer = setTimeout(resume, timeoutMs);
        waiting.add(resume);
        signal.addEventListener('abort', resume, { once: true });
      }),
    onChange: (listener) => {
      waiting.add(listener);
      signal.addEventListener('abort', listener, { once: true });
      return () => {
        waiting.delete(listener);
        signal.removeEventListener('abort', listener);
      };
    },
  };
}

/** Kubernetes promises that resource versions of one kind can be compared as numbers (since 1.35). */
function isOlder(a: Deployment, b: Deployment | undefined): boolean {
  if (!b || a.metadata.uid !== b.metadata.uid) return false;
  return BigInt(a.metadata.resourceVersion ?? 0) < BigInt(b.metadata.resourceVersion ?? 0);
}
