import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { CANARY, ENABLED, SPEC } from '../../../canary/annotations.ts';
import type { KubeClient } from '../../../kube/client.ts';
import { isNotFound } from '../../../kube/errors.ts';
import { DEPLOYMENTS } from '../../../kube/resources.ts';
import type { Deployment } from '../../../kube/types.ts';
import { connect, must, type Result, run } from './cluster.ts';
import { keysOfDiff, RunNames, type Said, type Stored, said, stored } from './stored.ts';

export const CHART = join(import.meta.dirname, '../../fixtures/chart');
const GOLDEN = join(import.meta.dirname, '../../golden/clients');
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

/** The command line of `kubectl sidestep`, as users have it who put the plugin on their PATH. */
export function plugin(...args: string[]): [string, string[]] {
  const path = [join(import.meta.dirname, '../../../dist'), dirname(process.execPath), process.env['PATH'] ?? ''];
  return ['env', [`PATH=${path.join(':')}`, 'kubectl', 'sidestep', ...args]];
}

/** Nobody sends requests: the canary waits for evidence, and the version stays held for as long as a story lasts. */
const WAITS = { service: { port: 80 }, analysis: { interval: '1m' } };

/** A namespace with the Deployment `web`, which does nothing, and its Service. */
export class Ground {
  readonly namespace: string;
  readonly optedIn: boolean;
  readonly client: KubeClient = connect();

  constructor(name: string, optedIn: boolean) {
    this.namespace = `clients-${name}-${optedIn ? 'on' : 'off'}-${randomBytes(3).toString('hex')}`;
    this.optedIn = optedIn;
  }

  async begin(): Promise<void> {
    await must('kubectl', ['create', 'namespace', this.namespace]);
  }

  async end(): Promise<void> {
    await run('kubectl', ['delete', 'namespace', this.namespace, '--wait=false']);
  }

  /** What stands in the user's repository for a version; v1 has one variable more than all others. */
  manifest(version: string, optedIn = this.optedIn): Deployment {
    const labels = { app: 'web' };
    const env = [...(version === 'v1' ? [{ name: 'ONLY_V1', value: 'x' }] : []), { name: 'VERSION', value: version }];
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name: 'web',
        labels,
        ...(optedIn ? { annotations: { [CANARY]: ENABLED, [SPEC]: stringify(WAITS) } } : {}),
      },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'web', image: 'localhost/pause:1', ...{ env } }],
          },
        },
      },
    };
  }

  kubectl(args: readonly string[], input?: string): Promise<Result> {
    return run('kubectl', ['-n', this.namespace, ...args], input);
  }

  /** `kubectl … -f -` with the manifest of a version. */
  send(version: string, ...args: string[]): Promise<Result> {
    return this.kubectl([...args, '-f', '-'], JSON.stringify(this.manifest(version)));
  }

  helm(command: 'install' | 'upgrade', version: string, ...args: string[]): Promise<Result> {
    const values = { env: { VERSION: version }, canary: { enabled: this.optedIn, spec: WAITS }, port: 80 };
    return run('helm', [command, 'web', CHART, '-n', this.namespace, '-f', '-', ...args], JSON.stringify(values));
  }

  async deployment(): Promise<Deployment | undefined> {
    try {
      return await this.client.get<Deployment>(DEPLOYMENTS, { namespace: this.namespace, name: 'web' });
    } catch (e) {
      if (isNotFound(e)) return undefined;
      throw e;
    }
  }

  async ready(): Promise<void> {
    await must('kubectl', ['-n', this.namespace, 'rollout', 'status', 'deployment/web', '--timeout=120s']);
  }
}

export interface Step {
  /** The command as a user would tell it. */
  what: string;
  by: (ground: Ground) => Promise<Result>;
  /** Wait until the version serves: the next step meets a Deployment at rest. */
  settle?: true;
  diff?: true;
}

export const step = (what: string, by: Step['by'], more: Pick<Step, 'settle' | 'diff'> = {}): Step => ({
  what,
  by,
  ...more,
});

interface Line extends Said {
  step: string;
  stored?: Stored | 'unchanged';
}

/** Tells a story on a ground of its own; one client process per step. */
async function tell(name: string, steps: readonly Step[], optedIn: boolean): Promise<Line[]> {
  const ground = new Ground(name, optedIn);
  const names = new RunNames();
  const lines: Line[] = [];
  let before: Deployment | undefined;
  try {
    await ground.begin();
    if (!steps[0]!.what.startsWith('helm'))
      await must('kubectl', ['-n', ground.namespace, 'create', 'service', 'clusterip', 'web', '--tcp=80:80']);
    for (const { what, by, settle, diff } of steps) {
      const result = await untouched(() => by(ground));
      const after = await ground.deployment();
      const now = after && stored(after, before, names);
      const same = before && now && sameAs(now, stored(before, before, names));
      lines.push({
        step: what,
        ...said(diff ? keysOfDiff(result) : result, names, [ground.namespace]),
        ...(now ? { stored: same ? 'unchanged' : now } : {}),
      });
      if (settle) await ground.ready();
      before = after;
    }
    return lines;
  } finally {
    await ground.end();
  }
}

/** `kubectl replace` reads, then writes what it read; when a controller wrote between the two it is told so, and users send it again. */
async function untouched(send: () => Promise<Result>): Promise<Result> {
  for (;;) {
    const result = await send();
    if (!/the object has been modified/.test(result.stderr)) return result;
  }
}

const sameAs = (a: Stored, b: Stored): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Tells a story with Sidestep and without, and compares: the first with its golden file, both with one another for conflicts between
 * field owners, of which Sidestep must not add any.
 */
export async function compareStory(name: string, steps: readonly Step[]): Promise<void> {
  const [lines, plain] = await Promise.all([tell(name, steps, true), tell(name, steps, false)]);
  const conflicts = (of: Line[]) =>
    of.filter(({ says = [] }) => says.some((t) => /Apply failed with \d+ conflict/.test(t))).map((l) => l.step);
  const text = `# ${name}: what real clients meet; written by UPDATE_GOLDEN=1 (test/e2e/clients.test.ts)\n${stringify(lines, { lineWidth: 0 })}`;
  const file = join(GOLDEN, `${name}.yaml`);
  if (UPDATE) {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(file, text);
  }
  expect(existsSync(file), `there is no ${name}.yaml: UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
  expect(conflicts(lines)).toEqual(conflicts(plain));
}
