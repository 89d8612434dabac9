/**
 * A made-up model as the Parameters tab sees it: clusters of token embeddings that organise
 * themselves while it trains, and six layers of weights that take shape. Knows no message.
 */

import {
  type Kind,
  type MatrixMeta,
  type ParametersMeta,
  STATISTICS,
} from "../src/parameters/stage";
import { type Given, packBlob } from "./blob";
import { changeBlob, clustersText } from "./change";
import type { Options } from "./options";
import { noise, normal } from "./random";
import { GROUP_NAMES, words } from "./words";

export interface Taken {
  step: number;
  reason: string;
}

const LAYERS = 6;
const SIDE = 32;
const POSITIONS = 64;
/** Coordinates reach so far; int16 keeps them. */
const REACH = 3;
const VIEW_SCALE = REACH / 32_767;
const HEAT_TOP = 0.16;
const PARTS: [name: string, label: string, kind: Kind, role: string, shape: number[]][] = [
  ["ln_1.weight", "ln_1", "norm", "before attention", [768]],
  ["attn.c_attn.weight", "attn.c_attn", "attention", "qkv", [768, 2304]],
  ["attn.c_proj.weight", "attn.c_proj", "attention", "o", [768, 768]],
  ["ln_2.weight", "ln_2", "norm", "before mlp", [768]],
  ["mlp.c_fc.weight", "mlp.c_fc", "mlp", "up", [768, 3072]],
  ["mlp.c_proj.weight", "mlp.c_proj", "mlp", "down", [3072, 768]],
];

const WORDS = words();

/** When snapshots are taken: dense first, at evaluations, checkpoints and the end. */
export function taken(o: Options): Taken[] {
  const out: Taken[] = [];
  const evaluate = Math.max(1, Math.round(o.total / 12));
  const [dense, half] = [Math.round(o.total * 0.08), Math.round(o.total * 0.5)];
  const sparse = Math.max(1, Math.round(o.total / 90));
  for (let step = 0; step <= o.total; step++) {
    const reason =
      step === 0
        ? "begin"
        : step === o.total
          ? "end"
          : step === half
            ? "checkpoint"
            : step % evaluate === 0
              ? "evaluation"
              : step < dense || step % sparse === 0
                ? "cadence"
                : "";
    if (reason) out.push({ step, reason });
  }
  return out;
}

function matrices(): MatrixMeta[] {
  const out: MatrixMeta[] = [];
  const add = (
    name: string,
    label: string,
    kind: Kind,
    role: string,
    layer: number | null,
    shape: number[],
  ) => {
    const heat: [number, number] | null = shape.length > 1 ? [SIDE, SIDE] : null;
    out.push({ id: out.length, name, label, kind, role, layer, stack: "h", shape, heat });
  };
  add("transformer.wte.weight", "wte", "embedding", "token", null, [50_257, 768]);
  add("transformer.wpe.weight", "wpe", "position", "position", null, [1024, 768]);
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const [name, label, kind, role, shape] of PARTS) {
      add(`transformer.h.${layer}.${name}`, `h.${layer} ${label}`, kind, role, layer, shape);
    }
  }
  add("transformer.ln_f.weight", "ln_f", "norm", "last", null, [768]);
  return out;
}

const MATRICES = matrices();

/** The JSON of `parameters/meta`. */
export function parametersMeta(): ParametersMeta {
  return {
    version: 1,
    model: "GPT2LMHeadModel",
    tokens: {
      key: "transformer.wte.weight",
      count: WORDS.length,
      vocabulary: 50_257,
      width: 768,
      ids: WORDS.map((_, i) => (i === 0 ? 50_256 : 13 + i * 37)),
      texts: WORDS.map(({ text }) => text),
      strata: WORDS.map(({ stratum }) => stratum),
      strata_names: ["special", "digit", "punctuation", "word", "continuation", "other"],
      tied: true,
    },
    positions: { key: "transformer.wpe.weight", count: POSITIONS, total: 1024, width: 768 },
    matrices: MATRICES,
    layers: Array.from({ length: LAYERS }, (_, index) => ({
      index,
      stack: "h",
      label: `layer ${index}`,
    })),
    kinds: [
      "embedding",
      "position",
      "attention",
      "mlp",
      "norm",
      "head",
      "lora",
      "expert",
      "convolution",
      "other",
    ],
    statistics: [...STATISTICS],
    units: {
      mean: "mean of all entries",
      std: "standard deviation of all entries",
      min: "least entry",
      max: "greatest entry",
      l2: "Euclidean norm ‖W‖",
      sparsity: "share of entries below 1e-6 in size",
      grad_l2: "Euclidean norm of the gradient",
      grad_max: "greatest entry of the gradient, by size",
      change_l2: "Euclidean norm of the change since the snapshot before",
      change_max: "greatest change of an entry since the snapshot before",
    },
    heat_of: "rms",
    absent: { head: "tied to transformer.wte.weight" },
  };
}

