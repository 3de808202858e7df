import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import { type Run, runAnnotations, runOf } from '../../../canary/run.ts';
import { CONFIG_MAPS, DEPLOYMENTS, JOBS } from '../../../kube/resources.ts';
import type { ConfigMap, Deployment } from '../../../kube/types.ts';
import { refusalOf } from '../chart/api.ts';
import { Admission, manifest } from './admission.ts';

// State that users forge, in every way that an API server takes it, and reviews that nobody but a pod has sent.

const OPTED_IN = { [keys.CANARY]: keys.ENABLED };
const at = new Admission();
/** A run on an object of this namespace, to be replayed elsewhere. */
let held: Run;

beforeAll(async () => {
  await at.start();
  await at.running('victim', OPTED_IN);
  held = runOf(await at.push('victim', 'v2'))!;
}, 180_000);
afterAll(() => at.stop(), 60_000);

const state = ({ metadata: { annotations = {} } }: Deployment) =>
  Object.fromEntries(
    [...keys.STATE_ANNOTATIONS].filter((k) => k !== keys.STATUS && k in annotations).map((k) => [k, annotations[k]]),
  );

const forged = (): Record<string, string> => ({
  ...runAnnotations({ ...held, phase: 'promoting' }),
  [keys.PROMOTED]: JSON.stringify([{ hash: held.hash, time: '2026-01-01T00:00:00Z' }]),
  [keys.STATUS]: JSON.stringify({ run: held.id, phase: 'Succeeded', weight: 100 }),
  [keys.PAUSED_BY]: keys.PAUSED_BY_OPT_OUT,
  [keys.DECISION]: JSON.stringify({ run: held.id, verdict: 'promote' }),
});

test('what is held here is held', async () => {
  const victim = await at.get('victim');
  expect(victim.spec.paused).toBe(true);
  expect(held).toMatchObject({ phase: 'held' });
  expect(victim.metadata.labels?.[keys.WATCHED_LABEL]).toBe('true');
});

describe('state in a request', () => {
  test('at CREATE, opted in or not', async () => {
    for (const [name, annotations] of [
      ['forged-in', { ...OPTED_IN, ...forged() }],
      ['forged-out', forged()],
    ] as const) {
      const { metadata } = await at.create(name, annotations);
      expect(Object.keys(metadata.annotations ?? {}).filter((k) => k.startsWith('sidestep.dev/'))).toEqual(
        name === 'forged-in' ? [keys.CANARY] : [],
      );
    }
  });

  test('at UPDATE: merge, JSON patch, PUT and server-side apply', async () => {
    const before = state(await at.get('victim'));
    const target = { namespace: at.shop, name: 'victim' };
    const escaped = keys.RUN.replace('/', '~1');
    const ways: (() => Promise<unknown>)[] = [
      () => at.annotate('victim', forged()),
      () => at.annotate('victim', Object.fromEntries(Object.keys(forged()).map((k) => [k, null]))),
      () =>
        at.admin.patch(DEPLOYMENTS, target, 'json', [
          { op: 'replace', path: `/metadata/annotations/${escaped}`, value: forged()[keys.RUN] },
          { op: 'remove', path: '/spec/paused' },
        ]),
      async () => {
        const object = await at.get('victim');
        Object.assign(object.metadata.annotations!, forged());
        delete object.spec.paused;
        return at.admin.update(DEPLOYMENTS, target, object);
      },
      () => {
        const { apiVersion, kind } = DEPLOYMENTS;
        const body = { apiVersion, kind, metadata: { name: 'victim', annotations: { ...OPTED_IN, ...forged() } } };
        return at.admin.patch(DEPLOYMENTS, target, 'apply', body, { query: { fieldManager: 'mallory', force: true } });
      },
    ];
    for (const way of ways) {
      await way();
      const after = await at.get('victim');
      expect(state(after)).toEqual(before);
      expect(after.spec.paused).toBe(true);
    }
  });

  test('a run of another Deployment, with the opt-in and a new version in one request: a run of its own', async () => {
    await at.running('copycat', {});
    const after = await at.push('copycat', 'v2', { ...OPTED_IN, ...forged() });
    expect(after.spec.paused).toBe(true);
    expect(runOf(after)).toMatchObject({ phase: 'held', hash: expect.stringMatching(/^v1-/) });
    expect(runOf(after)!.id).not.toBe(held.id);
    expect(after.metadata.annotations).not.toHaveProperty([keys.PROMOTED]);
  });

  test('an opt-out together with a new version rolls out natively, says so, and leaves nothing', async () => {
    await at.running('leaver', OPTED_IN);
    expect((await at.push('leaver', 'v2')).spec.paused).toBe(true);
    const after = await at.merge('leaver', {
      metadata: { annotations: { [keys.CANARY]: null } },
      spec: { template: { metadata: { labels: { version: 'v3' } } } },
    });
    expect(after.spec.paused ?? false).toBe(false);
    expect(state(after)).toEqual({});
    expect(after.metadata.labels ?? {}).not.toHaveProperty([keys.WATCHED_LABEL]);
  });

  test('through deployments/status: refused, and nothing is changed', async () => {
    const before = await at.get('victim');
    for (const [key, value] of Object.entries(forged())) {
      const refusal = await refusalOf(
        at.merge('victim', { metadata: { annotations: { [key]: value } } }, at.admin, 'status'),
      );
      expect(refusal).toContain('through deployments/status');
    }
    expect(state(await at.get('victim'))).toEqual(state(before));
  });
});

