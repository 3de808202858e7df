import type * as z from 'zod';
import { type CanarySpec, schema, UNSUPPORTED_FLAGGER } from './spec-schema.ts';
import { readText, type SpecText } from './spec-text.ts';

export {
  type CanarySpec,
  MAX_ROLLBACK_REVISIONS,
  METRICS,
  type MetricName,
  type MetricSpec,
  type WebhookSpec,
} from './spec-schema.ts';

/** Where a spec comes from, in falling precedence: YAML, YAML, an object. */
export interface SpecSources {
  annotation?: string | undefined;
  configMap?: string | undefined;
  /** The chart's. */
  defaults?: Record<string, unknown> | undefined;
}
export type SpecSource = keyof SpecSources;

/** One thing that is wrong with a spec, in words for its author. */
export interface SpecProblem {
  /** Where the field that is wrong or lacking would be set, or the nearest field above it. */
  source: SpecSource;
  /** Such as `analysis.metrics[0].interval`; empty for the source as a whole. */
  path: string;
  /** Line of the source, from 1; undefined for the chart's defaults. */
  line?: number;
  message: string;
}

export type SpecResult = { spec: CanarySpec; problems?: undefined } | { spec?: undefined; problems: SpecProblem[] };

/**
 * Reads, merges and checks a spec. Maps are merged field by field; lists are taken whole from the first source that has them.
 * Never throws: what is wrong comes back as problems, each with its place.
 */
export function readSpec(sources: SpecSources, target: { name: string }): SpecResult {
  const read = (['annotation', 'configMap'] as const).flatMap((source) => {
    const text = sources[source];
    return text === undefined ? [] : [readText(text, source)];
  });
  const broken = read.flatMap((r) => ('problems' in r ? r.problems : []));
  if (broken.length > 0) return { problems: broken };
  const texts: SpecText[] = [...(read as SpecText[]), { source: 'defaults', value: sources.defaults ?? {} }];
  const merged = texts.map(({ value }) => value).reduceRight<unknown>((under, over) => merge(under, over), {});
  const { value, problems } = checkFlaggerTarget(merged as Record<string, unknown>, target);
  const result = schema.safeParse(value);
  if (result.success && problems.length === 0) return { spec: result.data };
  const issues = result.error?.issues.flatMap((issue) => problemsOf(issue, value)) ?? [];
  const located = [...problems, ...issues].map((problem) => locate(problem, texts));
  // A number can break two rules that are told in the same words.
  const once = new Map(located.map((problem) => [describeProblems([problem]), problem]));
  return { problems: [...once.values()] };
}

const isPlainObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

function merge(under: unknown, over: unknown): unknown {
  if (!isPlainObject(under) || !isPlainObject(over)) return over;
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over))
    merged.set(key, merged.has(key) ? merge(merged.get(key), value) : value);
  return Object.fromEntries(merged);
}

interface RawProblem {
  path: PropertyKey[];
  /** What is wrong, without the value. */
  message: string;
  /** What stands there. */
  is?: unknown;
  unknownField?: true;
}

/** `targetRef` and `provider` of a pasted Flagger spec say what is true anyway, or they are a mistake. */
function checkFlaggerTarget(
  { targetRef, provider, ...value }: Record<string, unknown>,
  target: { name: string },
): { value: Record<string, unknown>; problems: RawProblem[] } {
  const problems: RawProblem[] = [];
  if (targetRef !== undefined) {
    const { kind, name } = isPlainObject(targetRef) ? targetRef : {};
    if (kind !== 'Deployment' || name !== target.name)
      problems.push({ path: ['targetRef'], message: `must name the Deployment ${target.name} itself; leave it out` });
  }
  if (provider !== undefined && provider !== 'istio')
    problems.push({ path: ['provider'], message: 'allowed: istio', is: provider });
  return { value, problems };
}

function problemsOf(issue: z.core.$ZodIssue, root: unknown): RawProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return isFlaggers(path)
        ? { path, message: 'is a field of Flagger that Sidestep does not support' }
        : { path, message: 'is not a known field', unknownField: true };
    });
  }
  const is = issue.path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | undefined)?.[key], root);
  return [{ path: issue.path, message: `allowed: ${issue.message}`, is }];
}

const isFlaggers = (path: PropertyKey[]): boolean =>
  UNSUPPORTED_FLAGGER.has(path.filter((p) => typeof p !== 'number').join('.'));

/** Tells the problem where its author can mend it. What a ConfigMap holds is not quoted, neither values nor keys of its own choice. */
function locate({ path, message, unknownField, ...rest }: RawProblem, texts: SpecText[]): SpecProblem {
  const { source, lineOf } = ownerOf(path, texts);
  const line = lineOf?.(path);
  const quoted = source !== 'configMap';
  const known = quoted ? path : knownPart(path, unknownField);
  const words = 'is' in rest ? `${said(rest.is, quoted)}; ${message}` : message;
  return {
    source,
    path: pathText(known),
    ...(line === undefined ? {} : { line }),
    message: unknownField && !quoted ? 'has a field that is not known' : words,
  };
}

/** The source that decides about the path: the first that has the most of it, above all of what only one source can give. */
function ownerOf(path: PropertyKey[], texts: SpecText[]): SpecText {
  let owners = texts.map((text) => ({ text, value: text.value as unknown }));
  for (const key of path) {
    const holders = owners
      .filter(({ value }) => Object.hasOwn(Object(value), key))
      .map(({ text, value }) => ({ text, value: (value as Record<PropertyKey, unknown>)[key] }));
    if (holders.length === 0) break;
    // A list or a plain value comes from the first source alone.
    owners = isPlainObject(holders[0]!.value) ? holders : holders.slice(0, 1);
  }
  return owners[0]!.text;
}

/** The path without a last part that is no field of ours: an unknown one, or a key of a hook's metadata. */
function knownPart(path: PropertyKey[], unknownField: boolean | undefined): PropertyKey[] {
  if (unknownField) return path.slice(0, -1);
  const metadata = path.indexOf('metadata');
  return metadata < 0 ? path : path.slice(0, metadata + 1);
}

function said(value: unknown, quoted: boolean): string {
  if (value === undefined) return 'is missing';
  return quoted ? `is ${show(value)}` : 'is wrong';
}

const MAX_SHOWN = 60;

/** The value as the author would recognise it, never longer than a line. */
function show(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? `a list of ${value.length}` : 'a map';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1).toWellFormed()}…` : text;
}

const pathText = (path: PropertyKey[]): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = /^[\w./-]{1,60}$/.test(String(key)) ? String(key) : show(String(key));
    return text === '' ? name : `${text}.${name}`;
  }, '');

const MAX_DESCRIBED = 10;

/** In one line: `analysis.stepWeight (line 4) is 0; allowed: a whole number from 1 to 100`. */
export function describeProblems(problems: SpecProblem[]): string {
  const described = problems.slice(0, MAX_DESCRIBED).map(({ path, line, message }) => {
    const place = line === undefined ? '' : ` (line ${line})`;
    return `${path === '' ? 'the spec' : path}${place} ${message}`;
  });
  const more = problems.length - described.length;
  return [...described, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