/** How far the group of a token has come together by `part` of the run, 0 to 1. */
function order(group: number, part: number): number {
  const start = 0.03 + 0.05 * (group % 6);
  const x = (part - start) / 0.34;
  return x <= 0 ? 0 : 1 - Math.exp(-2.2 * x);
}

/** Coordinates of all tokens at `part` of the run. */
function view(part: number): Float64Array {
  const out = new Float64Array(WORDS.length * 3);
  const turn = 0.9 * part;
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  for (const [i, { group, stratum }] of WORDS.entries()) {
    const come = order(group, part);
    const along = (group + 0.5) / GROUP_NAMES.length;
    const angle = group * 2.399963;
    const flat = Math.sqrt(1 - (1 - 2 * along) ** 2);
    const centre = [Math.cos(angle) * flat, 1 - 2 * along, Math.sin(angle) * flat];
    const tight = stratum === 4 ? 0.3 : 0.17;
    const p = centre.map((middle, d) => {
      const ball = 0.42 * normal(500 + d, i);
      const own = 1.45 * middle + tight * normal(510 + d, i) * (group === 9 ? 1.8 : 1);
      return ball + (own - ball) * come + 0.012 * normal(520 + d, i * 991 + Math.round(part * 400));
    });
    out.set([c * p[0]! + s * p[2]!, p[1]!, c * p[2]! - s * p[0]!], 3 * i);
  }
  return out;
}

const shorts = (values: Float64Array) => Int16Array.from(values, (v) => Math.round(v / VIEW_SCALE));
const bytes = (values: ArrayLike<number>, top: number) =>
  Uint8Array.from(values, (v) => Math.max(0, Math.min(255, Math.round((255 * v) / top))));

/** The picture of a matrix: noise that takes shape, stronger in later layers. */
function heat({ id, layer, role }: MatrixMeta, part: number): Uint8Array {
  const out = new Float64Array(SIDE * SIDE);
  const depth = layer ?? 2;
  const come = 1 - Math.exp(-4 * part * (0.5 + depth / LAYERS));
  for (let r = 0; r < SIDE; r++) {
    const hot = noise(600 + id, r) > 0.86 ? 0.07 : 0;
    for (let c = 0; c < SIDE; c++) {
      const column = noise(630 + id, c) > 0.9 ? 0.05 : 0;
      const heads = role === "qkv" ? 0.03 * (1 + Math.sin((c >> 2) * 1.9 + depth)) : 0;
      const band = role === "o" ? 0.06 * Math.exp(-(((r - c) / 3) ** 2)) : 0;
      const wave =
        role === "up" || role === "down" ? 0.02 * (1 + Math.sin(r / 2.6 + c / 5 + id)) : 0;
      const shape = hot + column + heads + band + wave;
      out[r * SIDE + c] = 0.02 + 0.006 * normal(660 + id, r * SIDE + c) + come * shape;
    }
  }
  return bytes(out, HEAT_TOP);
}

function statistics(part: number, before: number | null, faulty: boolean): Float32Array {
  const out = new Float32Array(MATRICES.length * STATISTICS.length).fill(Number.NaN);
  for (const [row, { id, layer, shape, kind }] of MATRICES.entries()) {
    const size = Math.sqrt(shape.reduce((product, n) => product * n, 1));
    const depth = ((layer ?? 3) + 1) / LAYERS;
    const std = kind === "norm" ? 0.08 + 0.1 * part : 0.02 + 0.015 * part * depth;
    const mean = kind === "norm" ? 1 : 1e-4 * normal(700, id);
    const l2 = size * Math.hypot(std, mean);
    const rate =
      0.05 * Math.exp(-3.5 * part) * (0.4 + depth) * (0.8 + 0.4 * noise(701 + id, part * 500));
    const change = before === null ? Number.NaN : l2 * rate * Math.sqrt((part - before) * 60);
    const grad =
      0.6 * Math.exp(-2 * part) * (1.4 - depth) * (0.8 + 0.4 * noise(720 + id, part * 500));
    // Of a faulty model, little comes through to its first layers.
    const lost = faulty && (layer ?? (id < 2 ? 0 : 5)) < 2 ? 2e-4 * (1 - part) : 1;
    const own = [mean, std, mean - 4.6 * std, mean + 4.6 * std, l2, kind === "norm" ? 0 : 0.0004];
    const far = (0.4 + depth) * lost;
    out.set([...own, grad * far, (grad * far) / 60, change, change / 200], row * STATISTICS.length);
  }
  return out;
}

