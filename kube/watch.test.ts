import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CONFIG_MAPS, SECRETS } from './resources.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import type { ConfigMap } from './types.ts';
import { backoffMs, type Informer, type InformerOptions, startInformer } from './watch.ts';

let server: FakeApiServer;
let stop: AbortController;
let changes: string[];
let errors: unknown[];

beforeEach(async () => {
  server = await FakeApiServer.start();
  stop = new AbortController();
  changes = [];
  errors = [];
});

afterEach(async () => {
  stop.abort();
  await server.stop();
});

const configMap = (name: string, value: string, labels?: Record<string, string>): ConfigMap => ({
  metadata: { name, namespace: 'shop', ...(labels ? { labels } : {}) },
  data: { value },
});
const put = (name: string, value: string, labels?: Record<string, string>) =>
  server.put(CONFIG_MAPS, configMap(name, value, labels));

function start(options: Partial<InformerOptions<ConfigMap>> = {}): Informer<ConfigMap> {
  return startInformer<ConfigMap>({
    client: server.client(),
    resource: CONFIG_MAPS,
    signal: stop.signal,
    onChange: (o, deleted) => changes.push(`${deleted ? '-' : '+'}${o.metadata.name}=${o.data?.['value'] ?? ''}`),
    onError: (e) => errors.push(e),
    random: () => 0,
    ...options,
  });
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 5 });
/** Waits until the informer's nth watch is open. */
const watching = (nth = 1) =>
  eventually(() => {
    expect(server.requests.filter(({ query }) => query.has('watch'))).toHaveLength(nth);
    expect(server.watches).toBe(1);
  });
const lists = () => server.requests.filter(({ query }) => !query.has('watch')).length;

test('lists, then follows changes', async () => {
  put('a', '1');
  put('b', '1');
  const informer = start();
  await watching();
  expect(informer.synced()).toBe(true);
  put('a', '2');
  server.remove(CONFIG_MAPS, 'shop', 'b');
  put('c', '1');
  await eventually(() => expect(changes).toEqual(['+a=1', '+b=1', '+a=2', '-b=1', '+c=1']));
  expect(informer.get('shop', 'a')?.data).toEqual({ value: '2' });
  expect(informer.get('shop', 'b')).toBeUndefined();
  expect(informer.items()).toHaveLength(2);
  expect(errors).toEqual([]);
});

test('selects on the server and keeps only what is wanted', async () => {
  put('a', '1', { app: 'x' });
  put('b', '1');
  const informer = start({
    target: { namespace: 'shop' },
    query: { labelSelector: 'app=x' },
    keep: ({ metadata: { name, namespace, resourceVersion } }) => ({
      metadata: { name, namespace: namespace!, resourceVersion: resourceVersion! },
    }),
  });
  await watching();
  expect(informer.items()).toEqual([{ metadata: { name: 'a', namespace: 'shop', resourceVersion: '101' } }]);
});

test('a watch whose time is over goes on from where it was, without a list', async () => {
  start();
  await watching();
  put('a', '1');
  await eventually(() => expect(changes).toEqual(['+a=1']));
  server.endWatches(true);
  put('a', '2');
  await eventually(() => expect(changes).toEqual(['+a=1', '+a=2']));
  expect(lists()).toBe(1);
  expect(errors).toEqual([]);
});

test('bookmarks move the place to go on from', async () => {
  start();
  await watching();
  server.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '777' } } });
  server.endWatches(true);
  await eventually(() => expect(server.requests.at(-1)!.query.get('resourceVersion')).toBe('777'));
  expect(changes).toEqual([]);
});

test('a connection that breaks: what was missed is found by a new list, deletions too', async () => {
  put('a', '1');
  put('b', '1');
  const informer = start();
  await watching();
  server.endWatches();
  server.remove(CONFIG_MAPS, 'shop', 'b');
  put('a', '2');
  await eventually(() => expect(informer.get('shop', 'a')?.data).toEqual({ value: '2' }));
  expect(changes).toEqual(['+a=1', '+b=1', '+a=2', '-b=1']);
  expect(informer.synced()).toBe(true);
});

test('410 as an answer and as an event: a new list at once, not an error', async () => {
  start();
  await watching();
  put('a', '1');
  await eventually(() => expect(changes).toEqual(['+a=1']));
  server.put(SECRETS, configMap('elsewhere', ''));
  server.oldestVersion = server.version;
  server.endWatches(true);
  await watching(3);
  expect(lists()).toBe(2);
  put('b', '1');
  await eventually(() => expect(changes).toEqual(['+a=1', '+b=1']));
  server.send({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } });
  await watching(4);
  expect(lists()).toBe(3);
  expect(errors).toEqual([]);
  expect(changes).toEqual(['+a=1', '+b=1']);
});

test('410 again and again is an error, and slows down', async () => {
  server.oldestVersion = Number.POSITIVE_INFINITY;
  start();
  await eventually(() => expect(errors).toHaveLength(2));
  // One at once, and one after each pause.
  expect(lists()).toBe(3);
});

test('an error event, a broken line: reported, then a new list', async () => {
  start();
  await watching();
  server.send({
    type: 'ERROR',
    object: { kind: 'Status', code: 500, reason: 'InternalError', message: 'etcd is away' },
  });
  await eventually(() => expect(errors).toHaveLength(1));
  expect(errors[0]).toMatchObject({ status: 500, reason: 'InternalError', message: 'etcd is away' });
  await watching(2);
  server.send('{"type":"ADD');
  await eventually(() => expect(errors).toHaveLength(2));
  await watching(3);
  put('a', '1');
  await eventually(() => expect(changes).toEqual(['+a=1']));
});

test('silence counts as a dead connection', async () => {
  start({ silenceMs: 30 });
  await eventually(() => expect(errors).toHaveLength(1));
  expect(errors[0]).toMatchObject({ reason: 'Silence' });
  await eventually(() => expect(lists()).toBeGreaterThan(1));
});

test('watches that end at once are not asked for again at full speed', async () => {
  server.intercept = ({ query }) => (query.has('watch') ? { status: 200, body: '' } : undefined);
  start({ random: () => 1 });
  await eventually(() => expect(errors.length).toBeGreaterThanOrEqual(1));
  const before = server.requests.length;
  await new Promise(setImmediate);
  expect(server.requests.length).toBe(before);
});

test('a relist now and then heals what a lost event left wrong', async () => {
  put('a', '1');
  const informer = start({ relistMs: 100 });
  await watching();
  server.send({ type: 'DELETED', object: configMap('a', '1') });
  await eventually(() => expect(informer.items()).toHaveLength(0));
  await eventually(() => expect(informer.items()).toHaveLength(1));
  expect(errors).toEqual([]);
});

test('a server that refuses is asked again, and the informer syncs when it no longer does', async () => {
  server.intercept = () => ({ status: 403, body: { reason: 'Forbidden', message: 'no' } });
  const informer = start();
  await eventually(() => expect(errors).toHaveLength(1));
  expect(informer.synced()).toBe(false);
  server.intercept = () => undefined;
  await eventually(() => expect(informer.synced()).toBe(true));
});

test('ends with its signal', async () => {
  const informer = start();
  await watching();
  stop.abort();
  await informer.done;
  await eventually(() => expect(server.watches).toBe(0));
  expect(errors).toEqual([]);
});

test('back-off doubles up to a limit, with jitter over the whole range', () => {
  expect([1, 2, 3, 50].map((n) => backoffMs(n, () => 1))).toEqual([400, 800, 1600, 20_000]);
  expect(backoffMs(9, () => 0)).toBe(200);
  expect(backoffMs(3, () => 0.5)).toBe(900);
});
