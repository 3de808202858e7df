import { request } from 'node:https';
import { connect as connectTcp, createServer, type Server } from 'node:net';
import { rolloutComplete } from '../../../canary/conditions.ts';
import type { KubeClient } from '../../../kube/client.ts';
import { memoryLog } from '../../../kube/log.ts';
import { DEPLOYMENTS, MUTATING_WEBHOOKS } from '../../../kube/resources.ts';
import type { Deployment, KubeObject } from '../../../kube/types.ts';
import { readConfig } from '../../../webhook/config.ts';
import { type CertificateTimes, type RunningWebhook, startWebhook } from '../../../webhook/start.ts';
import { eventually } from '../../e2e/support/cluster.ts';
import { connect, createNamespace, deleteNamespace, markReady } from '../chart/api.ts';
import { environment, install, render, uninstall } from '../chart/helm.ts';

interface Configuration extends KubeObject {
  webhooks: { clientConfig: { service?: object; url?: string; caBundle?: string } }[];
}

export interface AdmissionOptions {
  replicas?: number;
  certificateTimes?: CertificateTimes;
  /** Of the webhook's environment, beside what the chart sets. */
  env?: Record<string, string>;
}

/** Sidestep's chart with its webhook in this process, reached by URL: a control plane alone has no pods. */
export class Admission {
  readonly admin: KubeClient = connect();
  own!: string;
  shop!: string;
  /** As the analyzer's account. */
  analyzer!: KubeClient;
  /** As somebody who may do everything in the namespace `shop`. */
  #webhooks: RunningWebhook[] = [];
  #balancer: Server | undefined;
  #port = 0;

  get configuration(): string {
    return `zz-sidestep.${this.own}`;
  }

