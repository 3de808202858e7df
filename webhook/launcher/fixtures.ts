import { RUN, STATUS } from '../../canary/annotations.ts';
import type { Run, RunPhase } from '../../canary/run.ts';
import { type CanarySpec, readSpec } from '../../canary/spec.ts';
import type { AnalyzerPhase } from '../../canary/status.ts';
import type { Condition } from '../../kube/types.ts';
import type { WatchedDeployment } from './conditions.ts';
import type { PastAttempt } from './job.ts';

// For tests of this folder.

export const SPEC: CanarySpec = readSpec({}, { name: 'reviews' }).spec!;
export const START_MS = Date.parse('2026-03-01T12:00:00Z');
export const UID = '7f3f2d3c-0000-4000-8000-000000000001';

export const run = (id: string, phase: RunPhase = 'held'): Run => ({
  id,
  phase,
  hash: 'v1-b',
  stable: 'v1-a',
  requester: 'jane',
  time: '2026-03-01T12:00:00Z',
  spec: SPEC,
});

/** An opted-in Deployment as the launcher keeps it. */
export function deployment(
  current?: Run,
  conditions: Condition[] = [],
  reportedRun?: string,
  phase: AnalyzerPhase = 'Progressing',
): WatchedDeployment {
  const status = {
    run: reportedRun,
    attempt: 1,
    phase,
    weight: 10,
    step: 1,
    steps: 5,
    failedChecks: 0,
    threshold: 5,
    message: '',
    startedAt: '',
    updatedAt: '',
    replicas: 1,
  };
  return {
    metadata: {
      name: 'reviews',
      namespace: 'shop',
      uid: UID,
      resourceVersion: '7',
      annotations: {
        ...(current ? { [RUN]: JSON.stringify(current) } : {}),
        ...(reportedRun ? { [STATUS]: JSON.stringify(status) } : {}),
      },
    },
    status: { conditions },
  };
}

export const attempt = (runId: string, n: number, state: PastAttempt['state'], endedMs = START_MS): PastAttempt => ({
  uid: UID,
  namespace: 'shop',
  deployment: 'reviews',
  run: runId,
  attempt: n,
  rollbackOnly: false,
  deadlineSeconds: 1234,
  state,
  ...(state === 'active' ? {} : { endedMs }),
});
