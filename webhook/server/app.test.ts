import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memoryLog } from '../../kube/log.ts';
import type { Outcome } from '../admission/types.ts';
import { metricsApp, webhookApp } from './app.ts';
import { type BodyLimits, BodyReader } from './body.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { mutateHandler } from './mutate.ts';
import { createPlainServer, type WebServer } from './serve.ts';

const ALLOWED: Outcome = { allowed: true, patch: [], warnings: [], audit: { row: 'unchanged' } };
const deployment = {
  metadata: { name: 'reviews', namespace: 'shop' },
  spec: { selector: {}, template: { spec: { containers: [] } } },
};
const review = (uid = 'u-1') =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
      operation: 'UPDATE',
      namespace: 'shop',
      name: 'reviews',
      userInfo: { username: 'jane' },
      object: deployment,
      oldObject: deployment,
    },
  });

let servers: WebServer[];
let log: ReturnType<typeof memoryLog>;
let metrics: Metrics;
let pending: string[];
let draining: boolean;
let decide: () => Promise<Outcome>;

beforeEach(() => {
  servers = [];
  log = memoryLog();
  metrics = createMetrics(() => new Date(1_800_000_000_000));
  pending = [];
  draining = false;
  decide = async () => ALLOWED;
});

afterEach(() => Promise.all(servers.map((server) => server.stop())));

const health = { pending: () => pending, draining: () => draining };

async function start(limits: BodyLimits = {}, deadlineMs?: number): Promise<number> {
  const handler = mutateHandler({
    decide: () => decide(),
    bodies: new BodyReader(limits),
    metrics,
    log,
    now: () => new Date(0),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
  return listen(createPlainServer(webhookApp(health, handler)));
}

function listen(server: WebServer): Promise<number> {
  servers.push(server);
  return server.listen(0);
}

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function send(
  port: number,
  body: string | Buffer = review(),
  { method = 'POST', path = '/mutate?timeout=3s', headers = {} } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const req = httpRequest(
      { port, host: '127.0.0.1', method, path, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    req.on('error', reject);
    req.end(method === 'GET' ? undefined : body);
  });
}

/** Everything that a raw connection answers until it is closed. */
function converse(port: number, ...parts: string[]): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of parts) socket.write(part);
    });
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {}).on('close', () => resolve(answer));
  });
}

const responseOf = ({ body }: Reply) => JSON.parse(body).response;

test('a review is answered with its uid, and counted', async () => {
  const port = await start();
  const reply = await send(port);
  expect(reply.status).toBe(200);
  expect(reply.headers['content-type']).toBe('application/json');
  expect(responseOf(reply)).toEqual({ uid: 'u-1', allowed: true, auditAnnotations: { row: 'unchanged' } });
  const counted = await metrics.registry.metrics();
  expect(counted).toContain('sidestep_admissions_total{row="unchanged",outcome="allowed"} 1');
  expect(counted).toContain('sidestep_admission_duration_seconds_count{outcome="allowed"} 1');
});

test('a denial and a warning are logged, a silent permission is not', async () => {
  const port = await start();
  await send(port);
  expect(log.lines.filter(({ level }) => level === 'info')).toEqual([]);
  decide = async () => ({ allowed: false, code: 403, message: 'no' });
  expect(responseOf(await send(port))).toMatchObject({ allowed: false, status: { code: 403, message: 'no' } });
  expect(log.lines.at(-1)).toMatchObject({
    level: 'info',
    message: 'admission decided',
    fields: { result: 'denied', code: 403, requester: 'jane' },
  });
});

test('an error of our own is a denial in clear words, and a line in the log', async () => {
  decide = () => Promise.reject(new TypeError('x is not a function'));
  const reply = await send(await start());
  expect(reply.status).toBe(200);
  expect(responseOf(reply)).toMatchObject({
    uid: 'u-1',
    allowed: false,
    status: { code: 500, message: expect.stringContaining('error of its own') },
  });
  expect(reply.body).not.toContain('not a function');
  expect(log.lines.find(({ level }) => level === 'error')).toMatchObject({
    message: 'admission failed',
    fields: { uid: 'u-1', error: 'x is not a function' },
  });
});

test('a decision that throws at once is an error like any other', async () => {
  decide = () => {
    throw new RangeError('Maximum call stack size exceeded');
  };
  expect(responseOf(await send(await start()))).toMatchObject({ allowed: false, status: { code: 500 } });
});

test('a decision that takes too long is refused before the API server gives up', async () => {
  decide = () => new Promise(() => {});
  expect(responseOf(await send(await start({}, 10)))).toMatchObject({
    allowed: false,
    status: { code: 503, message: expect.stringContaining('too slowly') },
  });
});

test.each([
  ['another method', { method: 'PUT' }, 405],
  ['GET', { method: 'GET' }, 405],
  ['another content type', { headers: { 'content-type': 'application/yaml' } }, 415],
  ['a content type that only begins like it', { headers: { 'content-type': 'application/json-patch+json' } }, 415],
  ['no content type', { headers: { 'content-type': '' } }, 415],
  ['a compressed body', { headers: { 'content-encoding': 'gzip' } }, 415],
])('%s: refused with a review', async (_, options, status) => {
  const reply = await send(await start(), review(), options);
  expect(reply.status).toBe(status);
  expect(responseOf(reply)).toMatchObject({ uid: '', allowed: false, status: { code: status } });
});

