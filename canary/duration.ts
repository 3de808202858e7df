/** Lengths of the units of Go's `time.ParseDuration` that make sense here, in milliseconds. */
const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PART = /(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)/y;

/**
 * A duration as Go writes it, such as `90s`, `1m30s` or `500ms`, in whole milliseconds.
 * @returns undefined for anything else: signs, white space, missing or unknown units, units out of order or twice.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '' || text.length > 64) return undefined;
  let total = 0;
  let lastUnitMs = Number.POSITIVE_INFINITY;
  PART.lastIndex = 0;
  for (let at = 0; at < text.length; at = PART.lastIndex) {
    PART.lastIndex = at;
    const [, number, unit] = PART.exec(text) ?? [];
    const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
    if (unitMs === undefined || unitMs >= lastUnitMs) return undefined;
    total += Number(number) * unitMs;
    lastUnitMs = unitMs;
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

/** The shortest form that `parseDuration` reads back: 90000 → `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const [unit, unitMs] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const) {
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text;
}
