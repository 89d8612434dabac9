/**
 * What has become of the weights since the start: the reel `parameters/change`, unpacked as
 * playback comes by. Owns what its numbers mean; draws nothing.
 */

import type { Store } from "../store";
import type { Blob } from "./blob";
import { Unpacked } from "./reel";

export const CHANGE_KEY = "parameters/change";

/** What is known of the sampled units of a matrix, in the order of a row of `Change.units`. */
const COLUMNS = ["since", "sampled", "dead", "exploding", "largest", "unit"] as const;
export type UnitColumn = (typeof COLUMNS)[number];

export interface Similarity {
  /** Matrices, in the order of rows and columns. */
  readonly ids: readonly number[];
  /** (k, k), 0 to 1. */
  readonly values: Float32Array;
  /** What unrelated updates would show; NaN where unknown. */
  readonly chance: number;
}

export interface Change {
  readonly step: number;
  /** (matrices, 6), NaN where unknown. */
  readonly units: Float32Array;
  readonly similarity: Similarity | null;
  /** Matrices that have not moved, and so are like nothing. */
  readonly frozen: readonly number[];
  /** Matrices with NaN or infinities among their weights. */
  readonly broken: readonly number[];
  /** Step that everything is told against; NaN where unknown. */
  readonly start: number;
}

const numbers = (value: unknown): number[] =>
  Array.isArray(value) ? value.filter((v): v is number => typeof v === "number") : [];

export function changeOf({ step, parts, extra }: Blob): Change {
  const values = (name: string) => {
    const part = parts.get(name);
    return Float32Array.from(part?.stored ?? [], (v) => part!.offset + part!.scale * v);
  };
  const ids = numbers(extra.similarity);
  const similar = values("similarity");
  const square = ids.length > 0 && similar.length === ids.length ** 2;
  return {
    step,
    units: values("units"),
    similarity: square
      ? { ids, values: similar, chance: Number(extra.chance ?? Number.NaN) }
      : null,
    frozen: numbers(extra.frozen),
    broken: numbers(extra.broken),
    start: Number(extra.start ?? Number.NaN),
  };
}

/** A number of the matrix in `row` of the meta, NaN where unknown. */
export function unit(change: Change | null, row: number, column: UnitColumn): number {
  return change?.units[row * COLUMNS.length + COLUMNS.indexOf(column)] ?? Number.NaN;
}

/** Bytes of it that are unpacked: a film of it is small beside that of the snapshots. */
const BYTES = 2 ** 22;

export class Changes {
  readonly #reel: Unpacked<Change>;
  #shown: Change | null = null;

  constructor(store: Store, changed: () => void) {
    this.#reel = new Unpacked(store, { key: CHANGE_KEY, make: changeOf }, changed, BYTES);
  }

  /** Whether there is any here. */
  get some(): boolean {
    return this.#reel.steps.length > 0;
  }

  /** The newest that is no newer than `step`; while it is being unpacked, what was shown last. */
  at(step: number): Change | null {
    const found = this.#reel.steps.filter((s) => s <= step).at(-1);
    if (found === undefined) this.#shown = null;
    else {
      const ready = this.#reel.get(found);
      if (ready) this.#shown = ready;
      else this.#reel.want([found]);
      if (this.#reel.trouble(found)) this.#shown = null;
    }
    return this.#shown;
  }

  /** Another model. */
  reset(): void {
    this.#shown = null;
  }
}
