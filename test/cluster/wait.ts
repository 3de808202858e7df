import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** What is waited for, for the error message. */
  readonly what: string;
  /** Milliseconds. */
  readonly timeout: number;
  /** Milliseconds between two attempts; short, because the start of the cluster is a chain of such waits. */
  readonly interval?: number;
  /** Throws when waiting has become pointless, for example because the process has ended. */
  readonly giveUp?: () => void;
}

const DEFAULT_INTERVAL = 100;

/**
 * Polls until `attempt` returns true. A rejected attempt counts as "not yet"; the last one's message ends up in the error.
 *
 * @throws Error after the timeout, or what `giveUp` throws
 */
export async function waitUntil(attempt: () => Promise<boolean>, options: WaitOptions): Promise<void> {
  const deadline = Date.now() + options.timeout;
  let last = '';
  for (;;) {
    try {
      if (await attempt()) return;
      last = '';
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    options.giveUp?.();
    if (Date.now() >= deadline) {
      throw new Error(`${options.what}: not ready after ${options.timeout / 1000} s${last ? ` (${last})` : ''}`);
    }
    await sleep(options.interval ?? DEFAULT_INTERVAL);
  }
}
