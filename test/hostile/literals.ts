/** A regular expression as it stands in a source. */
export interface Literal {
  line: number;
  expression: RegExp;
}

/** After these a slash begins an expression; after a value it divides. */
const BEFORE = /(?:^|[(,=:[!&|?{};+~>]|\b(?:return|typeof|case|of|in))\s*$/;
const LITERAL = /^\/((?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([a-z]*)/;

/**
 * Finds the regular expressions of a TypeScript source: strings, templates and comments are stepped over, expressions inside templates
 * are not. Throws for one that it cannot read, rather than leave it out.
 */
export function literalsOf(source: string): Literal[] {
  const found: Literal[] = [];
  /** Depth of braces in each template that is open, innermost last. */
  const templates: number[] = [];
  let code = '';
  let at = 0;
  const lineAt = (offset: number) => source.slice(0, offset).split('\n').length;
  const skipTo = (end: string, from: number) => {
    const found = source.indexOf(end, from);
    at = found < 0 ? source.length : found + end.length;
  };
  const text = (quote: string) => {
    for (at++; source[at] !== quote; at++) if (source[at] === '\\') at++;
    at++;
    code = '"';
  };
  /** From within a template to its end or to its next expression. */
  const template = () => {
    for (; source[at] !== '`'; at++) {
      if (source[at] === '\\') at++;
      else if (source.startsWith('${', at)) {
        at += 2;
        templates.push(0);
        code = '{';
        return;
      }
    }
    at++;
    code = '"';
  };
  while (at < source.length) {
    const c = source[at]!;
    if (source.startsWith('//', at)) skipTo('\n', at);
    else if (source.startsWith('/*', at)) skipTo('*/', at + 2);
    else if (c === "'" || c === '"') text(c);
    else if (c === '`') {
      at++;
      template();
    } else if (c === '}' && templates.at(-1) === 0) {
      templates.pop();
      at++;
      template();
    } else if (c === '/' && BEFORE.test(code)) {
      const literal = LITERAL.exec(source.slice(at));
      if (!literal) throw new Error(`line ${lineAt(at)}: an expression that cannot be read`);
      found.push({ line: lineAt(at), expression: new RegExp(literal[1]!, literal[2]) });
      at += literal[0].length;
      code = '"';
    } else {
      if (templates.length > 0 && c === '{') templates[templates.length - 1]!++;
      if (templates.length > 0 && c === '}') templates[templates.length - 1]!--;
      code = (code + c).slice(-20);
      at++;
    }
  }
  return found;
}
