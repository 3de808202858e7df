import { describe, expect, test } from 'vitest';
import { readConfig } from '../../../webhook/config.ts';
import { run } from '../../e2e/support/cluster.ts';
import { CHART, environment, find, type Manifest, refusal, render, type Values } from './helm.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;

const VARIANTS: Record<string, Values> = {
  defaults: {},
  'two namespaces': { namespaces: ['shop', 'garden'] },
  'cert-manager': { 'certificates.mode': 'cert-manager' },
  everything: {
    'image.digest': DIGEST,
    imagePullSecrets: [{ name: 'registry' }],
    namespaces: ['shop'],
    defaults: { analysis: { interval: '30s', threshold: 2 } },
    'hooks.allowedHosts': ['gate.example.com', '*.example.org'],
    'webhook.priorityClassName': 'system-cluster-critical',
    'webhook.nodeSelector': { 'kubernetes.io/arch': 'arm64' },
    'webhook.tolerations': [{ operator: 'Exists' }],
    'webhook.affinity': { nodeAffinity: {} },
    'webhook.podAnnotations': { 'example.com/scrape': 'true' },
    'webhook.clientCA': { configMap: 'api-servers', key: 'ca.crt', names: ['kube-apiserver'] },
    'uninstall.heldVersions': 'rollOut',
    'analyzer.resources': { requests: { cpu: 1 } },
    'networkPolicy.enabled': true,
    'serviceMonitor.enabled': true,
    'serviceMonitor.labels': { release: 'prometheus' },
    logLevel: 'debug',
    logFormat: 'text',
  },
  'nothing optional': {
    'webhook.replicas': 1,
    'webhook.podDisruptionBudget': false,
    'watchman.enabled': false,
    'uninstall.enabled': false,
    'webhook.resources': {},
    'analyzer.resources': {},
  },
};

const CLUSTER_SCOPED =
  /^(ClusterRole|ClusterRoleBinding|MutatingWebhookConfiguration|ValidatingAdmissionPolicy|ValidatingAdmissionPolicyBinding)$/;

describe.each(Object.entries(VARIANTS))('%s', (_name, values) => {
  test('renders objects that are told apart, each in its namespace', async () => {
    const manifests = await render(values);
    const ids = manifests.map(({ kind, metadata }) => [kind, metadata.namespace, metadata.name].join('/'));
    expect(new Set(ids).size).toBe(ids.length);
    for (const { kind, metadata } of manifests) {
      expect.soft([kind, metadata.namespace !== undefined]).toEqual([kind, !CLUSTER_SCOPED.test(kind)]);
      expect.soft(metadata.labels?.['app.kubernetes.io/instance']).toBe('sidestep');
    }
  });

  test('gives the webhook an environment that it takes', async () => {
    const config = readConfig(environment(await render(values), { 'metadata.namespace': 'sidestep-system' }));
    expect(config.ownNamespace).toBe('sidestep-system');
    expect(config.namespaces).toEqual(values['namespaces'] ?? []);
    expect(config.specDefaults).toEqual(values['defaults'] ?? {});
    expect(config.analyzer.env['ALLOWED_HOOK_HOSTS']).toBe(
      ((values['hooks.allowedHosts'] ?? []) as string[]).join(','),
    );
    expect(config.certificates.mode).toBe(values['certificates.mode'] ?? 'own');
    expect(config.certificates.dnsNames[0]).toBe('sidestep-webhook.sidestep-system.svc');
  });

  test('grants no wildcard, no Secret but one by its name, and nothing that grants more', async () => {
    const rules = (await render(values)).flatMap(rulesOf);
    expect(rules.length).toBeGreaterThan(10);
    for (const { apiGroups, resources, verbs, resourceNames } of rules) {
      const all = [...apiGroups, ...resources, ...verbs];
      expect.soft(all.filter((word) => word.includes('*'))).toEqual([]);
      expect
        .soft(verbs)
        .not.toEqual(expect.arrayContaining([expect.stringMatching(/^(escalate|bind|impersonate|deletecollection)$/)]));
      expect
        .soft(resources)
        .not.toEqual(
          expect.arrayContaining([
            expect.stringMatching(/^(pods\/(exec|attach)|serviceaccounts.*|.*roles|.*rolebindings)$/),
          ]),
        );
      if (resources.includes('secrets')) expect.soft([verbs, resourceNames]).toSatisfy(onlyOwnSecret);
    }
  });
});

const onlyOwnSecret = ([verbs, names]: [string[], string[] | undefined]): boolean =>
  names ? names.join() === 'sidestep-webhook-tls' : verbs.join() === 'create';

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

const rulesOf = (manifest: Manifest): Rule[] => (/Role$/.test(manifest.kind) ? (manifest['rules'] as Rule[]) : []);

