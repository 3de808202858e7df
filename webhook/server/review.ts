import type { AdmissionInput, Denied, Outcome, Requester } from '../admission/types.ts';
import { isDeployment, isMap, type Json } from './deployment.ts';

const API_VERSION = 'admission.k8s.io/v1';
const KIND = 'AdmissionReview';

/**
 * Parsed, `[[],[],[]…` takes twenty times its length in memory. An etcd of default size holds objects of 1.5 MiB; two of these, all of
 * short environment variables (`{"name":"A","value":"1"},`, 5 marks in 25 bytes), have 630 000 commas and opening brackets.
 */
const MAX_MARKS = 800_000;
const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

/** A review that was read, or what is wrong with it; the uid belongs into the answer either way, as far as one could be read. */
export type ParsedReview =
  | { uid: string; input: AdmissionInput; problem?: undefined }
  | { uid: string; input?: undefined; problem: Denied };

const textOr = (v: unknown, otherwise: string): string => (typeof v === 'string' ? v : otherwise);

/** Reads the body of a call. Never throws: whatever it is, it comes from the network. */
export function parseReview(body: Buffer, now: Date): ParsedReview {
  if (tooManyValues(body)) return bad('', 'the body has too many values');
  const review = parseJson(body);
  if (!isMap(review)) return bad('', body.length === 0 ? 'the body is empty' : 'the body is not a JSON object');
  const request = isMap(review['request']) ? review['request'] : undefined;
  const uid = textOr(request?.['uid'], '');
  if (review['apiVersion'] !== API_VERSION || review['kind'] !== KIND) {
    return bad(uid, `the body is ${named(review)}; allowed: ${KIND} of ${API_VERSION}`);
  }
  if (!request || uid === '') return bad(uid, 'the review has no request, or the request has no uid');
  return parseRequest(uid, request, now);
}

function parseRequest(uid: string, request: Json, now: Date): ParsedReview {
  const { kind, operation, object, oldObject, userInfo, options } = request;
  if (
    !isMap(kind) ||
    kind['group'] !== 'apps' ||
    kind['version'] !== 'v1' ||
    kind['kind'] !== 'Deployment' ||
    request['subResource']
  ) {
    return bad(uid, 'the request is not about a Deployment of apps/v1 itself; this webhook is for nothing else');
  }
  if (operation !== 'CREATE' && operation !== 'UPDATE')
    return bad(uid, `the operation is ${shown(operation)}; allowed: CREATE, UPDATE`);
  if (!isDeployment(object)) return bad(uid, 'the object is not a complete Deployment');
  if (operation === 'UPDATE' && !isDeployment(oldObject)) return bad(uid, 'the oldObject is not a complete Deployment');
  const requester = requesterOf(userInfo);
  if (!requester) return bad(uid, 'the request does not say who sent it');
  const fieldManager = isMap(options) ? options['fieldManager'] : undefined;
  const input: AdmissionInput = {
    uid,
    operation,
    namespace: textOr(request['namespace'], object.metadata.namespace ?? ''),
    name: textOr(request['name'], '') || (object.metadata.name ?? ''),
    object,
    ...(isDeployment(oldObject) ? { oldObject } : {}),
    requester,
    ...(typeof fieldManager === 'string' ? { fieldManager } : {}),
    dryRun: request['dryRun'] === true,
    now,
  };
  return { uid, input };
}

function tooManyValues(body: Buffer): boolean {
  if (body.length <= MAX_MARKS) return false;
  let marks = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at];
    if (byte === COMMA || byte === BRACKET || byte === BRACE) marks++;
  }
  return marks > MAX_MARKS;
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

const bad = (uid: string, message: string): ParsedReview => ({
  uid,
  problem: { allowed: false, code: 400, message: `sidestep: ${message}` },
});

/** Kind and version as the body claims them, never more than a line. */
const named = ({ kind, apiVersion }: Json): string => `${shown(kind)} of ${shown(apiVersion)}`;

/** A value as it stands in the body. Only texts are quoted: what is nested deeply enough cannot even be turned into a text. */
const shown = (v: unknown): string =>
  typeof v === 'string'
    ? JSON.stringify(v.slice(0, 60))
    : isMap(v)
      ? 'a map'
      : Array.isArray(v)
        ? 'a list'
        : `${v ?? null}`;

const isTextList = (v: unknown): v is string[] => Array.isArray(v) && v.every((text) => typeof text === 'string');

function requesterOf(v: unknown): Requester | undefined {
  if (!isMap(v) || typeof v['username'] !== 'string') return undefined;
  const { username, uid, groups, extra } = v;
  return {
    username,
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(isTextList(groups) ? { groups } : {}),
    ...(isMap(extra) && Object.values(extra).every(isTextList) ? { extra: extra as Record<string, string[]> } : {}),
  };
}

/** The answer to a review, as JSON. */
export function formatReview(uid: string, outcome: Outcome): string {
  return JSON.stringify({
    apiVersion: API_VERSION,
    kind: KIND,
    response: { uid, ...(outcome.allowed ? allowed(outcome) : denied(outcome)) },
  });
}

function allowed({ patch, warnings, audit }: Extract<Outcome, { allowed: true }>): Json {
  return {
    allowed: true,
    ...(patch.length > 0
      ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
      : {}),
    ...(warnings.length > 0 ? { warnings: warnings.map(oneLine) } : {}),
    ...(Object.keys(audit).length > 0 ? { auditAnnotations: audit } : {}),
  };
}

/** The API's own words for the statuses that we use; clients such as kubectl go by them. */
const REASONS: Record<number, string> = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
};

function denied({ code, message }: Denied): Json {
  const reason = REASONS[code];
  return { allowed: false, status: { status: 'Failure', code, message, ...(reason ? { reason } : {}) } };
}

/** A warning travels in an HTTP header: the API server drops one with control characters altogether, those of Latin-1 too. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
