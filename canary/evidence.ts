// What a run saw when it compared the canary with the primary: kept in its status, bounded in size by the analyzer.

/** What is kept of a metric for the whole run. */
export interface MetricEvidence {
  name: string;
  /** What Prometheus was asked for each side. */
  queries: { canary: string; primary: string };
  /** The bound in milliseconds over which an answer is slow; absent for errors. */
  slowMs?: number;
  ratio: number;
  minErrors: number;
  /** e-value at which this metric alone rolls back. */
  threshold: number;
  /** Sums over the run: events and requests. */
  canary: [events: number, requests: number];
  primary: [events: number, requests: number];
  /** Looks that counted, and those that did not by reason. */
  looks: number;
  skipped: Record<string, number>;
}

/** What one look came to. */
export interface LookEvidence {
  at: string;
  /** Percent to the canary. */
  weight: number;
  verdict: 'continue' | 'roll back' | 'no evidence';
  /** By metric: the look's own counts, the evidence after it; or why it counted nothing. */
  metrics: Record<string, LookCounts | { skipped: string }>;
  /** What was odd: restarts, pods not seen, clocks. */
  notes?: string[];
}

export interface LookCounts {
  canary: [events: number, requests: number];
  primary: [events: number, requests: number];
  /** e-value after the look; 0 below the least number of errors. */
  e: number;
  /** What the thresholds saw at this look, in the metric's unit. */
  value?: number;
}

/** The evidence of a run, as it is kept after it. */
export interface EvidenceReport {
  run: string;
  alpha: number;
  metrics: MetricEvidence[];
  looks: LookEvidence[];
  /** Looks that were left out to keep this small. */
  thinned: number;
}
