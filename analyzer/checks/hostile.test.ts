import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { WebhookSpec } from '../../canary/spec.ts';
import { callHook, type HookDeps } from './hooks.ts';
import { addressAllowed, guardHost } from './url-guard.ts';

// What a hook's URL, its name server and its answers can try.

const GUARD = {
  namespace: 'shop',
  allowedHosts: ['hooks.example.com'],
  forbiddenAddresses: ['10.96.0.1', 'fd00:10:96::1'],
};

describe('hosts that only look like a Service of the namespace', () => {
  test.each([
    'http://a.shop.svc.evil.example/',
    'http://a.shop.svc.cluster.local.evil.example/',
    'http://a.shop.svc.cluster/',
    'http://a.shop.pod.cluster.local/',
    'http://a.b.shop.svc/',
    'http://a.shop.other/',
    'http://shop/.other.svc',
    'http://shop.svc/',
    'http://kubernetes.default.svc/',
    'http://prometheus.istio-system:9090/',
    'http://hooks.example.com.evil.example/',
    'http://xhooks.example.com/',
    'http://[fd00:10:96::1]/',
    'http://017700000001/',
    'http://127.1/',
    'http://0/',
    'http://①②⑦.0.0.1/',
    'http://10.1.2.3/',
  ])('%s', (url) => {
    const guarded = guardHost(new URL(url), GUARD);
    if ('host' in guarded) expect(guarded.host).toBe('shop.shop.svc');
    else expect(guarded.refused).not.toBe('');
  });
});

