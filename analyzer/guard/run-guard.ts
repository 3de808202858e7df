import type { EvidenceReport } from '../../canary/evidence.ts';
import type { Pod } from '../../kube/types.ts';
import type { KayentaJudgement } from '../judge/kayenta/kayenta.ts';
import { evidenceSentence } from '../report/evidence.ts';
import type { Guard } from './guard.ts';
import { PodWatch } from './pod-watch.ts';

/** Between two looks: counters change no faster than they are scraped, and users should not meet a bad version for longer. */
const LOOK_MS = 2000;

/** What the guard saw that ends a run. */
export interface Finding {
  reason: 'RolledBack' | 'CanaryNotReady';
  /** For a person, with its numbers. */
  message: string;
}

/** What watches a run between its checks. */
export interface RunGuard {
  /** When the next look is due: milliseconds since the epoch. */
  readonly dueMs: number;
  /** What was seen so far, bounded in size; undefined where nothing is compared. */
  readonly evidence: EvidenceReport | undefined;
  /** Whether others than the routes sent requests to the canary before its first weight. */
  readonly strays: boolean;
  weightChanged(): void;
  /** @param weightPercent at 0, a look only learns what to compare with */
  look(weightPercent: number): Promise<Finding | undefined>;
  /** The evidence says that the canary is not worse, where the spec lets that end the steps early. */
  readonly earlyPromote: boolean;
  kayenta(): KayentaJudgement | undefined;
}

export interface RunGuardOptions {
  guard: Guard;
  /** The canary's pods as they are now. */
  pods: () => Promise<readonly Pod[]>;
  now: () => Date;
}

export function createRunGuard({ guard, pods, now }: RunGuardOptions): RunGuard {
  const podWatch = new PodWatch();
  let dueMs = 0;
  let earlyPromote = false;
  /** One at a time: nobody may wait for the last one any more, and its counts come before those of the next. */
  let underWay: Promise<Finding | undefined> | undefined;
  const lookOnce = async (weightPercent: number): Promise<Finding | undefined> => {
    const at = now();
    dueMs = at.getTime() + LOOK_MS;
    const [judgement, seen] = await Promise.all([guard.look(at, weightPercent), pods()]);
    earlyPromote = judgement.earlyPromote;
    const serving = weightPercent > 0;
    const trouble = podWatch.look(seen, serving, at.getTime());
    if (serving && judgement.verdict === 'roll back')
      return { reason: 'RolledBack', message: evidenceSentence(judgement) ?? 'worse than the primary' };
    return trouble ? { reason: 'CanaryNotReady', message: trouble } : undefined;
  };
  return {
    get dueMs() {
      return dueMs;
    },
    get evidence() {
      return guard.report.metrics.length > 0 ? guard.report : undefined;
    },
    get strays() {
      return guard.strays;
    },
    get earlyPromote() {
      return earlyPromote;
    },
    weightChanged: () => guard.weightChanged(),
    kayenta: () => guard.kayenta(),
    look: (weightPercent) => {
      underWay ??= lookOnce(weightPercent).finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
  };
}
