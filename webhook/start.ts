import { createAuthority, type KeyPair, type Lifetimes } from '../certs/authority.ts';
import type { Certificates } from '../certs/certificates.ts';
import { startFileCertificates } from '../certs/files.ts';
import { startOwnCertificates } from '../certs/own.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Log } from '../kube/log.ts';
import { decide } from './admission/decide.ts';
import type { AdmissionInput, Settings } from './admission/types.ts';
import type { WebhookConfig } from './config.ts';
import { startLauncher } from './launcher/launcher.ts';
import { metricsApp, webhookApp } from './server/app.ts';
import { BodyReader } from './server/body.ts';
import { startCallers } from './server/callers.ts';
import { createMetrics } from './server/metrics.ts';
import { mutateHandler } from './server/mutate.ts';
import { apiReads } from './server/reads.ts';
import { createPlainServer, createTlsServer } from './server/serve.ts';
import { shutDown } from './shutdown.ts';

export interface Surroundings {
  config: WebhookConfig;
  client: KubeClient;
  log: Log;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
  /** Of our own certificates; by default months and weeks. */
  certificateTimes?: CertificateTimes;
}

export interface CertificateTimes extends Lifetimes {
  trustDelayMs: number;
  checkMs: number;
}

export interface RunningWebhook {
  /** Where it listens; of interest where port 0 was configured. */
  port: number;
  metricsPort: number;
  /** Ends without a failed call. */
  shutDown(): Promise<void>;
}

/** Puts the parts together: certificate, admission, launcher, and the ports in front of them. */
export async function startWebhook(surroundings: Surroundings): Promise<RunningWebhook> {
  const { config, client, log, now, sleep } = surroundings;
  const stop = new AbortController();
  const { signal } = stop;
  let draining = false;
  const metrics = createMetrics(() => certificates.expiresAt());
  const settings: Settings = {
    analyzerUser: `system:serviceaccount:${config.ownNamespace}:${config.analyzer.serviceAccount}`,
    specDefaults: config.specDefaults,
  };
  const reads = apiReads(client);
  const mutate = mutateHandler({
    decide: (input: AdmissionInput) => decide(input, reads, settings),
    bodies: new BodyReader(),
    metrics,
    log,
    now,
  });
  const health = {
    pending: () => [...certificates.pending(), ...callers.pending(), ...launcher.pending()],
    draining: () => draining,
  };
  const callers = startCallers({ ...config.callers, signal, log, changed: (ca) => server.trust(ca) });
  const server = createTlsServer(webhookApp(health, callers.guard(mutate)), {
    askForCertificates: config.callers.caFile !== '',
  });
  const metricsServer = createPlainServer(metricsApp(health, metrics.registry));
  const certificates = startCertificates({ ...surroundings, signal, serve: server.use });
  const launcher = startLauncher({
    client,
    ownNamespace: config.ownNamespace,
    namespaces: config.namespaces,
    analyzer: config.analyzer,
    metrics,
    log,
    signal,
    now,
  });
  const [port, metricsPort] = await Promise.all([server.listen(config.port), metricsServer.listen(config.metricsPort)]);
  log.info('webhook started', { port, metricsPort, namespace: config.ownNamespace });
  void logReady({ pending: health.pending, log, sleep, signal });
  return {
    port,
    metricsPort,
    shutDown: () =>
      shutDown({
        graceMs: config.shutdownGraceMs,
        sleep,
        startDraining: () => {
          draining = true;
        },
        servers: [server, metricsServer],
        stop: () => stop.abort(),
      }),
  };
}

/** How often a start looks whether everything is there; the accuracy of the time it logs. */
const READY_POLL_MS = 20;

/** Says once when calls can succeed, and how long after the start of the process. */
async function logReady({
  pending,
  log,
  sleep,
  signal,
}: {
  pending: () => string[];
  log: Log;
  sleep: (ms: number) => Promise<void>;
  signal: AbortSignal;
}): Promise<void> {
  while (pending().length > 0) {
    if (signal.aborted) return;
    await sleep(READY_POLL_MS);
  }
  log.info('webhook ready', { sinceStartMs: Math.round(performance.now()) });
}

interface CertificateSurroundings extends Omit<Surroundings, 'sleep'> {
  signal: AbortSignal;
  serve: (pair: KeyPair) => void;
}

function startCertificates({
  config,
  client,
  log,
  now,
  signal,
  serve,
  certificateTimes,
}: CertificateSurroundings): Certificates {
  const { mode, folder, secretName, webhookConfigName, dnsNames } = config.certificates;
  if (mode === 'cert-manager') return startFileCertificates({ folder, serve, signal, log });
  return startOwnCertificates({
    client,
    namespace: config.ownNamespace,
    secretName,
    webhookConfigName,
    dnsNames,
    authority: createAuthority(certificateTimes),
    ...certificateTimes,
    signal,
    log,
    serve,
    now,
  });
}
