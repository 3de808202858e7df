import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { CANARY, ENABLED, RUN } from '../../../canary/annotations.ts';
import { createAuthority } from '../../../certs/authority.ts';
import { inject, injectedCas, injectionPatch, type MutatingWebhookConfiguration } from '../../../certs/inject.ts';
import type { KubeClient } from '../../../kube/client.ts';
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  JOBS,
  LEASES,
  MUTATING_WEBHOOKS,
  PODS,
  type Resource,
} from '../../../kube/resources.ts';
import { eventually, must } from '../../e2e/support/cluster.ts';
import { connect, createNamespace, DRY_RUN, deleteNamespace, deployment, refusalOf } from './api.ts';
import { install, render, rollback, uninstall } from './helm.ts';

// The life of a release: what Helm does to an installation that is in use.

const admin = connect();
let own: string;
let shop: string;
let webhook: KubeClient;
let analyzer: KubeClient;

beforeAll(async () => {
  own = await createNamespace(admin, 'chart-own');
  shop = await createNamespace(admin, 'chart-shop');
  webhook = connect(`system:serviceaccount:${own}:sidestep-webhook`);
  analyzer = connect(`system:serviceaccount:${own}:sidestep-analyzer`);
});

afterAll(async () => {
  await uninstall(own);
  await deleteNamespace(admin, shop);
  await deleteNamespace(admin, own);
});

const configuration = (client: KubeClient) =>
  client.get<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, { name: `zz-sidestep.${own}` });

/** As the webhook does it, with its own account. */
async function injectNewCa(): Promise<string> {
  const { certificate } = await createAuthority().issueCa(new Date());
  const present = await configuration(admin);
  const patch = injectionPatch(present, [certificate])!;
  expect(await inject(webhook, present, patch, new AbortController().signal)).toBeDefined();
  return certificate;
}

const trusted = async () => [...injectedCas(await configuration(admin))];

test('neither an upgrade nor a rollback touches the CA that was injected', async () => {
  await install(own);
  const first = await injectNewCa();
  await install(own, { logLevel: 'debug' });
  expect(await trusted()).toEqual([first]);
  const second = await injectNewCa();
  await install(own, { logLevel: 'warn' });
  expect(await trusted()).toEqual([second]);
  await rollback(own, 1);
  expect(await trusted()).toEqual([second]);
});

const may = (client: KubeClient, resource: Resource, namespace: string): Promise<boolean> =>
  refusalOf(client.list(resource, { namespace })).then((refusal) => {
    if (refusal !== '' && !refusal.includes('is forbidden')) throw new Error(refusal);
    return refusal === '';
  });

test('with a list of namespaces, both accounts see nothing of others', async () => {
  await install(own, { namespaces: [shop] });
  await eventually(
    'the new roles',
    20_000,
    async () => (await may(webhook, DEPLOYMENTS, shop)) && !(await may(webhook, DEPLOYMENTS, 'default')),
  );
  expect(await may(analyzer, DEPLOYMENTS, shop)).toBe(true);
  for (const elsewhere of ['default', own, 'kube-system']) {
    expect(await may(analyzer, DEPLOYMENTS, elsewhere)).toBe(false);
    expect(await may(webhook, DEPLOYMENTS, elsewhere)).toBe(false);
  }
  await install(own, { namespaces: [] });
  await eventually('the cluster roles', 20_000, () => may(webhook, DEPLOYMENTS, 'default'));
});

test('each account can do its own part and not the other’s', async () => {
  await install(own);
  await eventually('the roles', 20_000, () => may(webhook, JOBS, own));
  expect(await may(webhook, PODS, shop)).toBe(false);
  expect(await may(webhook, LEASES, own)).toBe(false);
  expect(await may(webhook, CONFIG_MAPS, shop)).toBe(false);
  expect(await may(analyzer, PODS, shop)).toBe(true);
  expect(await may(analyzer, JOBS, own)).toBe(false);
  const object = deployment(shop, 'new');
  expect(await refusalOf(webhook.create(DEPLOYMENTS, { namespace: shop }, object, DRY_RUN))).toContain('cannot create');
  expect(await refusalOf(analyzer.create(DEPLOYMENTS, { namespace: shop }, object, DRY_RUN))).toBe('');
});

test('uninstalled in the middle of a run, nothing is left and updates are free', async () => {
  const held = deployment(shop, 'held', { [CANARY]: ENABLED, [RUN]: '{"id":"abc"}' });
  held.spec['paused'] = true;
  const scale = () =>
    admin.patch(DEPLOYMENTS, { namespace: shop, name: 'held' }, 'merge', { spec: { replicas: 1 } }, DRY_RUN);
  await uninstall(own);
  await eventually(
    'the webhook out of force',
    20_000,
    async () => (await refusalOf(admin.create(DEPLOYMENTS, { namespace: shop }, held))) === '',
  );
  await install(own);
  await eventually('the webhook in force', 20_000, async () =>
    (await refusalOf(scale())).includes('failed calling webhook'),
  );
  await uninstall(own);
  await eventually('a free update', 20_000, async () => (await refusalOf(scale())) === '');
  const all = (await render({}, own)).map((manifest) => stringify(manifest)).join('---\n');
  const { stdout } = await must('kubectl', ['get', '--ignore-not-found', '-o', 'name', '-f', '-'], all);
  expect(stdout).toBe('');
});
