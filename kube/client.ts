import type { IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { KubeError } from './errors.ts';
import { pathOf, type Resource, type Target } from './resources.ts';
import type { KubeList, KubeObject } from './types.ts';

/** How the API server reads the body of a PATCH. */
export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

const PATCH_CONTENT_TYPE: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** Every write says who writes, so that field ownership is told apart from the users' own. */
export const FIELD_MANAGER = 'sidestep';

/** One call must not hang for ever: longer than the API server's own limit for non-watch requests is never useful (it is 60 s). */
const DEFAULT_TIMEOUT_MS = 15_000;

/** An answer larger than this is no object of ours (the API server itself takes at most 3 MiB, lists are paged by 500). */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

const LIST_PAGE = 500;

export type Query = Record<string, string | number | boolean | undefined>;

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  query?: Query;
}

interface Call extends CallOptions {
  method: string;
  path: string;
  body?: unknown;
  contentType?: string;
}

/** What the rest of Sidestep needs of the API server. Every method throws `KubeError`; a lost connection has status 0. */
export interface KubeClient {
  get<T extends KubeObject>(r: Resource, target: Target, options?: CallOptions): Promise<T>;
  /** All pages of a collection, of one namespace or (without) of the cluster. */
  list<T extends KubeObject>(r: Resource, target?: Target, options?: CallOptions): Promise<KubeList<T>>;
  create<T extends KubeObject>(r: Resource, target: Target, body: T, options?: CallOptions): Promise<T>;
  /** PUT: fails with `Conflict` if the body's resourceVersion is not the current one. */
  update<T extends KubeObject>(r: Resource, target: Target, body: T, options?: CallOptions): Promise<T>;
  patch<T extends KubeObject>(
    r: Resource,
    target: Target,
    type: PatchType,
    body: unknown,
    options?: CallOptions,
  ): Promise<T>;
  delete(r: Resource, target: Target, body?: object, options?: CallOptions): Promise<void>;
  /** Opens a streaming answer (watch, logs); the caller ends it through `signal` or `destroy`. */
  stream(path: string, options?: CallOptions): Promise<IncomingMessage>;
  raw<T>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<T>;
}

/** Where the API server is and who we are there: the part of `@kubernetes/client-node`'s `KubeConfig` that is used here. */
export interface ClusterAccess {
  getCurrentCluster(): { server: string; proxyUrl?: string | undefined } | null;
  /** Adds the `ca`, `cert`, `key` and headers of a request. */
  applyToHTTPSOptions(options: RequestOptions): Promise<void>;
}

/** What a client may want to hear beside the answers. */
export interface ClientHooks {
  /** A text that the API server or an admission webhook has for the person behind the request. */
  onWarning?: ((text: string) => void) | undefined;
}

/**
 * A client of one API server. One keep-alive agent for the life of
 * the client; credentials are asked for anew at each call, because a service account's token rotates.
 */
export function createKubeClient(config: ClusterAccess, hooks: ClientHooks = {}): KubeClient {
  const connection = new Connection(config, hooks);
  const call = <T>(c: Call) => connection.json<T>(c);
  const write = (options: CallOptions | undefined) => ({
    ...options,
    query: { fieldManager: FIELD_MANAGER, ...options?.query },
  });
  return {
    get: (r, target, options) => call({ method: 'GET', path: pathOf(r, target), ...options }),
    list: (r, target, options) => listAll(call, pathOf(r, target), options),
    create: (r, target, body, options) =>
      call({ method: 'POST', path: pathOf(r, { ...target, name: undefined }), body, ...write(options) }),
    update: (r, target, body, options) => call({ method: 'PUT', path: pathOf(r, target), body, ...write(options) }),
    patch: (r, target, type, body, options) =>
      call({
        method: 'PATCH',
        path: pathOf(r, target),
        body,
        contentType: PATCH_CONTENT_TYPE[type],
        ...write(options),
      }),
    delete: async (r, target, body, options) => {
      await call({ method: 'DELETE', path: pathOf(r, target), body, ...options });
    },
    stream: (path, options) => connection.open({ method: 'GET', path, ...options }),
    raw: (method, path, body, options) => call({ method, path, body, ...options }),
  };
}

async function listAll<T extends KubeObject>(
  call: <R>(c: Call) => Promise<R>,
  path: string,
  options?: CallOptions,
): Promise<KubeList<T>> {
  const query = { limit: LIST_PAGE, ...options?.query };
  const all = await call<KubeList<T>>({ method: 'GET', path, ...options, query });
  let next = all.metadata.continue;
  while (next) {
    const page = await call<KubeList<T>>({ method: 'GET', path, ...options, query: { ...query, continue: next } });
    all.items.push(...page.items);
    next = page.metadata.continue;
  }
  return all;
}

