import type { Authority } from './authority.ts';
import { hasNames, issuedBy, type Material, validityOf } from './material.ts';

/** Certificates are replaced when this part of their life is over; the rest is time to notice and mend what goes wrong. */
const RENEW_AT = 2 / 3;

/** More CAs than this are never in use: the newest, the one before it, and room for a lost Secret. */
const MAX_CAS = 4;

export interface Circumstances {
  dnsNames: readonly string[];
  nowMs: number;
  /** Whether every API server trusts this CA by now, so that a certificate of it may be served. */
  trusted: (ca: string) => boolean;
}

export type Step = 'new-ca' | 'new-leaf' | 'forget-ca';

/**
 * What has to change now, if anything. The order keeps every call good: a new CA is only added to those that callers must trust;
 * once they do, a certificate of it replaces the one of the old CA; the old CA is forgotten when it has expired.
 * A certificate that is not valid yet counts as good: the clock of the replica that issued it may be ahead of ours.
 */
export function nextStep(
  { bundle, ca, leaf }: Material,
  { dnsNames, nowMs, trusted }: Circumstances,
): Step | undefined {
  if (!ca || isDue(ca.certificate, nowMs)) return 'new-ca';
  const usable = leaf && validityOf(leaf.certificate).toMs > nowMs && hasNames(leaf.certificate, dnsNames);
  if (!usable || !bundle.some((c) => issuedBy(leaf.certificate, c))) return 'new-leaf';
  const ofNewestCa = issuedBy(leaf.certificate, ca.certificate);
  if (ofNewestCa ? isDue(leaf.certificate, nowMs) : trusted(ca.certificate)) return 'new-leaf';
  if (bundle.some((c) => validityOf(c).toMs <= nowMs)) return 'forget-ca';
  return undefined;
}

/** Takes all steps that are due, one after the other; the result is the same object if there were none. */
export async function renew(material: Material, circumstances: Circumstances, authority: Authority): Promise<Material> {
  let current = material;
  // Never more than a CA, its leaf, and expired CAs to forget.
  for (let taken = 0; taken < 3; taken++) {
    const step = nextStep(current, circumstances);
    if (step === undefined) return current;
    current = await take(step, current, circumstances, authority);
  }
  return current;
}

async function take(
  step: Step,
  material: Material,
  { dnsNames, nowMs }: Circumstances,
  authority: Authority,
): Promise<Material> {
  const now = new Date(nowMs);
  const alive = material.bundle.filter((c) => validityOf(c).toMs > nowMs);
  if (step === 'forget-ca') return { ...material, bundle: alive };
  if (step === 'new-leaf') return { ...material, leaf: await authority.issueLeaf(material.ca!, dnsNames, now) };
  const ca = await authority.issueCa(now);
  return { ...material, ca, bundle: [ca.certificate, ...alive].slice(0, MAX_CAS) };
}

function isDue(certificate: string, nowMs: number): boolean {
  const { fromMs, toMs } = validityOf(certificate);
  return nowMs >= fromMs + (toMs - fromMs) * RENEW_AT;
}
