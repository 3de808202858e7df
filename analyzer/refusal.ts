import type { PromotedReason } from '../canary/conditions.ts';

/**
 * A run that cannot go on for a reason that its owner can mend: an ambiguous Service, a foreign object of our name, a policy that
 * would miss the canary. The version is rejected with this message; nothing is retried.
 */
export class Refusal extends Error {
  readonly reason: PromotedReason;
  constructor(message: string, reason: PromotedReason = 'InvalidTarget') {
    super(message);
    this.name = 'Refusal';
    this.reason = reason;
  }
}
