import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** `allowed`: unchanged; `patched`: allowed with changes; `denied`: refused by a rule; `error`: refused because we could not decide. */
export type AdmissionResult = 'allowed' | 'patched' | 'denied' | 'error';

/** What the webhook's process tells Prometheus. */
export interface Metrics {
  registry: Registry;
  admitted(row: string, result: AdmissionResult, seconds: number): void;
  /** What the launcher did: `launch`, `exists`, `reset-conditions`, `give-up`. */
  launched(action: string): void;
  launcherFailed(): void;
  watchFailed(resource: string): void;
}

/** Admission takes a millisecond where nothing has to be looked up, and must never take 3 s. */
const SECONDS = [0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** @param expiresAt end of the serving certificate, if there is one */
export function createMetrics(expiresAt: () => Date | undefined): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const duration = new Histogram({
    name: 'sidestep_admission_duration_seconds',
    help: 'Time from the end of the request to the answer',
    labelNames: ['outcome'] as const,
    buckets: SECONDS,
    registers,
  });
  const admissions = new Counter({
    name: 'sidestep_admissions_total',
    help: 'Admission requests by the rule that decided and its outcome',
    labelNames: ['row', 'outcome'] as const,
    registers,
  });
  const launches = new Counter({
    name: 'sidestep_launcher_actions_total',
    help: 'What the launcher did',
    labelNames: ['action'] as const,
    registers,
  });
  const launcherErrors = new Counter({
    name: 'sidestep_launcher_errors_total',
    help: 'Actions of the launcher that failed and are tried again',
    registers,
  });
  const watchErrors = new Counter({
    name: 'sidestep_watch_errors_total',
    help: 'Watches that failed and are tried again',
    labelNames: ['resource'] as const,
    registers,
  });
  new Gauge({
    name: 'sidestep_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate ends; 0 while there is none',
    registers,
    collect() {
      this.set((expiresAt()?.getTime() ?? 0) / 1000);
    },
  });
  return {
    registry,
    admitted: (row, outcome, seconds) => {
      duration.observe({ outcome }, seconds);
      admissions.inc({ row, outcome });
    },
    launched: (action) => launches.inc({ action }),
    launcherFailed: () => launcherErrors.inc(),
    watchFailed: (resource) => watchErrors.inc({ resource }),
  };
}
