import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { createKubeClient, type KubeClient } from '../client.ts';
import { pathOf, type Resource } from '../resources.ts';
import type { KubeObject } from '../types.ts';

export interface SeenRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
}

/** An answer that a test puts in place of the server's own. */
export interface Answer {
  status: number;
  body?: unknown;
}

interface StoredEvent {
  type: string;
  collection: string;
  version: number;
  object: KubeObject;
}

interface Watcher {
  collection: string;
  selects: (object: KubeObject) => boolean;
  response: ServerResponse;
}

/**
 * Enough of an API server for unit tests of clients, on loopback: objects with resourceVersions, optimistic locking, label and name
 * selectors, JSON and merge patches, watches with history. It knows no schema: every path is a collection.
 */
export class FakeApiServer {
  readonly requests: SeenRequest[] = [];
  /** Answers a request in place of the server, if it returns something. */
  intercept: (request: SeenRequest) => Answer | undefined = () => undefined;
  /** Watches that start below this are answered with 410 Gone. */
  oldestVersion = 0;
  readonly #server: Server;
  readonly #objects = new Map<string, KubeObject>();
  readonly #events: StoredEvent[] = [];
  readonly #watchers = new Set<Watcher>();
  #version = 100;

  private constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  static async start(): Promise<FakeApiServer> {
    const fake = new FakeApiServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  client(): KubeClient {
    const { port } = this.#server.address() as AddressInfo;
    return createKubeClient({
      getCurrentCluster: () => ({ server: `http://127.0.0.1:${port}` }),
      applyToHTTPSOptions: async () => {},
    });
  }

  get watches(): number {
    return this.#watchers.size;
  }

  get version(): number {
    return this.#version;
  }

  read<T extends KubeObject>(r: Resource, namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(pathOf(r, { namespace, name })) as T | undefined;
  }

  /** Creates or replaces an object, as another client would. */
  put<T extends KubeObject>(r: Resource, object: T): T {
    const { namespace, name } = object.metadata;
    return this.#write(pathOf(r, { namespace }), pathOf(r, { namespace, name }), object) as T;
  }

  remove(r: Resource, namespace: string | undefined, name: string): void {
    this.#remove(pathOf(r, { namespace }), pathOf(r, { namespace, name }));
  }

  /** Ends all watches: as a server that goes down, or (`clean`) as one whose watch time is over. */
  endWatches(clean = false): void {
    for (const { response } of this.#watchers) {
      if (clean) response.end();
      else response.destroy();
    }
    this.#watchers.clear();
  }

  /** Sends a line to all watches. */
  send(line: unknown): void {
    for (const { response } of this.#watchers)
      response.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url!, 'http://fake');
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const seen: SeenRequest = {
      method: request.method!,
      path: url.pathname,
      query: url.searchParams,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.requests.push(seen);
    const answer = this.intercept(seen);
    if (answer) return reply(response, answer.status, answer.body ?? { message: 'intercepted' });
    if (seen.method === 'GET' && seen.query.get('watch') === 'true') return this.#watch(seen, response);
    const { status, body } = this.#serve(seen, request.headers['content-type'] ?? '');
    return reply(response, status, body);
  }

  #serve({ method, path, query, body }: SeenRequest, contentType: string): Answer {
    const target = path.replace(/\/(status|scale)$/, '');
    const present = this.#objects.get(target);
    const collection = target.slice(0, target.lastIndexOf('/'));
    if (method === 'POST') return this.#create(path, body as KubeObject);
    if (method === 'GET' && !present && isCollection(path)) return this.#list(path, query);
    if (!present) return failure(404, 'NotFound');
    if (method === 'GET') return { status: 200, body: present };
    if (method === 'DELETE') {
      this.#remove(collection, target);
      return { status: 200, body: {} };
    }
    return this.#change(collection, target, present, method === 'PUT' ? body : patched(present, body, contentType));
  }

  #create(path: string, object: KubeObject): Answer {
    // Reviews are answered, not stored.
    if (object.metadata?.name === undefined) return { status: 201, body: { ...object, status: { allowed: true } } };
    const target = `${path}/${object.metadata.name}`;
    if (this.#objects.has(target)) return failure(409, 'AlreadyExists');
    return { status: 201, body: this.#write(path, target, object) };
  }

  #change(collection: string, target: string, present: KubeObject, next: unknown): Answer {
    if (next === undefined) return failure(422, 'Invalid');
    const wanted = (next as KubeObject).metadata.resourceVersion;
    if (wanted !== undefined && wanted !== present.metadata.resourceVersion) return failure(409, 'Conflict');
    return { status: 200, body: this.#write(collection, target, next as KubeObject) };
  }

  #list(path: string, query: URLSearchParams): Answer {
    const selects = selectorOf(query);
    const items = [...this.#objects].filter(([key, o]) => inCollection(key, path) && selects(o)).map(([, o]) => o);
    return { status: 200, body: { metadata: { resourceVersion: String(this.#version) }, items } };
  }

  #watch({ path, query }: SeenRequest, response: ServerResponse): unknown {
    const from = Number(query.get('resourceVersion') ?? 0);
    if (from < this.oldestVersion)
      return reply(response, 410, { reason: 'Expired', message: 'too old resource version' });
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    const watcher = { collection: path, selects: selectorOf(query), response };
    for (const event of this.#events) if (event.version > from) deliver(watcher, event);
    this.#watchers.add(watcher);
    return response.on('close', () => this.#watchers.delete(watcher));
  }

  #write(collection: string, target: string, object: KubeObject): KubeObject {
    const type = this.#objects.has(target) ? 'MODIFIED' : 'ADDED';
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(++this.#version);
    this.#objects.set(target, stored);
    this.#emit(type, collection, stored);
    return stored;
  }

  #remove(collection: string, target: string): void {
    const object = this.#objects.get(target);
    if (!object) return;
    this.#objects.delete(target);
    const last = structuredClone(object);
    last.metadata.resourceVersion = String(++this.#version);
    this.#emit('DELETED', collection, last);
  }

  #emit(type: string, collection: string, object: KubeObject): void {
    const event = { type, collection, version: this.#version, object };
    this.#events.push(event);
    for (const watcher of this.#watchers) deliver(watcher, event);
  }
}

/** `/apis/apps/v1/deployments` holds what `/apis/apps/v1/namespaces/shop/deployments` holds. */
const everywhere = (collection: string): string => collection.replace(/\/namespaces\/[^/]+(?=\/)/, '');

function inCollection(key: string, path: string): boolean {
  const collection = key.slice(0, key.lastIndexOf('/'));
  return collection === path || everywhere(collection) === path;
}

const isCollection = (path: string): boolean =>
  /^\/(api\/v1|apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/[^/]+$/.test(path);

function deliver({ collection, selects, response }: Watcher, event: StoredEvent): void {
  if (event.collection !== collection && everywhere(event.collection) !== collection) return;
  if (selects(event.object)) response.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`);
}

function selectorOf(query: URLSearchParams): (object: KubeObject) => boolean {
  const name = /^metadata\.name=(.+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  const labels = (query.get('labelSelector') ?? '')
    .split(',')
    .filter(Boolean)
    .map((pair) => pair.split('='));
  return ({ metadata }) =>
    (name === undefined || metadata.name === name) && labels.every(([key, value]) => metadata.labels?.[key!] === value);
}

const failure = (code: number, reason: string): Answer => ({
  status: code,
  body: { kind: 'Status', code, reason, message: `${reason}, says the fake` },
});

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** @returns undefined if a `test` of the patch failed */
function patched(present: KubeObject, patch: unknown, contentType: string): unknown {
  const copy = structuredClone(present);
  if (!contentType.startsWith('application/json-patch')) return merged(copy, patch);
  try {
    return jsonPatch.applyPatch(copy, patch as Operation[], true).newDocument;
  } catch {
    return undefined;
  }
}

/** Merge patch, with conditions merged by type as a strategic merge does. */
function merged(under: unknown, over: unknown, key = ''): unknown {
  if (key === 'conditions' && Array.isArray(over)) {
    const byType = new Map(((under ?? []) as { type: string }[]).map((c) => [c.type, c]));
    for (const c of over as { type: string }[]) byType.set(c.type, { ...byType.get(c.type), ...c });
    return [...byType.values()];
  }
  if (typeof over !== 'object' || over === null || Array.isArray(over)) return over;
  const result: Record<string, unknown> = { ...(under as object) };
  for (const [k, v] of Object.entries(over)) {
    if (v === null) delete result[k];
    else result[k] = merged(result[k], v, k);
  }
  return result;
}
