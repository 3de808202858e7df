import { beforeAll, expect, test } from 'vitest';
import { CA_LIFETIME_MS, createAuthority, type KeyPair, LEAF_LIFETIME_MS } from './authority.ts';
import { issuedBy, type Material } from './material.ts';
import { type Circumstances, nextStep, renew } from './rotation.ts';

const authority = createAuthority();
const START_MS = Date.parse('2026-03-01T12:00:00Z');
const DAY_MS = 86_400_000;
const dnsNames = ['sidestep.sidestep-system.svc'];

const at = (ms: number, trusted = true): Circumstances => ({ dnsNames, nowMs: START_MS + ms, trusted: () => trusted });

let ca: KeyPair;
let good: Material & { ca: KeyPair; leaf: KeyPair };

beforeAll(async () => {
  ca = await authority.issueCa(new Date(START_MS));
  good = { ca, bundle: [ca.certificate], leaf: await authority.issueLeaf(ca, dnsNames, new Date(START_MS)) };
});

test('nothing there: a CA and a leaf in one go', async () => {
  const made = await renew({ bundle: [] }, at(0, false), authority);
  expect(made.bundle).toEqual([made.ca!.certificate]);
  expect(issuedBy(made.leaf!.certificate, made.ca!.certificate)).toBe(true);
  expect(nextStep(made, at(0, false))).toBeUndefined();
});

test('nothing due: the same object', async () => {
  expect(await renew(good, at(0), authority)).toBe(good);
});

test('the leaf is renewed at two thirds of its life, by the same CA', async () => {
  expect(nextStep(good, at(19 * DAY_MS))).toBeUndefined();
  expect(nextStep(good, at(20 * DAY_MS))).toBe('new-leaf');
  const renewed = await renew(good, at(20 * DAY_MS, false), authority);
  expect(renewed.bundle).toEqual(good.bundle);
  expect(renewed.leaf).not.toEqual(good.leaf);
  expect(nextStep(renewed, at(20 * DAY_MS))).toBeUndefined();
});

test.each([
  ['missing', (m: Material): Material => ({ bundle: m.bundle, ca: m.ca! })],
  ['of a CA that nobody trusts', (m: Material): Material => ({ ...m, leaf: foreign })],
])('a leaf that is %s is replaced at once', (_, change) => {
  expect(nextStep(change(good), at(0, false))).toBe('new-leaf');
});

let foreign: KeyPair;
let newer: KeyPair;
beforeAll(async () => {
  newer = await authority.issueCa(new Date(START_MS));
  foreign = await authority.issueLeaf(await authority.issueCa(new Date(START_MS)), dnsNames, new Date(START_MS));
});

test('a leaf for other names is replaced; so is one that has expired', () => {
  expect(nextStep(good, { ...at(0), dnsNames: ['renamed.sidestep-system.svc'] })).toBe('new-leaf');
  expect(nextStep(good, at(LEAF_LIFETIME_MS, false))).toBe('new-leaf');
});

test('a CA without its key is replaced, and stays trusted', async () => {
  const { ca: _, ...keyless } = good;
  const made = await renew(keyless, at(0, false), authority);
  expect(made.bundle).toEqual([made.ca!.certificate, ca.certificate]);
  expect(made.leaf).toEqual(good.leaf);
});

test('rotation of the CA in its order: both trusted, then the new leaf, then the old CA is forgotten', async () => {
  const dueMs = (CA_LIFETIME_MS * 2) / 3;
  const leaf = await authority.issueLeaf(ca, dnsNames, new Date(START_MS + dueMs - DAY_MS));
  expect(nextStep({ ...good, leaf }, at(dueMs - DAY_MS))).toBeUndefined();

  const added = await renew({ ...good, leaf }, at(dueMs, false), authority);
  expect(added.bundle).toEqual([added.ca!.certificate, ca.certificate]);
  expect(added.leaf).toEqual(leaf);
  expect(nextStep(added, at(dueMs, false))).toBeUndefined();

  const switched = await renew(added, at(dueMs, true), authority);
  expect(switched.bundle).toEqual(added.bundle);
  expect(issuedBy(switched.leaf!.certificate, added.ca!.certificate)).toBe(true);

  const fresh = {
    ...switched,
    leaf: await authority.issueLeaf(added.ca!, dnsNames, new Date(START_MS + CA_LIFETIME_MS)),
  };
  const done = await renew(fresh, at(CA_LIFETIME_MS), authority);
  expect(done.bundle).toEqual([added.ca!.certificate]);
  expect(done.leaf).toEqual(fresh.leaf);
});

test('a leaf of the old CA does not wait for trust beyond its end', async () => {
  const added: Material = { ...good, ca: newer, bundle: [newer.certificate, ca.certificate] };
  expect(nextStep(added, at(LEAF_LIFETIME_MS - 1000, false))).toBeUndefined();
  expect(nextStep(added, at(LEAF_LIFETIME_MS, false))).toBe('new-leaf');
});

test('a clock that is behind the issuer’s changes nothing', () => {
  expect(nextStep(good, at(-2 * DAY_MS))).toBeUndefined();
});

test('the bundle stays short however often the Secret is lost', async () => {
  let material: Material = good;
  for (let i = 0; i < 6; i++) {
    const { ca: _, ...keyless } = material;
    material = await renew(keyless, at(0, false), authority);
  }
  expect(material.bundle).toHaveLength(4);
});
