import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { WebhookSpec } from '../../canary/spec.ts';
import { judgeCheck } from '../judge/thresholds.ts';
import { callHook } from './hooks.ts';
import { addressAllowed, guardHost } from './url-guard.ts';

const GUARD = {
  namespace: 'shop',
  allowedHosts: ['hooks.example.com', '*.partner.example', 'localhost'],
  forbiddenAddresses: ['10.96.0.1', '::ffff:10.0.0.9'],
};

describe('hosts', () => {
  test.each([
    ['http://loadtester/', 'loadtester.shop.svc'],
    ['http://loadtester.shop/', 'loadtester.shop.svc'],
    ['http://loadtester.shop.svc.cluster.local:8080/x', 'loadtester.shop.svc.cluster.local'],
    ['https://hooks.example.com/a', 'hooks.example.com'],
    ['https://a.partner.example/', 'a.partner.example'],
  ])('%s is called as %s', (url, host) => {
    expect(guardHost(new URL(url), GUARD)).toEqual({ host });
  });

  test.each([
    'http://loadtester.other/',
    'http://loadtester.other.svc.cluster.local/',
    'http://example.com/',
    'http://partner.example/',
    'http://evil-partner.example/',
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://[::1]/',
    'http://[::ffff:169.254.169.254]/',
    'http://169.254.169.254/latest/meta-data',
    'http://user:secret@loadtester/',
    'http://loadtester.shop.example.com/',
  ])('%s is refused', (url) => {
    expect(guardHost(new URL(url), GUARD)).toHaveProperty('refused');
  });

  test.each([
    ['10.1.2.3', true],
    ['2001:db8::1', true],
    ['127.0.0.1', false],
    ['127.9.9.9', false],
    ['0.0.0.0', false],
    ['169.254.169.254', false],
    ['::1', false],
    ['::', false],
    ['fe80::1', false],
    ['::ffff:127.0.0.1', false],
    ['::ffff:7f00:1', false],
    ['::ffff:a9fe:a9fe', false],
    ['224.0.0.1', false],
    ['10.96.0.1', false],
    ['::ffff:10.96.0.1', false],
    ['10.0.0.9', false],
    ['no address', false],
  ])('address %s may be called: %s', (address, expected) => {
    expect(addressAllowed(address, GUARD)).toBe(expected);
  });
});

describe('calls', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  async function call(listener: RequestListener, hook: Partial<WebhookSpec> = {}) {
    server = createServer(listener).listen(0, '127.0.0.1');
    await new Promise((resolve) => server!.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const spec: WebhookSpec = {
      name: 'load-test',
      type: 'rollout',
      url: `http://tester.shop:${port}/`,
      timeout: '300ms',
      metadata: { cmd: 'hey' },
      ...hook,
    };
    // The test's own server is on loopback, which no hook may call: the resolver says a public address, the connection is the test's.
    return callHook(
      spec,
      { name: 'reviews', namespace: 'shop', phase: 'Progressing', checksum: 'v1-x' },
      { ...GUARD, signal: new AbortController().signal, resolve: async () => ({ address: '127.0.0.1', family: 4 }) },
    );
  }

  test('an address that must not be called is refused after resolution', async () => {
    const outcome = await call((_req, res) => res.end());
    expect(outcome).toEqual({
      name: 'load-test',
      passed: false,
      message: 'webhook load-test: host tester.shop.svc has an address that hooks must not call',
    });
  });

  test('a refused host is never resolved', async () => {
    expect(await call((_req, res) => res.end(), { url: 'http://elsewhere.other/' })).toMatchObject({
      passed: false,
      message: expect.stringContaining('neither a Service'),
    });
  });
});

describe('one check', () => {
  const pass = { name: 'a', verdict: 'pass' as const, value: 1, message: 'fine' };
  const none = { name: 'b', verdict: 'no-data' as const, message: 'no requests' };
  const bad = { name: 'c', verdict: 'fail' as const, value: 0, message: 'bad' };
  const hook = { name: 'h', passed: false, message: 'webhook h answered 500' };
  test.each([
    [[pass], [], 'advance', 'fine'],
    [[pass, none], [], 'hold', 'no requests'],
    [[pass, none, bad], [], 'fail', 'bad'],
    [[pass], [hook], 'fail', 'webhook h answered 500'],
    [[none], [hook], 'fail', 'webhook h answered 500'],
    [[], [], 'advance', 'no metrics to check'],
  ] as const)('%j with hooks %j: %s', (readings, hooks, outcome, message) => {
    expect(judgeCheck({ readings: [...readings], requests: 1, hooks: [...hooks] })).toMatchObject({ outcome, message });
  });
});
