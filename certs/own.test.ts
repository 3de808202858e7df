import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memoryLog } from '../kube/log.ts';
import { MUTATING_WEBHOOKS, SECRETS } from '../kube/resources.ts';
import { FakeApiServer } from '../kube/testing/fake-api-server.ts';
import type { Secret } from '../kube/types.ts';
import { CA_LIFETIME_MS, createAuthority, type KeyPair } from './authority.ts';
import type { Certificates } from './certificates.ts';
import { injectedCas, type MutatingWebhookConfiguration } from './inject.ts';
import { issuedBy, readMaterial, validityOf } from './material.ts';
import { startOwnCertificates, TRUST_DELAY_MS } from './own.ts';

const NAMESPACE = 'sidestep-system';
const SECRET = 'sidestep-webhook-tls';
const CONFIG = 'zz-sidestep';
const DAY_MS = 86_400_000;

let server: FakeApiServer;
let stop: AbortController;
let nowMs: number;

interface Replica {
  certificates: Certificates;
  served: KeyPair[];
  log: ReturnType<typeof memoryLog>;
}

beforeEach(async () => {
  server = await FakeApiServer.start();
  stop = new AbortController();
  nowMs = Date.parse('2026-03-01T12:00:00Z');
});

afterEach(async () => {
  stop.abort();
  await server.stop();
});

/** @param skewMs by how much the replica's clock is ahead */
function startReplica(skewMs = 0): Replica {
  const served: KeyPair[] = [];
  const log = memoryLog();
  const certificates = startOwnCertificates({
    client: server.client(),
    namespace: NAMESPACE,
    secretName: SECRET,
    webhookConfigName: CONFIG,
    dnsNames: ['sidestep.sidestep-system.svc'],
    authority: createAuthority(),
    signal: stop.signal,
    log,
    serve: (pair) => {
      served.push(pair);
      if (served.length > 1) expect(accepts({ served })).toBe(true);
    },
    now: () => new Date(nowMs + skewMs),
    random: () => 0,
  });
  return { certificates, served, log };
}

const putConfig = (caBundle?: string) =>
  server.put<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, {
    metadata: { name: CONFIG },
    webhooks: ['deployments', 'more'].map((name) => ({
      name,
      clientConfig: caBundle === undefined ? {} : { caBundle },
    })),
  });
const config = () => server.read<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, undefined, CONFIG)!;
const material = () => readMaterial(server.read<Secret>(SECRETS, NAMESPACE, SECRET)?.data);
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 4000, interval: 5 });
const ready = (...replicas: Replica[]) =>
  eventually(() => expect(replicas.flatMap((r) => r.certificates.pending())).toEqual([]));
/** What the API server trusts now, and whether it would accept what a replica serves. */
const accepts = ({ served }: Pick<Replica, 'served'>) =>
  [...injectedCas(config())].some((ca) => issuedBy(served.at(-1)!.certificate, ca));
/** An event without meaning: lets the replicas look at their clocks. */
const touch = () =>
  server.put(MUTATING_WEBHOOKS, {
    ...config(),
    metadata: { ...config().metadata, annotations: { touched: String(nowMs) } },
  });
/** Lets the time pass that a new CA needs to be trusted; again, if a replica had not seen it yet. */
const laterUntil = (check: () => void) =>
  eventually(() => {
    nowMs += TRUST_DELAY_MS;
    touch();
    check();
  });

test('nothing there: issues, serves, injects into every webhook, and is quiet afterwards', async () => {
  putConfig();
  const replica = startReplica();
  expect(replica.certificates.pending()).toEqual(['certificate', 'caBundle']);
  await ready(replica);
  expect(replica.served).toEqual([material().leaf]);
  expect([...injectedCas(config())]).toEqual(material().bundle);
  expect(accepts(replica)).toBe(true);
  expect(replica.certificates.expiresAt()!.getTime()).toBe(nowMs + 30 * DAY_MS);
  const writes = server.requests.filter(({ method }) => method !== 'GET');
  expect(writes.map(({ method }) => method)).toEqual(['POST', 'PATCH']);
});

test('an empty Secret that the chart made is filled in place', async () => {
  putConfig();
  server.put<Secret>(SECRETS, {
    metadata: { name: SECRET, namespace: NAMESPACE, labels: { from: 'chart' } },
    type: 'Opaque',
  });
  await ready(startReplica());
  expect(server.read<Secret>(SECRETS, NAMESPACE, SECRET)!.metadata.labels).toEqual({ from: 'chart' });
  expect(material().leaf).toBeDefined();
});

test('two replicas that start together agree', async () => {
  putConfig();
  const [a, b] = [startReplica(), startReplica()];
  await ready(a, b);
  expect(a.served.at(-1)).toEqual(b.served.at(-1));
  expect(a.served.at(-1)).toEqual(material().leaf);
  expect([...injectedCas(config())]).toEqual(material().bundle);
});

