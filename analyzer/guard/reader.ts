import { messageOf } from '../../kube/errors.ts';
import {
  afterWeightChange,
  CALLER_COUNTS,
  type LookMemory,
  POD_COUNTS,
  rawCounts,
  startLooks,
  takeLook,
} from '../judge/looks.ts';
import type { MetricLook } from '../judge/metric-evidence.ts';
import { answerKind, bucketKind } from '../metrics/answers.ts';
import { type InstantQuery, MetricsError } from '../metrics/prometheus.ts';
import { type ComparedNames, type Counted, comparedQuery } from './names.ts';
import { type Counter, sidesOf } from './sides.ts';

/** Reads what canary and primary counted of one metric since the last look: one query each time. */
export class Reader {
  readonly kind: Counted;
  readonly query: string;
  readonly #ask: InstantQuery;
  readonly #names: ComparedNames;
  #memory: LookMemory = startLooks();
  #counter: Counter | undefined;

  constructor(kind: Counted, ask: InstantQuery, names: ComparedNames) {
    this.kind = kind;
    this.query = comparedQuery(kind, names);
    this.#ask = ask;
    this.#names = names;
  }

  /** The next look mixes two weights: it sets the baseline and counts nothing. */
  weightChanged(): void {
    this.#memory = afterWeightChange(this.#memory);
  }

  /** Never rejects for what Prometheus does: such a look is skipped, and says why. Notes tell what was odd about the counters. */
  async look(now: Date): Promise<{ look: MetricLook; notes: string[] }> {
    try {
      const { counter, canary, primary } = sidesOf(await this.#ask(this.query), this.#names);
      // Counts of callers and counts of pods have nothing in common: a change begins anew.
      if (this.#counter !== undefined && this.#counter !== counter) this.#memory = startLooks();
      this.#counter = counter;
      const kindOf = this.kind === 'errors' ? answerKind : bucketKind;
      const raw = { atMs: now.getTime(), canary: rawCounts(canary, kindOf), primary: rawCounts(primary, kindOf) };
      const newPods = counter === 'callers' ? CALLER_COUNTS : POD_COUNTS;
      const { memory, ...taken } = takeLook(this.#memory, raw, { kind: this.kind, warmUpUntilMs: 0, newPods });
      this.#memory = memory;
      return taken;
    } catch (e) {
      if (!(e instanceof MetricsError)) throw e;
      return { look: { skipped: messageOf(e).slice(0, MAX_REASON) }, notes: [] };
    }
  }
}

const MAX_REASON = 120;