test('content type with a charset, in capitals: accepted', async () => {
  const reply = await send(await start(), review(), { headers: { 'content-type': 'Application/JSON; charset=utf-8' } });
  expect(reply.status).toBe(200);
});

test.each([
  ['empty', ''],
  ['undecodable', '{"request":'],
  ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
  ['another kind', '{"kind":"Pod","apiVersion":"v1"}'],
])('a body that is %s: 400 with a review', async (_, body) => {
  const reply = await send(await start(), body);
  expect(reply.status).toBe(400);
  expect(responseOf(reply)).toMatchObject({ uid: '', allowed: false, status: { code: 400 } });
});

test('a body over the limit is refused by its announced length, without being sent', async () => {
  const port = await start({ maxBytes: 100 });
  const answer = await converse(
    port,
    'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 101\r\n\r\n',
  );
  expect(answer).toMatch(/^HTTP\/1.1 413 [\s\S]*connection: close/i);
  expect(answer).toContain('"code":413');
});

test('an endless body is cut off at the limit', async () => {
  const port = await start({ maxBytes: 100 });
  const chunk = `40\r\n${'x'.repeat(64)}\r\n`;
  const answer = await converse(
    port,
    'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    chunk,
    chunk,
  );
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
});

test('a body that does not come is not waited for', async () => {
  const port = await start({ timeoutMs: 20 });
  const answer = await converse(
    port,
    'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{',
  );
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
});

test('too many bytes at the same time: refused, and accepted again once the others are done', async () => {
  const port = await start({ maxHeldBytes: review().length + 300, freeBytes: 0 });
  let finish = (_: Outcome): void => {};
  decide = () => new Promise((resolve) => (finish = resolve));
  const first = send(port, review('first'));
  await vi.waitFor(() => expect(finish.name).not.toBe('finish'));
  const second = await send(port, review('second'));
  expect(second.status).toBe(503);
  finish(ALLOWED);
  expect(responseOf(await first)).toMatchObject({ uid: 'first', allowed: true });
  decide = async () => ALLOWED;
  expect((await send(port)).status).toBe(200);
});

test('a caller that goes away in the middle of its body leaves no trace but a line', async () => {
  const port = await start();
  const socket = connect(port, '127.0.0.1', () => {
    socket.write(
      'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{',
      () => socket.destroy(),
    );
  });
  await vi.waitFor(() =>
    expect(log.lines.at(-1)).toMatchObject({ message: 'request refused', fields: { status: 400 } }),
  );
  expect((await send(port)).status).toBe(200);
});

test('garbage in place of HTTP, a path that cannot be decoded, an unknown path', async () => {
  const port = await start();
  expect(await converse(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
  expect(await send(port, '', { path: '/%ff' })).toMatchObject({
    status: expect.toSatisfy((s) => s === 400 || s === 404),
  });
  const unknown = await send(port, '', { path: '/elsewhere' });
  expect(unknown).toMatchObject({ status: 404, body: 'not found\n' });
  expect(unknown.headers).not.toHaveProperty('x-powered-by');
});

test('ready only when nothing is missing; alive always', async () => {
  const port = await start();
  const get = (path: string) => send(port, '', { method: 'GET', path });
  pending = ['certificate', 'watch of Jobs'];
  expect(await get('/readyz')).toMatchObject({ status: 503, body: 'not ready: certificate, watch of Jobs\n' });
  expect(await get('/healthz')).toMatchObject({ status: 200 });
  pending = [];
  expect(await get('/readyz')).toMatchObject({ status: 200, body: 'ok\n' });
  draining = true;
  expect(await get('/readyz')).toMatchObject({ status: 503, body: 'not ready: shutting down\n' });
});

test('on its way out it answers, and asks not to use the connection again', async () => {
  const port = await start();
  const keepAlive = { headers: { connection: 'keep-alive' } };
  expect((await send(port, review(), keepAlive)).headers['connection']).toBe('keep-alive');
  draining = true;
  const reply = await send(port, review(), keepAlive);
  expect(reply.status).toBe(200);
  expect(reply.headers['connection']).toBe('close');
});

test('metrics: ours and the process’, and no admission on that port', async () => {
  const port = await listen(createPlainServer(metricsApp(health, metrics.registry)));
  metrics.launched('launch');
  const reply = await send(port, '', { method: 'GET', path: '/metrics' });
  expect(reply.headers['content-type']).toContain('text/plain; version=0.0.4');
  expect(reply.body).toContain('sidestep_launcher_actions_total{action="launch"} 1');
  expect(reply.body).toContain('sidestep_certificate_expiry_timestamp_seconds 1800000000');
  expect(reply.body).toContain('process_resident_memory_bytes');
  expect((await send(port)).status).toBe(404);
});
