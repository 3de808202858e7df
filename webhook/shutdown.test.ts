import { Agent, request } from 'node:https';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import { createAuthority } from '../certs/authority.ts';
import { createTlsServer, type TlsServer } from './server/serve.ts';
import { shutDown } from './shutdown.ts';

const authority = createAuthority();
const NAME = 'sidestep-webhook.sidestep-system.svc';
const servers: TlsServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(answer: () => Promise<string>) {
  const ca = await authority.issueCa(new Date());
  const server = createTlsServer((_request, response) => void answer().then((text) => response.end(text)));
  servers.push(server);
  server.use(await authority.issueLeaf(ca, [NAME], new Date()));
  return { server, ca, port: await server.listen(0) };
}

function call(port: number, ca: string, agent?: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const req = request({ port, host: '127.0.0.1', servername: NAME, ca, agent: agent ?? false }, (response) => {
      response.setEncoding('utf8').on('data', resolve);
    });
    req.on('error', reject).end();
  });
}

test('an answer in progress is finished; then nothing is accepted any more', async () => {
  let finish = (_: string): void => {};
  const { server, ca, port } = await start(() => new Promise((resolve) => (finish = resolve)));
  const order: string[] = [];
  const inProgress = call(port, ca.certificate).then((text) => order.push(text));
  await vi.waitFor(() => expect(finish.name).not.toBe('finish'));
  let endGrace = (): void => {};
  const down = shutDown({
    graceMs: 5000,
    sleep: (ms) => {
      order.push(`grace ${ms}`);
      return new Promise((resolve) => (endGrace = resolve));
    },
    startDraining: () => order.push('draining'),
    servers: [server],
    stop: () => order.push('stopped'),
  });
  expect(order).toEqual(['draining', 'grace 5000']);
  endGrace();
  await new Promise(setImmediate);
  finish('answered');
  await Promise.all([inProgress, down]);
  expect(order).toEqual(['draining', 'grace 5000', 'answered', 'stopped']);
  await expect(call(port, ca.certificate)).rejects.toThrow(/ECONNREFUSED/);
});

test('idle connections do not keep the server from ending, nor do those that never said a word', async () => {
  const { server, ca, port } = await start(async () => 'ok');
  const agent = new Agent({ keepAlive: true });
  expect(await call(port, ca.certificate, agent)).toBe('ok');
  const silent = connect({ port, host: '127.0.0.1', servername: NAME, ca: ca.certificate });
  await new Promise((resolve) => silent.once('secureConnect', resolve));
  const closed = new Promise((resolve) => silent.once('close', resolve));
  silent.on('error', () => {}).resume();
  await server.stop();
  await closed;
  agent.destroy();
});

test('a new certificate is for new connections; the open ones go on', async () => {
  const { server, ca, port } = await start(async () => 'ok');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await call(port, ca.certificate, agent);
  const next = await authority.issueCa(new Date());
  server.use(await authority.issueLeaf(next, [NAME], new Date()));
  expect(await call(port, ca.certificate, agent)).toBe('ok');
  await expect(call(port, ca.certificate)).rejects.toThrow();
  expect(await call(port, next.certificate)).toBe('ok');
  expect((await certificateOf(port, next.certificate)).issuer).toEqual({ CN: expect.stringMatching(/^sidestep-ca-/) });
  agent.destroy();
});

function certificateOf(port: number, ca: string): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: NAME, ca }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
