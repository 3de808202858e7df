import { valueOfSide } from '../judge/events.ts';
import type { MetricLook } from '../judge/metric-evidence.ts';

/** Half an hour of looks; older ones say little about what is served now. */
const MAX_POINTS = 1000;

/** A metric's value at each look, for a judge that compares series: percent of success, or P99 in milliseconds. */
export class Points {
  readonly canary: number[] = [];
  readonly control: number[] = [];

  /** A look that lacks a side is no point: the two series are compared moment by moment. */
  add(look: MetricLook): void {
    if ('skipped' in look) return;
    const [canary, control] = [valueOfSide(look.canary), valueOfSide(look.primary)];
    if (canary === undefined || control === undefined) return;
    push(this.canary, canary);
    push(this.control, control);
  }
}

function push(values: number[], value: number): void {
  values.push(value);
  if (values.length > MAX_POINTS) values.shift();
}
