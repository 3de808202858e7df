import { X509Certificate } from 'node:crypto';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { BACKDATE_MS, CA_LIFETIME_MS, createAuthority, type KeyPair, LEAF_LIFETIME_MS } from './authority.ts';
import { hasNames, issuedBy, matchingPair, readMaterial, splitBundle, validityOf, writeMaterial } from './material.ts';

const authority = createAuthority();
const now = new Date('2026-03-01T12:00:00Z');
const NAMES = ['sidestep.sidestep-system.svc', 'sidestep.sidestep-system.svc.cluster.local'];

test('a CA: signs itself, may sign only leaves, begins before now', async () => {
  const ca = await authority.issueCa(now);
  const certificate = new X509Certificate(ca.certificate);
  expect(certificate.ca).toBe(true);
  expect(issuedBy(ca.certificate, ca.certificate)).toBe(true);
  expect(validityOf(ca.certificate)).toEqual({
    fromMs: now.getTime() - BACKDATE_MS,
    toMs: now.getTime() + CA_LIFETIME_MS,
  });
  expect(matchingPair(ca.certificate, ca.key)).toEqual(ca);
});

test('a leaf: names, life, issuer, and no CA itself', async () => {
  const [ca, other] = [await authority.issueCa(now), await authority.issueCa(now)];
  const leaf = await authority.issueLeaf(ca, NAMES, now);
  const certificate = new X509Certificate(leaf.certificate);
  expect(certificate.ca).toBe(false);
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(hasNames(leaf.certificate, NAMES)).toBe(true);
  expect(hasNames(leaf.certificate, ['sidestep.elsewhere.svc'])).toBe(false);
  expect(issuedBy(leaf.certificate, ca.certificate)).toBe(true);
  expect(issuedBy(leaf.certificate, other.certificate)).toBe(false);
  expect(validityOf(leaf.certificate).toMs).toBe(now.getTime() + LEAF_LIFETIME_MS);
});

test('a name over 64 characters still gets a certificate', async () => {
  const long = `${'s'.repeat(63)}.${'n'.repeat(63)}.svc`;
  const ca = await authority.issueCa(new Date());
  const leaf = await authority.issueLeaf(ca, [long], new Date());
  expect(await handshake(leaf, ca.certificate, long)).toBe('authorized');
});

test('what is written is read back; what is broken is left out', async () => {
  const ca = await authority.issueCa(now);
  const leaf = await authority.issueLeaf(ca, NAMES, now);
  const material = { bundle: [ca.certificate], ca, leaf };
  const data = writeMaterial(material);
  expect(readMaterial(data)).toEqual(material);
  const broken = Buffer.from('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n').toString('base64');
  expect(readMaterial({ ...data, 'tls.crt': broken })).toEqual({ bundle: [ca.certificate], ca });
  expect(readMaterial({ ...data, 'ca.key': data['tls.key']! })).toEqual({ bundle: [ca.certificate], leaf });
  expect(readMaterial({ ...data, 'ca.crt': broken })).toEqual({ bundle: [], leaf });
  expect(readMaterial({ 'ca.crt': '%%%', 'ca.key': '', 'tls.crt': 'eA==' })).toEqual({ bundle: [] });
  expect(readMaterial(undefined)).toEqual({ bundle: [] });
  expect(splitBundle(`junk\n${ca.certificate}junk ${leaf.certificate}`)).toEqual([ca.certificate, leaf.certificate]);
});

/** A real handshake on loopback: `authorized`, or the client's reason against it. */
async function handshake(pair: KeyPair, trusted: string, servername: string): Promise<string> {
  const server = createServer({ cert: pair.certificate, key: pair.key }, (socket) => socket.end());
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const outcome = await new Promise<string>((resolve) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: trusted, servername }, () =>
      resolve('authorized'),
    );
    socket.on('error', (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
    socket.on('close', () => server.close());
    socket.resume();
  });
  await new Promise((resolve) => server.close(resolve));
  return outcome;
}

test('handshakes while a CA is rotated: the bundle of both accepts both certificates', async () => {
  const at = new Date();
  const [oldCa, newCa] = [await authority.issueCa(at), await authority.issueCa(at)];
  const oldLeaf = await authority.issueLeaf(oldCa, NAMES, at);
  const newLeaf = await authority.issueLeaf(newCa, NAMES, at);
  const both = newCa.certificate + oldCa.certificate;
  const name = NAMES[0]!;
  expect(await handshake(oldLeaf, both, name)).toBe('authorized');
  expect(await handshake(newLeaf, both, name)).toBe('authorized');
  expect(await handshake(newLeaf, newCa.certificate, name)).toBe('authorized');
  expect(await handshake(newLeaf, oldCa.certificate, name)).not.toBe('authorized');
  expect(await handshake(newLeaf, both, 'elsewhere.svc')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
});
