import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatReview, parseReview } from './review.ts';

const now = new Date('2026-03-01T12:00:00Z');

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'reviews', namespace: 'shop', annotations: { a: '1' } },
  spec: {
    selector: { matchLabels: { app: 'reviews' } },
    template: { metadata: {}, spec: { containers: [{ name: 'c' }] } },
  },
};
const request = {
  uid: 'u-1',
  kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
  operation: 'UPDATE',
  namespace: 'shop',
  name: 'reviews',
  userInfo: { username: 'jane', groups: ['dev'], extra: { scopes: ['x'] } },
  object: deployment,
  oldObject: deployment,
  dryRun: true,
  options: { fieldManager: 'kubectl' },
};
const review = (change: object = {}) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { ...request, ...change },
});
const parse = (value: unknown) =>
  parseReview(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), now);

test('a review is read', () => {
  expect(parse(review())).toEqual({
    uid: 'u-1',
    input: {
      uid: 'u-1',
      operation: 'UPDATE',
      namespace: 'shop',
      name: 'reviews',
      object: deployment,
      oldObject: deployment,
      requester: { username: 'jane', groups: ['dev'], extra: { scopes: ['x'] } },
      fieldManager: 'kubectl',
      dryRun: true,
      now,
    },
  });
});

test('a CREATE has no old object; its name may only be in the object', () => {
  const { input } = parse(review({ operation: 'CREATE', oldObject: null, name: undefined, options: null }));
  expect(input).toMatchObject({ operation: 'CREATE', name: 'reviews' });
  expect(input).not.toHaveProperty('oldObject');
  expect(input).not.toHaveProperty('fieldManager');
});

test.each<[string, unknown, string, string]>([
  ['empty', '', '', 'the body is empty'],
  ['no JSON', '{', '', 'not a JSON object'],
  ['binary', '\u0000\u0001', '', 'not a JSON object'],
  ['null', 'null', '', 'not a JSON object'],
  ['a list', '[]', '', 'not a JSON object'],
  ['deeply nested', '['.repeat(100_000), '', 'not a JSON object'],
  ['millions of values', `[${'[],'.repeat(1_000_000)}0]`, '', 'too many values'],
  [
    'an old version',
    { ...review(), apiVersion: 'admission.k8s.io/v1beta1' },
    'u-1',
    '"AdmissionReview" of "admission.k8s.io/v1beta1"',
  ],
  ['another kind', { kind: 'Pod', apiVersion: 'v1' }, '', '"Pod" of "v1"'],
  ['no kind', {}, '', 'null of null'],
  ['a kind that is an object', { kind: { a: 'b'.repeat(500) } }, '', 'allowed: AdmissionReview'],
  ['no request', { ...review(), request: undefined }, '', 'no request'],
  ['a request that is a list', { ...review(), request: [] }, '', 'no request'],
  ['no uid', review({ uid: undefined }), '', 'no uid'],
  ['a uid that is a number', review({ uid: 5 }), '', 'no uid'],
  ['a Pod', review({ kind: { group: '', version: 'v1', kind: 'Pod' } }), 'u-1', 'not about a Deployment'],
  ['a subresource', review({ subResource: 'scale' }), 'u-1', 'not about a Deployment'],
  ['a DELETE', review({ operation: 'DELETE' }), 'u-1', 'the operation is "DELETE"'],
  ['no object', review({ object: null }), 'u-1', 'the object is not'],
  [
    'an object without template',
    review({ object: { ...deployment, spec: { selector: {} } } }),
    'u-1',
    'the object is not',
  ],
  [
    'annotations that are no texts',
    review({ object: { ...deployment, metadata: { annotations: { a: 1 } } } }),
    'u-1',
    'the object is not',
  ],
  ['no old object', review({ oldObject: null }), 'u-1', 'the oldObject is not'],
  ['no user', review({ userInfo: {} }), 'u-1', 'who sent it'],
])('%s: refused with the uid, if any', (_, body, uid, message) => {
  const parsed = parse(body);
  expect(parsed.uid).toBe(uid);
  expect(parsed.problem).toMatchObject({ allowed: false, code: 400, message: expect.stringContaining(message) });
  expect(parsed.problem!.message.length).toBeLessThan(250);
});

test('whatever JSON it is, it is answered', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(request)), (value, field) => {
      const parsed = parse(review({ [field]: value }));
      expect(typeof parsed.uid).toBe('string');
      expect(parsed.input === undefined).toBe(parsed.problem !== undefined);
    }),
    { numRuns: 300 },
  );
});

test('whatever bytes they are, they are answered', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => parseReview(Buffer.from(bytes), now).problem !== undefined));
});

test('an answer: patch as base64, warnings in one line each', () => {
  const patch = [{ op: 'add' as const, path: '/spec/paused', value: true }];
  const answer = JSON.parse(
    formatReview('u-1', { allowed: true, patch, warnings: ['two\r\nlines'], audit: { row: 'hold' } }),
  );
  expect(answer).toEqual({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid: 'u-1',
      allowed: true,
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      warnings: ['two lines'],
      auditAnnotations: { row: 'hold' },
    },
  });
});

test('an answer without a change says nothing of a patch', () => {
  expect(JSON.parse(formatReview('u', { allowed: true, patch: [], warnings: [], audit: {} })).response).toEqual({
    uid: 'u',
    allowed: true,
  });
});

test('a denial: code, message and the API’s word for it', () => {
  const status = (code: number) =>
    JSON.parse(formatReview('u', { allowed: false, code, message: 'no' })).response.status;
  expect(status(422)).toEqual({ status: 'Failure', code: 422, message: 'no', reason: 'Invalid' });
  expect(status(418)).toEqual({ status: 'Failure', code: 418, message: 'no' });
});
