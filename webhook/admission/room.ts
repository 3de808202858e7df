import { STATE_ANNOTATIONS } from '../../canary/annotations.ts';
import { type Run, runAnnotations } from '../../canary/run.ts';
import type { Facts } from './facts.ts';
import type { Denied } from './types.ts';

/** What the API server takes in the annotations of one object, keys and values together (its TotalAnnotationSizeLimitB). */
const MAX_ANNOTATION_BYTES = 256 * 1024;
/**
 * What a run writes later: the analyzer's report (8 KiB of evidence, and up to twenty metrics of which each says why it failed), the
 * reason of a verdict, and ten promoted versions. With no room for these a run could neither report nor end.
 */
const RESERVED_BYTES = 24 * 1024;

const sizeOf = (annotations: Record<string, string>): number =>
  Object.entries(annotations).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);

/** Whether the record of a run fits beside the user's own annotations; else the refusal, with what is missing. */
export function roomProblem({ object, input }: Facts, run: Run): Denied | undefined {
  const users = { ...object.metadata.annotations };
  for (const key of STATE_ANNOTATIONS) delete users[key];
  const [taken, wanted] = [sizeOf(users), sizeOf(runAnnotations(run)) + RESERVED_BYTES];
  if (taken + wanted <= MAX_ANNOTATION_BYTES) return undefined;
  return {
    allowed: false,
    code: 422,
    message: `metadata.annotations of ${input.name} take ${taken} bytes, and the record of a canary run needs ${wanted} more; allowed: ${MAX_ANNOTATION_BYTES} bytes together. Shorten the annotations or the analysis`,
  };
}
