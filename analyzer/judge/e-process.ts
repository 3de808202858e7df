/** What two versions, side by side in the same span of time, did: events are failed or slow answers. */
export interface Arms {
  canaryEvents: number;
  canaryRequests: number;
  primaryEvents: number;
  primaryRequests: number;
}

/** "The canary's share of events is at most `ratio` times the primary's", and how much worse it might be instead. */
export interface Hypothesis {
  /** r0 of the null hypothesis; over 0. */
  ratio: number;
  /** ρ: factors on top of `ratio`, each with the same prior weight. All over 1 for a test of "worse", all under 1 for "not worse". */
  alternatives: readonly number[];
}

/** Natural logarithm of the likelihood ratio of each alternative to the null hypothesis, in the order of the alternatives. */
export type Evidence = readonly number[];

/** `count` numbers from `from` to `to`, each the same factor from the next. */
export const logSpaced = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from * (to / from) ** (i / (count - 1)));

const GRID = 24;
/** Of an error share: from a fifth more to fifty times as many. */
export const WORSE: readonly number[] = logSpaced(1.2, 50, GRID);
/** Of a share of slow answers: it is larger than that of errors, and moves less. */
export const SLOWER: readonly number[] = logSpaced(1.05, 20, GRID);
/** For the early promotion. */
export const NOT_WORSE: readonly number[] = logSpaced(0.1, 0.75, GRID);

export const noEvidence = (alternatives: readonly number[]): Evidence => alternatives.map(() => 0);

const isCount = (value: number): boolean => value >= 0 && value <= Number.MAX_SAFE_INTEGER;

/** Whether these can be counts at all: finite, not negative, and not more events than requests. */
export const areCounts = ({ canaryEvents, canaryRequests, primaryEvents, primaryRequests }: Arms): boolean =>
  [canaryEvents, canaryRequests, primaryEvents, primaryRequests].every(isCount) &&
  canaryEvents <= canaryRequests &&
  primaryEvents <= primaryRequests;

/**
 * Adds one look to the evidence. Given that an event happened, under the null hypothesis it was the canary's with a probability of at
 * most θ0 = r0·n_c / (r0·n_c + n_s), and under an alternative with r0·ρ in the place of r0. Both logarithms of the likelihood ratio,
 * of an event on the canary and of one on the primary, have the term −ln(1 + θ0·(ρ − 1)) in common, and the canary's has ln ρ more: so
 * nothing is divided by a share that may be 0 or 1, and no product can overflow. A look that lacks a side, or is none, changes nothing.
 *
 * Source: Lindon & Malek, Anytime-Valid Inference for Multinomial Count Data (NeurIPS 2022).
 */
export function weigh(evidence: Evidence, arms: Arms, { ratio, alternatives }: Hypothesis): Evidence {
  const { canaryEvents, canaryRequests, primaryEvents, primaryRequests } = arms;
  const events = canaryEvents + primaryEvents;
  if (!areCounts(arms) || canaryRequests === 0 || primaryRequests === 0 || events === 0) return evidence;
  const logs = logsOf(alternatives);
  const nullShare = (ratio * canaryRequests) / (ratio * canaryRequests + primaryRequests);
  return evidence.map((sum, j) => {
    const factor = alternatives[j]!;
    return sum + canaryEvents * logs[j]! - events * Math.log1p(nullShare * (factor - 1));
  });
}

/** Half of the time of a look went into logarithms of the same few numbers. */
const LOGS = new WeakMap<readonly number[], readonly number[]>();

function logsOf(alternatives: readonly number[]): readonly number[] {
  const known = LOGS.get(alternatives);
  if (known) return known;
  const logs = alternatives.map(Math.log);
  LOGS.set(alternatives, logs);
  return logs;
}

/** ln Σ exp(terms), without overflow; −∞ without terms. */
export function logSumExp(terms: readonly number[]): number {
  const largest = Math.max(...terms);
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - largest), 0));
}

/**
 * ln E: the mean over the alternatives. Under the null hypothesis E is a nonnegative supermartingale that starts at 1, so by Ville's
 * inequality it ever reaches 1/α with a probability of at most α, however often one looks and whatever the weights do.
 */
export const lnE = (evidence: Evidence): number => logSumExp(evidence) - Math.log(evidence.length);
