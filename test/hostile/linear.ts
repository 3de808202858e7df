/**
 * A conservative look at a regular expression: can a text of n characters take more than a multiple of n steps? Not exact: what is named
 * may be harmless, what is not named is linear for a backtracking matcher, repetitions with a small upper bound counted as constants.
 */

/** Repetitions up to this count as constants. */
const SMALL = 1000;

/** A set of code points as 256 flags and one for all above. */
type Chars = boolean[];
const SIZE = 257;

interface Repeat {
  kind: 'repeat';
  body: Node;
  min: number;
  max: number;
}
type Node =
  | { kind: 'chars'; chars: Chars }
  | { kind: 'assert'; start?: boolean }
  | { kind: 'sequence'; nodes: Node[] }
  | { kind: 'choice'; nodes: Node[] }
  | { kind: 'other'; why: string }
  | Repeat;

const charsOf = (matches: (c: string) => boolean, above: boolean): Chars =>
  Array.from({ length: SIZE }, (_, i) => (i < 256 ? matches(String.fromCharCode(i)) : above));
const overlap = (a: Chars, b: Chars): boolean => a.some((v, i) => v && b[i]);
const union = (a: Chars, b: Chars): Chars => a.map((v, i) => v || b[i]!);
const NONE: Chars = Array<boolean>(SIZE).fill(false);

class Parser {
  readonly #source: string;
  readonly #flags: string;
  #at = 0;
  constructor(source: string, flags: string) {
    this.#source = source;
    this.#flags = flags;
  }

  choice(): Node {
    const nodes = [this.#sequence()];
    while (this.#eat('|')) nodes.push(this.#sequence());
    return nodes.length === 1 ? nodes[0]! : { kind: 'choice', nodes };
  }

  #eat(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) nodes.push(this.#repeated());
    return { kind: 'sequence', nodes };
  }

  #repeated(): Node {
    const body = this.#atom();
    const [min, max] = this.#counts();
    return max === 1 && min === 1 ? body : { kind: 'repeat', body, min, max };
  }

  #counts(): [min: number, max: number] {
    const found = /^(?:([*+?])|\{(\d{1,9})(,(\d{1,9})?)?\})\??/.exec(this.#source.slice(this.#at));
    if (!found) return [1, 1];
    this.#at += found[0].length;
    const [, sign, min, comma, max] = found;
    if (sign !== undefined) return [sign === '+' ? 1 : 0, sign === '?' ? 1 : Number.POSITIVE_INFINITY];
    const least = Number(min);
    return [least, max === undefined ? (comma === undefined ? least : Number.POSITIVE_INFINITY) : Number(max)];
  }

