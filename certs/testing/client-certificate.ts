import { randomBytes } from 'node:crypto';
import type { KeyPair } from '../authority.ts';
import * as x509 from '../x509.ts';

const KEYS = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

const pem = (label: string, der: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END ${label}-----\n`;

/** What an API server shows to webhooks that ask for it. */
export async function clientCertificate(
  ca: KeyPair,
  commonName: string,
  { untilMs = Date.now() + HOUR_MS } = {},
): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(KEYS, true, ['sign', 'verify']);
  const der = Buffer.from(ca.key.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `40${randomBytes(15).toString('hex')}`,
    subject: [{ CN: [commonName] }],
    issuer: new x509.X509Certificate(ca.certificate).subjectName,
    notBefore: new Date(untilMs - 2 * HOUR_MS),
    notAfter: new Date(untilMs),
    signingAlgorithm: KEYS,
    publicKey: keys.publicKey,
    signingKey: await crypto.subtle.importKey('pkcs8', der, KEYS, false, ['sign']),
    extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
  });
  return {
    certificate: `${certificate.toString('pem').trim()}\n`,
    key: pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
  };
}
