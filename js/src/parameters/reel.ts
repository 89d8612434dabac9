/**
 * Snapshots of the parameters, unpacked as they are wanted: the store keeps them as they came,
 * this keeps the last few that were looked at. Knows blobs and what their parts mean; draws nothing.
 */

import type { Reel } from "../reels";
import type { Store } from "../store";
import type { Tensor } from "../tensor";
import { type Blob, baseOf, decodeBlob, type Part } from "./blob";
import type { Heat, Moment } from "./stage";

export const SNAPSHOT_KEY = "parameters/snapshot";

/** Bytes of unpacked snapshots; with what the store keeps of them, 96 MB. */
const UNPACKED_BYTES = 32 * 2 ** 20;

/** A snapshot, unpacked, with what is told of it. */
export interface Frame extends Moment {
  reason: string;
  /** How many snapshots were taken before it, also those that are not here. */
  index: number;
  /** Share of the variance that each axis shows; [] where unknown. */
  explained: readonly number[];
  /** Step whose axes the coordinates are in; null for those of the snapshot itself. */
  basis: number | null;
  /** Whether it was made coarser to fit into a small file. */
  coarse: boolean;
}

interface Cached<F> {
  tensor: Tensor;
  blob: Blob;
  frame: F;
}

/** A reel of blobs: its key, and what a blob of it means. */
export interface Kept<F> {
  readonly key: string;
  readonly make: (blob: Blob, meta: Readonly<Record<string, unknown>>) => F;
}

type Column = "norm" | "moved" | "since" | "frequency";

const bytesOf = (part: Part | undefined) =>
  part?.stored instanceof Uint8Array ? part.stored : null;
const shortsOf = (part: Part | undefined) =>
  part?.stored instanceof Int16Array ? part.stored : null;

/**
 * A column of bytes that use 0 to 255, however few bits a small file has left of them: stages and
 * legends take 255 for the top.
 */
function spreadOut(part: Part): Part {
  let most = 1;
  for (const v of part.stored) if (v > most) most = v;
  const factor = Math.floor(255 / (2 ** Math.ceil(Math.log2(most + 1)) - 1));
  if (factor < 2) return part;
  return {
    ...part,
    stored: Uint8Array.from(part.stored, (v) => v * factor),
    scale: part.scale / factor,
  };
}

/** What the parts of a snapshot mean. */
export function frameOf(blob: Blob, meta: Readonly<Record<string, unknown>> = {}): Frame {
  const { parts, extra } = blob;
  const coarse = extra.condensed === true;
  const columns: Partial<Record<Column, Uint8Array | null>> = {};
  const view = parts.get("tokens/view");
  const positions = parts.get("positions/view");
  const stats = parts.get("stats")?.stored;
  const ranges: Partial<Record<Column, readonly [number, number]>> = {};
  for (const name of ["norm", "moved", "since", "frequency"] as const) {
    const given = parts.get(`tokens/${name}`);
    if (!given) continue;
    const part = coarse ? spreadOut(given) : given;
    columns[name] = bytesOf(part);
    ranges[name] = [part.offset, part.offset + 255 * part.scale];
  }
  const heat = new Map<number, Heat>();
  for (const [name, part] of parts) {
    const data = name.startsWith("heat/") ? bytesOf(part) : null;
    const [rows = 0, columns = 0] = part.shape;
    const { scale, offset } = part;
    if (data) heat.set(Number(name.slice(5)), { data, rows, columns, scale, offset });
  }
  return {
    step: blob.step,
    tokens: shortsOf(view),
    scale: view?.scale ?? 1,
    norm: columns.norm ?? null,
    moved: columns.moved ?? null,
    since: columns.since ?? null,
    frequency: columns.frequency ?? null,
    cluster: bytesOf(parts.get("tokens/cluster")),
    positions: shortsOf(positions),
    positionScale: positions?.scale ?? 1,
    ranges,
    heat,
    stats: stats instanceof Float32Array ? stats : new Float32Array(0),
    reason: String(meta.reason ?? ""),
    index: Number(meta.index ?? 0),
    explained: Array.isArray(meta.explained) ? (meta.explained as number[]) : [],
    basis: null,
    coarse,
  };
}