  async start({ replicas = 1, certificateTimes, env = {} }: AdmissionOptions = {}): Promise<this> {
    this.own = await createNamespace(this.admin, 'hostile-own');
    this.shop = await createNamespace(this.admin, 'hostile-shop');
    await install(this.own);
    this.analyzer = connect(`system:serviceaccount:${this.own}:sidestep-analyzer`);
    const config = readConfig({
      ...environment(await render({}, this.own), { 'metadata.namespace': this.own }),
      PORT: '0',
      METRICS_PORT: '0',
      SHUTDOWN_GRACE: '0s',
      ...env,
    });
    config.certificates.dnsNames.push('localhost');
    const client = connect(`system:serviceaccount:${this.own}:sidestep-webhook`);
    const start = () =>
      startWebhook({
        config,
        client,
        log: memoryLog(),
        now: () => new Date(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        ...(certificateTimes ? { certificateTimes } : {}),
      });
    this.#webhooks = await Promise.all(Array.from({ length: replicas }, start));
    this.#port = replicas === 1 ? this.ports[0]! : await this.#balance();
    await this.pointAt(this.url);
    await eventually(
      'an injected CA',
      20_000,
      async () => (await this.#configured()).webhooks[0]!.clientConfig.caBundle,
    );
    await this.create('probe');
    await eventually('the webhook in force', 20_000, async () => {
      const probe = await this.annotate('probe', { 'sidestep.dev/run': '{}' });
      return probe.metadata.annotations?.['sidestep.dev/run'] === undefined;
    });
    return this;
  }

  #configured(): Promise<Configuration> {
    return this.admin.get<Configuration>(MUTATING_WEBHOOKS, { name: this.configuration });
  }

  /** Has the API server call this address. */
  async pointAt(url: string): Promise<void> {
    const { clientConfig } = (await this.#configured()).webhooks[0]!;
    const path = '/webhooks/0/clientConfig';
    const patch = [
      ...(clientConfig.service ? [{ op: 'remove', path: `${path}/service` }] : []),
      { op: 'add', path: `${path}/url`, value: url },
    ];
    await this.admin.patch(MUTATING_WEBHOOKS, { name: this.configuration }, 'json', patch);
  }

  get url(): string {
    return `https://localhost:${this.#port}/mutate`;
  }

  /** Of each replica. */
  get ports(): number[] {
    return this.#webhooks.map(({ port }) => port);
  }

  /** As a Service does: one connection here, the next there. */
  #balance(): Promise<number> {
    let next = 0;
    this.#balancer = createServer((caller) => {
      const replica = connectTcp(this.ports[next++ % this.ports.length]!, 'localhost');
      caller.pipe(replica).pipe(caller);
      const end = () => {
        caller.destroy();
        replica.destroy();
      };
      caller.on('error', end);
      replica.on('error', end);
    });
    const balancer = this.#balancer;
    return new Promise((resolve) =>
      balancer.listen(0, 'localhost', () => resolve((balancer.address() as { port: number }).port)),
    );
  }

  /** The CAs that the API server trusts now, as PEM. */
  async caBundle(): Promise<string> {
    const { caBundle = '' } = (await this.#configured()).webhooks[0]!.clientConfig;
    return Buffer.from(caBundle, 'base64').toString();
  }

  async stop(): Promise<void> {
    // First what the API server would call; the rest is refused without it.
    await uninstall(this.own);
    await Promise.all(this.#webhooks.map((webhook) => webhook.shutDown()));
    this.#balancer?.close();
    await deleteNamespace(this.admin, this.shop);
    await deleteNamespace(this.admin, this.own);
  }

  get(name: string): Promise<Deployment> {
    return this.admin.get<Deployment>(DEPLOYMENTS, { namespace: this.shop, name });
  }

  create(name: string, annotations: Record<string, string> = {}, change: Partial<Deployment['spec']> = {}) {
    const body = manifest(this.shop, name, annotations, change);
    return this.admin.create<Deployment>(DEPLOYMENTS, { namespace: this.shop }, body);
  }

  /** One whose only pod is ready, as the kubelet would say. */
  async running(
    name: string,
    annotations: Record<string, string>,
    change: Partial<Deployment['spec']> = {},
  ): Promise<Deployment> {
    await this.create(name, annotations, change);
    return this.rolledOut(name);
  }

  /** Says of each new pod that it is ready, until the rollout is complete. */
  rolledOut(name: string): Promise<Deployment> {
    return eventually(`${name} rolled out`, 20_000, async () => {
      await markReady(this.admin, this.shop, `app=${name}`);
      const d = await this.get(name);
      return rolloutComplete(d) ? d : undefined;
    });
  }

  merge(name: string, patch: object, client: KubeClient = this.admin, subresource?: 'status'): Promise<Deployment> {
    return client.patch<Deployment>(DEPLOYMENTS, { namespace: this.shop, name, subresource }, 'merge', patch);
  }

  annotate(name: string, annotations: Record<string, string | null>, client?: KubeClient): Promise<Deployment> {
    return this.merge(name, { metadata: { annotations } }, client);
  }

  /** Another version of the template. */
  push(name: string, version: string, annotations: Record<string, string> = {}): Promise<Deployment> {
    return this.merge(name, { metadata: { annotations }, spec: { template: { metadata: { labels: { version } } } } });
  }

  /** What anybody gets who reaches the port; with a certificate, if they have one. */
  send(body: string, identity: { cert?: Buffer; key?: Buffer } = {}): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const options = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        rejectUnauthorized: false,
        agent: false,
        ...identity,
      };
      request(this.url, options, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
        resolve({ status: response.statusCode!, body: Buffer.concat(chunks).toString() });
      })
        .on('error', reject)
        .end(body);
    });
  }
}

export const manifest = (
  namespace: string,
  name: string,
  annotations: Record<string, string> = {},
  change: Partial<Deployment['spec']> = {},
): Deployment => {
  const labels = { app: name.slice(0, 63).replace(/\W+$/, '') };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, annotations },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels: { ...labels, version: 'v1' } },
        spec: { containers: [{ name: 'main', image: 'localhost/none:1' }] },
      },
      ...change,
    },
  };
};
