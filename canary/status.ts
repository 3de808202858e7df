import * as z from 'zod';
import { STATUS } from './annotations.ts';
import type { EvidenceReport } from './evidence.ts';

/** The phases of the analyzer's state machine; the last three are ends. */
export const ANALYZER_PHASES = [
  'Preparing',
  'Progressing',
  'Paused',
  'Promoting',
  'Finalising',
  'RollingBack',
  'Cancelling',
  'Succeeded',
  'Failed',
  'Cancelled',
] as const;
export type AnalyzerPhase = (typeof ANALYZER_PHASES)[number];

const END_PHASES = ['Succeeded', 'Failed', 'Cancelled'] as const satisfies readonly AnalyzerPhase[];
export type EndPhase = (typeof END_PHASES)[number];
export const isEndPhase = (phase: AnalyzerPhase): phase is EndPhase =>
  (END_PHASES as readonly AnalyzerPhase[]).includes(phase);

/** One metric as it was seen at the last check. */
export interface MetricReading {
  name: string;
  /** percent for request-success-rate, milliseconds for request-duration; absent without evidence */
  value?: number;
  verdict: 'pass' | 'fail' | 'no-data';
  /** The metrics could not be asked, or answered with something that is no count. */
  error?: true;
  /** What was seen, with its numbers, for a person. */
  message: string;
}

/** The analyzer's report and its memory across attempts, kept in the annotation `sidestep.dev/status`. */
export interface RunStatus {
  run: string;
  attempt: number;
  phase: AnalyzerPhase;
  /** Percent of requests that go to the canary. */
  weight: number;
  /** Steps taken, and steps in all. */
  step: number;
  steps: number;
  failedChecks: number;
  threshold: number;
  message: string;
  startedAt: string;
  updatedAt: string;
  /** When requests were first sent to this run's canary; its counters start there. */
  trafficSince?: string;
  /** When the first evidence was seen; `holdTimeout` counts from the last one, or from `trafficSince`. */
  evidenceAt?: string;
  /** When the primary began to roll to the version. */
  promotingSince?: string;
  /** Who ordered the promotion; absent where the analysis led to it. */
  promotedBy?: string;
  /** Largest size of the primary since the run began. */
  replicas: number;
  metrics?: MetricReading[];
  /** What was seen when the canary was compared with the primary. */
  evidence?: EvidenceReport;
}

const schema = z.looseObject({
  run: z.string(),
  attempt: z.number(),
  phase: z.enum(ANALYZER_PHASES),
  weight: z.number().min(0).max(100),
  step: z.number(),
  steps: z.number(),
  failedChecks: z.number(),
  threshold: z.number(),
  message: z.string(),
  startedAt: z.string(),
  updatedAt: z.string(),
  replicas: z.number(),
});

/** The report on an object, if it has a readable one. */
export function statusOf(object: { metadata: { annotations?: Record<string, string> } }): RunStatus | undefined {
  const text = object.metadata.annotations?.[STATUS];
  if (text === undefined) return undefined;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? (parsed.data as RunStatus) : undefined;
  } catch {
    return undefined;
  }
}

export const statusAnnotation = (status: RunStatus): Record<string, string> => ({ [STATUS]: JSON.stringify(status) });
