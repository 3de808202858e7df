import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CANARY, ENABLED, SPEC, WATCHED_LABEL } from '../../../canary/annotations.ts';
import { paths } from '../../cluster/index.ts';
import { pkiFile } from '../../cluster/pki.ts';
import { refusalOf } from '../chart/api.ts';
import { Admission } from '../hostile/admission.ts';

// The embedded API server shows a certificate to webhooks that ask for one; here the webhook asks.

const pki = (file: string) => pkiFile(paths(), file);
const identity = (file: string) => ({ cert: readFileSync(pki(`${file}.crt`)), key: readFileSync(pki(`${file}.key`)) });
const REVIEW = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u' } });

let admission: Admission;

beforeAll(async () => {
  admission = await new Admission().start({
    env: { CLIENT_CA_FILE: pki('ca.crt'), CLIENT_NAMES: 'kube-apiserver-webhooks' },
  });
});

afterAll(() => admission.stop());

test('the API server’s own calls are answered', async () => {
  const created = await admission.create('mine', { [CANARY]: ENABLED });
  expect(created.metadata.labels).toHaveProperty([WATCHED_LABEL]);
  expect(await refusalOf(admission.annotate('mine', { [SPEC]: 'nonsense: 1' }))).toContain('nonsense');
});

test.each([
  ['nobody in particular', () => ({})],
  ['another client of the same CA', () => identity('kubelet')],
  ['the administrator', () => identity('admin')],
])('a review of %s is refused unread', async (_who, who) => {
  const { status, body } = await admission.send(REVIEW, who());
  expect([status, body]).toEqual([403, expect.stringContaining('only the API server may ask')]);
});

test('with the API server’s certificate the same review is read', async () => {
  expect((await admission.send(REVIEW, identity('apiserver-webhooks'))).body).not.toContain('only the API server');
});