class Connection {
  readonly #config: ClusterAccess;
  readonly #hooks: ClientHooks;
  readonly #base: URL;
  #agent: Agent | HttpAgent | undefined;
  #identity = '';

  constructor(config: ClusterAccess, hooks: ClientHooks) {
    const server = config.getCurrentCluster()?.server;
    if (!server) throw new KubeError(0, 'NoCluster', 'the kubeconfig names no current cluster');
    this.#config = config;
    this.#hooks = hooks;
    this.#base = new URL(server);
  }

  async json<T>(c: Call): Promise<T> {
    const timeout = AbortSignal.timeout(c.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const signal = c.signal ? AbortSignal.any([c.signal, timeout]) : timeout;
    const response = await this.open({ ...c, signal });
    const text = await readBody(response, c);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Sends the request; resolves with the still unread answer if it is 2xx. */
  async open(c: Call): Promise<IncomingMessage> {
    const payload = c.body === undefined ? undefined : Buffer.from(JSON.stringify(c.body));
    const options = await this.#options(c, payload);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const send = this.#base.protocol === 'http:' ? httpRequest : request;
      const req = send(options, resolve);
      // An answer that changes the protocol ends a request without an error.
      req.on('error', (e) => reject(unreachable(c, e))).on('close', () => reject(unreachable(c, 'closed')));
      req.end(payload);
    });
    if (this.#hooks.onWarning) for (const text of warningsOf(response.headers.warning)) this.#hooks.onWarning(text);
    if (response.statusCode! >= 200 && response.statusCode! < 300) return response;
    throw toError(c, response.statusCode!, await readBody(response, c).catch(() => ''));
  }

  async #options(c: Call, payload: Buffer | undefined): Promise<RequestOptions> {
    const options: RequestOptions = { headers: {} };
    await this.#config.applyToHTTPSOptions(options);
    const headers = { ...options.headers, accept: 'application/json' } as Record<string, string | number>;
    if (payload) {
      headers['content-type'] = c.contentType ?? 'application/json';
      headers['content-length'] = payload.length;
    }
    const prefix = this.#base.pathname.replace(/\/$/, '');
    return {
      ...options,
      agent: this.#keepAliveAgent(options),
      method: c.method,
      protocol: this.#base.protocol,
      hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port || (this.#base.protocol === 'http:' ? 80 : 443),
      path: `${prefix}${c.path}${queryString(c.query)}`,
      headers,
      signal: c.signal,
    };
  }

  /** client-node's own agent closes the connection after each request; a TLS handshake per request would cost more than the request. */
  #keepAliveAgent({
    ca,
    cert,
    key,
    rejectUnauthorized,
    servername,
    agent,
  }: RequestOptions): Agent | HttpAgent | RequestOptions['agent'] {
    if (this.#config.getCurrentCluster()?.proxyUrl) return agent;
    const identity = [ca, cert, key].map(String).join('\n');
    if (!this.#agent || identity !== this.#identity) {
      const keep = { keepAlive: true, keepAliveMsecs: 10_000, scheduling: 'lifo' as const };
      const tls = { ca, cert, key, servername, ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }) };
      this.#agent = this.#base.protocol === 'http:' ? new HttpAgent(keep) : new Agent({ ...keep, ...(tls as object) });
      this.#identity = identity;
    }
    return this.#agent;
  }
}

/** The texts of `Warning` headers (RFC 7234, 5.5), as the API server writes them: `299 - "text"`, several joined by commas. */
export function warningsOf(header: string | undefined): string[] {
  const found = header?.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g) ?? [];
  return [...found].map(([, text = '']) => text.replace(/\\(.)/g, '$1'));
}

function queryString(query: Query | undefined): string {
  const pairs = Object.entries(query ?? {}).filter(([, v]) => v !== undefined);
  if (pairs.length === 0) return '';
  return `?${new URLSearchParams(pairs.map(([k, v]): [string, string] => [k, String(v)]))}`;
}

async function readBody(response: IncomingMessage, c: Call): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BODY_BYTES)
        throw new KubeError(0, 'TooLarge', `${c.method} ${c.path}: answer over ${MAX_BODY_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (e) {
    if (e instanceof KubeError) throw e;
    throw unreachable(c, e);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unreachable(c: Call, cause: unknown): KubeError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new KubeError(0, 'Unreachable', `${c.method} ${c.path}: ${why}`, { cause });
}

function toError(c: Call, status: number, body: string): KubeError {
  try {
    const { reason, message } = JSON.parse(body) as { reason?: string; message?: string };
    return new KubeError(status, reason ?? String(status), message ?? `${c.method} ${c.path}: HTTP ${status}`);
  } catch {
    return new KubeError(status, String(status), `${c.method} ${c.path}: HTTP ${status}`);
  }
}
