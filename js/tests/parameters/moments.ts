/** Made-up moments and a model to go with them, for the tests of stages. */

import { generator } from "../../src/parameters/lod";
import type {
  Heat,
  Kind,
  Look,
  MatrixMeta,
  Moment,
  ParametersMeta,
} from "../../src/parameters/stage";

export function matrixOf(id: number, layer: number | null, kind: Kind, role = ""): MatrixMeta {
  const name = layer === null ? kind : `h.${layer}.${role}`;
  return {
    id,
    name,
    label: name,
    kind,
    role,
    layer,
    stack: layer === null ? "" : "h",
    shape: [8, 8],
    heat: [4, 4],
  };
}

export function metaOf(tokens: number, layers: number): ParametersMeta {
  const matrices = [matrixOf(0, null, "embedding")];
  for (let layer = 0; layer < layers; layer++) {
    matrices.push(matrixOf(matrices.length, layer, "attention", "qkv"));
    matrices.push(matrixOf(matrices.length, layer, "mlp", "up"));
  }
  return {
    version: 1,
    model: "Tiny",
    tokens: {
      key: "wte",
      count: tokens,
      vocabulary: 1000,
      width: 64,
      ids: Array.from({ length: tokens }, (_, i) => i),
      texts: Array.from({ length: tokens }, (_, i) => ` token${i}`),
      strata: Array.from({ length: tokens }, (_, i) => (i < 2 ? 0 : 1)),
      strata_names: ["special", "word"],
      tied: true,
    },
    positions: { key: "wpe", count: 16, total: 16, width: 64 },
    matrices,
    layers: Array.from({ length: layers }, (_, index) => ({
      index,
      stack: "h",
      label: `layer ${index}`,
    })),
    kinds: ["embedding", "attention", "mlp"],
    statistics: ["mean"],
    units: {},
    heat_of: "rms",
    absent: {},
  };
}

export function heatOf(values: readonly number[], scale = 0.01, offset = 0): Heat {
  const side = Math.sqrt(values.length);
  return { data: Uint8Array.from(values), rows: side, columns: side, scale, offset };
}

export function momentOf(meta: ParametersMeta, step: number): Moment {
  const random = generator(step + 1);
  const n = meta.tokens?.count ?? 0;
  const bytes = () => Uint8Array.from({ length: n }, () => random() * 255);
  const heat = new Map(
    meta.matrices.map(({ id }) => [id, heatOf(Array.from({ length: 16 }, () => random() * 255))]),
  );
  const m = meta.positions?.count ?? 0;
  return {
    step,
    tokens: Int16Array.from({ length: 3 * n }, () => (random() - 0.5) * 60_000),
    scale: 1e-4,
    norm: bytes(),
    moved: step === 0 ? null : bytes(),
    since: bytes(),
    frequency: bytes(),
    cluster: null,
    positions: Int16Array.from({ length: 3 * m }, () => (random() - 0.5) * 60_000),
    positionScale: 1e-4,
    ranges: { norm: [0, 2] },
    heat,
    stats: new Float32Array(meta.matrices.length * 10),
  };
}

export function lookOf(meta: ParametersMeta, more: Partial<Look> = {}): Look {
  return {
    colourBy: "norm",
    shared: true,
    visible: new Set(meta.matrices.map(({ id }) => id)),
    threshold: 0,
    showTokens: true,
    showPositions: true,
    trails: [],
    selected: null,
    ...more,
  };
}
