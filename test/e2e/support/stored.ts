import { STATUS } from '../../../canary/annotations.ts';
import { runOf } from '../../../canary/run.ts';
import type { Deployment } from '../../../kube/types.ts';
import type { Result } from './cluster.ts';

/** Written by controllers and the analyzer at times of their own. */
const UNTIMELY = [STATUS, 'deployment.kubernetes.io/revision'];

/** What the API server keeps after a client's step, without what differs from run to run. */
export interface Stored {
  paused: boolean;
  replicas: number;
  template: Record<string, string>;
  annotations: string[];
  labels: string[];
  run: string;
  /** Since the step before. */
  generations: number;
  /** Fields that matter, by manager. */
  owners: Record<string, string[]>;
}

/** What a client said. */
export interface Said {
  exit: number;
  says?: string[];
  warnings?: string[];
}

/** Gives runs the same names in every test run: R1, R2, … in the order in which they appear. */
export class RunNames {
  readonly #names = new Map<string, string>();

  of(deployment: Deployment): string {
    const run = runOf(deployment);
    return run ? `${this.#name(run.id)} ${run.phase}` : 'none';
  }

  in(text: string): string {
    return (
      text
        .replace(/\brun ([0-9a-v]{10})\b/g, (_, id: string) => `run ${this.#name(id)}`)
        .replace(/\(run (R\d+): [^)]*\)/g, '(run $1: …)')
        .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        // Said or not as somebody has written the status meanwhile; what is stored is told apart from it.
        .replace(/ patched \(no change\)$/, ' patched')
    );
  }

  #name(id: string): string {
    const name = this.#names.get(id) ?? `R${this.#names.size + 1}`;
    this.#names.set(id, name);
    return name;
  }
}

export function stored(deployment: Deployment, before: Deployment | undefined, names: RunNames): Stored {
  const { metadata, spec } = deployment;
  const [container] = spec.template.spec.containers as { image?: string; env?: { name: string; value?: string }[] }[];
  const restarted = spec.template.metadata?.annotations?.['kubectl.kubernetes.io/restartedAt'] !== undefined;
  return {
    paused: spec.paused ?? false,
    replicas: spec.replicas ?? 1,
    template: {
      image: container?.image ?? '',
      ...Object.fromEntries((container?.env ?? []).map(({ name, value = '' }) => [name, value])),
      ...(restarted ? { restartedAt: 'TIME' } : {}),
    },
    annotations: Object.keys(metadata.annotations ?? {})
      .filter((key) => !UNTIMELY.includes(key))
      .sort(),
    labels: Object.keys(metadata.labels ?? {}).sort(),
    run: names.of(deployment),
    generations: (metadata.generation ?? 0) - (before?.metadata.generation ?? 0),
    owners: ownersOf(deployment),
  };
}

interface ManagedField {
  manager: string;
  operation: string;
  subresource?: string;
  fieldsV1?: Record<string, unknown>;
}

/** Who owns annotations, labels, the pause, the replicas, image and environment; status has owners of its own. */
function ownersOf({ metadata }: Deployment): Record<string, string[]> {
  const entries = ((metadata.managedFields ?? []) as ManagedField[]).filter(
    ({ subresource }) => subresource !== 'status',
  );
  const owners = new Map<string, string[]>();
  for (const { manager, operation, fieldsV1 = {} } of entries) {
    const fields = leaves(fieldsV1)
      .map(short)
      .filter((field) => field !== undefined);
    const key = `${manager} (${operation})`;
    owners.set(key, [...new Set([...(owners.get(key) ?? []), ...fields])].sort());
  }
  return Object.fromEntries([...owners].sort(([a], [b]) => a.localeCompare(b)));
}

/** Paths such as `f:spec/f:template/…`, one for each field that is owned. */
function leaves(fields: Record<string, unknown>, prefix = ''): string[] {
  return Object.entries(fields).flatMap(([key, value]) => {
    const path = prefix === '' ? key : `${prefix}/${key}`;
    const inner = Object.keys(value as object).length > 0 ? leaves(value as Record<string, unknown>, path) : [];
    return key === '.' ? [] : inner.length > 0 ? inner : [path];
  });
}

const SHORT: [RegExp, string][] = [
  [/^f:metadata\/f:(annotations|labels)\/f:(.*)$/, '$1 $2'],
  [/^f:spec\/f:(paused|replicas)$/, '$1'],
  [/^f:spec\/f:template\/f:metadata\/f:annotations\/f:(.*)$/, 'template annotation $1'],
  [/^f:spec\/f:template\/.*\/f:image$/, 'image'],
  [/^f:spec\/f:template\/.*\/f:env\/k:\{"name":"([A-Z0-9_]+)"\}.*$/, 'env $1'],
];

function short(path: string): string | undefined {
  const [pattern, text] = SHORT.find(([p]) => p.test(path)) ?? [];
  const name = pattern && path.replace(pattern, text!);
  return name && UNTIMELY.some((key) => name.endsWith(key)) ? undefined : name;
}

/** Warnings as kubectl prints them, and as client-go's logger does for Helm. */
const WARNING = /^(?:[IW]\d{4} .* warnings\.go:\d+\] ")?Warning: (.*?)"?$/;
/** What Helm says about the time. */
const UNTIMELY_LINE = /^LAST DEPLOYED: /;

export function said({ code, stdout, stderr }: Result, names: RunNames, hide: readonly string[]): Said {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '' && !UNTIMELY_LINE.test(line));
  const clean = (line: string) => names.in(hide.reduce((text, secret) => text.replaceAll(secret, 'NAMESPACE'), line));
  const warnings = lines.flatMap((line) => {
    const text = WARNING.exec(line)?.[1];
    return text === undefined ? [] : [clean(text)];
  });
  const says = lines.filter((line) => !WARNING.test(line)).map(clean);
  return { exit: code, ...(says.length > 0 ? { says } : {}), ...(warnings.length > 0 ? { warnings } : {}) };
}

/** The keys that a diff adds (+) and takes away (-), in place of its lines: values hold hashes and times. */
export function keysOfDiff({ stdout, ...rest }: Result): Result {
  const keys = stdout.split('\n').flatMap((line) => {
    const [, sign, key] = /^([+-])\s+(?:- )?([\w./-]+):/.exec(line) ?? [];
    const value = key === 'value' || key === 'paused' ? line.split(':')[1] : '';
    return sign === undefined || key === 'generation' ? [] : [`${sign} ${key}${value ?? ''}`];
  });
  return { ...rest, stdout: keys.join('\n') };
}
