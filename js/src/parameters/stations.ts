/** The way through a model: what comes before its layers, each layer, what comes after. Pure. */

import { statistic } from "./filters";
import type { ParametersMeta } from "./stage";

export interface Station {
  readonly name: string;
  /** For an axis. */
  readonly short: string;
  /** Rows of the meta's matrices. */
  readonly rows: readonly number[];
}

/** All stations in order. A model without layers goes module by module. */
export function stationsOf({ matrices, layers }: ParametersMeta): Station[] {
  const inside = matrices.findIndex(({ layer }) => layer !== null);
  if (inside < 0) return modules(matrices.map(({ name }) => name));
  const several = new Set(layers.map(({ stack }) => stack)).size > 1;
  const [first, last]: [number[], number[]] = [[], []];
  const within = new Map(layers.map((l) => [`${l.stack}:${l.index}`, [] as number[]]));
  for (const [row, { layer, stack, kind }] of matrices.entries()) {
    if (layer !== null) within.get(`${stack}:${layer}`)?.push(row);
    else if (row < inside || kind === "embedding" || kind === "position") first.push(row);
    else last.push(row);
  }
  const has = (rows: readonly number[], kind: string) =>
    rows.some((r) => matrices[r]!.kind === kind);
  const names = [
    has(first, "embedding") ? "embeddings" : "input",
    has(last, "head") ? "head" : "output",
  ];
  return [
    { name: names[0]!, short: "in", rows: first },
    ...layers.map(({ stack, index, label }) => {
      const name = several && !label.includes(stack) ? `${stack} ${label}` : label;
      const short = several ? `${stack[0]}${index}` : String(index);
      return { name, short, rows: within.get(`${stack}:${index}`)! };
    }),
    { name: names[1]!, short: "out", rows: last },
  ].filter(({ rows }) => rows.length > 0);
}

function modules(names: readonly string[]): Station[] {
  const found = new Map<string, number[]>();
  for (const [row, name] of names.entries()) {
    const module = name.replace(/\.[^.]*$/, "");
    found.set(module, [...(found.get(module) ?? []), row]);
  }
  return [...found].map(([name, rows], i) => ({ name, short: String(i + 1), rows }));
}

/** RMS of the gradient at each station, over all its weights that have one; NaN where none has. */
export function gradients(
  meta: ParametersMeta,
  stats: Float32Array,
  stations: readonly Station[],
): Float64Array {
  return Float64Array.from(stations, ({ rows }) => {
    let [squares, count] = [0, 0];
    for (const row of rows) {
      const grad = statistic(meta, stats, row, "grad_l2");
      if (Number.isNaN(grad)) continue;
      squares += grad ** 2;
      count += meta.matrices[row]!.shape.reduce((product, n) => product * n, 1);
    }
    return count > 0 ? Math.sqrt(squares / count) : Number.NaN;
  });
}

/** How far from the median a gradient has vanished, or exploded. */
export const FAR = 1000;

export interface Judged {
  readonly median: number;
  /** Stations by their index. */
  readonly vanishing: readonly number[];
  readonly exploding: readonly number[];
}

/** What is wrong with the gradients: far below the median of all, or far above; null if none is known. */
export function judge(rms: ArrayLike<number>): Judged | null {
  const known = Array.from(rms).filter((v) => !Number.isNaN(v));
  // A gradient that is cut off says nothing of how large the others should be.
  const sorted = known.filter((v) => v > 0).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const n = sorted.length;
  const median = n > 0 ? (sorted[(n - 1) >> 1]! + sorted[n >> 1]!) / 2 : 0;
  const which = (test: (v: number) => boolean) =>
    Array.from(rms).flatMap((v, i) => (test(v) ? [i] : []));
  return {
    median,
    vanishing: which((v) => v < median / FAR || v === 0),
    exploding: which((v) => v > median * FAR || v === Number.POSITIVE_INFINITY),
  };
}