/** `namespace verb resource`, for all that an account is bound to; `*` is any namespace. */
async function grants(account: string, values: Values): Promise<string[]> {
  const manifests = await render(values);
  const bound = manifests.filter(
    (m) => m.kind.endsWith('Binding') && 'subjects' in m && (m['subjects'] as { name: string }[])[0]!.name === account,
  );
  return bound.flatMap((binding) => {
    const { kind, name } = binding['roleRef'] as { kind: string; name: string };
    const role = manifests.find(
      (m) => m.kind === kind && m.metadata.name === name && m.metadata.namespace === binding.metadata.namespace,
    )!;
    return rulesOf(role).flatMap(({ resources, verbs }) =>
      resources.flatMap((r) => verbs.map((verb) => `${binding.metadata.namespace ?? '*'} ${verb} ${r}`)),
    );
  });
}

const isWrite = (grant: string): boolean => !/ (get|list|watch) /.test(grant);

test.each([
  ['all namespaces', {}, '*'],
  ['one namespace', { namespaces: ['shop'] }, 'shop'],
])('the webhook writes one thing where workloads are: %s', async (_name, values, where) => {
  expect((await grants('sidestep-webhook', values)).filter(isWrite)).toEqual(
    expect.arrayContaining([`${where} patch deployments/status`]),
  );
  expect((await grants('sidestep-webhook', values)).filter(isWrite).sort()).toEqual(
    [
      '* patch mutatingwebhookconfigurations',
      `${where} patch deployments/status`,
      'sidestep-system create jobs',
      'sidestep-system create secrets',
      'sidestep-system update secrets',
    ].sort(),
  );
});

test('the analyzer has Leases and nothing else in Sidestep’s namespace', async () => {
  const all = await grants('sidestep-analyzer', { namespaces: ['shop'] });
  expect(all.filter((grant) => !grant.startsWith('shop '))).toEqual([
    'sidestep-system get leases',
    'sidestep-system list leases',
    'sidestep-system watch leases',
    'sidestep-system create leases',
    'sidestep-system update leases',
  ]);
});

test('with cert-manager, the webhook has nothing to do with Secrets and its configuration', async () => {
  const all = await grants('sidestep-webhook', { 'certificates.mode': 'cert-manager' });
  expect(all.filter((grant) => /secrets|mutatingwebhook/.test(grant))).toEqual([]);
});

test('with a list of namespaces and cert-manager, no ClusterRole is left beside the hook’s', async () => {
  const manifests = await render({ namespaces: ['shop'], 'certificates.mode': 'cert-manager' });
  const roles = manifests.filter(({ kind }) => /^ClusterRole/.test(kind));
  expect(roles.map(({ metadata }) => metadata.annotations?.['helm.sh/hook'])).toEqual(['pre-delete', 'pre-delete']);
});

test('with cert-manager, its certificate is for the name that the API server calls', async () => {
  const manifests = await render({ 'certificates.mode': 'cert-manager' });
  const { spec } = find<Manifest & { spec: Record<string, unknown> }>(manifests, 'Certificate', 'sidestep-webhook');
  expect(spec).toMatchObject({
    dnsNames: ['sidestep-webhook.sidestep-system.svc'],
    secretName: 'sidestep-webhook-tls',
    privateKey: { rotationPolicy: 'Always' },
    issuerRef: { name: 'sidestep-webhook' },
  });
  const { metadata } = find(manifests, 'MutatingWebhookConfiguration');
  expect(metadata.annotations?.['cert-manager.io/inject-ca-from']).toBe('sidestep-system/sidestep-webhook');
});

interface PodTemplate {
  metadata: { labels: Record<string, string> };
  spec: {
    securityContext: object;
    containers: { image: string; securityContext: object }[];
  } & Record<string, unknown>;
}

/** Of everything in the chart that runs. */
const podTemplates = (manifests: readonly Manifest[]): [string, PodTemplate][] =>
  manifests.flatMap((m) => {
    const { template } = (m['spec'] ?? {}) as { template?: PodTemplate };
    return template ? [[m.metadata.name, template] as [string, PodTemplate]] : [];
  });

interface NetworkPolicySpec {
  podSelector: {
    matchLabels?: Record<string, string>;
    matchExpressions?: { key: string; values: string[] }[];
  };
  ingress: { ports?: { port: string }[] }[];
}

test('nothing that runs has privileges, and all of it is the same image', async () => {
  const templates = podTemplates(await render({ 'image.digest': DIGEST }));
  expect(templates.map(([name]) => name).sort()).toEqual([
    'sidestep-uninstall',
    'sidestep-watchman',
    'sidestep-webhook',
  ]);
  for (const [, { spec }] of templates) {
    expect.soft(spec).toMatchObject({
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          image: `ghcr.io/sidestep-dev/sidestep@${DIGEST}`,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    });
  }
});

