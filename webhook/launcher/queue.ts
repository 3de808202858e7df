import { backoffMs } from '../../kube/watch.ts';

export interface QueueOptions {
  /** Brings one key up to date. @returns milliseconds after which to look again without being asked, or undefined */
  work: (key: string) => Promise<number | undefined>;
  onError: (key: string, error: unknown) => void;
  /** Keys that are worked on at the same time. */
  concurrency?: number;
  random?: () => number;
}

/**
 * Keys that need a look. A key is never worked on twice at the same time; asked for again meanwhile, it gets one more turn; failed, it
 * gets another one later and later.
 */
export class WorkQueue {
  readonly #options: QueueOptions;
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #failures = new Map<string, number>();
  #stopped = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#waiting.add(key);
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #next(): void {
    const { concurrency = 4 } = this.#options;
    for (const key of this.#waiting) {
      if (this.#working.size >= concurrency) return;
      if (this.#working.has(key)) continue;
      this.#waiting.delete(key);
      this.#working.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const { work, onError, random = Math.random } = this.#options;
    try {
      const againMs = await work(key);
      this.#failures.delete(key);
      if (againMs !== undefined) this.#later(key, againMs);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      onError(key, error);
      this.#later(key, backoffMs(failures, random));
    } finally {
      this.#working.delete(key);
      this.#next();
    }
  }

  #later(key: string, ms: number): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    this.#timers.set(
      key,
      setTimeout(() => this.add(key), ms),
    );
  }
}
