import type { Outcome } from './simulate.ts';

/** One curve: the share of runs that were rolled back by a time. */
export interface Curve {
  judge: string;
  outcomes: readonly Outcome[];
}

export interface Panel {
  title: string;
  curves: readonly Curve[];
}

const [WIDTH, HEIGHT, GAP] = [300, 200, 56];
const COLUMNS = 3;
/** Told apart by most readers with a colour vision deficiency too (Okabe & Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
/** Ten seconds to an hour, on a logarithmic axis. */
const TICKS_MS = [10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000];

/** None where the next would touch it. */
const LABELS = ['10 s', '30 s', '1 min', '', '10 min', '', '60 min'];

/** An SVG of panels, each with a curve per judge. */
export function plotOf(panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const judges = panels[0]?.curves.map(({ judge }) => judge) ?? [];
  const size = [COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + 2 * GAP) + 24 * judges.length];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.join(' ')}" font-family="sans-serif" font-size="11">`,
    '<title>Share of runs that were rolled back by a time, for each judge</title>',
    '<rect width="100%" height="100%" fill="white"/>',
    ...panels.map((panel, i) =>
      panelOf(panel, GAP + (i % COLUMNS) * (WIDTH + GAP), GAP + Math.floor(i / COLUMNS) * (HEIGHT + 2 * GAP)),
    ),
    ...judges.map((judge, i) => legendOf(judge, i, rows * (HEIGHT + 2 * GAP) + 24 * i)),
    '</svg>',
    '',
  ].join('\n');
}

const xOf = (ms: number): number => {
  const [first, last] = [TICKS_MS[0]!, TICKS_MS.at(-1)!];
  return (WIDTH * Math.log(Math.max(ms, first) / first)) / Math.log(last / first);
};
const yOf = (share: number): number => HEIGHT * (1 - share);

function panelOf({ title, curves }: Panel, left: number, top: number): string {
  return [
    `<g transform="translate(${left} ${top})">`,
    `<text y="-12" font-size="13" font-weight="bold">${escaped(title)}</text>`,
    ...[0, 0.25, 0.5, 0.75, 1].map(
      (share) =>
        `<path d="M0 ${yOf(share)}H${WIDTH}" stroke="#ddd"/><text x="-6" y="${yOf(share) + 4}" text-anchor="end">${100 * share} %</text>`,
    ),
    ...TICKS_MS.map((ms, i) => {
      const x = xOf(ms).toFixed(1);
      return `<path d="M${x} 0V${HEIGHT}" stroke="#eee"/><text x="${x}" y="${HEIGHT + 16}" text-anchor="middle">${LABELS[i]}</text>`;
    }),
    ...curves.map(
      ({ outcomes }, i) => `<path d="${lineOf(outcomes)}" fill="none" stroke="${colourOf(i)}" stroke-width="2"/>`,
    ),
    `<text x="${WIDTH / 2}" y="${HEIGHT + 34}" text-anchor="middle">rolled back by then</text>`,
    '</g>',
  ].join('\n');
}

const colourOf = (i: number): string => COLOURS[i % COLOURS.length]!;

/** A curve of more points than can be seen is thinned. */
const MAX_POINTS = 100;

function lineOf(outcomes: readonly Outcome[]): string {
  const times = outcomes.flatMap(({ abortedMs }) => (abortedMs === undefined ? [] : [abortedMs])).sort((a, b) => a - b);
  const points = times.map((ms, i) => ({ ms, share: (i + 1) / outcomes.length }));
  const every = Math.ceil(points.length / MAX_POINTS);
  const kept = points.filter((p, i) => (i + 1) % every === 0 || i === points.length - 1 || p.ms !== points[i + 1]?.ms);
  const steps = kept.map(({ ms, share }) => `H${xOf(ms).toFixed(1)}V${yOf(share).toFixed(1)}`);
  return `M0 ${HEIGHT}${steps.join('')}H${WIDTH}`;
}

const legendOf = (judge: string, i: number, y: number): string =>
  `<path d="M${GAP} ${y}h24" stroke="${colourOf(i)}" stroke-width="3"/><text x="${GAP + 32}" y="${y + 4}" font-size="12">${escaped(judge)}</text>`;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
