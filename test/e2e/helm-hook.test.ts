import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOBS } from '../../kube/resources.ts';
import * as fixtures from '../fixtures/manifests.ts';
import { CHART } from './support/clients.ts';
import { type Result, run } from './support/cluster.ts';
import { failedAnswers } from './support/load.ts';
import { QUICK, Scenario } from './support/scenario.ts';

const HOOK = join(import.meta.dirname, '../../examples/helm-hook/sidestep-wait.yaml');
/** Only a version that does not get ready is to fail soon. */
const specFor = (env: Record<string, string>) => ({
  ...QUICK,
  ...(env['NEVER_READY'] ? { progressDeadlineSeconds: 15 } : {}),
  analysis: { ...QUICK.analysis, interval: '2s', maxWeight: 20 },
});

/** What a team's values.yaml would say; the hook as its example tells. */
const values = (env: Record<string, string>) => ({
  name: 'reviews',
  image: fixtures.FIXTURES_IMAGE,
  command: ['node', '/app/bookinfo.mjs', 'reviews'],
  env,
  port: fixtures.PORT,
  podAnnotations: fixtures.SIDECAR,
  readinessProbe: { httpGet: { path: '/ready', port: fixtures.PORT }, periodSeconds: 1 },
  canary: { enabled: true, spec: specFor(env) },
  sidestepWait: {
    image: process.env['SIDESTEP_IMAGE'] ?? 'localhost/sidestep:dev',
    deployments: ['reviews'],
    timeout: '3m',
  },
});

test('helm upgrade with the hook ends with the verdict: well after a promotion, badly after a rollback', async () => {
  const chart = mkdtempSync(join(tmpdir(), 'sidestep-chart-'));
  const s = new Scenario('helm-hook', {});
  const helm = (command: string, env: Record<string, string>, ...args: string[]): Promise<Result> =>
    run('helm', [command, 'reviews', chart, '-n', s.namespace, '-f', '-', ...args], JSON.stringify(values(env)));
  try {
    cpSync(CHART, chart, { recursive: true });
    cpSync(HOOK, join(chart, 'templates/sidestep-wait.yaml'));
    await s.kubectlApply(fixtures.namespace(s.namespace, { injection: true }));
    const install = await helm('install', { VERSION: 'v1' }, '--wait', '--timeout=2m');
    expect(install.code, install.stderr).toBe(0);
    await s.startLoad();

    const good = await helm('upgrade', { VERSION: 'v2' }, '--wait', '--timeout=4m');
    expect(good.code, good.stderr).toBe(0);
    expect(good.stdout + good.stderr).toMatch(/deployment\/reviews: run \w+ promoted/);
    expect(await s.phase()).toBeUndefined();
    await s.ended('Succeeded');

    const bad = await helm('upgrade', { VERSION: 'v3', NEVER_READY: '1' }, '--wait', '--timeout=4m');
    expect(bad.code).not.toBe(0);
    expect(bad.stdout + bad.stderr).toMatch(/deployment\/reviews: run \w+ rolled back: .*ready/);
    expect(await s.phase()).toBe('rejected');
    const [job] = (await s.client.list(JOBS, { namespace: s.namespace })).items;
    expect(job?.metadata.name).toBe('reviews-sidestep-wait');

    // The version before is a revert: there is nothing to wait for, and the hook says so.
    const back = await run('helm', ['rollback', 'reviews', '2', '-n', s.namespace, '--timeout=2m']);
    expect(back.code, back.stderr).toBe(0);
    expect(await s.phase()).toBeUndefined();
    expect((await s.primary()).spec.paused).toBeFalsy();
    // With this flag Helm does the same by itself.
    const undone = await helm('upgrade', { VERSION: 'v4', NEVER_READY: '1' }, '--rollback-on-failure', '--timeout=4m');
    expect(undone.code).not.toBe(0);
    expect(undone.stdout + undone.stderr).toMatch(/run \w+ rolled back: .*ready/);
    expect(await s.phase()).toBeUndefined();
    expect(JSON.stringify((await s.primary()).spec.template)).toContain('"v2"');

    const left = await s.kubectl('get', 'jobs,serviceaccounts,roles,rolebindings', '-o', 'name');
    expect(left.stdout).not.toContain('sidestep-wait');
    expect(failedAnswers(await s.load.stats())).toEqual({});
  } finally {
    await s.end();
    rmSync(chart, { recursive: true });
  }
});
