import { describe, expect, test } from 'vitest';
import { run } from './support/cluster.ts';
import { failedAnswers } from './support/load.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

/** A manifest with this text as its analysis, as a user would apply it. */
function withSpec(s: Scenario, yaml: string): string {
  const manifest = s.manifest({ version: 'v2' });
  manifest.metadata.annotations!['sidestep.dev/spec'] = yaml;
  return JSON.stringify(manifest);
}

const service = (name: string, ports: object[], selector: object = { app: 'reviews' }) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector, ports },
});

describe('bad input', () => {
  test('a broken analysis is refused when it is applied, with field, line, value and what is allowed', () =>
    inScenario('bad', { rate: 0 }, async (s) => {
      const cases: [yaml: string, said: RegExp][] = [
        ['analysis: [', /not valid YAML/],
        ['analysis:\n  colour: red', /analysis\.colour \(line 2\) is not a known field/],
        ['analysis:\n  stepWeight: 0', /analysis\.stepWeight \(line 2\) is 0; allowed: a whole number from 1 to 100/],
        ['analysis:\n  maxWeight: 101', /analysis\.maxWeight \(line 2\) is 101/],
        ['analysis:\n  interval: -5s', /analysis\.interval \(line 2\) is "-5s"; allowed: a duration/],
        ['analysis:\n  interval: 9999h', /is "9999h"; allowed: a duration from 1s to 24h/],
        ['analysis:\n  iterations: 5', /is a field of Flagger that Sidestep does not support/],
      ];
      for (const [yaml, said] of cases) {
        const { code, stderr } = await run('kubectl', ['apply', '-f', '-'], withSpec(s, yaml));
        expect(code, yaml).not.toBe(0);
        expect(stderr).toMatch(said);
      }
      expect(await s.run()).toBeUndefined();
      expect((await s.primary()).spec.paused).toBeUndefined();
    }));

  test('a template that the API server refuses is refused as ever', () =>
    inScenario('bad-template', { rate: 0 }, async (s) => {
      const manifest = s.manifest({ version: 'v2' });
      manifest.spec.template.spec.containers[0]!.name = 'Not A Name';
      const { code, stderr } = await run('kubectl', ['apply', '-f', '-'], JSON.stringify(manifest));
      expect(code).not.toBe(0);
      expect(stderr).toContain('Not A Name');
      expect(await s.run()).toBeUndefined();
    }));

  const named = { ...QUICK, service: {} };
  const cases: [
    what: string,
    prepare: (s: Scenario) => Promise<unknown>,
    spec: Record<string, unknown>,
    said: RegExp,
  ][] = [
    [
      'no such Service',
      async () => {},
      { ...QUICK, service: { name: 'nowhere' } },
      /service\.name is nowhere, but there is no such Service/,
    ],
    [
      'no Service at all',
      (s) => s.kubectl('delete', 'service', '--all'),
      named,
      /no Service selects the pods of reviews/,
    ],
    [
      'two Services',
      async (s) => {
        await s.kubectl('delete', 'service', '--all');
        await s.kubectlApply(
          ...['one', 'two'].map((name) => ({
            ...service(name, [{ port: 9080 }]),
            metadata: { name, namespace: s.namespace },
          })),
        );
      },
      named,
      /several Services select the pods of reviews: one, two; choose one with service\.name/,
    ],
    [
      'a port that is not there',
      async () => {},
      { ...QUICK, service: { port: 1234 } },
      /service\.port is 1234; Service reviews has: 9080/,
    ],
    [
      "a foreign Deployment of the canary's name",
      (s) =>
        s.kubectlApply({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'reviews-canary', namespace: s.namespace },
          spec: {
            replicas: 0,
            selector: { matchLabels: { app: 'mine' } },
            template: { metadata: { labels: { app: 'mine' } }, spec: { containers: [{ name: 'a', image: 'a' }] } },
          },
        }),
      named,
      /Deployment reviews-canary exists and is not Sidestep's/,
    ],
  ];
  for (const [what, prepare, spec, said] of cases) {
    test(`a run with ${what} fails with the reason and leaves the primary alone`, () =>
      inScenario('bad-run', { rate: 0 }, async (s) => {
        await prepare(s);
        await s.apply({ version: 'v2', spec });
        const status = await s.ended('Failed', 60_000);
        expect(status.message).toMatch(said);
        const primary = await s.primary();
        expect(primary.status?.conditions?.find((c) => c.type === 'Promoted')).toMatchObject({
          status: 'False',
          reason: 'InvalidTarget',
        });
        expect(primary.status?.availableReplicas).toBe(1);
        const pods = await s.pods();
        expect(pods.map((p) => p.metadata.labels?.['version'])).toEqual(['v1']);
      }));
  }

  test('a canary without quota ends the run with that reason; users notice nothing', () =>
    inScenario('bad-pod', { spec: { ...QUICK, progressDeadlineSeconds: 8 } }, async (s) => {
      await s.kubectl('create', 'quota', 'tight', '--hard=pods=2');
      await s.apply({ version: 'v2' });
      const status = await s.ended('Failed', 60_000);
      expect(status.message).toMatch(/exceeded quota/);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));
});
