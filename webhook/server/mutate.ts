import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../kube/log.ts';
import type { AdmissionInput, Denied, Outcome } from '../admission/types.ts';
import { BodyError, type BodyReader } from './body.ts';
import type { AdmissionResult, Metrics } from './metrics.ts';
import { formatReview, parseReview } from './review.ts';

export interface MutateOptions {
  decide: (input: AdmissionInput) => Promise<Outcome>;
  bodies: BodyReader;
  metrics: Pick<Metrics, 'admitted'>;
  log: Log;
  now: () => Date;
  /** Milliseconds that a decision may take. */
  deadlineMs?: number;
}

/** The API server gives up after 3 s, with a message that helps nobody: ours comes first. */
const DEADLINE_MS = 2500;

const FAILED: Denied = {
  allowed: false,
  code: 500,
  message:
    'sidestep could not decide about this change because of an error of its own; nothing was changed. Its log has the details under this request’s uid.',
};
const TOO_SLOW: Denied = {
  allowed: false,
  code: 503,
  message:
    'sidestep could not decide about this change in time because the API server answered too slowly; nothing was changed. Try again.',
};

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Answers reviews. Whatever comes in and whatever goes wrong, the answer is a review; nothing is thrown. */
export function mutateHandler(options: MutateOptions): Handler {
  const { bodies, log, now } = options;
  return async (request, response) => {
    const refused = refuseHead(request);
    if (refused) return answer(response, refused.code, '', refused);
    try {
      await bodies.read(request, async (body) => {
        const startedMs = performance.now();
        const { uid, input, problem } = parseReview(body, now());
        const outcome = problem ?? (await settle(input, options));
        // 200 is what the API server reads an answer from; what is no review at all gets an HTTP error besides.
        answer(response, uid === '' ? 400 : 200, uid, outcome);
        note(options, input, outcome, (performance.now() - startedMs) / 1000);
      });
    } catch (e) {
      const { status, message } = e instanceof BodyError ? e : { status: 500, message: FAILED.message };
      log.warn('request refused', { status, error: e as Error });
      // The rest of the body is not going to be read.
      response.setHeader('connection', 'close');
      answer(response, status, '', { allowed: false, code: status, message });
    }
  };
}

function refuseHead({ headers }: IncomingMessage): Denied | undefined {
  const type = headers['content-type'] ?? '';
  if (/^application\/json\s*(;|$)/i.test(type) && headers['content-encoding'] === undefined) return undefined;
  return { allowed: false, code: 415, message: 'the body must be application/json, without an encoding' };
}

/** The decision, or a denial in its place when it fails or takes too long. */
async function settle(
  input: AdmissionInput,
  { decide, log, deadlineMs = DEADLINE_MS }: MutateOptions,
): Promise<Outcome> {
  const { uid, namespace, name } = input;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => resolve(TOO_SLOW), deadlineMs);
  });
  try {
    return await Promise.race([decide(input), late]);
  } catch (e) {
    log.error('admission failed', {
      uid,
      namespace,
      name,
      error: e as Error,
      stack: e instanceof Error ? e.stack : undefined,
    });
    return FAILED;
  } finally {
    clearTimeout(timer);
  }
}

function answer(response: ServerResponse, status: number, uid: string, outcome: Outcome): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(formatReview(uid, outcome));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
}

/** What the user was told is logged, too; what was let through in silence only for debugging. */
function note(
  { metrics, log }: MutateOptions,
  input: AdmissionInput | undefined,
  outcome: Outcome,
  seconds: number,
): void {
  const row = outcome.allowed ? (outcome.audit['row'] ?? 'none') : 'none';
  const result = resultOf(outcome);
  metrics.admitted(row, result, seconds);
  const fields = {
    uid: input?.uid,
    namespace: input?.namespace,
    name: input?.name,
    operation: input?.operation,
    requester: input?.requester.username,
    dryRun: input?.dryRun,
    row,
    result,
    ...(outcome.allowed ? {} : { code: outcome.code }),
    ms: Math.round(seconds * 10_000) / 10,
  };
  const loud = !outcome.allowed || outcome.warnings.length > 0;
  if (loud) log.info('admission decided', fields);
  else log.debug('admission decided', fields);
}

function resultOf(outcome: Outcome): AdmissionResult {
  if (outcome.allowed) return outcome.patch.length > 0 ? 'patched' : 'allowed';
  return outcome === FAILED || outcome === TOO_SLOW ? 'error' : 'denied';
}