  #atom(): Node {
    if (this.#eat('^')) return { kind: 'assert', start: true };
    if (this.#eat('$')) return { kind: 'assert' };
    if (this.#eat('(')) return this.#group();
    if (this.#eat('.')) return this.#set('.');
    if (this.#source[this.#at] === '[') return this.#set(this.#class());
    if (this.#source[this.#at] === '\\') return this.#escape();
    return this.#literal(this.#source[this.#at++]!);
  }

  #group(): Node {
    const look = /^\?(?:[=!]|<[=!])/.exec(this.#source.slice(this.#at));
    const name = /^\?(?::|<\w{1,99}>)/.exec(this.#source.slice(this.#at));
    this.#at += (look ?? name)?.[0].length ?? 0;
    const node = this.choice();
    if (!this.#eat(')')) throw new Error(`a group without end: ${this.#source}`);
    return look ? { kind: 'other', why: 'looks around' } : node;
  }

  #class(): string {
    const from = this.#at;
    for (this.#at++; this.#source[this.#at] !== ']'; this.#at++) if (this.#source[this.#at] === '\\') this.#at++;
    this.#at++;
    return this.#source.slice(from, this.#at);
  }

  #escape(): Node {
    const found = /^\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|p\{\w{1,40}\}|[\s\S])/.exec(this.#source.slice(this.#at))![0];
    this.#at += found.length;
    if (/^\\[bB]$/.test(found)) return { kind: 'assert' };
    if (/^\\[1-9k]$/.test(found)) return { kind: 'other', why: 'refers back' };
    return this.#set(found);
  }

  #literal(c: string): Node {
    return this.#set(/[/{}\]-]/.test(c) ? `\\${c}` : c);
  }

  /** What one character's worth of source matches, by asking the engine itself. */
  #set(source: string): Node {
    const one = new RegExp(`^(?:${source})$`, this.#flags.replace(/[gyd]/g, ''));
    return { kind: 'chars', chars: charsOf((c) => one.test(c), one.test('\u4e00') || one.test('\u0663')) };
  }
}

const nullable = (node: Node): boolean => {
  if (node.kind === 'chars') return false;
  if (node.kind === 'sequence') return node.nodes.every(nullable);
  if (node.kind === 'choice') return node.nodes.some(nullable);
  return node.kind === 'repeat' ? node.min === 0 || nullable(node.body) : true;
};

/** Every character that a match of the node may begin with. */
function first(node: Node): Chars {
  if (node.kind === 'chars') return node.chars;
  if (node.kind === 'choice') return node.nodes.map(first).reduce(union, NONE);
  if (node.kind === 'repeat') return first(node.body);
  if (node.kind !== 'sequence') return NONE;
  let chars = NONE;
  for (const part of node.nodes) {
    chars = union(chars, first(part));
    if (!nullable(part)) break;
  }
  return chars;
}

/** Every character that a match of the node may have anywhere. */
function all(node: Node): Chars {
  if (node.kind === 'chars') return node.chars;
  if (node.kind === 'repeat') return all(node.body);
  return node.kind === 'choice' || node.kind === 'sequence' ? node.nodes.map(all).reduce(union, NONE) : NONE;
}

const isLong = (node: Node): boolean => node.kind === 'repeat' && node.max > SMALL;
const hasLong = (node: Node): boolean =>
  isLong(node) ||
  (node.kind === 'repeat' && hasLong(node.body)) ||
  ((node.kind === 'sequence' || node.kind === 'choice') && node.nodes.some(hasLong));
const hasChoice = (node: Node): boolean =>
  (node.kind === 'choice' &&
    node.nodes.some((a, i) => node.nodes.slice(i + 1).some((b) => overlap(first(a), first(b))))) ||
  (node.kind === 'repeat' && hasChoice(node.body)) ||
  (node.kind === 'sequence' && node.nodes.some(hasChoice));
const isVariable = (node: Node): boolean =>
  (node.kind === 'repeat' && node.min !== node.max) ||
  (node.kind === 'repeat' && isVariable(node.body)) ||
  ((node.kind === 'sequence' || node.kind === 'choice') && node.nodes.some(isVariable));

function problemsOf(node: Node, problems: Set<string>): void {
  if (node.kind === 'other') problems.add(node.why);
  if (node.kind === 'repeat' && isLong(node)) {
    if (nullable(node.body)) problems.add('repeats what may be empty');
    if (hasChoice(node.body)) problems.add('repeats a choice between alternatives that begin alike');
    if (isVariable(node.body) && !isMarked(node.body)) problems.add('repeats a repetition');
  }
  if (node.kind === 'sequence') neighbours(node.nodes, problems);
  if (node.kind === 'repeat') problemsOf(node.body, problems);
  if (node.kind === 'sequence' || node.kind === 'choice') for (const inner of node.nodes) problemsOf(inner, problems);
}

/** Whether each turn of a repetition begins, or ends, with one character that nothing else in it can take: there is one way to take turns. */
function isMarked(body: Node): boolean {
  if (body.kind !== 'sequence' || body.nodes.length < 2) return false;
  const apart = (mark: Node, rest: Node[]) =>
    mark.kind === 'chars' && !overlap(mark.chars, rest.map(all).reduce(union, NONE));
  return apart(body.nodes[0]!, body.nodes.slice(1)) || apart(body.nodes.at(-1)!, body.nodes.slice(0, -1));
}

/** Two long repetitions that can share out the same text between them in many ways. */
function neighbours(nodes: Node[], problems: Set<string>): void {
  nodes.forEach((node, i) => {
    if (!hasLong(node)) return;
    const taken = all(node);
    for (const next of nodes.slice(i + 1)) {
      if (hasLong(next) && overlap(taken, all(next))) problems.add('two repetitions can take the same text');
      // Something that must stand between them, and that the first cannot take, ends the doubt.
      if (!nullable(next) && !overlap(taken, first(next))) break;
    }
  });
}

/** Where a match is tried at every place of the text, a long repetition in front is walked through again from each. */
function searchProblem(node: Node, flags: string): string | undefined {
  if (flags.includes('y')) return undefined;
  const branches = node.kind === 'choice' ? node.nodes : [node];
  const bad = branches.some((branch) => {
    const nodes = branch.kind === 'sequence' ? branch.nodes : [branch];
    if (nodes[0]?.kind === 'assert' && nodes[0].start) return false;
    // Alone it takes what it can and is done; with something behind it that can fail, it starts again one further.
    const at = nodes.findIndex(hasLong);
    if (at < 0) return false;
    const before = nodes.slice(0, at).filter((n) => n.kind === 'chars');
    const apart = before.some((n) => !overlap(first(n), all(nodes[at]!)));
    return at < nodes.length - 1 && !apart;
  });
  return bad ? 'is searched for from every place' : undefined;
}

/** @returns why the expression may take more than linear time; empty if it does not */
export function superlinear({ source, flags }: RegExp): string[] {
  const node = new Parser(source, flags).choice();
  const problems = new Set<string>();
  problemsOf(node, problems);
  const search = searchProblem(node, flags);
  return [...problems, ...(search ? [search] : [])];
}
