import type { KubeClient } from '../kube/client.ts';
import type { Log } from '../kube/log.ts';
import { MUTATING_WEBHOOKS, SECRETS } from '../kube/resources.ts';
import type { KubeObject, Secret } from '../kube/types.ts';
import { backoffMs, type Informer, startInformer } from '../kube/watch.ts';
import type { Authority, KeyPair } from './authority.ts';
import type { Certificates } from './certificates.ts';
import { inject, injectedCas, injectionPatch, type MutatingWebhookConfiguration } from './inject.ts';
import { issuedBy, type Material, readMaterial, validityOf, writeMaterial } from './material.ts';
import { renew } from './rotation.ts';
import { type SecretStore, secretStore } from './store.ts';

/**
 * How long a CA must have stood in the webhook's configuration before a certificate of it is served: every API server has its own
 * copy of that object, from a watch. Milliseconds in practice; a minute also covers a watch that broke and came back.
 */
export const TRUST_DELAY_MS = 60_000;
/** Rotation is due after weeks: looking at the clock this often is enough, and costs no request. */
const CHECK_MS = 3_600_000;
/** Replicas that write at the same moment: each turn one of them gets through. */
const MAX_TURNS = 10;

export interface OwnCertificatesOptions {
  client: KubeClient;
  namespace: string;
  secretName: string;
  webhookConfigName: string;
  dnsNames: readonly string[];
  authority: Authority;
  signal: AbortSignal;
  log: Log;
  /** Called with each certificate that is to be served from now on. */
  serve: (pair: KeyPair) => void;
  now: () => Date;
  random?: () => number;
  /** In place of TRUST_DELAY_MS. */
  trustDelayMs?: number;
  /** In place of CHECK_MS. */
  checkMs?: number;
}

/**
 * Certificates of a CA of our own. Every replica does the same: what the Secret lacks is issued, whoever writes first wins; the CAs are
 * kept in the webhook's configuration, also against others; and a certificate is served once the configuration trusts its CA.
 */
export function startOwnCertificates(options: OwnCertificatesOptions): Certificates {
  return new OwnCertificates(options);
}

