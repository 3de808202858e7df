/** 7310 → 7,310. */
export const countText = (count: number): string => Math.round(count).toLocaleString('en-US');

/** Nobody can use more digits. */
const MAX_DIGITS = 2;

/** The confidence 1 − 1/E in percent, rounded down: 99.9 %, never 100 %. */
export function certaintyText(lnE: number): string {
  const risk = Math.exp(-Math.max(0, lnE));
  const digits = risk > 0.01 ? 0 : risk > 0.001 ? 1 : MAX_DIGITS;
  const step = 10 ** digits;
  const percent = Math.min(Math.floor(100 * (1 - risk) * step + 1e-9), 100 * step - 1) / step;
  return `${percent.toFixed(digits)} %`;
}
