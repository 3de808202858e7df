import { expect, test } from 'vitest';
import { readConfig, VARIABLES } from './config.ts';

const required = {
  SIDESTEP_NAMESPACE: 'sidestep-system',
  ANALYZER_IMAGE: 'sidestep:1',
  PROMETHEUS_URL: 'http://prometheus.istio-system:9090',
};

function problemOf(env: Record<string, string | undefined>): string {
  try {
    readConfig(env);
  } catch (e) {
    return (e as Error).message;
  }
  return '';
}

test('what is required is enough', () => {
  const config = readConfig(required);
  expect(config).toMatchObject({
    ownNamespace: 'sidestep-system',
    namespaces: [],
    port: 8443,
    metricsPort: 8080,
    shutdownGraceMs: 5000,
    specDefaults: {},
    analyzer: { image: 'sidestep:1', serviceAccount: 'sidestep-analyzer', resources: { limits: { memory: '128Mi' } } },
    certificates: { mode: 'own', dnsNames: expect.arrayContaining(['sidestep-webhook.sidestep-system.svc']) },
  });
  expect(config.analyzer.env).toMatchObject({
    SIDESTEP_NAMESPACE: 'sidestep-system',
    PROMETHEUS_URL: required.PROMETHEUS_URL,
    NAMESPACES: '',
  });
});

test('a variable that is set but empty counts as not set: charts write them so', () => {
  const empty = Object.fromEntries(Object.keys(VARIABLES).map((key) => [key, '']));
  expect(readConfig({ ...empty, ...required })).toEqual(readConfig(required));
});

test('lists, JSON and durations are read', () => {
  const config = readConfig({
    ...required,
    NAMESPACES: 'shop, billing',
    ANALYZER_RESOURCES: '{"limits":{"cpu":"1"}}',
    SPEC_DEFAULTS: '{"analysis":{"interval":"30s"}}',
    SHUTDOWN_GRACE: '0s',
    PORT: '0',
  });
  expect(config.namespaces).toEqual(['shop', 'billing']);
  expect(config.analyzer.env['NAMESPACES']).toBe('shop,billing');
  expect(config.analyzer.resources).toEqual({ limits: { cpu: '1' } });
  expect(config.specDefaults).toEqual({ analysis: { interval: '30s' } });
  expect([config.shutdownGraceMs, config.port]).toEqual([0, 0]);
});

test.each([
  ['SIDESTEP_NAMESPACE', 'Not_A_Name', 'SIDESTEP_NAMESPACE is "Not_A_Name"; allowed: the name of an object'],
  ['NAMESPACES', 'a,B', 'NAMESPACES is "a,B"; allowed: names, separated by commas'],
  ['PROMETHEUS_URL', 'prometheus:9090', 'PROMETHEUS_URL is "prometheus:9090"; allowed: an http or https URL'],
  [
    'ANALYZER_RESOURCES',
    '{"limits":{"cpu":1}}',
    'ANALYZER_RESOURCES is "{\\"limits\\":{\\"cpu\\":1}}"; allowed: JSON such as',
  ],
  ['SPEC_DEFAULTS', '[]', 'SPEC_DEFAULTS is "[]"; allowed: a JSON object'],
  ['SPEC_DEFAULTS', '{"analysis":{"stepWeight":0}}', 'analysis.stepWeight is 0; allowed: a whole number from 1 to 100'],
  ['CERT_MODE', 'none', 'CERT_MODE is "none"; allowed: own or cert-manager'],
  ['PORT', '65536', 'PORT is "65536"; allowed: a port from 0 to 65535'],
  ['SHUTDOWN_GRACE', '2m', 'SHUTDOWN_GRACE is "2m"; allowed: a duration from 0s to 1m'],
  ['PROPAGATION_DELAY', 'soon', 'PROPAGATION_DELAY is "soon"; allowed: a duration'],
  ['LOG_LEVEL', 'loud', 'LOG_LEVEL is "loud"; allowed: error, warn, info, debug'],
  ['LOG_FORMAT', 'xml', 'LOG_FORMAT is "xml"; allowed: json, text'],
])('%s=%s is refused with name, value and what is allowed', (variable, value, message) => {
  expect(problemOf({ ...required, [variable]: value })).toContain(message);
});

test('all problems at once, one line each', () => {
  const lines = problemOf({ PORT: 'x' }).split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[0]).toBe('SIDESTEP_NAMESPACE is missing: namespace of Sidestep itself (required)');
});
