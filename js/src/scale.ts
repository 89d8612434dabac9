/**
 * Ticks and extents. Pure arithmetic: knows neither canvas nor series.
 */

export type Extent = readonly [number, number];

/** The smallest and the largest finite value, or null if there is none. */
export function extentOf(values: ArrayLike<number>): Extent | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (!Number.isFinite(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return low <= high ? [low, high] : null;
}

/** The extent that holds both; null stands for "nothing". */
export function union(a: Extent | null, b: Extent | null): Extent | null {
  if (!a || !b) return a ?? b;
  return [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
}

/** A round step (1, 2 or 5 × 10^k) that cuts `span` into about `count` parts. */
export function niceStep(span: number, count: number): number {
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const rest = raw / power;
  return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

/** Round numbers within [low, high], about `count` of them; never a rounding artefact. */
export function ticks(low: number, high: number, count: number): number[] {
  if (!(high > low)) return Number.isFinite(low) ? [low] : [];
  const step = niceStep(high - low, count);
  const out: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    out.push(Number((k * step).toPrecision(12)));
  }
  return out;
}

/** `ticks` for steps: whole numbers only. */
export function stepTicks(low: number, high: number, count: number): number[] {
  return ticks(low, high, Math.min(count, Math.max(1, high - low))).filter(Number.isInteger);
}

/** Ticks of a logarithmic axis: decades, with 2 and 5 when few; linear ones within a decade. */
export function logTicks(low: number, high: number, count: number): number[] {
  if (!(low > 0) || !(high > low)) return [];
  const decades = Math.log10(high / low);
  if (decades < 1) return ticks(low, high, count);
  const factors = decades < count / 2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / count));
  const out: number[] = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
    if (factors.length === 1 && k % every !== 0) continue;
    for (const f of factors) {
      const v = Number((f * 10 ** k).toPrecision(12));
      if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) out.push(v);
    }
  }
  return out;
}

/** `extent` with air around it; a flat line gets a range that shows it in the middle. */
export function padded(extent: Extent, log: boolean, part = 0.06): Extent {
  let [low, high] = extent;
  if (log) {
    if (high / low < 1 + 1e-6) return [low / 1.5, high * 1.5];
    const air = (high / low) ** part;
    return [low / air, high * air];
  }
  // Nothing but zeros, of something that is mostly a count, a share or a norm.
  if (low === 0 && high === 0) return [0, 1];
  if (high - low < 1e-9 * Math.max(Math.abs(high), 1e-30)) {
    const air = Math.abs(high) * 0.1 || 1;
    return [low - air, high + air];
  }
  const air = (high - low) * part;
  // A quantity that never goes below zero keeps zero as its floor.
  low = low >= 0 && low - air < 0 ? 0 : low - air;
  high = high <= 0 && high + air > 0 ? 0 : high + air;
  return [low, high];
}

/** Limit `value` to [low, high]. */
export function clamp(value: number, low: number, high: number): number {
  return value < low ? low : Math.min(value, high);
}

/** A view of x moved by `by` spans and scaled by `factor` about its middle, within `whole`. */
export function moved(view: Extent, whole: Extent, by: number, factor: number): Extent {
  const span = Math.max((view[1] - view[0]) * factor, 1);
  if (span >= whole[1] - whole[0]) return whole;
  const middle = (view[0] + view[1]) / 2 + by * (view[1] - view[0]);
  const low = clamp(middle - span / 2, whole[0], whole[1] - span);
  return [low, low + span];
}

/**
 * The span, in rows, of the smoothing that suits a view of `rows` rows: a power of two,
 * so that it changes rarely while one zooms.
 */
export function smoothingSpan(rows: number): number {
  return 2 ** clamp(Math.round(Math.log2(Math.max(1, rows) / 24)), 2, 20);
}

/**
 * Exponential moving average without the bias of its start; `weight` is the number of
 * rows that each point stands for. A non-finite value is passed by: it becomes NaN there and
 * leaves the average as it was.
 */
export function smoothed(values: ArrayLike<number>, span: number, weight = 1): Float64Array {
  const keep = (1 - 2 / (span + 1)) ** Math.max(weight, 1e-9);
  const out = new Float64Array(values.length);
  let sum = 0;
  let mass = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (!Number.isFinite(v)) {
      out[i] = Number.NaN;
      continue;
    }
    sum = sum * keep + v * (1 - keep);
    mass = mass * keep + (1 - keep);
    out[i] = sum / mass;
  }
  return out;
}