describe('decisions', () => {
  const decision = (run: string, verdict = 'promote') => ({ [keys.DECISION]: JSON.stringify({ run, verdict }) });

  test('by a user who may do everything: dropped', async () => {
    for (const verdict of ['promote', 'complete', 'rollback', 'restore']) {
      const after = await at.annotate('victim', decision(held.id, verdict));
      expect(after.metadata.annotations).not.toHaveProperty([keys.DECISION]);
      expect(runOf(after)).toEqual(held);
      expect(after.spec.paused).toBe(true);
    }
  });

  test('by the analyzer, for another run or none: refused', async () => {
    expect(await refusalOf(at.annotate('victim', decision('0000000000'), at.analyzer))).toContain(
      'the decision is for run',
    );
    await at.create('idle', OPTED_IN);
    expect(await refusalOf(at.annotate('idle', decision(held.id), at.analyzer))).toContain('no run is on');
    expect((await at.get('idle')).metadata.annotations).not.toHaveProperty([keys.DECISION]);
  });

  test('by the analyzer, with the resourceVersion of an object that has changed since: a conflict', async () => {
    const { resourceVersion } = (await at.get('victim')).metadata;
    await at.annotate('victim', { team: `shop-${resourceVersion}` });
    const body = { metadata: { resourceVersion, annotations: decision(held.id) } };
    expect(await refusalOf(at.merge('victim', body, at.analyzer))).toContain('the object has been modified');
    expect(runOf(await at.get('victim'))).toEqual(held);
  });
});

describe('a review that a pod has forged', () => {
  const review = (object: object, oldObject: object, username: string, namespace = at.shop) =>
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'forged',
        kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
        operation: 'UPDATE',
        namespace,
        name: 'victim',
        userInfo: { username, groups: ['system:masters'] },
        object,
        oldObject,
      },
    });

  test('is answered and changes nothing: no Deployment, no Job', async () => {
    const victim = await at.get('victim');
    const jobs = async () =>
      (await at.admin.list(JOBS, { namespace: at.own })).items.map(({ metadata }) => metadata.name).sort();
    const before = await jobs();
    const decided = structuredClone(victim);
    decided.metadata.annotations![keys.DECISION] = JSON.stringify({ run: held.id, verdict: 'promote' });
    const analyzer = `system:serviceaccount:${at.own}:sidestep-analyzer`;
    const answer = await at.send(review(decided, victim, analyzer));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body).response).toMatchObject({ uid: 'forged', allowed: true });
    const after = await at.get('victim');
    expect(after.metadata.resourceVersion).toBe(victim.metadata.resourceVersion);
    expect(await jobs()).toEqual(before);
  });

  test('is not told what a ConfigMap says, whichever namespace it names', async () => {
    const body: ConfigMap = {
      metadata: { name: 'analysis', namespace: at.own },
      data: { [keys.SPEC_FROM_KEY]: 'analysis: {webhooks: [{name: a, url: "http://a", metadata: {token: hunter2}}]}' },
    };
    await at.admin.create(CONFIG_MAPS, { namespace: at.own }, body);
    const annotations = { ...OPTED_IN, [keys.SPEC_FROM]: 'analysis' };
    const status = {
      observedGeneration: 0,
      replicas: 1,
      updatedReplicas: 1,
      availableReplicas: 1,
      conditions: [{ type: 'Available', status: 'True' }],
    };
    const old = { ...manifest(at.own, 'victim', annotations), status };
    const object = structuredClone(old);
    object.spec.template.metadata!.labels!['version'] = 'v2';
    const answer = await at.send(review(object, old, 'system:admin', at.own));
    expect(JSON.parse(answer.body).response).toMatchObject({ allowed: false, status: { code: 409 } });
    const patch = String(JSON.parse(answer.body).response.patch ?? '');
    expect(answer.body + Buffer.from(patch, 'base64').toString()).not.toContain('hunter2');
  });
});
