import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import { DEPLOYMENTS, MUTATING_WEBHOOKS } from '../../../kube/resources.ts';
import type { Deployment } from '../../../kube/types.ts';
import { eventually } from '../../e2e/support/cluster.ts';
import { connect, createNamespace, DRY_RUN, deleteNamespace, deployment, refusalOf } from './api.ts';
import { find, render } from './helm.ts';

// When the API server calls the webhook at all. The configuration names a Service that is not there: a call is an update
// that the API server refuses because it reaches nobody, and an update that passes was none. All updates are dry runs.

const client = connect();
let own: string;
let namespace: string;
let name: string;

const OPTED_IN = { [keys.CANARY]: keys.ENABLED, [keys.SPEC]: 'analysis: {interval: 10s}', 'example.com/team': 'shop' };
const RUN = JSON.stringify({ id: 'abc', phase: 'held' });

interface Before {
  annotations?: Record<string, string> | null;
  watched?: boolean;
  paused?: boolean;
}

/** Deployments as they are before the update, by name. */
const STATES = {
  plain: {},
  bare: { annotations: null },
  'opted-in': { annotations: OPTED_IN, watched: true },
  'opted-in-paused': { annotations: OPTED_IN, watched: true, paused: true },
  reported: {
    annotations: { ...OPTED_IN, [keys.STATUS]: '{"phase":"Succeeded"}', [keys.PROMOTED]: '["aaa"]' },
    watched: true,
  },
  held: { annotations: { ...OPTED_IN, [keys.RUN]: RUN, [keys.PHASE]: 'held' }, watched: true, paused: true },
  rejected: { annotations: { ...OPTED_IN, [keys.RUN]: RUN, [keys.PHASE]: 'rejected' }, watched: true, paused: true },
  'left-paused': { annotations: { [keys.PAUSED_BY]: keys.PAUSED_BY_OPT_OUT }, paused: true },
  disabled: { annotations: { [keys.CANARY]: 'disabled' } },
} satisfies Record<string, Before>;

type State = keyof typeof STATES;

function inState(name: string, { annotations = { 'example.com/team': 'shop' }, watched, paused }: Before) {
  const object = deployment(namespace, name, annotations ?? undefined);
  if (watched) object.metadata.labels = { ...object.metadata.labels, [keys.WATCHED_LABEL]: 'true' };
  if (paused) object.spec['paused'] = true;
  return object;
}

/** @throws Error for a refusal that is no call of the webhook, such as a condition that cannot be evaluated */
async function called(request: Promise<unknown>): Promise<boolean> {
  const refusal = await refusalOf(request);
  if (refusal === '') return false;
  if (refusal.includes('failed calling webhook "canary.sidestep.dev"')) return true;
  throw new Error(refusal);
}

const merge = (name: string, patch: object, subresource?: 'status' | 'scale') =>
  client.patch(DEPLOYMENTS, { namespace, name, subresource }, 'merge', patch, DRY_RUN);

beforeAll(async () => {
  own = await createNamespace(client, 'chart-own');
  namespace = await createNamespace(client, 'chart-shop');
  for (const [name, state] of Object.entries(STATES)) {
    await client.create(DEPLOYMENTS, { namespace }, inState(name, state as Before));
  }
  await client.create(DEPLOYMENTS, { namespace }, large());
  const configuration = find(await render({}, own), 'MutatingWebhookConfiguration');
  name = configuration.metadata.name;
  await client.create(MUTATING_WEBHOOKS, {}, configuration);
  await eventually('the webhook in force', 20_000, () => called(merge('opted-in', annotate(keys.COMMAND, 'abort'))));
});

afterAll(async () => {
  await client.delete(MUTATING_WEBHOOKS, { name });
  await deleteNamespace(client, namespace);
  await deleteNamespace(client, own);
});

const annotate = (key: string, value: string | null) => ({ metadata: { annotations: { [key]: value } } });
const label = (key: string, value: string | null) => ({ metadata: { labels: { [key]: value } } });
const template = (change: object) => ({ spec: { template: change } });
const container = (change: object) =>
  template({ spec: { containers: [{ name: 'main', image: 'localhost/none:1', ...change }] } });

const env = (...names: string[]) => names.map((name) => ({ name, value: { A: '1', B: '2' }[name] ?? '' }));
const resources = { requests: { cpu: '10m', memory: '32Mi' } };