class OwnCertificates implements Certificates {
  readonly #options: OwnCertificatesOptions;
  readonly #store: SecretStore;
  readonly #trustDelayMs: number;
  readonly #checkMs: number;
  readonly #secrets: Informer<Secret>;
  readonly #trustedSinceMs = new Map<string, number>();
  #secret: Secret | undefined;
  #configuration: MutatingWebhookConfiguration | undefined;
  #serving: KeyPair | undefined;
  #injected = false;
  #running = false;
  #again = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OwnCertificatesOptions) {
    const { client, namespace, secretName, webhookConfigName, signal } = options;
    this.#options = options;
    this.#trustDelayMs = options.trustDelayMs ?? TRUST_DELAY_MS;
    this.#checkMs = options.checkMs ?? CHECK_MS;
    this.#store = secretStore(client, { namespace, name: secretName }, signal);
    this.#secrets = this.#watch<Secret>(SECRETS, namespace, secretName, (secret) => {
      this.#secret = secret;
    });
    this.#watch<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, undefined, webhookConfigName, (configuration) => {
      this.#configuration = configuration;
    });
    signal.addEventListener('abort', () => clearTimeout(this.#timer), { once: true });
  }

  /** Why no call can succeed yet; empty once the certificate is served and the API server was told to trust it. */
  pending(): string[] {
    const pending = this.#serving ? [] : ['certificate'];
    return this.#injected ? pending : [...pending, 'caBundle'];
  }

  expiresAt(): Date | undefined {
    return this.#serving && new Date(validityOf(this.#serving.certificate).toMs);
  }

  #watch<T extends KubeObject>(
    resource: typeof SECRETS,
    namespace: string | undefined,
    name: string,
    seen: (o: T | undefined) => void,
  ): Informer<T> {
    const { client, signal, log } = this.#options;
    return startInformer<T>({
      client,
      resource,
      target: { namespace },
      query: { fieldSelector: `metadata.name=${name}` },
      signal,
      keep: (object) => ({ ...object, metadata: { ...object.metadata, managedFields: undefined } }),
      onChange: (object, deleted) => {
        seen(deleted ? undefined : object);
        this.#poke();
      },
      onSynced: () => this.#poke(),
      onError: (error) => log.warn('watch failed', { resource: resource.plural, name, error: error as Error }),
    });
  }

  /** Runs a pass now, or once more after the one that is running. */
  #poke(): void {
    this.#again = true;
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    const { signal, log, random = Math.random } = this.#options;
    this.#running = true;
    while (this.#again && !signal.aborted) {
      this.#again = false;
      try {
        const nextMs = await this.#pass();
        this.#failures = 0;
        this.#wakeIn(nextMs);
      } catch (error) {
        if (signal.aborted) break;
        log.error('certificate could not be kept', { secret: this.#options.secretName, error: error as Error });
        this.#wakeIn(backoffMs(++this.#failures, random));
      }
    }
    this.#running = false;
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#options.signal.aborted) this.#timer = setTimeout(() => this.#poke(), ms);
  }

  /** @returns milliseconds until something may be due without an event */
  async #pass(): Promise<number> {
    if (!this.#secrets.synced()) return this.#checkMs;
    this.#noteTrust();
    const { material, version } = await this.#upToDate();
    this.#choose(material);
    if (!(await this.#inject(material, version))) return backoffMs(1, this.#options.random ?? Math.random);
    const waiting = material.ca !== undefined && !this.#trusts(material.ca.certificate);
    return waiting ? this.#trustDelayMs : this.#checkMs;
  }

  #noteTrust(): void {
    const injected = injectedCas(this.#configuration);
    for (const ca of this.#trustedSinceMs.keys()) if (!injected.has(ca)) this.#trustedSinceMs.delete(ca);
    const nowMs = this.#options.now().getTime();
    for (const ca of injected) if (!this.#trustedSinceMs.has(ca)) this.#trustedSinceMs.set(ca, nowMs);
  }

  #trusts(ca: string): boolean {
    const sinceMs = this.#trustedSinceMs.get(ca);
    return sinceMs !== undefined && this.#options.now().getTime() - sinceMs >= this.#trustDelayMs;
  }

  /**
   * Issues what is due and stores it; of several replicas one gets through, the others take what that one wrote. Events may replace
   * `#secret` at every `await`: what is written back is always the version that was read.
   */
  async #upToDate(): Promise<{ material: Material; version: string | undefined }> {
    const { dnsNames, authority, now, log } = this.#options;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const secret = this.#secret;
      const stored = readMaterial(secret?.data);
      const circumstances = { dnsNames, nowMs: now().getTime(), trusted: (ca: string) => this.#trusts(ca) };
      const due = await renew(this.#recovered(stored), circumstances, authority);
      if (due === stored) return { material: stored, version: secret?.metadata.resourceVersion };
      const written = await this.#store.write(secret, writeMaterial(due));
      if (written) log.info('certificate issued', { newCa: due.ca !== stored.ca, newLeaf: due.leaf !== stored.leaf });
      this.#secret = written ?? (await this.#store.read());
    }
    throw new Error(`the Secret was changed by others ${MAX_TURNS} times in a row`);
  }

  /** A Secret that was lost or broken must not take away the trust in the certificate that is served now. */
  #recovered(stored: Material): Material {
    const serving = this.#serving;
    if (!serving || stored.bundle.some((ca) => issuedBy(serving.certificate, ca))) return stored;
    const known = [...this.#trustedSinceMs.keys()].filter((ca) => issuedBy(serving.certificate, ca));
    if (known.length === 0) return stored;
    return { ...stored, bundle: [...stored.bundle, ...known], leaf: stored.leaf ?? serving };
  }

  /** The first certificate is served at once; a later one only when its callers trust it. */
  #choose({ leaf, bundle }: Material): void {
    const serving = this.#serving;
    if (!leaf || leaf.certificate === serving?.certificate) return;
    const injected = injectedCas(this.#configuration);
    const trusted = bundle.some((ca) => injected.has(ca) && issuedBy(leaf.certificate, ca));
    const expired = serving !== undefined && validityOf(serving.certificate).toMs <= this.#options.now().getTime();
    if (serving && !expired && !trusted) return;
    this.#serving = leaf;
    this.#options.serve(leaf);
    this.#options.log.info('certificate served', { expires: this.expiresAt()!.toISOString() });
  }

  /** @returns false if it has to be tried again */
  async #inject({ bundle }: Material, version: string | undefined): Promise<boolean> {
    const configuration = this.#configuration;
    if (!configuration) return true;
    const patch = injectionPatch(configuration, bundle);
    if (!patch) {
      this.#injected = true;
      return true;
    }
    // Our copy may be older than what another replica has injected from: never put that back.
    const current = await this.#store.read();
    if (current?.metadata.resourceVersion !== version) {
      this.#secret = current;
      return false;
    }
    const { client, signal, log } = this.#options;
    const injected = await inject(client, configuration, patch, signal);
    if (!injected) return false;
    this.#configuration = injected;
    this.#injected = true;
    log.info('caBundle injected', { configuration: configuration.metadata.name, cas: bundle.length });
    return true;
  }
}
