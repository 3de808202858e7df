import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyPair } from './authority.ts';

/**
 * What the Secret holds, as far as it can be read. `bundle` are the CAs that callers must trust, newest first: two of them during a
 * rotation. `ca` is the first of them, if its key is there too.
 */
export interface Material {
  bundle: string[];
  ca?: KeyPair;
  leaf?: KeyPair;
}

const CA_CERTIFICATES = 'ca.crt';
const CA_KEY = 'ca.key';
const LEAF_CERTIFICATE = 'tls.crt';
const LEAF_KEY = 'tls.key';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads the `data` of a Secret. Never throws: what is missing or broken is left out. */
export function readMaterial(data: Record<string, string> | undefined): Material {
  const text = (key: string) => Buffer.from(data?.[key] ?? '', 'base64').toString('utf8');
  const bundle = splitBundle(text(CA_CERTIFICATES));
  const ca = matchingPair(bundle[0], text(CA_KEY));
  const leaf = matchingPair(text(LEAF_CERTIFICATE), text(LEAF_KEY));
  return { bundle, ...(ca ? { ca } : {}), ...(leaf ? { leaf } : {}) };
}

export function writeMaterial({ bundle, ca, leaf }: Material): Record<string, string> {
  const encoded = (text: string | undefined) => Buffer.from(text ?? '').toString('base64');
  return {
    [CA_CERTIFICATES]: encoded(bundle.join('')),
    [CA_KEY]: encoded(ca?.key),
    [LEAF_CERTIFICATE]: encoded(leaf?.certificate),
    [LEAF_KEY]: encoded(leaf?.key),
  };
}

/** The readable certificates of a PEM text, each with a final line break. */
export function splitBundle(pem: string): string[] {
  return (pem.match(PEM_CERTIFICATE) ?? []).filter((c) => parseCertificate(c) !== undefined).map((c) => `${c}\n`);
}

export function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** The two as a pair, if both can be read and belong together. */
export function matchingPair(certificate: string | undefined, key: string): KeyPair | undefined {
  try {
    if (certificate === undefined || !new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
      return undefined;
    return { certificate, key };
  } catch {
    return undefined;
  }
}

/** Whether the CA issued the certificate: by name and by signature. */
export function issuedBy(certificate: string, ca: string): boolean {
  const [leaf, issuer] = [parseCertificate(certificate), parseCertificate(ca)];
  return leaf !== undefined && issuer !== undefined && leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
}

/** First and last moment of a certificate, in ms since the epoch. */
export function validityOf(pem: string): { fromMs: number; toMs: number } {
  const certificate = parseCertificate(pem);
  return { fromMs: certificate?.validFromDate.getTime() ?? 0, toMs: certificate?.validToDate.getTime() ?? 0 };
}

export const hasNames = (pem: string, dnsNames: readonly string[]): boolean => {
  const names = new Set((parseCertificate(pem)?.subjectAltName ?? '').split(', '));
  return dnsNames.every((name) => names.has(`DNS:${name}`));
};