describe('not called', () => {
  const SCALE = { spec: { replicas: 3 } };
  const OTHER_TEMPLATE = template({ metadata: { labels: { version: 'v2' } } });
  test.each<[State, string, object]>([
    ['plain', 'a changed template', OTHER_TEMPLATE],
    ['bare', 'a changed template', OTHER_TEMPLATE],
    ['bare', 'a pause', { spec: { paused: true } }],
    ['disabled', 'a changed template', OTHER_TEMPLATE],
    ['disabled', 'a report on what is not opted in', annotate(keys.STATUS, '{}')],
    ['opted-in', 'nothing', {}],
    ['opted-in', 'replicas', SCALE],
    ['opted-in', 'a label', label('team', 'shop')],
    ['opted-in', 'an annotation of others', annotate('deployment.kubernetes.io/revision', '7')],
    ['opted-in', 'an annotation of others removed', annotate('example.com/team', null)],
    ['opted-in', 'strategy', { spec: { minReadySeconds: 7, revisionHistoryLimit: 5 } }],
    ['opted-in', 'a finalizer', { metadata: { finalizers: ['example.com/hold'] } }],
    [
      'opted-in',
      'quantities in other words',
      container({ env: env('A', 'B'), resources: { requests: { cpu: '0.01', memory: '32768Ki' } } }),
    ],
    ['opted-in-paused', 'replicas', SCALE],
    ['reported', 'replicas', SCALE],
    ['reported', 'an annotation of others', annotate('example.com/team', 'garden')],
    ['left-paused', 'replicas', SCALE],
  ])('%s: %s', async (state, _what, patch) => {
    expect(await called(merge(state, patch))).toBe(false);
  });

  test.each<State>(['opted-in', 'held', 'rejected'])('%s: scale, status and deletion', async (state) => {
    expect(await called(merge(state, SCALE, 'scale'))).toBe(false);
    const conditions = [{ type: 'Promoted', status: 'True', reason: 'Test', message: '' }];
    expect(await called(merge(state, { status: { conditions } }, 'status'))).toBe(false);
    expect(await called(client.delete(DEPLOYMENTS, { namespace, name: state }, undefined, DRY_RUN))).toBe(false);
  });

  test('the same object with the keys of all its maps in another order', async () => {
    for (const name of ['opted-in', 'reported']) {
      const object = reversed(await client.get<Deployment>(DEPLOYMENTS, { namespace, name })) as Deployment;
      expect(await called(client.update(DEPLOYMENTS, { namespace, name }, object, DRY_RUN))).toBe(false);
    }
  });

  test('a Deployment that is not opted in, created', async () => {
    const create = (name: string, annotations?: Record<string, string>) =>
      client.create(DEPLOYMENTS, { namespace }, deployment(namespace, name, annotations), DRY_RUN);
    expect(await called(create('new'))).toBe(false);
    expect(await called(create('new', { [keys.CANARY]: 'disabled' }))).toBe(false);
  });

  test('Deployments of kube-system and of Sidestep', async () => {
    for (const elsewhere of ['kube-system', own]) {
      const object = deployment(elsewhere, 'new', OPTED_IN);
      expect(await called(client.create(DEPLOYMENTS, { namespace: elsewhere }, object, DRY_RUN))).toBe(false);
    }
  });
});

