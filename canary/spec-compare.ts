import * as z from 'zod';

// The error of a schema is told for its checks, too.
const number = (from: number, to: number, error: string) => z.number({ error }).min(from).max(to);
/** A map with these fields and no others. */
export const fields = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape, { error: 'a map of fields' });
const flag = z.boolean({ error: 'true or false' });
const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `one of ${values.join(', ')}` });

/** Below, no evidence would ever be enough; above, it would be no guarantee. */
const alpha = number(0.000001, 0.5, 'a number from 0.000001 to 0.5, such as 0.05');
/** Below 1 the canary would have to be better than the primary. */
const ratio = number(1, 100, 'a number from 1 to 100, such as 1.5');
const MIN_ERRORS = 'a whole number from 1 to 1000000';
const minErrors = z.int({ error: MIN_ERRORS }).min(1).max(1_000_000);

/** The derivation of the defaults is in docs/judging.md. */
export const COMPARE_DEFAULTS = { enabled: true, alpha: 0.05, ratio: 1.5, minErrors: 5 } as const;

/** How the canary is compared with the primary, at the same time. */
export const compare = fields({
  enabled: flag.default(COMPARE_DEFAULTS.enabled),
  /** Risk that a version no worse than `ratio` times the primary is rolled back in a run. */
  alpha: alpha.default(COMPARE_DEFAULTS.alpha),
  /** The canary may have this many times the primary's share of failed or slow answers. */
  ratio: ratio.default(COMPARE_DEFAULTS.ratio),
  /** Failed or slow answers of the canary below which nothing is concluded. */
  minErrors: minErrors.default(COMPARE_DEFAULTS.minErrors),
  /** Evidence that the canary is not `ratio` times worse ends the steps early. */
  earlyPromote: fields({
    enabled: flag.default(false),
    ratio: number(1.1, 100, 'a number from 1.1 to 100, such as 2').default(2),
    beta: alpha.default(0.05),
  }).prefault({}),
});

/** What a metric has of its own; the rest is `analysis.compare`'s. */
export const metricCompare = fields({
  enabled: flag.optional(),
  /** A risk of its own, on top of the one that the other metrics share. */
  alpha: alpha.optional(),
  ratio: ratio.optional(),
  minErrors: minErrors.optional(),
});

const PERCENT = 'a number from 0 to 100';
const percent = number(0, 100, PERCENT);
const EFFECT = 'a number from 0 to 1000';
const effect = number(0, 1000, EFFECT);
const GROUP = 'a text of 1 to 63 characters';
const group = z.string({ error: GROUP }).min(1).max(63);
const MAX_GROUPS = 20;
const GROUPS = `a list of 1 to ${MAX_GROUPS} names`;

/** The whole of Kayenta's judge: `scoreThresholds` and `classifier.groupWeights` of its canary configuration. */
export const kayenta = fields({
  scoreThresholds: fields({ pass: percent.default(95), marginal: percent.default(75) })
    .refine(({ pass, marginal }) => marginal <= pass, { error: 'marginal at most pass' })
    .prefault({}),
  groupWeights: z
    .record(group, percent, { error: 'a map of percentages by group' })
    .refine((weights) => Object.keys(weights).length <= MAX_GROUPS, { error: `at most ${MAX_GROUPS} groups` })
    .refine((weights) => Object.values(weights).reduce((sum, w) => sum + w, 0) <= 100, {
      error: 'weights of 100 percent in all at most',
    })
    .default({}),
});

/** One metric of it: `groups` and `analysisConfigurations.canary`. */
export const metricKayenta = fields({
  groups: z.array(group, { error: GROUPS }).min(1).max(MAX_GROUPS).optional(),
  direction: oneOf('increase', 'decrease', 'either').optional(),
  nanStrategy: oneOf('remove', 'replace').optional(),
  critical: flag.optional(),
  mustHaveData: flag.optional(),
  outliers: fields({
    strategy: oneOf('keep', 'remove').default('keep'),
    outlierFactor: number(0.1, 100, 'a number from 0.1 to 100').default(3),
  }).optional(),
  effectSize: fields({
    measure: oneOf('meanRatio', 'cles').default('meanRatio'),
    allowedIncrease: effect.optional(),
    allowedDecrease: effect.optional(),
    criticalIncrease: effect.optional(),
    criticalDecrease: effect.optional(),
  }).optional(),
});

/** Which judge compares. */
export const judge = oneOf('evidence', 'kayenta').default('evidence');

export type CompareSpec = z.infer<typeof compare>;
export type MetricCompareSpec = z.infer<typeof metricCompare>;
export type KayentaSpec = z.infer<typeof kayenta>;
export type MetricKayentaSpec = z.infer<typeof metricKayenta>;
