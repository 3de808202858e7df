import { formatDuration } from '../canary/duration.ts';
import { type Run, runOf } from '../canary/run.ts';
import type { KubeClient } from '../kube/client.ts';
import { isForbidden, isKubeError, messageOf } from '../kube/errors.ts';
import { DEPLOYMENTS } from '../kube/resources.ts';
import type { Deployment } from '../kube/types.ts';
import { startInformer } from '../kube/watch.ts';
import { EXIT, type ExitCode } from './errors.ts';
import { type End, look } from './verdict.ts';

export interface WaitOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  timeoutMs: number;
  /** Takes one line, without its end. */
  say: (line: string) => void;
  /** Ends the wait as a time-out would. */
  signal?: AbortSignal;
}

const CODES: Record<End, ExitCode> = {
  promoted: EXIT.good,
  nothing: EXIT.good,
  rejected: EXIT.bad,
  cancelled: EXIT.bad,
};

/** A connection that is quiet may be given up by what is in between, and so may a pipeline without output: the last line is said again. */
const REPEAT_MS = 60_000;

/** Waits for the verdict on the version that the Deployment holds now; says each change on the way. */
export async function waitForVerdict({
  client,
  namespace,
  name,
  timeoutMs,
  say,
  signal,
}: WaitOptions): Promise<ExitCode> {
  const stop = new AbortController();
  const progress = new Progress((line) => say(`deployment/${name}: ${line}`));
  let followed: Run | undefined;
  const { promise, resolve } = Promise.withResolvers<ExitCode>();
  const end = (line: string, code: ExitCode) => {
    if (stop.signal.aborted) return;
    stop.abort();
    progress.say(line);
    resolve(code);
  };
  const see = (deployment: Deployment | undefined) => {
    if (stop.signal.aborted) return;
    const { end: reached, line } = look(followed, deployment);
    followed ??= deployment && runOf(deployment);
    if (reached) end(line, CODES[reached]);
    else progress.say(line);
  };
  const timer = setTimeout(() => end(`no verdict within ${formatDuration(timeoutMs)}`, EXIT.unknown), timeoutMs);
  const repeat = setInterval(() => progress.again(), REPEAT_MS);
  signal?.addEventListener('abort', () => end('interrupted before the verdict', EXIT.unknown), { once: true });
  let found = false;
  startInformer<Deployment>({
    client,
    resource: DEPLOYMENTS,
    target: { namespace },
    query: { fieldSelector: `metadata.name=${name}` },
    signal: stop.signal,
    onChange: (deployment, deleted) => {
      found = true;
      see(deleted ? undefined : deployment);
    },
    onSynced: () => {
      if (!found) end(`there is no such Deployment in namespace ${namespace}`, EXIT.unknown);
    },
    onError: (e) => {
      if (isForbidden(e) || isKubeError(e, 401)) end(messageOf(e), EXIT.unknown);
      else progress.say(`the API server does not answer, trying again: ${messageOf(e)}`);
    },
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    clearInterval(repeat);
  }
}

/** Says what is new. */
class Progress {
  readonly #write: (line: string) => void;
  #last = '';

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  say(line: string): void {
    if (line === this.#last) return;
    this.#last = line;
    this.#write(line);
  }

  again(): void {
    if (this.#last !== '') this.#write(this.#last);
  }
}
