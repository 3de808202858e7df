import type { Summary } from './simulate.ts';
import type { Scenario } from './traffic.ts';

export interface Row {
  scenario: Scenario;
  judge: string;
  summary: Summary;
}

const HEAD = [
  'requests/s',
  'weight',
  'stable errors',
  'canary',
  'judge',
  'rolled back',
  'median',
  '90 %',
  'exposed',
  'failed',
];

/** Markdown, so that it can be pasted into a document. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [HEAD, HEAD.map(() => '---'), ...rows.map(cellsOf)];
  const widths = HEAD.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells
    .map(
      (row) =>
        `| ${row.map((cell, i) => (cell === '---' ? '-'.repeat(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`,
    )
    .join('\n');
}

function cellsOf({ scenario, judge, summary }: Row): string[] {
  const { requestsPerSecond, weights, errors, factor } = scenario;
  return [
    String(requestsPerSecond),
    `${weights.join('→')} %`,
    percent(errors),
    factor === 1 ? 'the same' : `${factor} times`,
    judge,
    percent(summary.aborted),
    timeText(summary.medianMs),
    timeText(summary.p90Ms),
    String(summary.exposed),
    String(summary.failed),
  ];
}

/** Two digits below 10 %, so that 0.05 % is told from 0. */
const percent = (share: number): string => `${Number((100 * share).toPrecision(share < 0.1 ? 2 : 3))} %`;

export function timeText(ms: number | undefined): string {
  if (ms === undefined) return 'never';
  return ms < 60_000 ? `${Math.round(ms / 1000)} s` : `${(ms / 60_000).toFixed(1)} min`;
}