describe('called', () => {
  test.each<[State, string, object]>([
    ['plain', 'opted in', annotate(keys.CANARY, keys.ENABLED)],
    ['bare', 'opted in', annotate(keys.CANARY, keys.ENABLED)],
    ['plain', 'state of ours by somebody else', annotate(keys.RUN, RUN)],
    ['disabled', 'opted in', annotate(keys.CANARY, keys.ENABLED)],
    ['opted-in', 'opted out', annotate(keys.CANARY, null)],
    ['opted-in', 'opted out by another value', annotate(keys.CANARY, 'no')],
    ['opted-in', 'opted out with all annotations', { metadata: { annotations: null } }],
    ['opted-in', 'a command', annotate(keys.COMMAND, 'retry')],
    ['opted-in', 'a decision', annotate(keys.DECISION, '{}')],
    ['opted-in', 'another spec', annotate(keys.SPEC, 'analysis: {interval: 20s}')],
    ['opted-in', 'a spec from elsewhere', annotate(keys.SPEC_FROM, 'canaries')],
    ['opted-in', 'a run by somebody else', annotate(keys.RUN, RUN)],
    ['opted-in', 'the watch label removed', label(keys.WATCHED_LABEL, null)],
    ['opted-in', 'the watch label changed', label(keys.WATCHED_LABEL, 'false')],
    ['opted-in', 'a pause', { spec: { paused: true } }],
    ['opted-in-paused', 'a resume', { spec: { paused: null } }],
    ['opted-in', 'another image', container({ image: 'localhost/none:2', env: env('A', 'B'), resources })],
    ['opted-in', 'a variable less', container({ env: env('A'), resources })],
    ['opted-in', 'variables in another order', container({ env: env('B', 'A'), resources })],
    ['opted-in', 'a container less requests', container({ env: env('A', 'B'), resources: null })],
    ['opted-in', 'a label of the template', template({ metadata: { labels: { version: 'v2' } } })],
    ['opted-in', 'an annotation of the template', template({ metadata: { annotations: { one: null } } })],
    ['opted-in', 'a restart', template({ metadata: { annotations: { [keys.RESTARTED_AT]: 'now' } } })],
    ['opted-in', 'a field of the pod', template({ spec: { terminationGracePeriodSeconds: 31 } })],
    ['opted-in-paused', 'another template', template({ metadata: { labels: { version: 'v2' } } })],
    ['reported', 'a report removed', annotate(keys.STATUS, null)],
    ['reported', 'a report changed', annotate(keys.STATUS, '{}')],
    ['reported', 'promoted versions changed', annotate(keys.PROMOTED, '[]')],
    ['held', 'nothing', {}],
    ['held', 'replicas', { spec: { replicas: 3 } }],
    ['held', 'a resume', { spec: { paused: false } }],
    ['held', 'its state removed', annotate(keys.RUN, null)],
    ['held', 'all annotations removed', { metadata: { annotations: null } }],
    ['rejected', 'nothing', {}],
    ['rejected', 'a label', label('team', 'shop')],
    ['left-paused', 'a resume', { spec: { paused: null } }],
    ['left-paused', 'another template', template({ metadata: { labels: { version: 'v2' } } })],
    ['left-paused', 'opted in again', annotate(keys.CANARY, keys.ENABLED)],
  ])('%s: %s', async (state, _what, patch) => {
    expect(await called(merge(state, patch))).toBe(true);
  });

  test.each([
    ['opted in', OPTED_IN],
    ['from a backup that was held', { [keys.RUN]: RUN }],
    ['from a backup that was left paused', { [keys.PAUSED_BY]: keys.PAUSED_BY_OPT_OUT }],
  ])('created: %s', async (_what, annotations) => {
    const object = deployment(namespace, 'new', annotations);
    expect(await called(client.create(DEPLOYMENTS, { namespace }, object, DRY_RUN))).toBe(true);
  });
});

test('a Deployment as large as they get can be compared', async () => {
  expect(await called(merge('large', { spec: { replicas: 2 } }))).toBe(false);
  expect(await called(merge('large', annotate(`${keys.SPEC}-from`, 'x')))).toBe(true);
  const object = await client.get<Deployment>(DEPLOYMENTS, { namespace, name: 'large' });
  const last = object.spec.template.spec.containers.at(-1) as unknown as { env: { value: string }[] };
  last.env.at(-1)!.value = 'other';
  expect(await called(client.update(DEPLOYMENTS, { namespace, name: 'large' }, object, DRY_RUN))).toBe(true);
});

/** Near etcd's limit of 1.5 MiB for an object, annotations at theirs of 256 KiB. */
function large() {
  const annotations = Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [`example.com/annotation-${i}`, 'x'.repeat(500)]),
  );
  const object = inState('large', { annotations: { ...OPTED_IN, ...annotations }, watched: true });
  const containers = Array.from({ length: 20 }, (_, c) => ({
    name: `main-${c}`,
    image: 'localhost/none:1',
    env: Array.from({ length: 500 }, (_, i) => ({ name: `VARIABLE_${i}`, value: 'x'.repeat(60) })),
  }));
  (object.spec['template'] as { spec: object }).spec = { containers };
  return object;
}

/** The same JSON with the keys of every object in reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}
