import type { CanarySpec } from '../../canary/spec.ts';

type Analysis = CanarySpec['analysis'];

/** The weight after this one: a step more, never over `maxWeight`. */
export const nextWeight = (weightPercent: number, { stepWeight, maxWeight }: Analysis): number =>
  Math.min(maxWeight, weightPercent + stepWeight);

/** The weight that the steps taken have led to: less than what the canary has while it helps the primary out. */
export const earnedWeight = (step: number, { stepWeight, maxWeight }: Analysis): number =>
  Math.min(maxWeight, step * stepWeight);

/** How many weights a run passes through before promotion. */
export const stepsOf = ({ stepWeight, maxWeight }: Analysis): number => Math.ceil(maxWeight / stepWeight);

/** Canary pods that carry this part of what `primaryReplicas` carry together; at least one, so that there is something to judge. */
export const replicasFor = (weightPercent: number, primaryReplicas: number): number =>
  Math.max(1, Math.ceil((primaryReplicas * weightPercent) / 100));
