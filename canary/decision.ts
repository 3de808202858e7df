import * as z from 'zod';
import { DECISION } from './annotations.ts';

/**
 * The analyzer's word on a run, sent as the annotation `sidestep.dev/decision` and consumed at admission.
 * promote: release the held version. complete: the primary runs it in full. rollback: reject the held version.
 * restore: the promotion failed; hold the version again and reject it.
 */
export const VERDICTS = ['promote', 'complete', 'rollback', 'restore'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Decision {
  run: string;
  verdict: Verdict;
  /** Why, for the user. */
  message?: string;
}

const schema = z.strictObject({ run: z.string().min(1), verdict: z.enum(VERDICTS), message: z.string().optional() });

/** @returns the decision, or undefined if the text is none */
export function parseDecision(text: string): Decision | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? (parsed.data as Decision) : undefined;
  } catch {
    return undefined;
  }
}

export const decisionAnnotation = (decision: Decision): Record<string, string> => ({
  [DECISION]: JSON.stringify(decision),
});
