import { type Document, isMap, isScalar, LineCounter, type Pair, parseDocument, visit, type YAMLMap } from 'yaml';
import type { SpecProblem, SpecSource } from './spec.ts';

/**
 * What one annotation or ConfigMap may hold: several times any sensible analysis. It is read while the API server waits, and YAML of
 * 64 KiB can keep the parser busy for more than a second.
 */
export const MAX_SPEC_CHARS = 16_384;
/** A text with one mistake often has many; the first ones tell. */
const MAX_SYNTAX_ERRORS = 3;

/** One source of a spec, read: its fields, and where they stand. */
export interface SpecText {
  source: SpecSource;
  value: Record<string, unknown>;
  lineOf?: (path: readonly PropertyKey[]) => number | undefined;
}

/** Reads one source. Never throws. A ConfigMap's content is not quoted: whoever may name it need not be allowed to read it. */
export function readText(text: string, source: SpecSource): SpecText | { problems: SpecProblem[] } {
  const bad = (message: string, line?: number) => ({
    problems: [{ source, path: '', message, ...(line === undefined ? {} : { line }) }],
  });
  if (text.length > MAX_SPEC_CHARS) return bad(`is longer than ${MAX_SPEC_CHARS} characters`);
  try {
    const lines = new LineCounter();
    // Keys that occur twice are looked for below: the library's own search takes time by the square of their number.
    const options = { lineCounter: lines, uniqueKeys: false, prettyErrors: false, logLevel: 'error' } as const;
    const document = parseDocument(text, options);
    const lineAt = (offset: number) => lines.linePos(offset).line;
    if (document.errors.length > 0) {
      const problems = document.errors.slice(0, MAX_SYNTAX_ERRORS).map((e) => ({
        source,
        path: '',
        line: lineAt(e.pos[0]),
        message: `is not valid YAML: ${source === 'configMap' ? e.code : explained(e.message)}`,
      }));
      return { problems };
    }
    const { contents } = document;
    if (contents === null || (isScalar(contents) && contents.value === null)) return { source, value: {} };
    if (!isMap(contents)) return bad('is not a map of fields such as analysis:', 1);
    const { fields, problem } = fieldsOf(document);
    if (problem) return bad(problem.message, lineAt(problem.offset));
    const value = document.toJS({ maxAliasCount: 20 }) as Record<string, unknown>;
    return { source, value, lineOf: (path) => lineOf(path, contents, fields, lineAt) };
  } catch (e) {
    return bad(
      `is not valid YAML: ${source === 'configMap' ? 'it cannot be resolved' : explained((e as Error).message)}`,
    );
  }
}

const explained = (message: string): string =>
  // The parser may quote one half of a character.
  /stack/i.test(message) ? 'it is nested too deeply' : message.replace(/; please use .*/, '').toWellFormed();

type Fields = Map<YAMLMap, Map<string, Pair>>;

/** The fields of every map by their keys; or a key that is no text, or that its map has already. */
function fieldsOf(document: Document): { fields: Fields; problem?: { message: string; offset: number } | undefined } {
  const fields: Fields = new Map();
  let problem: { message: string; offset: number } | undefined;
  visit(document, {
    Map(_, map) {
      const known = new Map<string, Pair>();
      fields.set(map, known);
      for (const pair of map.items) {
        const { key } = pair;
        const offset = offsetOf(key) ?? 0;
        if (!isScalar(key)) problem = { message: 'has a key that is no text', offset };
        else if (known.has(String(key.value))) problem = { message: 'has the same key twice in a map', offset };
        else known.set(String(key.value), pair);
        if (problem) return visit.BREAK;
      }
      return undefined;
    },
  });
  return { fields, problem };
}

/** Line of the field at the path, or of the nearest one above it that the text has. */
function lineOf(
  path: readonly PropertyKey[],
  root: YAMLMap,
  fields: Fields,
  lineAt: (offset: number) => number,
): number | undefined {
  let node: unknown = root;
  let line: number | undefined;
  for (const segment of path) {
    if (isMap(node)) {
      const pair = fields.get(node)!.get(String(segment));
      if (!pair) return line;
      line = startOf(pair.key, lineAt) ?? line;
      node = pair.value;
    } else {
      node = (node as { items?: unknown[] } | null | undefined)?.items?.[Number(segment)];
      line = startOf(node, lineAt) ?? line;
    }
  }
  return line;
}

/** Every node that was parsed has its range. */
const offsetOf = (node: unknown): number | undefined =>
  (node as { range: [number, number, number] } | null | undefined)?.range[0];

function startOf(node: unknown, lineAt: (offset: number) => number): number | undefined {
  const offset = offsetOf(node);
  return offset === undefined ? undefined : lineAt(offset);
}