/** The last few blobs of a reel that were looked at, as what they mean. */
export class Unpacked<F> {
  readonly #store: Store;
  readonly #changed: () => void;
  readonly #limit: number;
  /** The last used stands last. */
  readonly #cache = new Map<number, Cached<F>>();
  readonly #kept: Kept<F>;
  readonly #broken = new Map<number, string>();
  #wanted: readonly number[] = [];
  #working = false;
  #bytes = 0;
  #version = -1;
  #generation = -1;

  /** `changed` is called when a snapshot that was wanted is there, or can't be read. */
  constructor(store: Store, kept: Kept<F>, changed: () => void, limit: number) {
    this.#store = store;
    this.#changed = changed;
    this.#limit = limit;
    this.#kept = kept;
  }

  get #reel(): Reel | undefined {
    return this.#store.reel(this.#kept.key);
  }

  get steps(): readonly number[] {
    return this.#reel?.steps ?? [];
  }

  /** Bytes of what is unpacked. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is known of a snapshot without unpacking it. */
  meta(step: number): Readonly<Record<string, unknown>> {
    return this.#reel?.at(step)?.meta ?? {};
  }

  /** Snapshots that were taken so far, as the newest counts them; at least those that are here. */
  get taken(): number {
    const { steps } = this;
    const last = steps[steps.length - 1];
    const index = last === undefined ? -1 : Number(this.meta(last).index ?? -1);
    return Math.max(steps.length, Number.isFinite(index) ? index + 1 : 0);
  }

  /** The snapshot at a step if it is unpacked, null if it is not, or not yet. */
  get(step: number): F | null {
    this.#refresh();
    const cached = this.#cache.get(step);
    if (!cached) return null;
    if (cached.tensor !== this.#reel?.at(step)) return null;
    this.#cache.delete(step);
    this.#cache.set(step, cached);
    return cached.frame;
  }

  /** Why the snapshot at a step can't be shown, or "". */
  trouble(step: number): string {
    return this.#broken.get(step) ?? "";
  }

  /** Unpack these next, the first one first; what was wanted before and is not among them is not. */
  want(steps: readonly number[]): void {
    this.#refresh();
    this.#wanted = steps;
    if (!this.#working) void this.#work();
  }

  /** Forget what was said of another history, and try again what lacked a base. */
  #refresh(): void {
    const { generation } = this.#store;
    const version = this.#reel?.version ?? 0;
    if (version === this.#version && generation === this.#generation) return;
    this.#broken.clear();
    if (generation !== this.#generation) {
      this.#cache.clear();
      this.#bytes = 0;
    }
    this.#version = version;
    this.#generation = generation;
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (;;) {
      const step = this.#wanted.find((s) => !this.get(s) && !this.#broken.has(s));
      if (step === undefined) break;
      try {
        await this.#read(step);
      } catch (error) {
        this.#broken.set(step, (error as Error).message);
      }
      this.#changed();
    }
    this.#working = false;
  }

  async #read(step: number): Promise<Blob> {
    const tensor = this.#reel?.at(step);
    if (!(tensor?.data instanceof Uint8Array)) throw new Error(`no snapshot at step ${step} here`);
    const known = this.#cache.get(step);
    if (known?.tensor === tensor) return known.blob;
    const base = baseOf(tensor.data);
    const key = base === null ? null : await this.#key(base, step);
    const blob = await decodeBlob(tensor.data, key);
    this.#keep(step, { tensor, blob, frame: this.#kept.make(blob, tensor.meta) });
    return blob;
  }

  async #key(base: number, step: number): Promise<Blob> {
    if (!this.#reel?.at(base)) {
      throw new Error(`the snapshot at step ${step} needs the one at step ${base}, not here`);
    }
    return this.#read(base);
  }

  #keep(step: number, cached: Cached<F>): void {
    this.#bytes += cached.blob.bytes - (this.#cache.get(step)?.blob.bytes ?? 0);
    this.#cache.delete(step);
    this.#cache.set(step, cached);
    for (const [old, { blob }] of this.#cache) {
      if (this.#bytes <= this.#limit || this.#cache.size <= 3) return;
      this.#cache.delete(old);
      this.#bytes -= blob.bytes;
    }
  }
}

export class Snapshots extends Unpacked<Frame> {
  constructor(store: Store, changed: () => void, limit = UNPACKED_BYTES) {
    super(store, { key: SNAPSHOT_KEY, make: frameOf }, changed, limit);
  }
}
