import type { IncomingMessage } from 'node:http';
import type { CallOptions, KubeClient, Query } from './client.ts';
import { KubeError } from './errors.ts';
import { pathOf, type Resource, type Target } from './resources.ts';
import type { KubeObject } from './types.ts';

/** The API server ends a watch after this; the next one goes on from the last resourceVersion, without a new list. */
const WATCH_SECONDS = 540;
/** A server that is alive sends bookmarks about once a minute: longer silence is a dead connection that TCP has not noticed. */
const SILENCE_MS = 150_000;
/** A list from scratch now and then heals whatever a lost event left wrong. */
const RELIST_MS = 600_000;
const RELIST_JITTER = 0.1;
/** A watch that ends sooner, without an event, was not really open. */
const SHORT_WATCH_MS = 1000;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 20_000;

export interface InformerOptions<T> {
  client: KubeClient;
  resource: Resource;
  target?: Target;
  /** `labelSelector`, `fieldSelector`. */
  query?: Query;
  signal: AbortSignal;
  /** Called after each change with the object, or with the last known state and `deleted`. Must not throw. */
  onChange: (object: T, deleted: boolean) => void;
  /** Called when the first list is complete. */
  onSynced?: () => void;
  onError?: (error: unknown) => void;
  /** Reduces an object before it is kept: what is never read need not stay in memory. Name, namespace and resourceVersion must stay. */
  keep?: (object: T) => T;
  random?: () => number;
  relistMs?: number;
  silenceMs?: number;
}

/** A local copy of a collection, kept current by list and watch for as long as `signal` is not aborted. */
export interface Informer<T> {
  get(namespace: string | undefined, name: string): T | undefined;
  items(): T[];
  synced(): boolean;
  /** Settles when the informer has ended. */
  done: Promise<void>;
}

export function startInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const store = new Store(options);
  return {
    get: (namespace, name) => store.objects.get(`${namespace ?? ''}/${name}`),
    items: () => [...store.objects.values()],
    synced: () => store.synced,
    done: run(options, store),
  };
}

class Store<T extends KubeObject> {
  readonly objects = new Map<string, T>();
  synced = false;
  readonly #options: InformerOptions<T>;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
  }

  replace(items: T[]): void {
    const gone = new Map(this.objects);
    for (const item of items) {
      gone.delete(keyOf(item));
      if (this.objects.get(keyOf(item))?.metadata.resourceVersion !== item.metadata.resourceVersion) this.put(item);
    }
    for (const item of gone.values()) this.remove(item);
    if (!this.synced) {
      this.synced = true;
      this.#options.onSynced?.();
    }
  }

  put(object: T): void {
    const kept = this.#options.keep ? this.#options.keep(object) : object;
    this.objects.set(keyOf(object), kept);
    this.#options.onChange(kept, false);
  }

  remove(object: T): void {
    this.objects.delete(keyOf(object));
    this.#options.onChange(object, true);
  }
}

const keyOf = (o: KubeObject): string => `${o.metadata.namespace ?? ''}/${o.metadata.name}`;

async function run<T extends KubeObject>(options: InformerOptions<T>, store: Store<T>): Promise<void> {
  const { signal, random = Math.random } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      await listAndWatch(options, store, () => {
        failures = 0;
      });
    } catch (e) {
      if (signal.aborted) return;
      failures++;
      // 410 Gone is the server's ordinary way to ask for a new list; if that does not help, it is an error like any other.
      if (e instanceof KubeError && e.status === 410 && failures === 1) continue;
      options.onError?.(e);
      await pause(backoffMs(failures, random), signal);
    }
  }
}

/** Doubling, with full jitter, so that many clients do not come back at the same moment after a restart of the API server. */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 16));
  return RETRY_MIN_MS + random() * (ceiling - RETRY_MIN_MS);
}

/** Lists once, then watches in turns until an error or until a relist is due. */
async function listAndWatch<T extends KubeObject>(
  options: InformerOptions<T>,
  store: Store<T>,
  onHealthy: () => void,
): Promise<void> {
  const { client, resource, target = {}, query, signal, relistMs = RELIST_MS, random = Math.random } = options;
  const list = await client.list<T>(resource, target, { signal, ...(query ? { query } : {}) });
  if (signal.aborted) return;
  store.replace(list.items);
  let version = list.metadata.resourceVersion ?? '';
  // Spread out, or all the informers of a process would list at the same moment for ever.
  const turn = limited(signal, relistMs * (1 + random() * RELIST_JITTER));
  try {
    while (!turn.signal.aborted) version = await watchOnce(options, store, version, turn.signal, onHealthy);
  } finally {
    turn.end();
  }
}

/** One watch request; returns the resourceVersion from which the next one goes on. */
async function watchOnce<T extends KubeObject>(
  { client, resource, target = {}, query, silenceMs = SILENCE_MS }: InformerOptions<T>,
  store: Store<T>,
  from: string,
  signal: AbortSignal,
  onHealthy: () => void,
): Promise<string> {
  let version = from;
  let events = 0;
  const startedMs = performance.now();
  const alive = limited(signal, silenceMs);
  const call: CallOptions = {
    signal: alive.signal,
    query: { ...query, watch: true, allowWatchBookmarks: true, resourceVersion: from, timeoutSeconds: WATCH_SECONDS },
  };
  try {
    const response = await client.stream(pathOf(resource, target), call);
    for await (const event of linesOf<WatchEvent<T>>(response)) {
      alive.refresh();
      version = applyEvent(store, event) ?? version;
      if (events++ === 0) onHealthy();
    }
  } catch (e) {
    if (signal.aborted) return version;
    throw alive.signal.aborted
      ? new KubeError(0, 'Silence', `watch of ${resource.plural}: no sign of life for ${silenceMs} ms`)
      : e;
  } finally {
    alive.end();
    if (performance.now() - startedMs >= SHORT_WATCH_MS) onHealthy();
  }
  // Something in between that ends every watch at once must not make us ask again at full speed.
  if (events === 0 && !signal.aborted && performance.now() - startedMs < SHORT_WATCH_MS) {
    throw new KubeError(0, 'ShortWatch', `watch of ${resource.plural} ended at once, without any event`);
  }
  return version;
}

/** A signal that follows another one and also aborts after a time, unless refreshed. `end` lets go of both. */
function limited(parent: AbortSignal, ms: number) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, ms);
  if (parent.aborted) abort();
  else parent.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    refresh: () => void timer.refresh(),
    end: () => {
      clearTimeout(timer);
      parent.removeEventListener('abort', abort);
    },
  };
}

interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T & { code?: number; reason?: string; message?: string };
}

function applyEvent<T extends KubeObject>(store: Store<T>, { type, object }: WatchEvent<T>): string | undefined {
  if (type === 'ERROR')
    throw new KubeError(object.code ?? 0, object.reason ?? 'WatchError', object.message ?? 'watch ended with an error');
  if (type === 'DELETED') store.remove(object);
  else if (type !== 'BOOKMARK') store.put(object);
  return object.metadata.resourceVersion;
}

async function* linesOf<E>(response: IncomingMessage): AsyncGenerator<E> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    rest += chunk;
    const lines = rest.split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line !== '') yield JSON.parse(line) as E;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}
