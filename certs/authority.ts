import { randomBytes, type webcrypto } from 'node:crypto';

/** A certificate and its private key, both PEM; the key is PKCS #8. */
export interface KeyPair {
  certificate: string;
  key: string;
}

/** Who issues what the webhook serves. Keys are ECDSA P-256, made anew for each certificate. */
export interface Authority {
  issueCa(now: Date): Promise<KeyPair>;
  /** @param dnsNames the names that callers may use; the first one is the common name */
  issueLeaf(ca: KeyPair, dnsNames: readonly string[], now: Date): Promise<KeyPair>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Certificates begin this much earlier than now: the API server's clock, or the other replica's, may be behind ours. */
export const BACKDATE_MS = HOUR_MS;
export const CA_LIFETIME_MS = 365 * DAY_MS;
export const LEAF_LIFETIME_MS = 30 * DAY_MS;

const KEYS = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** A common name ends at 64 characters (RFC 5280, ub-common-name). */
const MAX_COMMON_NAME = 64;

/** How long certificates live, in ms. */
export interface Lifetimes {
  caMs: number;
  leafMs: number;
  /** How long before their issue they begin. */
  backdateMs: number;
}

const LIFETIMES: Lifetimes = { caMs: CA_LIFETIME_MS, leafMs: LEAF_LIFETIME_MS, backdateMs: BACKDATE_MS };

export function createAuthority({ caMs, leafMs, backdateMs }: Lifetimes = LIFETIMES): Authority {
  return {
    issueCa: (now) => issueCa(validityFrom(now, caMs, backdateMs)),
    issueLeaf: (ca, dnsNames, now) => issueLeaf(ca, dnsNames, validityFrom(now, leafMs, backdateMs)),
  };
}

interface Validity {
  notBefore: Date;
  notAfter: Date;
}

async function issueCa(validity: Validity): Promise<KeyPair> {
  const x509 = await library();
  const keys = await newKeys();
  const serialNumber = serial();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber,
    // Two of our CAs are trusted at the same time during a rotation: different names let every verifier tell them apart.
    name: [{ CN: [`sidestep-ca-${serialNumber.slice(0, 16)}`] }],
    ...validity,
    signingAlgorithm: KEYS,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pair(certificate.toString('pem'), keys);
}

async function issueLeaf(ca: KeyPair, dnsNames: readonly string[], validity: Validity): Promise<KeyPair> {
  const x509 = await library();
  const keys = await newKeys();
  const issuer = new x509.X509Certificate(ca.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [dnsNames[0]!.slice(0, MAX_COMMON_NAME)] }],
    issuer: issuer.subjectName,
    ...validity,
    signingAlgorithm: KEYS,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value }))),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return pair(certificate.toString('pem'), keys);
}

/** Loaded when first needed: a replica that finds a good certificate does without these 40 MB. */
const library = () => import('./x509.ts');

/** X.509 counts whole seconds. */
function validityFrom(now: Date, lifetimeMs: number, backdateMs: number): Validity {
  const at = Math.floor(now.getTime() / 1000) * 1000;
  return { notBefore: new Date(at - backdateMs), notAfter: new Date(at + lifetimeMs) };
}

/** 16 random bytes, positive and without a leading zero, as DER wants integers. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

const newKeys = () => crypto.subtle.generateKey(KEYS, true, ['sign', 'verify']);

async function pair(certificate: string, keys: webcrypto.CryptoKeyPair): Promise<KeyPair> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  const key = ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
  return { certificate: `${certificate.trim()}\n`, key };
}

function importKey(pem: string) {
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
  return crypto.subtle.importKey('pkcs8', der, KEYS, false, ['sign']);
}
