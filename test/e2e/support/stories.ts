import { type Ground, plugin, type Step, step } from './clients.ts';
import { run } from './cluster.ts';

const apply = (version: string, more: Pick<Step, 'settle'> = {}) =>
  step(`kubectl apply ${version}`, (g) => g.send(version, 'apply'), more);
const applyServerSide = (version: string, ...flags: string[]) =>
  step(['kubectl apply --server-side', ...flags, version].join(' '), (g) =>
    g.send(version, 'apply', '--server-side', '--field-manager=gitops', ...flags),
  );
const settled = (s: Step): Step => ({ ...s, settle: true });
const kubectl = (...args: string[]) => step(`kubectl ${args.join(' ')}`, (g) => g.kubectl(args));
const helm = (command: 'install' | 'upgrade', version: string, ...flags: string[]) =>
  step(['helm', command, ...flags, version].join(' '), (g) => g.helm(command, version, ...flags));
const helmRollback = (revision: string) =>
  step(`helm rollback web ${revision}`, (g) => run('helm', ['rollback', 'web', revision, '-n', g.namespace]));

const container = (version: string) => ({ name: 'web', env: [{ name: 'VERSION', value: version }] });
const patch = (type: string, version: string, body: (version: string) => unknown) =>
  step(`kubectl patch --type=${type} ${version}`, (g) =>
    g.kubectl(['patch', 'deployment/web', `--type=${type}`, '-p', JSON.stringify(body(version))]),
  );
const strategic = (v: string) => ({ spec: { template: { spec: { containers: [container(v)] } } } });
const merge = (v: string) => ({
  spec: { template: { spec: { containers: [{ ...container(v), image: 'localhost/pause:1' }] } } },
});
/** v1 has another variable in front. */
const json = (v: string) => [
  { op: 'replace', path: '/spec/template/spec/containers/0/env', value: [{ name: 'VERSION', value: v }] },
];

/** `kubectl edit` with an editor that replaces the version, as somebody at a terminal would. */
const edit = (from: string, to: string) =>
  step(`kubectl edit ${to}`, (g: Ground) =>
    run('env', [
      `KUBE_EDITOR=sed -i /VERSION/,+1s/${from}/${to}/`,
      'kubectl',
      '-n',
      g.namespace,
      'edit',
      'deployment/web',
    ]),
  );
const setImage = (tag: string) => kubectl('set', 'image', 'deployment/web', `web=localhost/pause:${tag}`);
const sidestep = (command: string) =>
  step(`kubectl sidestep ${command} deployment/web`, (g) =>
    run(...plugin(command, 'deployment/web', '-n', g.namespace)),
  );
const diff = (version: string, ...flags: string[]) =>
  step(['kubectl diff', ...flags, version].join(' '), (g) => g.send(version, 'diff', ...flags), { diff: true });
const dryRun = (version: string, ...flags: string[]) =>
  step(['kubectl apply --dry-run=server', ...flags, version].join(' '), (g) =>
    g.send(version, 'apply', '--dry-run=server', ...flags),
  );

/** A version, the same again, the next one, the one of the repository after that. */
const changes = (change: (version: string) => Step): Step[] => [
  apply('v1', { settle: true }),
  change('v2'),
  change('v2'),
  change('v3'),
  apply('v4'),
];

/** What users do with a Deployment, by the client that they do it with. */
export const STORIES: Record<string, Step[]> = {
  apply: [apply('v1', { settle: true }), apply('v2'), apply('v2'), apply('v3'), apply('v1')],
  'apply-server-side': [
    settled(applyServerSide('v1')),
    applyServerSide('v2'),
    applyServerSide('v2'),
    applyServerSide('v2', '--force-conflicts'),
    applyServerSide('v3'),
    applyServerSide('v1'),
  ],
  'diff-and-dry-run': [
    apply('v1', { settle: true }),
    diff('v2'),
    diff('v2', '--server-side'),
    dryRun('v2'),
    dryRun('v2', '--server-side', '--field-manager=gitops', '--force-conflicts'),
    apply('v2'),
    diff('v2'),
    dryRun('v2'),
    diff('v1'),
  ],
  'set-image': [apply('v1', { settle: true }), setImage('2'), setImage('2'), setImage('3'), apply('v2')],
  // Two owners of the image: the conflict is Kubernetes' own, with Sidestep or without.
  'set-image-beside-server-side': [
    settled(applyServerSide('v1')),
    setImage('2'),
    applyServerSide('v2'),
    applyServerSide('v2', '--force-conflicts'),
    applyServerSide('v3'),
  ],
  edit: [apply('v1', { settle: true }), edit('v1', 'v2'), edit('v2', 'v3'), apply('v4')],
  'patch-strategic': changes((v) => patch('strategic', v, strategic)),
  'patch-merge': changes((v) => patch('merge', v, merge)),
  'patch-json': changes((v) => patch('json', v, json)),
  replace: changes((v) => step(`kubectl replace ${v}`, (g) => g.send(v, 'replace'))),
  plugin: [
    apply('v1', { settle: true }),
    sidestep('wait'),
    sidestep('abort'),
    apply('v2'),
    sidestep('resume'),
    sidestep('pause'),
    sidestep('resume'),
    sidestep('abort'),
    sidestep('wait'),
    sidestep('retry'),
    sidestep('promote'),
  ],
  'rollout-undo': [
    step(
      'kubectl apply v1, not opted in',
      (g) => g.kubectl(['apply', '-f', '-'], JSON.stringify(g.manifest('v1', false))),
      {
        settle: true,
      },
    ),
    step(
      'kubectl apply v2, not opted in',
      (g) => g.kubectl(['apply', '-f', '-'], JSON.stringify(g.manifest('v2', false))),
      {
        settle: true,
      },
    ),
    apply('v2', { settle: true }),
    kubectl('rollout', 'undo', 'deployment/web'),
    kubectl('rollout', 'undo', 'deployment/web'),
    apply('v2'),
  ],
  'rollout-restart': [
    apply('v1', { settle: true }),
    settled(kubectl('rollout', 'restart', 'deployment/web')),
    apply('v2'),
    kubectl('rollout', 'restart', 'deployment/web'),
  ],
  metadata: [
    apply('v1', { settle: true }),
    kubectl('annotate', 'deployment/web', 'team=a'),
    kubectl('label', 'deployment/web', 'tier=front'),
    settled(kubectl('scale', 'deployment/web', '--replicas=2')),
    apply('v2'),
    kubectl('annotate', 'deployment/web', 'team=b', '--overwrite'),
    kubectl('label', 'deployment/web', 'tier=back', '--overwrite'),
    kubectl('scale', 'deployment/web', '--replicas=1'),
    apply('v3'),
  ],
  helm: [
    settled(helm('install', 'v1')),
    helm('upgrade', 'v2'),
    helm('upgrade', 'v2'),
    helm('upgrade', 'v3', '--wait'),
    helmRollback('1'),
    helm('upgrade', 'v4'),
  ],
  'helm-client-side': [
    settled(helm('install', 'v1', '--server-side=false')),
    helm('upgrade', 'v2', '--server-side=false'),
    helm('upgrade', 'v2', '--server-side=false'),
    helm('upgrade', 'v3', '--server-side=false', '--wait'),
    helmRollback('1'),
  ],
};