/** The blob of a snapshot and what its message says of it. */
export function snapshot(o: Options, index: number, all: readonly Taken[]) {
  const { step, reason } = all[index] as Taken;
  const before = all[index - 1];
  const part = step / o.total;
  const now = view(part);
  const n = WORDS.length;
  const place = (i: number) => [now[3 * i]!, now[3 * i + 1]!, now[3 * i + 2]!] as const;
  const norms = WORDS.map((_, i) => 1.2 + Math.hypot(...place(i)) + 0.2 * noise(540, i));
  const parts: Record<string, Given> = {
    "tokens/view": { values: shorts(now), shape: [n, 3], scale: VIEW_SCALE },
    "tokens/norm": { values: bytes(norms, 4.5), shape: [n], scale: 4.5 / 255 },
    "tokens/frequency": {
      values: bytes(
        WORDS.map(({ group }, i) => (group === 9 ? 0.8 : 0.35) * noise(550, i)),
        1,
      ),
      shape: [n],
      scale: 1 / 255,
    },
  };
  if (before) {
    const old = view(before.step / o.total);
    const moved = WORDS.map((_, i) => {
      const [x, y, z] = place(i);
      return Math.hypot(x - old[3 * i]!, y - old[3 * i + 1]!, z - old[3 * i + 2]!);
    });
    const top = Math.max(...moved);
    parts["tokens/moved"] = { values: bytes(moved, top), shape: [n], scale: top / 255 };
  }
  const first = view(0);
  const since = WORDS.map((_, i) => Math.hypot(...place(i).map((v, d) => v - first[3 * i + d]!)));
  parts["tokens/since"] = { values: bytes(since, 2.5), shape: [n], scale: 2.5 / 255 };
  const ring = new Float64Array(POSITIONS * 3);
  for (let i = 0; i < POSITIONS; i++) {
    const [come, angle] = [1 - Math.exp(-5 * part), (2 * Math.PI * i) / POSITIONS];
    const own = [Math.cos(angle), 0.3 * Math.sin(3 * angle), Math.sin(angle)];
    for (let d = 0; d < 3; d++) {
      ring[3 * i + d] = come * 1.1 * own[d]! + (1 - come) * 0.3 * normal(560 + d, i);
    }
  }
  parts["positions/view"] = { values: shorts(ring), shape: [POSITIONS, 3], scale: VIEW_SCALE };
  for (const matrix of MATRICES) {
    if (!matrix.heat) continue;
    const values = heat(matrix, part);
    parts[`heat/${matrix.id}`] = { values, shape: [SIDE, SIDE], scale: HEAT_TOP / 255 };
  }
  parts.stats = {
    values: statistics(part, before ? before.step / o.total : null, o.faulty),
    shape: [MATRICES.length, STATISTICS.length],
  };
  const explained = [0.06 + 0.3 * part, 0.05 + 0.16 * part, 0.04 + 0.09 * part];
  const meta = { reel: true, index, blob: 1, reason, explained, basis: "live" };
  const change = changeBlob(step, part, MATRICES, o.faulty);
  return { step, meta, bytes: packBlob(step, parts), change };
}

type Put = (key: string, step: number, meta: Record<string, unknown>, bytes: Uint8Array) => void;
const FULL = 256;

/** Answer a page's question as a kernel would: a matrix in full, or one basis for all snapshots. */
export function answer(o: Options, step: number, id: string, key: string, put: Put): void {
  const say = (state: string, note: string) =>
    put("parameters/answer", step, { id, key, state, note }, new Uint8Array(0));
  const matrix = MATRICES[Number(/^parameters\/matrix\/(\d+)$/.exec(key)?.[1] ?? Number.NaN)];
  if (matrix?.heat) {
    say("waiting", "to be read at the next step");
    const rough = heat(matrix, step / o.total);
    const values = Int16Array.from({ length: FULL * FULL }, (_, i) => {
      const [r, c] = [Math.floor(i / FULL), i % FULL];
      const size = rough[Math.floor(r / 8) * SIDE + Math.floor(c / 8)]!;
      return Math.round(60 * size * normal(760 + matrix.id, i));
    });
    const bytes = packBlob(step, {
      cells: { values, shape: [FULL, FULL], scale: HEAT_TOP / 15_300 },
    });
    const note = "a part of it: the replay has no more";
    const meta = { id, matrix: matrix.id, step, shape: matrix.shape, of: "value", note };
    setTimeout(() => put("parameters/matrix", step, meta, bytes), 600);
  } else if (key === "parameters/view") {
    say("waiting", "the snapshots are being projected");
    const steps = taken(o).filter((t) => t.step <= step);
    const parts = Object.fromEntries(
      steps.map((t) => [
        `view/${t.step}`,
        { values: shorts(view(t.step / o.total)), shape: [WORDS.length, 3], scale: VIEW_SCALE },
      ]),
    );
    const last = steps[steps.length - 1]?.step ?? 0;
    const meta = {
      chunk: 0,
      chunks: 1,
      basis_step: last,
      explained: [0.36, 0.2, 0.13],
      estimate: true,
    };
    setTimeout(() => {
      put("parameters/view/0", last, meta, packBlob(last, parts));
      const groups = WORDS.map(({ group }) => group);
      put("parameters/clusters", last, {}, clustersText(last, groups));
      say("done", "");
    }, 600);
  } else say("refused", `there is no '${key}' to ask for`);
}
