/** What has become of the made-up model's weights since its start: units, and likeness of updates. */

import type { MatrixMeta } from "../src/parameters/stage";
import { type Given, packBlob } from "./blob";
import { noise } from "./random";

const SAMPLED = 64;
/** Numbers of a matrix: since, sampled, dead, exploding, largest, unit. */
const WIDTH = 6;

/** Relative change of a matrix by `part` of the run: more in late layers, little in norms. */
function since({ id, kind, layer }: MatrixMeta, part: number): number {
  const depth = ((layer ?? 3) + 1) / 6;
  const most = kind === "norm" ? 0.05 : kind === "embedding" ? 0.3 : 0.25 + 0.5 * depth ** 2;
  return most * (0.75 + 0.5 * noise(800, id)) * (1 - Math.exp(-4 * part));
}

function units(matrices: readonly MatrixMeta[], part: number, faulty: boolean): Float32Array {
  const out = new Float32Array(matrices.length * WIDTH).fill(Number.NaN);
  for (const [row, matrix] of matrices.entries()) {
    if (matrix.shape.length < 2) continue;
    const dead =
      faulty && matrix.role === "up" && part > 0.15 ? Math.round(9 * noise(801, row)) : 0;
    const exploding = faulty && matrix.role === "o" && matrix.layer === 4 && part > 0.4 ? 1 : 0;
    const largest = exploding ? 14 + 40 * part : 1.4 + noise(802, row);
    out.set([since(matrix, part), SAMPLED, dead, exploding, largest, 1204], row * WIDTH);
  }
  return out;
}

/** Likeness: layers near each other, and those of one use, come to look at the same directions. */
function likeness(some: readonly MatrixMeta[], part: number): Uint8Array {
  const k = some.length;
  return Uint8Array.from({ length: k * k }, (_, i) => {
    const [a, b] = [some[Math.floor(i / k)]!, some[i % k]!];
    if (a === b) return 255;
    const far = Math.abs((a.layer ?? 0) - (b.layer ?? 0));
    const same = a.role === b.role ? 0.75 : 0.45;
    const own = 0.08 * noise(803, Math.min(a.id, b.id) * 97 + Math.max(a.id, b.id));
    return Math.round(255 * (0.06 + own + (1 - Math.exp(-5 * part)) * same * Math.exp(-far / 2.2)));
  });
}

/** What the tensor `parameters/clusters` holds: of the made-up tokens, the groups they were made in. */
export function clustersText(step: number, groups: readonly number[]): Uint8Array {
  const label = (group: number) => group % 8;
  const clusters = Array.from({ length: 8 }, (_, c) => {
    const tokens = groups.flatMap((group, i) => (label(group) === c ? [i] : []));
    return { label: c, size: tokens.length, tokens: tokens.slice(3, 8) };
  });
  const method = "k-means (scikit-learn) of the token embedding's 32-dimensional sketch";
  const said = { step, method, labels: groups.map(label), clusters, absent: "" };
  return new TextEncoder().encode(JSON.stringify(said));
}

/** The blob of `parameters/change` at a step. */
export function changeBlob(
  step: number,
  part: number,
  matrices: readonly MatrixMeta[],
  faulty: boolean,
): Uint8Array<ArrayBuffer> {
  const read = matrices.filter(({ role }) => role === "qkv" || role === "up");
  const moved = step === 0 ? [] : read.filter((m) => !(faulty && m.layer === 1));
  const frozen = read.filter((m) => !moved.includes(m)).map(({ id }) => id);
  const k = moved.length;
  const parts: Record<string, Given> = {
    units: { values: units(matrices, part, faulty), shape: [matrices.length, WIDTH] },
  };
  if (k > 0) parts.similarity = { values: likeness(moved, part), shape: [k, k], scale: 1 / 255 };
  const similarity = moved.map(({ id }) => id);
  return packBlob(step, parts, { start: 0, similarity, frozen, chance: 0.06, threshold: 1e-6 });
}
