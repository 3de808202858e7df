import { request as httpRequest } from 'node:http';
import { request } from 'node:https';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { MutatingWebhookConfiguration } from '../certs/inject.ts';
import { memoryLog } from '../kube/log.ts';
import { MUTATING_WEBHOOKS } from '../kube/resources.ts';
import { FakeApiServer } from '../kube/testing/fake-api-server.ts';
import { readConfig } from './config.ts';
import { type RunningWebhook, startWebhook } from './start.ts';

let api: FakeApiServer;
let webhook: RunningWebhook;
let endGrace: () => void;

beforeEach(async () => {
  api = await FakeApiServer.start();
  endGrace = () => {};
  api.put<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, {
    metadata: { name: 'zz-sidestep' },
    webhooks: [{ name: 'w', clientConfig: {} }],
  });
  const config = readConfig({
    SIDESTEP_NAMESPACE: 'sidestep-system',
    ANALYZER_IMAGE: 'sidestep:1',
    PROMETHEUS_URL: 'http://prometheus:9090',
    PORT: '0',
    METRICS_PORT: '0',
  });
  webhook = await startWebhook({
    config,
    client: api.client(),
    log: memoryLog(),
    now: () => new Date(),
    sleep: () => new Promise((resolve) => (endGrace = resolve)),
  });
});

afterEach(async () => {
  const down = webhook.shutDown();
  endGrace();
  await down;
  await api.stop();
});

const ready = () =>
  new Promise<number>((resolve, reject) => {
    httpRequest({ port: webhook.metricsPort, path: '/readyz' }, (response) => resolve(response.resume().statusCode!))
      .on('error', reject)
      .end();
  });

/** A call as the API server makes it: with the CAs of the configuration, under the Service's name. */
function review(body: object): Promise<{ response: { uid: string; allowed: boolean; status?: { code: number } } }> {
  const { webhooks } = api.read<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, undefined, 'zz-sidestep')!;
  const ca = Buffer.from(webhooks![0]!.clientConfig.caBundle!, 'base64');
  const servername = 'sidestep-webhook.sidestep-system.svc';
  return new Promise((resolve, reject) => {
    const options = {
      port: webhook.port,
      host: '127.0.0.1',
      servername,
      ca,
      agent: false,
      method: 'POST',
      path: '/mutate?timeout=3s',
      headers: { 'content-type': 'application/json' },
    };
    const req = request(options, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
      resolve(JSON.parse(Buffer.concat(chunks).toString()));
    });
    req.on('error', reject).end(JSON.stringify(body));
  });
}

test('from nothing to an answer that the API server trusts', async () => {
  await vi.waitFor(async () => expect(await ready()).toBe(200), { timeout: 4000, interval: 10 });
  const deployment = {
    metadata: {
      name: 'reviews',
      namespace: 'shop',
      annotations: { 'sidestep.dev/canary': 'enabled', 'sidestep.dev/spec': 'analysis: {stepWeight: 0}' },
    },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      template: { metadata: { labels: { app: 'reviews' } }, spec: { containers: [] } },
    },
  };
  const kind = { group: 'apps', version: 'v1', kind: 'Deployment' };
  const answer = await review({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      kind,
      operation: 'CREATE',
      namespace: 'shop',
      name: 'reviews',
      userInfo: { username: 'jane' },
      object: deployment,
    },
  });
  expect(answer.response).toMatchObject({ uid: 'u-1', allowed: false, status: { code: 422 } });
  // Watches of Secret, configuration, Jobs and Deployments, and nothing else from here on.
  await vi.waitFor(() => expect(api.watches).toBe(4));
});

test('on its way out it is not ready, and then gone', async () => {
  await vi.waitFor(async () => expect(await ready()).toBe(200), { timeout: 4000, interval: 10 });
  const down = webhook.shutDown();
  expect(await ready()).toBe(503);
  endGrace();
  await down;
  await expect(ready()).rejects.toThrow();
});
