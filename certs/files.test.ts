import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memoryLog } from '../kube/log.ts';
import { createAuthority, type KeyPair } from './authority.ts';
import { startFileCertificates } from './files.ts';

let folder: string;
let stop: AbortController;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  folder = await mkdtemp(join(tmpdir(), 'certs-'));
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

const authority = createAuthority();
const issue = async () =>
  authority.issueLeaf(await authority.issueCa(new Date()), ['sidestep.sidestep-system.svc'], new Date());
const write = ({ certificate, key }: KeyPair) =>
  Promise.all([writeFile(join(folder, 'tls.crt'), certificate), writeFile(join(folder, 'tls.key'), key)]);
/** Lets file reads end, then moves the clock to the next look. */
async function untilPolled(done: () => boolean): Promise<void> {
  const endMs = performance.now() + 4000;
  while (!done() && performance.now() < endMs) {
    await new Promise(setImmediate);
    vi.advanceTimersByTime(30_000);
  }
  expect(done()).toBe(true);
}

test('serves what is in the folder, takes up a new pair, and keeps the old one while the files do not match', async () => {
  const served: KeyPair[] = [];
  const log = memoryLog();
  const certificates = startFileCertificates({ folder, serve: (p) => served.push(p), signal: stop.signal, log });
  const warned = () => log.lines.filter(({ level }) => level === 'warn');
  await untilPolled(() => warned().length === 1);
  expect(warned()[0]!.fields).toMatchObject({ reason: 'cannot be read: ENOENT' });
  expect(certificates.pending()).toEqual(['certificate']);

  const [first, second] = [await issue(), await issue()];
  await write(first);
  await untilPolled(() => served.length === 1);
  expect(certificates.pending()).toEqual([]);

  await writeFile(join(folder, 'tls.crt'), second.certificate);
  await untilPolled(() => warned().length === 2);
  expect(served).toEqual([first]);

  await write(second);
  await untilPolled(() => served.length === 2);
  expect(served[1]).toEqual(second);
  expect(certificates.expiresAt()!.getTime()).toBeGreaterThan(Date.now());
});

/** As the kubelet brings a Secret into a volume: the files are links into a folder that is exchanged in one rename. */
async function mountSecret(revision: string, { certificate, key }: KeyPair): Promise<void> {
  const data = join(folder, `..${revision}`);
  await mkdir(data);
  await Promise.all([writeFile(join(data, 'tls.crt'), certificate), writeFile(join(data, 'tls.key'), key)]);
  await symlink(`..${revision}`, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  for (const file of ['tls.crt', 'tls.key']) {
    await symlink(join('..data', file), join(folder, file)).catch((e: NodeJS.ErrnoException) => {
      if (e.code !== 'EEXIST') throw e;
    });
  }
}

test('a Secret that cert-manager replaces is served pair by pair, also from a new CA and with its chain', async () => {
  const served: KeyPair[] = [];
  const log = memoryLog();
  await mountSecret('1', await issue());
  startFileCertificates({ folder, serve: (p) => served.push(p), signal: stop.signal, log });
  await untilPolled(() => served.length === 1);
  const ca = await authority.issueCa(new Date());
  const leaf = await authority.issueLeaf(ca, ['sidestep.sidestep-system.svc'], new Date());
  const withChain = { certificate: leaf.certificate + ca.certificate, key: leaf.key };
  await mountSecret('2', withChain);
  await untilPolled(() => served.length === 2);
  expect(served[1]).toEqual(withChain);
  await mountSecret('3', { certificate: 'half a file', key: leaf.key });
  await untilPolled(() => log.lines.some(({ level }) => level === 'warn'));
  expect(served).toHaveLength(2);
});
