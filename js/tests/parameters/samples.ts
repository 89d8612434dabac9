/** A small model's meta and snapshots, as bytes that are as Python makes them. */

import { deflateSync } from "node:zlib";
import { type ParametersMeta, STATISTICS } from "../../src/parameters/stage";
import type { FakeLive } from "../live";

type Values = Uint8Array | Int8Array | Int16Array | Float32Array;

interface Given {
  values: Values;
  shape?: number[];
  scale?: number;
  offset?: number;
}

export function meta(layers = 6, rest: Partial<ParametersMeta> = {}): ParametersMeta {
  const matrix = (id: number, name: string, kind: string, layer: number | null) => ({
    id,
    name,
    label: name,
    kind: kind as never,
    role: "",
    layer,
    stack: "h",
    shape: [8, 8],
    heat: kind === "norm" ? null : ([2, 2] as [number, number]),
  });
  const own = Array.from({ length: layers }, (_, i) => [
    matrix(3 * i + 1, `h.${i} attn`, "attention", i),
    matrix(3 * i + 2, `h.${i} mlp`, "mlp", i),
    matrix(3 * i + 3, `h.${i} ln`, "norm", i),
  ]).flat();
  return {
    version: 1,
    model: "Tiny",
    tokens: {
      key: "wte",
      count: 4,
      vocabulary: 9,
      width: 8,
      ids: [0, 3, 5, 8],
      texts: ["<s>", "cat", "dog", "7"],
      strata: [0, 3, 3, 1],
      strata_names: ["special", "digit", "punctuation", "word", "continuation", "other"],
      tied: false,
    },
    positions: null,
    matrices: [matrix(0, "wte", "embedding", null), ...own],
    layers: Array.from({ length: layers }, (_, index) => ({
      index,
      stack: "h",
      label: `layer ${index}`,
    })),
    kinds: ["embedding", "position", "attention", "mlp", "norm", "head"],
    statistics: [...STATISTICS],
    units: {},
    heat_of: "rms",
    absent: {},
    ...rest,
  };
}

/** Statistics of `m`: l2 is 10, change is what `change` says of each matrix. */
export function stats(
  m: ParametersMeta,
  change: (id: number) => number,
): Float32Array<ArrayBuffer> {
  const width = m.statistics.length;
  const out = new Float32Array(m.matrices.length * width).fill(Number.NaN);
  for (const [row, { id }] of m.matrices.entries()) {
    out[row * width + 4] = 10;
    out[row * width + 8] = change(id);
  }
  return out;
}

/** A blob without differences to another. */
export function blob(
  step: number,
  parts: Record<string, Given>,
  extra: object = {},
): Uint8Array<ArrayBuffer> {
  const specs = Object.entries(parts).map(([name, { values, shape, scale = 1, offset = 0 }]) => {
    const dtype = values.constructor.name.replace("Array", "").toLowerCase();
    const size = shape ?? [values.length];
    return { name, dtype, shape: size, scale, offset, delta: false, shuffle: false };
  });
  const head = JSON.stringify({ v: 1, step, base: null, parts: specs, ...extra });
  const text = Buffer.from(head.padEnd(Math.ceil(Buffer.byteLength(head) / 8) * 8));
  const body = deflateSync(
    Buffer.concat(
      Object.values(parts).map(({ values }) => Buffer.from(values.buffer as ArrayBuffer)),
    ),
  );
  const long = Buffer.alloc(4);
  long.writeUInt32LE(text.length);
  return Uint8Array.from(Buffer.concat([Buffer.from("NBP1"), long, text, body]));
}

/** Give `live` the meta and snapshots at `steps`. */
export function feed(live: FakeLive, steps: readonly number[], m = meta()): void {
  live.put("parameters/meta", {}, Uint8Array.from(Buffer.from(JSON.stringify(m))));
  for (const [index, step] of steps.entries()) snapshot(live, step, index, m);
}

export function snapshot(live: FakeLive, step: number, index: number, m = meta()): void {
  const view = Int16Array.from({ length: 12 }, (_, i) => i * 100 + step);
  const data = blob(step, {
    "tokens/view": { values: view, shape: [4, 3], scale: 0.01 },
    "tokens/norm": { values: Uint8Array.of(0, 85, 170, 255), scale: 0.01, offset: 1 },
    "tokens/since": { values: Uint8Array.of(0, 1, 2, 255), scale: 0.002 },
    "heat/1": { values: Uint8Array.of(0, 1, 2, 3), shape: [2, 2], scale: 0.01 },
    stats: { values: stats(m, (id) => id + step / 1000), shape: [m.matrices.length, 10] },
  });
  const reason = index % 4 === 3 ? "evaluation" : "cadence";
  const about = { reel: true, index, blob: 1, reason, explained: [0.4, 0.2, 0.1], basis: "live" };
  live.put("parameters/snapshot", about, data, [data.length], step);
}

/** What has become of the units by a step: `units` says six numbers of each matrix. */
export function change(
  live: FakeLive,
  step: number,
  units: (id: number) => number[],
  similar: readonly number[] = [],
  m = meta(),
  start = 0,
): void {
  const k = similar.length;
  const values = Float32Array.from(m.matrices.flatMap(({ id }) => units(id)));
  const cka = Uint8Array.from({ length: k * k }, (_, i) =>
    i % (k + 1) === 0 ? 255 : 51 * ((i % k) + Math.floor(i / k)),
  );
  const data = blob(
    step,
    {
      units: { values, shape: [m.matrices.length, 6] },
      ...(k > 0 ? { similarity: { values: cka, shape: [k, k], scale: 1 / 255 } } : {}),
    },
    { similarity: similar, frozen: [9], start },
  );
  live.put("parameters/change", { reel: true }, data, [data.length], step);
}