test('with network policies, one of them is about each pod, and only the webhook has ports', async () => {
  const manifests = await render({ 'networkPolicy.enabled': true });
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy').map((m) => m['spec'] as NetworkPolicySpec);
  const pods: [string, Record<string, string>][] = [
    ...podTemplates(manifests).map(([name, { metadata }]): [string, Record<string, string>] => [name, metadata.labels]),
    ['analyzer', { 'app.kubernetes.io/managed-by': 'sidestep' }],
  ];
  const ports = pods.map(([name, labels]) => {
    const [policy, ...more] = policies.filter(({ podSelector: { matchLabels = {}, matchExpressions = [] } }) => {
      const exact = Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
      return exact && matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''));
    });
    expect.soft([name, more]).toEqual([name, []]);
    return [name, policy?.ingress.flatMap((rule) => rule.ports?.map(({ port }) => port))];
  });
  expect(Object.fromEntries(ports)).toEqual({
    'sidestep-webhook': ['https', 'metrics'],
    'sidestep-watchman': [],
    'sidestep-uninstall': [],
    analyzer: [],
  });
});

test('with a client CA, the webhook reads it from the ConfigMap that is named', async () => {
  const manifests = await render({ 'webhook.clientCA.configMap': 'api-servers', 'webhook.clientCA.names': ['a', 'b'] });
  const { callers } = readConfig(environment(manifests, {}));
  expect(callers).toEqual({ caFile: '/etc/sidestep/client-ca/ca.crt', names: ['a', 'b'] });
  const { spec } = Object.fromEntries(podTemplates(manifests))['sidestep-webhook']!;
  expect(spec['volumes']).toEqual([
    { name: 'client-ca', configMap: { name: 'api-servers', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
  ]);
});

test('the hook runs before anything is deleted, after its own rights are there', async () => {
  const hooks = (await render()).filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === 'pre-delete');
  const weights = hooks.map(({ kind, metadata }) => [kind, Number(metadata.annotations?.['helm.sh/hook-weight'] ?? 0)]);
  expect(weights.filter(([kind]) => kind === 'Job')).toEqual([['Job', 0]]);
  expect(weights.filter(([kind]) => kind !== 'Job').every(([, weight]) => (weight as number) < 0)).toBe(true);
  expect((await render({ 'uninstall.enabled': false })).some(({ metadata }) => /uninstall/.test(metadata.name))).toBe(
    false,
  );
});

test('the webhook is called last, must answer, and has no effects of its own', async () => {
  const { metadata, webhooks } = find<Manifest & { webhooks: Record<string, unknown>[] }>(
    await render({ namespaces: ['shop'] }),
    'MutatingWebhookConfiguration',
  );
  expect(metadata.name).toBe('zz-sidestep.sidestep-system');
  expect(webhooks).toHaveLength(1);
  expect(webhooks[0]).toMatchObject({
    failurePolicy: 'Fail',
    sideEffects: 'None',
    timeoutSeconds: 3,
    reinvocationPolicy: 'Never',
    rules: [{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'], operations: ['CREATE', 'UPDATE'] }],
    namespaceSelector: {
      matchExpressions: [
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'sidestep-system'] },
        { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['shop'] },
      ],
    },
  });
});

test.each<[string, Values, string]>([
  ['tag', { 'image.tag': '1.2.3' }, 'ghcr.io/sidestep-dev/sidestep:1.2.3'],
  ['digest before tag', { 'image.tag': '1.2.3', 'image.digest': DIGEST }, `ghcr.io/sidestep-dev/sidestep@${DIGEST}`],
  [
    'repository',
    { 'image.repository': 'registry.example.com:5000/sidestep' },
    'registry.example.com:5000/sidestep:0.1.0',
  ],
])('image of webhook and analyzers: %s', async (_name, values, image) => {
  const manifests = await render(values);
  const { spec } = find<Manifest & { spec: { template: { spec: { containers: { image: string }[] } } } }>(
    manifests,
    'Deployment',
    'sidestep-webhook',
  );
  expect(spec.template.spec.containers[0]!.image).toBe(image);
  expect(environment(manifests, {})['ANALYZER_IMAGE']).toBe(image);
});

test.each<[string, Values]>([
  ['certificates/mode', { 'certificates.mode': 'none' }],
  ['webhook/replicas', { 'webhook.replicas': -1 }],
  ['webhook/replicas', { 'webhook.replicas': '2' }],
  ['webhook', { 'webhook.replica': 2 }],
  ['namespaces/0', { namespaces: ['Shop'] }],
  ['namespaces', { namespaces: 'shop' }],
  ['namespaces', { namespaces: ['shop', 'shop'] }],
  ['prometheus/url', { 'prometheus.url': 'prometheus:9090' }],
  ['image/digest', { 'image.digest': 'sha256:12' }],
  ['image/repository', { 'image.repository': '' }],
  ['hooks/allowedHosts/0', { 'hooks.allowedHosts': ['http://gate'] }],
  ['istio/propagationDelay', { 'istio.propagationDelay': 2 }],
  ['logLevel', { logLevel: 'verbose' }],
  ['prometheus', { prometheus: null }],
  ["'replicas'", { replicas: 3 }],
])('values that are refused, by their path: %s %j', async (path, values) => {
  expect(await refusal(values)).toContain(path);
});

test('helm lint', async () => {
  const { code, stdout, stderr } = await run('helm', ['lint', '--strict', CHART]);
  expect(code, stdout + stderr).toBe(0);
});
