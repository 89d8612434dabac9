/**
 * All values of a tensor over a run, by step: where `Store` keeps the newest only, a reel keeps
 * each. Bounded: what is dense and old is thinned. Knows no message and not what a frame means.
 */

import type { Tensor } from "./tensor";

/** Bytes that one reel may take, its frames as they arrived, compressed: a thousand large snapshots. */
export const REEL_BYTES = 96 * 2 ** 20;
/** What a frame takes beside its data, about. */
const BESIDE = 1024;
/** Part of `REEL_BYTES` that is left after thinning, so that it is rarely done. */
const AFTER = 0.8;
/** Newest frames that are never thinned. */
const RECENT = 32;

/** Step of the frame that `tensor` is a difference to, or null: its head says so near its start. */
export function baseOf({ data, meta }: Tensor): number | null {
  if (typeof meta.base === "number") return meta.base;
  if (!(data instanceof Uint8Array)) return null;
  const start = new TextDecoder().decode(data.subarray(8, 120));
  const found = /"base":(\d+)/.exec(start)?.[1];
  return found === undefined ? null : Number(found);
}

export class Reel {
  readonly #frames = new Map<number, Tensor>();
  /** Every step that ever came, also those that were thinned: what not to ask for again. */
  readonly #seen = new Set<number>();
  readonly #limit: number;
  #steps: number[] | null = [];
  #bytes = 0;
  #version = 0;

  constructor(limit = REEL_BYTES) {
    this.#limit = limit;
  }

  /** Grows whenever a frame comes, is replaced or goes. */
  get version(): number {
    return this.#version;
  }

  /** Of all data; what comes with it is beside that. */
  get bytes(): number {
    return this.#bytes;
  }

  get #taken(): number {
    return this.#bytes + BESIDE * this.#frames.size;
  }

  /** Steps that there are frames of, in order. */
  get steps(): readonly number[] {
    this.#steps ??= [...this.#frames.keys()].sort((a, b) => a - b);
    return this.#steps;
  }

  /** Steps that came, in order; some of them may have been thinned since. */
  get seen(): number[] {
    return [...this.#seen].sort((a, b) => a - b);
  }

  at(step: number): Tensor | undefined {
    return this.#frames.get(step);
  }

  put(tensor: Tensor): void {
    this.#remove(tensor.step);
    this.#frames.set(tensor.step, tensor);
    this.#seen.add(tensor.step);
    this.#bytes += tensor.data.byteLength;
    this.#steps = null;
    this.#version++;
    if (this.#taken > this.#limit) this.#thin();
  }

  /** Frames that tell the run in about `budget` bytes: the newest, the first, then those between. */
  chosen(budget: number): Tensor[] {
    const taken = new Set<number>();
    let left = budget;
    for (const step of spread(this.steps)) {
      const wanted = [step, this.#base(step)].filter(
        (s): s is number => s !== null && !taken.has(s),
      );
      const cost = wanted.reduce((sum, s) => sum + (this.at(s)?.data.byteLength ?? Infinity), 0);
      if (cost > left) continue;
      left -= cost;
      for (const s of wanted) taken.add(s);
    }
    return [...taken].sort((a, b) => a - b).map((step) => this.#frames.get(step) as Tensor);
  }

  #base(step: number): number | null {
    const frame = this.#frames.get(step);
    return frame ? baseOf(frame) : null;
  }

  #remove(step: number): void {
    const old = this.#frames.get(step);
    if (!old) return;
    this.#bytes -= old.data.byteLength;
    this.#frames.delete(step);
    this.#steps = null;
  }

  /** Leave out frames that no other stands on where they are densest, so that the rest is even. */
  #thin(): void {
    const place = new Map(this.seen.map((step, i) => [step, i]));
    for (;;) {
      const steps = this.steps;
      const bases = new Set(steps.map((step) => this.#base(step)));
      const at = (i: number) => place.get(steps[i] as number) as number;
      const free = steps
        .map((step, i) => ({ step, i }))
        .slice(1, -RECENT)
        .filter(({ step }) => !bases.has(step))
        .map(({ step, i }) => ({ step, i, gap: at(i + 1) - at(i - 1) }))
        .sort((a, b) => a.gap - b.gap || a.i - b.i);
      const gone = new Set<number>();
      for (const { step, i } of free) {
        if (this.#taken <= AFTER * this.#limit) break;
        // Its neighbours' gaps are known again in the next round.
        if (gone.has(i - 1) || gone.has(i + 1)) continue;
        gone.add(i);
        this.#remove(step);
      }
      if (gone.size === 0 || this.#taken <= AFTER * this.#limit) break;
    }
    this.#version++;
  }
}

/** The last, the first, then the middle of every gap, gap after gap: any beginning of it is even. */
export function spread(steps: readonly number[]): number[] {
  const n = steps.length;
  if (n <= 1) return [...steps];
  const out = [steps[n - 1] as number, steps[0] as number];
  const gaps: [number, number][] = [[0, n - 1]];
  for (let g = 0; g < gaps.length; g++) {
    const [from, to] = gaps[g] as [number, number];
    const middle = (from + to) >> 1;
    if (middle === from) continue;
    out.push(steps[middle] as number);
    gaps.push([middle, to], [from, middle]);
  }
  return out;
}
