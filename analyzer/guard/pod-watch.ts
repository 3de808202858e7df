import type { ContainerStatus, Pod } from '../../kube/types.ts';

/** A canary of which no pod is ready for this long answers its share of the users with errors. */
const UNREADY_MS = 10_000;

/** Notices what the canary's pods do under traffic that no answer tells: crashes, and readiness that is lost. */
export class PodWatch {
  readonly #restarts = new Map<string, number>();
  /** Pods that were ready once: before that, a crash belongs to their start. */
  readonly #wereReady = new Set<string>();
  #wasReady = false;
  #unreadySinceMs: number | undefined;

  /**
   * @param serving whether requests are sent to the canary: before that, crashes belong to its start, which has a deadline of its own
   * @returns what happened, for a person; undefined if nothing did
   */
  look(pods: readonly Pod[], serving: boolean, nowMs: number): string | undefined {
    const crash = this.#crash(pods);
    const unready = this.#unready(pods, nowMs);
    return serving ? (crash ?? unready) : undefined;
  }

  #crash(pods: readonly Pod[]): string | undefined {
    let crash: string | undefined;
    for (const pod of pods) {
      const { metadata, status } = pod;
      for (const container of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
        const key = `${metadata.name}/${container.name}`;
        const { restartCount = 0 } = container;
        // What happened before this process first saw it is not known to have been under traffic.
        const before = this.#restarts.get(key) ?? restartCount;
        this.#restarts.set(key, restartCount);
        if (restartCount > before && this.#wereReady.has(metadata.name)) crash ??= describe(metadata.name, container);
      }
      if (isReady(pod)) this.#wereReady.add(metadata.name);
    }
    return crash;
  }

  #unready(pods: readonly Pod[], nowMs: number): string | undefined {
    if (pods.some(isReady)) {
      this.#wasReady = true;
      this.#unreadySinceMs = undefined;
      return undefined;
    }
    if (!this.#wasReady) return undefined;
    this.#unreadySinceMs ??= nowMs;
    const lostMs = nowMs - this.#unreadySinceMs;
    return lostMs < UNREADY_MS ? undefined : `no canary pod was ready for ${Math.round(lostMs / 1000)} s under traffic`;
  }
}

const isReady = ({ metadata, status }: Pod): boolean =>
  !metadata.deletionTimestamp && status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;

function describe(pod: string, { name, lastState, state }: ContainerStatus): string {
  const ended = lastState?.terminated ?? state?.terminated;
  const how = ended ? ` with exit code ${ended.exitCode ?? '?'}${ended.reason ? ` (${ended.reason})` : ''}` : '';
  return `container ${name} of canary pod ${pod} ended under traffic${how}`;
}
