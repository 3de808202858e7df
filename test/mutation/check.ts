/** The parts of Stryker's report that are looked at. */
export interface Report {
  files: Record<string, { source: string; mutants: Mutant[] }>;
}
interface Mutant {
  status: string;
  replacement?: string;
  location: { start: Position; end: Position };
}
/** Both from 1. */
interface Position {
  line: number;
  column: number;
}

/** A change of the code that changes nothing that could be seen. */
export interface Equivalent {
  file: string;
  /** A part of the line on which the change begins. */
  line: string;
  code: string;
  becomes: string;
  reason: string;
}

interface Survivor extends Omit<Equivalent, 'reason'> {
  at: number;
}

/** Changes that no test noticed. */
export function survivorsOf(report: Report): Survivor[] {
  return Object.entries(report.files).flatMap(([file, { source, mutants }]) =>
    mutants
      .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
      .map(({ location, replacement = '' }) => ({
        file,
        at: location.start.line,
        line: source.split('\n')[location.start.line - 1]!.trim(),
        code: oneLine(textAt(source, location)),
        becomes: oneLine(replacement),
      })),
  );
}

/** Compares what survived with what may: survivors without a reason, and reasons of which nothing survives any more. */
export function compare(report: Report, equivalents: Equivalent[]): { unknown: Survivor[]; stale: Equivalent[] } {
  const survivors = survivorsOf(report);
  const fits = (s: Survivor, e: Equivalent) =>
    s.file === e.file && s.line.includes(e.line) && s.code === oneLine(e.code) && s.becomes === oneLine(e.becomes);
  return {
    unknown: survivors.filter((s) => !equivalents.some((e) => fits(s, e))),
    stale: equivalents.filter((e) => e.file in report.files && !survivors.some((s) => fits(s, e))),
  };
}

function textAt(source: string, { start, end }: Mutant['location']): string {
  const lines = source.split('\n').slice(start.line - 1, end.line);
  // The end first: both may be on one line.
  lines.push(lines.pop()!.slice(0, end.column - 1));
  return [lines[0]!.slice(start.column - 1), ...lines.slice(1)].join('\n');
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
