import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memoryLog } from '../../kube/log.ts';
import type { Outcome } from '../admission/types.ts';
import { webhookApp } from './app.ts';
import { BodyReader, MAX_BODY_BYTES, MAX_HELD_BYTES } from './body.ts';
import { createMetrics } from './metrics.ts';
import { mutateHandler } from './mutate.ts';
import { createPlainServer, type WebServer } from './serve.ts';

// What somebody who reaches the port can do to the process: many, large, slow and finely cut bodies.

const ALLOWED: Outcome = { allowed: true, patch: [], warnings: [], audit: {} };
const MIB = 1024 * 1024;

let server: WebServer;
let port: number;
let bodies: BodyReader;
/** Ends the decisions that wait. */
let release: () => void;
let waiting: number;

beforeEach(async () => {
  bodies = new BodyReader();
  waiting = 0;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const handler = mutateHandler({
    decide: async () => {
      waiting++;
      await held;
      return ALLOWED;
    },
    bodies,
    metrics: createMetrics(() => undefined),
    log: memoryLog(),
    now: () => new Date(0),
    deadlineMs: 60_000,
  });
  server = createPlainServer(webhookApp({ pending: () => [], draining: () => false }, handler));
  port = await server.listen(0);
});

afterEach(() => {
  release();
  return server.stop();
});

const template = { spec: { containers: [] } };
/** A review of about this many bytes. */
const review = (bytes = 0) =>
  Buffer.from(
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'u-1',
        kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
        operation: 'CREATE',
        userInfo: { username: 'jane' },
        object: { metadata: { name: 'reviews' }, spec: { selector: {}, template } },
        padding: 'x'.repeat(bytes),
      },
    }),
  );

/** @returns the status, or 0 where the connection was cut */
function post(body: Buffer): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const options = { port, host: '127.0.0.1', method: 'POST', path: '/mutate', headers, agent: false };
    httpRequest(options, (response) => resolve(response.resume().statusCode!))
      .on('error', () => resolve(0))
      .end(body);
  });
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of Buffers that somebody still holds. */
function liveBuffers(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

const HEAD = 'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

test('fifty reviews of 6 MiB at once: as many as the limit allows are held, the rest is refused, small ones go on after', async () => {
  const body = review(6 * MIB);
  const before = liveBuffers();
  const all = Array.from({ length: 50 }, () => post(body));
  await vi.waitFor(() => expect(waiting).toBeGreaterThan(0), { timeout: 10_000 });
  const refused = await firstAnswers(all, 45);
  expect(refused.filter((status) => status === 200)).toEqual([]);
  expect(waiting).toBeLessThanOrEqual(Math.floor(MAX_HELD_BYTES / body.length));
  // The senders' own fifty bodies are one Buffer; what sockets have read is what may be beside the limit.
  await vi.waitFor(() => expect(liveBuffers() - before).toBeLessThan(MAX_HELD_BYTES + 16 * MIB), { timeout: 5000 });
  release();
  const statuses = await Promise.all(all);
  expect(statuses.filter((status) => status === 200)).toHaveLength(waiting);
  expect(new Set(statuses)).toEqual(new Set([200, 503, 0].filter((s) => statuses.includes(s))));
  expect(await post(review())).toBe(200);
}, 30_000);

/** Of those that are answered first. */
function firstAnswers(all: Promise<number>[], count: number): Promise<number[]> {
  return new Promise((resolve) => {
    const answers: number[] = [];
    for (const one of all)
      void one.then((status) => {
        answers.push(status);
        if (answers.length === count) resolve([...answers]);
      });
  });
}

test('a body of exactly the limit is read, one byte more is not', async () => {
  release();
  const rest = review(0).length;
  expect(await post(review(MAX_BODY_BYTES - rest))).toBe(200);
  // Refused by its announced length, perhaps before all of it is sent.
  expect([413, 0]).toContain(await post(review(MAX_BODY_BYTES - rest + 1)));
});

test('a body in pieces of one byte is refused long before its bytes count', async () => {
  const pieces = '1\r\nx\r\n'.repeat(10_000);
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    let sent = 0;
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      const more = () => {
        while (!socket.destroyed && sent < 200) {
          sent++;
          if (!socket.write(pieces)) return void socket.once('drain', more);
        }
      };
      more();
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => {}).on('close', () => resolve(text));
  });
  expect(answer).toMatch(/^HTTP\/1.1 503 /);
});

test('what was held for refused and broken requests is free again', async () => {
  release();
  for (let i = 0; i < 20; i++) {
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(`${HEAD}content-length: ${6 * MIB}\r\n\r\n${'x'.repeat(MIB)}`, () => socket.destroy());
      });
      socket.on('error', () => {}).on('close', () => resolve());
    });
  }
  await vi.waitFor(async () => expect(await post(review(6 * MIB))).toBe(200), { timeout: 10_000 });
});

test('deep nesting is answered, as an error of the sender or of our own', async () => {
  release();
  const deep = (open: string, close: string) => open.repeat(50_000) + close.repeat(50_000);
  const text = review().toString();
  for (const value of [deep('[', ']'), deep('{"a":', '}').replace('}', '1}')]) {
    for (const field of ['"uid":"u-1"', '"operation":"CREATE"', '"containers":[]', '"username":"jane"']) {
      const [key] = field.split(':');
      expect([200, 400]).toContain(await post(Buffer.from(text.replace(field, `${key}:${value}`))));
    }
  }
});
