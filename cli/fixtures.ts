import { CANARY, ENABLED, PROMOTED } from '../canary/annotations.ts';
import { templateHash } from '../canary/hash.ts';
import { type Run, runAnnotations } from '../canary/run.ts';
import { readSpec } from '../canary/spec.ts';
import { type RunStatus, statusAnnotation } from '../canary/status.ts';
import type { Deployment, PodTemplate } from '../kube/types.ts';

const template = (version: string): PodTemplate => ({
  metadata: { labels: { app: 'reviews' } },
  spec: { containers: [{ name: 'reviews', image: `reviews:${version}` }] },
});
export const hashOf = (version: string): string => templateHash(template(version));

/** A run of v2 beside the stable v1. */
export const RUN: Run = {
  id: 'r1',
  phase: 'held',
  hash: hashOf('v2'),
  stable: hashOf('v1'),
  requester: 'alice',
  time: '2026-01-01T12:00:00Z',
  spec: readSpec({}, { name: 'reviews' }).spec!,
};

export const STATUS: RunStatus = {
  run: 'r1',
  attempt: 1,
  phase: 'Progressing',
  weight: 20,
  step: 2,
  steps: 5,
  failedChecks: 1,
  threshold: 5,
  message: 'request-success-rate 99.9 %',
  startedAt: '2026-01-01T12:00:00Z',
  updatedAt: '2026-01-01T12:01:00Z',
  replicas: 2,
};

export interface Shape {
  version?: string;
  run?: Run;
  status?: RunStatus;
  promoted?: { hash: string; time: string }[];
  optedIn?: boolean;
  paused?: boolean;
}

/** The Deployment reviews in the namespace shop. */
export function reviews({ version = 'v2', run, status, promoted, optedIn = true, paused }: Shape = {}): Deployment {
  return {
    metadata: {
      name: 'reviews',
      namespace: 'shop',
      uid: 'u1',
      labels: { 'sidestep.dev/watched': 'true' },
      annotations: {
        ...(optedIn ? { [CANARY]: ENABLED } : {}),
        ...(run ? runAnnotations(run) : {}),
        ...(status ? statusAnnotation(status) : {}),
        ...(promoted ? { [PROMOTED]: JSON.stringify(promoted) } : {}),
      },
    },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      template: template(version),
      ...((paused ?? (run && run.phase !== 'promoting')) ? { paused: true } : {}),
    },
  };
}
