import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createAuthority, type KeyPair } from '../../certs/authority.ts';
import { clientCertificate } from '../../certs/testing/client-certificate.ts';
import { memoryLog } from '../../kube/log.ts';
import { webhookApp } from './app.ts';
import { startCallers } from './callers.ts';
import { createTlsServer, type TlsServer } from './serve.ts';

const authority = createAuthority();
const LEAF_NAMES = ['localhost'];
let serving: KeyPair;
let servingCa: KeyPair;
let clientCa: KeyPair;
let folder: string;
let file: string;
let stop: AbortController;
let server: TlsServer;
let port: number;
let asked: number;

beforeAll(async () => {
  [servingCa, clientCa] = await Promise.all([authority.issueCa(new Date()), authority.issueCa(new Date())]);
  serving = await authority.issueLeaf(servingCa, LEAF_NAMES, new Date());
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callers-'));
  file = join(folder, 'ca.crt');
  stop = new AbortController();
  asked = 0;
});

afterEach(async () => {
  stop.abort();
  await server.stop();
  await rm(folder, { recursive: true });
});

async function listen(names: string[] = []) {
  const log = memoryLog();
  const callers = startCallers({ caFile: file, names, signal: stop.signal, log, changed: (ca) => server.trust(ca) });
  const handler = callers.guard((_request, response) => {
    asked++;
    response.end('decided');
  });
  server = createTlsServer(webhookApp({ pending: callers.pending, draining: () => false }, handler), {
    askForCertificates: true,
  });
  server.use(serving);
  port = await server.listen(0);
  return { callers, log };
}

/** @returns the status of an answer to somebody with this certificate, on a connection of their own */
function call(client: KeyPair | undefined, path = '/mutate', method = 'POST'): Promise<number> {
  const identity = client ? { cert: client.certificate, key: client.key } : {};
  const options = { port, host: 'localhost', path, method, ca: servingCa.certificate, agent: false, ...identity };
  return new Promise((resolve, reject) => {
    request(options, (response) => resolve(response.resume().statusCode!))
      .on('error', reject)
      .end();
  });
}

const inForce = (pending: () => string[]) => vi.waitFor(() => expect(pending()).toEqual([]), { timeout: 4000 });

test('who shows a certificate of the CA is answered; nobody else is, whatever they show', async () => {
  await writeFile(file, clientCa.certificate);
  const { callers } = await listen();
  await inForce(callers.pending);
  const apiServer = await clientCertificate(clientCa, 'kube-apiserver');
  expect(await call(apiServer)).toBe(200);
  expect(asked).toBe(1);
  const strangers: [string, KeyPair | undefined][] = [
    ['nothing', undefined],
    ['a certificate of another CA', await clientCertificate(servingCa, 'kube-apiserver')],
    ['a server’s certificate of this CA', await authority.issueLeaf(clientCa, ['kube-apiserver'], new Date())],
    ['one that has ended', await clientCertificate(clientCa, 'kube-apiserver', { untilMs: Date.now() - 60_000 })],
    ['the CA itself, signed by itself', await authority.issueCa(new Date())],
  ];
  for (const [what, pair] of strangers) expect.soft([what, await call(pair)]).toEqual([what, 403]);
  expect(asked).toBe(1);
});

test('with names, the CA’s other clients are strangers too', async () => {
  await writeFile(file, clientCa.certificate);
  const { callers } = await listen(['kube-apiserver-webhooks']);
  await inForce(callers.pending);
  expect(await call(await clientCertificate(clientCa, 'kube-apiserver-webhooks'))).toBe(200);
  expect(await call(await clientCertificate(clientCa, 'system:node:one'))).toBe(403);
});

test('the kubelet’s probes need no certificate', async () => {
  await writeFile(file, clientCa.certificate);
  const { callers } = await listen();
  await inForce(callers.pending);
  expect(await call(undefined, '/readyz', 'GET')).toBe(200);
  expect(await call(undefined, '/healthz', 'GET')).toBe(200);
});

test('until there is a CA nobody is answered, and the webhook is not ready', async () => {
  const { callers, log } = await listen();
  const apiServer = await clientCertificate(clientCa, 'kube-apiserver');
  await vi.waitFor(() => expect(log.lines.map(({ message }) => message)).toContain('client CA cannot be used'));
  expect(callers.pending()).toEqual(['client CA']);
  expect(await call(apiServer)).toBe(403);
  expect(await call(undefined, '/readyz', 'GET')).toBe(503);
  await writeFile(file, 'no certificate');
  await vi.waitFor(() => expect(log.lines.at(-1)?.fields).toMatchObject({ reason: 'has no certificate' }), {
    timeout: 4000,
  });
  await writeFile(file, clientCa.certificate);
  await inForce(callers.pending);
  expect(await call(apiServer)).toBe(200);
});

test('without a file, everybody is answered as ever', async () => {
  const callers = startCallers({ caFile: '', names: [], signal: stop.signal, log: memoryLog(), changed: () => {} });
  server = createTlsServer(
    webhookApp(
      { pending: callers.pending, draining: () => false },
      callers.guard((_request, response) => void response.end()),
    ),
  );
  server.use(serving);
  port = await server.listen(0);
  expect(callers.pending()).toEqual([]);
  expect(await call(undefined)).toBe(200);
});

test('the certificates of these tests are what they say', async () => {
  const { certificate } = await clientCertificate(clientCa, 'kube-apiserver');
  const { issuer, subject, keyUsage } = new X509Certificate(certificate);
  expect([subject, issuer === new X509Certificate(clientCa.certificate).subject, keyUsage]).toEqual([
    'CN=kube-apiserver',
    true,
    ['1.3.6.1.5.5.7.3.2'],
  ]);
});
