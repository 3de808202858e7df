import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import { runOf } from '../../../canary/run.ts';
import { DEPLOYMENTS } from '../../../kube/resources.ts';
import { eventually } from '../../e2e/support/cluster.ts';
import { refusalOf } from '../chart/api.ts';
import { Admission } from './admission.ts';

// Sizes, names, deletion and time, with the API server's own limits around ours.

const OPTED_IN = { [keys.CANARY]: keys.ENABLED };
const LIMIT = 256 * 1024;
const at = new Admission();

beforeAll(() => at.start(), 180_000);
afterAll(() => at.stop(), 60_000);

const sizeOf = (annotations: Record<string, string>) =>
  Object.entries(annotations).reduce((sum, [k, v]) => sum + Buffer.byteLength(k) + Buffer.byteLength(v), 0);
/** An annotation that makes those of the object exactly so many bytes. */
const filler = (bytes: number, beside: Record<string, string>) => ({ x: 'y'.repeat(bytes - sizeOf(beside) - 1) });

describe('annotations', () => {
  test('of exactly 256 KiB pass where nothing of ours is added; of one byte more the API server says so', async () => {
    const own = { ...OPTED_IN };
    await at.create('full', { ...own, ...filler(LIMIT, own) });
    expect(await refusalOf(at.create('over', { ...own, ...filler(LIMIT + 1, own) }))).toMatch(
      /annotations.*[Tt]oo long/s,
    );
  });

  test('that leave no room for a run: a new version is refused by us, with the numbers; without them it is held', async () => {
    const { metadata } = await at.running('tight', OPTED_IN);
    const present = metadata.annotations!;
    await at.annotate('tight', filler(LIMIT - 100, present));
    const refusal = await refusalOf(at.push('tight', 'v2'));
    expect(refusal).toMatch(/metadata\.annotations of tight take 26\d{4} bytes.*allowed: 262144 bytes together/);
    const before = await at.get('tight');
    expect(before.spec.paused ?? false).toBe(false);
    await at.annotate('tight', { x: null });
    expect(runOf(await at.push('tight', 'v2'))).toMatchObject({ phase: 'held' });
  });

  test('whose keys have a slash and a tilde’s escape stay as they are', async () => {
    const odd = { 'example.com/a': '1', 'example.com/a.b_c': '2', 'a~1b': '3' };
    // The API server itself takes no tilde in a key.
    expect(await refusalOf(at.create('odd', { ...OPTED_IN, ...odd }))).toContain('a~1b');
    const { 'a~1b': _, ...fine } = odd;
    await at.running('odd', { ...OPTED_IN, ...fine });
    const after = await at.push('odd', 'v2');
    expect(after.metadata.annotations).toMatchObject(fine);
    expect(runOf(after)).toMatchObject({ phase: 'held' });
  });
});

test.each([57, 58, 62, 63, 64, 200])('a name of %d characters is held like any other', async (length) => {
  const name = 'n'.repeat(length);
  const selector = { matchLabels: { app: name.slice(0, 63) } };
  await at.create(name, OPTED_IN, { selector, replicas: 0 });
  const { metadata } = await at.merge(name, { metadata: { annotations: { [keys.SPEC]: 'analysis: {threshold: 2}' } } });
  expect(metadata.labels?.[keys.WATCHED_LABEL]).toBe('true');
  expect(await refusalOf(at.annotate(name, { [keys.COMMAND]: 'retry' }))).toContain(
    'has no canary run and no rejected version',
  );
});

test('a name with dots, and one of 253 characters', async () => {
  for (const name of ['shop.reviews.v1', `${'a'.repeat(126)}.${'b'.repeat(126)}`]) {
    await at.create(name, OPTED_IN, { replicas: 0 });
    expect(await refusalOf(at.annotate(name, { [keys.SPEC]: 'analysis: {stepWeight: 0}' }))).toContain('stepWeight');
  }
});

test('a Deployment on its way out loses its finalizers, whatever else is asked of it', async () => {
  await at.running('leaving', OPTED_IN);
  await at.merge('leaving', { metadata: { finalizers: ['example.com/hold'] } });
  expect((await at.push('leaving', 'v2')).spec.paused).toBe(true);
  await at.admin.delete(DEPLOYMENTS, { namespace: at.shop, name: 'leaving' });
  expect((await at.get('leaving')).metadata.deletionTimestamp).toBeDefined();
  await at.merge('leaving', {
    metadata: { finalizers: [] },
    spec: { template: { metadata: { labels: { version: 'v3' } } } },
  });
  await eventually('the Deployment gone', 10_000, async () =>
    (await refusalOf(at.get('leaving'))).includes('not found'),
  );
});

describe('fields that would reach beyond the namespace', () => {
  test.each(['service: {hosts: ["*"]}', 'service: {gateways: [istio-system/public]}', 'service: {delegation: true}'])(
    '%s: refused at opt-in, to whoever asks',
    async (spec) => {
      const refusal = await refusalOf(at.create('reaching', { ...OPTED_IN, [keys.SPEC]: spec }));
      expect(refusal).toMatch(/service\.\w+ \(line 1\) is a field of Flagger that Sidestep does not support/);
    },
  );
});

describe('a webhook that does not answer', () => {
  let silent: Server;
  const sockets = new Set<Socket>();
  beforeAll(async () => {
    await at.running('waiting', OPTED_IN);
    await at.create('other');
    silent = createServer((socket) => void sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    await at.pointAt(`https://localhost:${(silent.address() as AddressInfo).port}/mutate`);
    await eventually('the silent one in force', 20_000, async () => {
      await refusalOf(at.annotate('waiting', { [keys.COMMAND]: 'x' }));
      return sockets.size > 0;
    });
  }, 60_000);
  afterAll(async () => {
    await at.pointAt(at.url);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test('the change is refused after 3 s, with the webhook’s name, and nothing of it is stored', async () => {
    const before = await at.get('waiting');
    const startedMs = performance.now();
    const refusal = await refusalOf(at.push('waiting', 'v2'));
    expect(refusal).toContain('failed calling webhook "canary.sidestep.dev"');
    expect(performance.now() - startedMs).toBeLessThan(8000);
    const after = await at.get('waiting');
    expect(after.metadata.generation).toBe(before.metadata.generation);
  });

  test('what does not concern Sidestep goes on, without a delay', async () => {
    const seen = sockets.size;
    await at.push('other', 'v2');
    await at.merge('waiting', { spec: { replicas: 2 } });
    expect(sockets.size).toBe(seen);
  });
});