test('serves before there is a configuration, and injects as soon as there is one', async () => {
  const replica = startReplica();
  await eventually(() => expect(replica.served).toHaveLength(1));
  expect(replica.certificates.pending()).toEqual(['caBundle']);
  putConfig('');
  await ready(replica);
});

test('repairs the caBundle when others change it', async () => {
  putConfig();
  const replica = startReplica();
  await ready(replica);
  putConfig(Buffer.from('something else').toString('base64'));
  await eventually(() => expect([...injectedCas(config())]).toEqual(material().bundle));
  expect(replica.served).toHaveLength(1);
});

test('the CA is rotated without a moment at which a served certificate is not trusted', async () => {
  putConfig();
  const replicas = [startReplica(), startReplica()];
  await ready(...replicas);
  const first = material();
  const leaves = () => replicas.map(({ served }) => served.at(-1));

  nowMs += (CA_LIFETIME_MS * 2) / 3 - 5 * DAY_MS;
  touch();
  await eventually(() => expect(material().leaf).not.toEqual(first.leaf));
  await eventually(() => expect(leaves()).toEqual([material().leaf, material().leaf]));
  const beforeRotation = material().leaf;

  nowMs += 5 * DAY_MS;
  touch();
  await eventually(() => expect(injectedCas(config()).size).toBe(2));
  expect(material().bundle).toEqual([material().ca!.certificate, first.ca!.certificate]);
  expect([...injectedCas(config())]).toEqual(material().bundle);
  expect(leaves()).toEqual([beforeRotation, beforeRotation]);
  expect(replicas.every(accepts)).toBe(true);

  await laterUntil(() => expect(issuedBy(material().leaf!.certificate, material().ca!.certificate)).toBe(true));
  await eventually(() => expect(leaves()).toEqual([material().leaf, material().leaf]));
  expect(injectedCas(config()).size).toBe(2);
  expect(replicas.every(accepts)).toBe(true);
});

test('a Secret that is deleted is made anew; the certificate in use stays trusted until the new CA is', async () => {
  putConfig();
  const replica = startReplica();
  await ready(replica);
  const before = material();
  server.remove(SECRETS, NAMESPACE, SECRET);
  await eventually(() => expect(injectedCas(config()).size).toBe(2));
  expect(material().bundle).toContain(before.ca!.certificate);
  expect(material().ca).not.toEqual(before.ca);
  expect(replica.served).toEqual([before.leaf]);
  await laterUntil(() => expect(replica.served).toHaveLength(2));
  expect(accepts(replica)).toBe(true);
});

test('a leaf of a CA that the configuration does not have yet is not served', async () => {
  putConfig();
  const replica = startReplica();
  await ready(replica);
  const [first] = replica.served;
  // The configuration cannot be written: what another replica brings must wait.
  server.intercept = ({ method, path }) =>
    method === 'PATCH' && path.includes('mutating') ? { status: 403 } : undefined;
  const authority = createAuthority();
  const ca = await authority.issueCa(new Date(nowMs));
  const leaf = await authority.issueLeaf(ca, ['sidestep.sidestep-system.svc'], new Date(nowMs));
  const encode = (s: string) => Buffer.from(s).toString('base64');
  server.put<Secret>(SECRETS, {
    metadata: { name: SECRET, namespace: NAMESPACE },
    data: {
      'ca.crt': encode(ca.certificate + material().bundle.join('')),
      'ca.key': encode(ca.key),
      'tls.crt': encode(leaf.certificate),
      'tls.key': encode(leaf.key),
    },
  });
  await eventually(() => expect(replica.log.lines.some(({ level }) => level === 'error')).toBe(true));
  expect(replica.served).toEqual([first]);
  server.intercept = () => undefined;
  await eventually(() => expect(replica.served.at(-1)).toEqual(leaf));
});

test('an API server that fails is asked again', async () => {
  putConfig();
  server.intercept = ({ method }) => (method === 'POST' ? { status: 500 } : undefined);
  const replica = startReplica();
  await eventually(() =>
    expect(replica.log.lines.some(({ message }) => message === 'certificate could not be kept')).toBe(true),
  );
  server.intercept = () => undefined;
  await ready(replica);
});

test.each([10, 24 * 60])(
  'two replicas whose clocks are %d min apart agree, and neither rotates what the other has just issued',
  async (minutes) => {
    putConfig();
    const [ahead, behind] = [startReplica(minutes * 60_000), startReplica()];
    await ready(ahead, behind);
    const first = material();
    for (let look = 0; look < 20; look++) {
      nowMs += 60_000;
      touch();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(material()).toEqual(first);
    expect(ahead.served.at(-1)).toEqual(behind.served.at(-1));
  },
);

test('an API server whose clock is an hour behind the replica’s finds the certificate begun', async () => {
  putConfig();
  const replica = startReplica();
  await ready(replica);
  expect(validityOf(replica.served[0]!.certificate).fromMs).toBeLessThanOrEqual(nowMs - 3_600_000);
  expect(validityOf(material().ca!.certificate).fromMs).toBeLessThanOrEqual(nowMs - 3_600_000);
});