describe('addresses', () => {
  test.each([
    ['loopback by NAT64', '64:ff9b::7f00:1'],
    ['link-local by NAT64', '64:ff9b::a9fe:a9fe'],
    ['link-local by NAT64, with dots', '64:ff9b::169.254.169.254'],
    ['loopback by 6to4', '2002:7f00:1::'],
    ['the API server by 6to4', '2002:a60:1::1'],
    ['loopback, compatible', '::7f00:1'],
    ['loopback, translated', '::ffff:0:7f00:1'],
    ['loopback, mapped and written in full', '0:0:0:0:0:ffff:7f00:0001'],
    ['loopback, mapped in capitals', '::FFFF:7F00:1'],
    ['the API server, mapped', '::ffff:a60:1'],
    ['the API server in another form', 'fd00:10:96:0:0::0001'],
    ['the API server in capitals', 'FD00:10:96::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['the metadata service of AWS', 'fd00:ec2::254'],
    ['that of Google', 'fd20:ce::254'],
    ['that of Alibaba', '100.100.100.200'],
    ['that of Azure', '168.63.129.16'],
    ['that of Oracle', '192.0.0.192'],
    ['an address with white space', ' 10.0.0.1'],
    ['an octal address', '0177.0.0.1'],
    ['a number', '2130706433'],
    ['nothing', ''],
  ])('%s: %s', (_what, address) => expect(addressAllowed(address, GUARD)).toBe(false));

  test.each(['10.96.0.2', '10.0.0.1', 'fd00:10:96::2', '64:ff9b::a00:1', '2002:a00:1::1', '2001:db8::7f00:1'])(
    '%s may be called',
    (address) => expect(addressAllowed(address, GUARD)).toBe(true),
  );
});

let server: Server | undefined;
afterEach(() => void server?.close());

const listening = async (made: Server): Promise<number> => {
  server = made.listen(0, '127.0.0.1');
  await new Promise((resolve) => made.once('listening', resolve));
  return (made.address() as AddressInfo).port;
};

/** A server that is the Service of a hook; the address that a hook would connect to is written down, the connection is to loopback. */
async function hookTo(
  port: number,
  hook: Partial<WebhookSpec> = {},
  deps: Partial<HookDeps> = {},
): Promise<{ message: string; passed: boolean; connectedTo: string[] }> {
  const connectedTo: string[] = [];
  const send: NonNullable<HookDeps['send']> = (options, use) => {
    options.lookup!('any', { all: false }, (_error, address) => connectedTo.push(String(address)));
    return httpRequest({ ...options, hostname: '127.0.0.1', port }, use);
  };
  const spec: WebhookSpec = {
    name: 'gate',
    type: 'rollout',
    url: 'http://gate/',
    timeout: '500ms',
    metadata: {},
    ...hook,
  };
  const payload = { name: 'reviews', namespace: 'shop', phase: 'Progressing' as const, checksum: 'x' };
  const resolve = async () => ({ address: '10.1.2.3', family: 4 });
  const outcome = await callHook(spec, payload, {
    ...GUARD,
    signal: new AbortController().signal,
    resolve,
    send,
    ...deps,
  });
  return { ...outcome, connectedTo };
}

const http = (listener: (request: IncomingMessage, response: ServerResponse) => void) =>
  listening(createServer(listener));
/** Says these bytes to whoever connects. */
const raw = (say: (socket: Socket) => void) =>
  listening(createTcpServer((socket) => void socket.on('error', () => {}).once('data', () => say(socket))));

describe('answers', () => {
  test('2xx passes, at the address that was checked', async () => {
    const port = await http((_request, response) => response.writeHead(204).end());
    expect(await hookTo(port)).toEqual({
      name: 'gate',
      passed: true,
      message: 'webhook gate passed',
      connectedTo: ['10.1.2.3'],
    });
  });

  test('a redirect is an answer like any other, and not followed', async () => {
    const asked: string[] = [];
    const port = await http((request, response) => {
      asked.push(request.url!);
      response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end();
    });
    expect(await hookTo(port)).toMatchObject({ passed: false, message: 'webhook gate answered 307' });
    expect(asked).toEqual(['/']);
  });

  test('what it says is told to nobody', async () => {
    const port = await http((_request, response) =>
      response.writeHead(500, 'hunter2', { x: 'hunter2' }).end('hunter2'),
    );
    expect(JSON.stringify(await hookTo(port))).not.toContain('hunter2');
    const garbage = await raw((socket) => socket.end('hunter2 hunter2 hunter2\r\n\r\n'));
    const { message, passed } = await hookTo(garbage);
    expect(passed).toBe(false);
    expect(message).not.toContain('hunter2');
  });

  test('an endless body is left after 64 KiB; its status counts', async () => {
    let sent = 0;
    const port = await http((_request, response) => {
      const piece = Buffer.alloc(16 * 1024);
      const more = () => {
        while (!response.destroyed && sent < 1000) {
          sent++;
          if (!response.write(piece)) return void response.once('drain', more);
        }
      };
      more();
    });
    expect((await hookTo(port, { timeout: '5s' })).passed).toBe(true);
    expect(sent).toBeLessThan(1000);
  });

  test.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => {}],
    ['says its head byte by byte', (socket) => void socket.write('HTTP/1.1 200 OK\r\nx: ')],
    ['stops in its body', (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx')],
    ['goes on in silence', (socket) => void socket.write('HTTP/1.1 100 Continue\r\n\r\n')],
  ])('a server that %s has its time and no more', async (_what, say) => {
    const outcome = await hookTo(await raw(say), { timeout: '100ms' });
    expect(outcome).toMatchObject({ passed: false });
  });

  test.each<[string, (socket: Socket) => void]>([
    [
      'switches protocols',
      (socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ],
    ['hangs up', (socket) => void socket.destroy()],
    ['says 64 KiB of head', (socket) => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(65_536)}\r\n\r\n`)],
    ['says no HTTP', (socket) => void socket.end('SSH-2.0-x\r\n')],
  ])('a server that %s is a hook that did not pass, at once', async (_what, say) => {
    const startedMs = performance.now();
    expect(await hookTo(await raw(say), { timeout: '20s' })).toMatchObject({
      passed: false,
      message: expect.stringMatching(/^webhook gate could not be called: /),
    });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });
});

describe('name servers', () => {
  test('a second answer is not asked for: the address that was checked is the one that is called', async () => {
    const port = await http((_request, response) => response.end());
    const answers = ['10.1.2.3', '169.254.169.254'];
    const resolve = async () => ({ address: answers.shift()!, family: 4 });
    expect(await hookTo(port, {}, { resolve })).toMatchObject({ passed: true, connectedTo: ['10.1.2.3'] });
    expect(answers).toEqual(['169.254.169.254']);
  });

  test.each(['127.0.0.1', '169.254.169.254', '::1', '::ffff:169.254.169.254', '10.96.0.1', 'fe80::1'])(
    'a Service of the namespace whose name leads to %s is not called',
    async (address) => {
      const resolve = async () => ({ address, family: address.includes(':') ? 6 : 4 });
      expect(await hookTo(0, {}, { resolve })).toMatchObject({
        passed: false,
        connectedTo: [],
        message: 'webhook gate: host gate.shop.svc has an address that hooks must not call',
      });
    },
  );

  test('one that does not answer has the time of the hook', async () => {
    const resolve = () => new Promise<never>(() => {});
    expect(await hookTo(0, { timeout: '100ms' }, { resolve })).toMatchObject({
      passed: false,
      message: 'webhook gate did not answer within 100ms',
    });
  });

  test('one that has no such name', async () => {
    const resolve = () => Promise.reject(Object.assign(new Error('hunter2'), { code: 'ENOTFOUND' }));
    expect(await hookTo(0, {}, { resolve })).toMatchObject({
      passed: false,
      message: 'webhook gate could not be called: ENOTFOUND',
    });
  });
});
