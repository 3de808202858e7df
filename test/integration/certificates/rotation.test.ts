import { connect, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CANARY, ENABLED, SPEC } from '../../../canary/annotations.ts';
import { splitBundle } from '../../../certs/material.ts';
import { DEPLOYMENTS } from '../../../kube/resources.ts';
import { eventually, sleep } from '../../e2e/support/cluster.ts';
import { DRY_RUN } from '../chart/api.ts';
import { Admission } from '../hostile/admission.ts';

// Certificates that live for seconds, two replicas that race for each renewal, and a real API server that calls them all the while.

const RATE = 100;
const DURATION_MS = 30_000;
/** Leaves are renewed after 4 s, CAs after 10 s; a new CA is served from 1 s after it has been injected. */
const TIMES = { caMs: 15_000, leafMs: 6000, backdateMs: 0, trustDelayMs: 1000, checkMs: 250 };

let admission: Admission;

beforeAll(async () => {
  admission = await new Admission().start({ replicas: 2, certificateTimes: TIMES });
  await admission.create('busy', { [CANARY]: ENABLED });
});

afterAll(() => admission.stop());

/** A change that the webhook is asked about. */
const update = (n: number) =>
  admission.admin.patch(
    DEPLOYMENTS,
    { namespace: admission.shop, name: 'busy' },
    'merge',
    { metadata: { annotations: { [SPEC]: `analysis: {interval: ${10 + (n % 50)}s}` } } },
    DRY_RUN,
  );

/** A new connection, as an API server opens one that trusts these CAs. @returns serial number and issuer of what is served */
function handshake(port: number, ca: string): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: 'localhost', servername: 'localhost', ca: splitBundle(ca) }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test(`leaf and CA rotate under ${RATE} updates a second, with two replicas, and no call fails`, async () => {
  const endMs = performance.now() + DURATION_MS;
  const refusals: string[] = [];
  const leaves = new Set<string>();
  const cas = new Set<string>();
  const under = new Set<Promise<void>>();
  let sent = 0;
  const probing = (async () => {
    while (performance.now() < endMs) {
      const ca = await admission.caBundle();
      for (const port of admission.ports) {
        const { serialNumber, issuer } = await handshake(port, ca);
        leaves.add(serialNumber);
        cas.add(String(issuer.CN));
      }
      await sleep(100);
    }
  })();
  const fromMs = performance.now();
  while (performance.now() < endMs) {
    const due = Math.floor(((performance.now() - fromMs) / 1000) * RATE);
    for (; sent < due; sent++) {
      const call = update(sent).then(
        () => {},
        (e) => void refusals.push(String(e)),
      );
      under.add(call);
      void call.then(() => under.delete(call));
    }
    await sleep(5);
  }
  await Promise.all([...under, probing]);
  expect(refusals).toEqual([]);
  expect(sent).toBeGreaterThanOrEqual((RATE * DURATION_MS) / 1000 - RATE);
  expect(leaves.size).toBeGreaterThanOrEqual(5);
  expect(cas.size).toBeGreaterThanOrEqual(2);
});

test('both replicas end up with the same certificate', async () => {
  await eventually('one certificate', 10_000, async () => {
    const ca = await admission.caBundle();
    const served = await Promise.all(admission.ports.map((port) => handshake(port, ca)));
    return new Set(served.map(({ serialNumber }) => serialNumber)).size === 1;
  });
});
