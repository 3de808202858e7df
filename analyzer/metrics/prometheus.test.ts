import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { comparedQuery } from '../guard/names.ts';
import { bucketsOf } from './duration.ts';
import { evaluateMetrics } from './evaluate.ts';
import { createPrometheus, MetricsError, samplesOf } from './prometheus.ts';
import { durationQuery, quote, requestsQuery } from './queries.ts';

// What a server in Prometheus' place can answer, and what names can do to a query.

let server: Server | undefined;
afterEach(() => void server?.close());

async function urlOf(made: Server): Promise<string> {
  server = made.listen(0, '127.0.0.1');
  await new Promise((resolve) => made.once('listening', resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;
const http = (listener: Listener) => urlOf(createServer(listener));
const raw = (say: (socket: Socket) => void) =>
  urlOf(createTcpServer((socket) => void socket.on('error', () => {}).once('data', () => say(socket))));

const askAt = (url: string, timeoutMs = 2000) =>
  createPrometheus({ url, timeoutMs, signal: new AbortController().signal })('up', new Date(0));

const vector = (...series: object[]) =>
  JSON.stringify({ status: 'success', data: { resultType: 'vector', result: series } });
const series = (value: unknown, metric: object = {}) => ({ metric, value: [1, value] });

describe('values', () => {
  test.each([
    '',
    ' ',
    '0x10',
    '0b1',
    '1_000',
    '-0',
    '-1',
    '+1',
    'NaN',
    '+Inf',
    '-Inf',
    'Inf',
    'Infinity',
    '1e999',
    '1e',
    '.5',
    '5.',
    '1 ',
    '٣',
  ])('%j is no count', (value) => expect(() => samplesOf(vector(series(value)))).toThrow(MetricsError));
  test.each([
    ['0', 0],
    ['17', 17],
    ['1e3', 1000],
    ['1.5e+06', 1_500_000],
    ['2.5', 2.5],
    ['1e-7', 1e-7],
  ])('%j is %d', (value, count) => expect(samplesOf(vector(series(value)))).toEqual([{ labels: {}, value: count }]));

  test.each([[[]], [[1]], [null], ['5'], [[1, ['5']]], [{}]])('a sample that is %j is none', (value) => {
    expect(() => samplesOf(vector({ metric: {}, value }))).toThrow(MetricsError);
  });

  test('a range in place of an instant, and a matrix', () => {
    expect(() => samplesOf(vector({ metric: {}, values: [[1, '5']] }))).toThrow(MetricsError);
    const matrix = JSON.stringify({ status: 'success', data: { resultType: 'matrix', result: [] } });
    expect(() => samplesOf(matrix)).toThrow('Prometheus answered with a matrix, not with a vector');
  });

  test('bounds of buckets that are no numbers are left out', () => {
    const growths = ['', ' ', '0x10', 'NaN', 'Infinity', '10', '+Inf'].map((le) => ({ labels: { le }, count: 1 }));
    expect(bucketsOf(growths).map(({ le }) => le)).toEqual([10, Infinity]);
  });
});

test('several series are added up: neither the first nor the last one wins', async () => {
  const now = new Date(60_000);
  const { readings, requests } = await evaluateMetrics({
    ask: async (query, at) =>
      at === now && query !== 'count(up)'
        ? samplesOf(vector(series('90', { response_code: '200' }), series('10', { response_code: '500' })))
        : [],
    metrics: [{ name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' }],
    names: { namespace: 'n', service: 's', workload: 'w' },
    trafficSince: new Date(0),
    now,
  });
  expect(requests).toBe(100);
  expect(readings[0]).toMatchObject({ verdict: 'fail', value: 90 });
});

test.each(['constructor', '__proto__', 'toString'])('a metric %s in a record is no metric', async (name) => {
  const { readings } = await evaluateMetrics({
    ask: async () => [],
    metrics: [{ name: name as never, thresholdRange: { max: 1 }, interval: '1m' }],
    names: { namespace: 'n', service: 's', workload: 'w' },
    trafficSince: new Date(0),
    now: new Date(60_000),
  });
  expect(readings[0]).toMatchObject({ verdict: 'no-data', error: true });
});

describe('the server', () => {
  test('a gigabyte is left after 10 MiB', async () => {
    let sent = 0;
    const url = await http((_request, response) => {
      const piece = Buffer.alloc(1024 * 1024, '[');
      const more = () => {
        while (!response.destroyed && sent < 1024) {
          sent++;
          if (!response.write(piece)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    await expect(askAt(url, 30_000)).rejects.toThrow('Prometheus answered with more than 10485760 bytes');
    expect(sent).toBeLessThan(100);
  });

  test.each<[string, Listener]>([
    ['never', () => {}],
    ['half', (_request, response) => void response.writeHead(200).write('{')],
  ])('one that answers %s is not waited for', async (_what, listener) => {
    const url = await http(listener);
    await expect(askAt(url, 100)).rejects.toThrow('could not be reached: no answer in time');
  });

  test.each<[string, number, string, string]>([
    ['an error with its reason', 400, '{"status":"error","error":"parse error"}', 'HTTP 400: parse error'],
    ['an error with status 200', 200, '{"status":"error","error":"boom"}', 'answered with an error: boom'],
    ['a page of a proxy', 502, '<html>', 'HTTP 502'],
    ['a page of a proxy with 200', 200, '<html>', 'not JSON'],
    ['a redirect', 302, '', 'HTTP 302'],
    ['nothing', 204, '', 'HTTP 204'],
    ['an error that is no text', 500, '{"error":{"a":1}}', 'HTTP 500'],
    ['a warning of a million characters', 500, JSON.stringify({ error: 'x'.repeat(1_000_000) }), 'HTTP 500: xxx'],
    ['brackets without end', 200, '['.repeat(1_000_000), 'not JSON'],
  ])('%s is an error of the metrics', async (_what, status, body, message) => {
    const url = await http((_request, response) => response.writeHead(status).end(body));
    const error = await askAt(url).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(MetricsError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message.length).toBeLessThan(300);
  });

  test.each<[string, (socket: Socket) => void]>([
    [
      'switches protocols',
      (socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ],
    ['hangs up', (socket) => void socket.destroy()],
    ['says no HTTP', (socket) => void socket.end('SSH-2.0-x\r\n')],
  ])('one that %s is an error of the metrics, at once', async (_what, say) => {
    await expect(askAt(await raw(say), 20_000)).rejects.toBeInstanceOf(MetricsError);
  });
});

/** A PromQL string as Prometheus' lexer reads it: to the first quote that has no backslash in front; escapes as in Go. */
function unquoted(text: string): { value: string; rest: string } {
  const escapes: Record<string, string> = { n: '\n', '\\': '\\', '"': '"' };
  let value = '';
  for (let at = 1; at < text.length; at++) {
    const c = text[at]!;
    if (c === '"') return { value, rest: text.slice(at + 1) };
    if (c === '\n') throw new Error('a line end in a string');
    if (c !== '\\') value += c;
    else {
      const meant = escapes[text[++at] ?? ''];
      if (meant === undefined) throw new Error('an escape that is none');
      value += meant;
    }
  }
  throw new Error('a string without end');
}

describe('names in queries', () => {
  const nasty = fc.oneof(fc.string(), fc.stringMatching(/^[\\"'\n{}=,x]{0,12}$/));

  test('whatever a name is, it stays one string', () => {
    fc.assert(
      fc.property(nasty, (name) => {
        expect(unquoted(quote(name))).toEqual({ value: name, rest: '' });
      }),
      {
        numRuns: 2000,
      },
    );
  });

  /** The strings of a query, and what it is without them. */
  function taken(query: string): { strings: string[]; frame: string } {
    const strings: string[] = [];
    let frame = '';
    let rest = query;
    for (let at = rest.indexOf('"'); at >= 0; at = rest.indexOf('"')) {
      frame += `${rest.slice(0, at)}""`;
      const string = unquoted(rest.slice(at));
      strings.push(string.value);
      rest = string.rest;
    }
    return { strings, frame: frame + rest };
  }

  test('every interpolated value of every query is one: what is around them is always the same', () => {
    fc.assert(
      fc.property(nasty, nasty, nasty, fc.constantFrom('callers', 'pods'), (namespace, service, workload, side) => {
        for (const query of [requestsQuery, durationQuery]) {
          const { strings, frame } = taken(query(side, { namespace, service, workload }));
          expect(strings.slice(1)).toEqual([side === 'callers' ? service : workload, namespace]);
          expect(frame).toBe(taken(query(side, { namespace: 'n', service: 's', workload: 'w' })).frame);
        }
        const names = (n: string, s: string, w: string) => ({
          ...{ namespace: n, service: s, workload: w },
          ...{ canaryService: `${s}-canary`, canaryWorkload: `${w}-canary` },
        });
        for (const counted of ['errors', 'latency'] as const) {
          const { frame } = taken(comparedQuery(counted, names(namespace, service, workload)));
          expect(frame).toBe(taken(comparedQuery(counted, names('n', 's', 'w'))).frame);
        }
      }),
    );
  });
});
