import type { WebServer } from './server/serve.ts';

export interface ShutdownOptions {
  graceMs: number;
  sleep: (ms: number) => Promise<void>;
  /** From here on the process says that it is not ready, and asks callers not to reuse their connections. */
  startDraining: () => void;
  servers: readonly WebServer[];
  /** Ends watches and loops. */
  stop: () => void;
}

/**
 * Ends without a failed call: for some seconds after SIGTERM the API server may still be sent here, until every node has heard that this
 * pod is no endpoint any more; so it goes on serving, and only then closes.
 */
export async function shutDown({ graceMs, sleep, startDraining, servers, stop }: ShutdownOptions): Promise<void> {
  startDraining();
  await sleep(graceMs);
  await Promise.all(servers.map((server) => server.stop()));
  stop();
}
