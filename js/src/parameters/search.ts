/** Finding tokens by their text, and following them: what was found, and where they went. Pure. */

import { spread } from "../reels";
import type { Frame } from "./reel";

/** Indices of tokens that fit `text`: the same first, then those that begin so, then those with it inside. */
export function search(texts: readonly string[], text: string, most = 8): number[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const ranks: number[][] = [[], [], [], []];
  for (const [i, own] of texts.entries()) {
    const low = own.trim().toLowerCase();
    if (own.trim() === text.trim()) ranks[0]!.push(i);
    else if (low === wanted) ranks[1]!.push(i);
    else if (low.startsWith(wanted)) ranks[2]!.push(i);
    else if (low.includes(wanted)) ranks[3]!.push(i);
  }
  return ranks.flat().slice(0, most);
}

/** Snapshots that a trail goes through at most: more would be more than a line can show. */
const MOST = 160;

/** Where some tokens were, snapshot by snapshot, as snapshots come to be unpacked. */
export class Trails {
  #tokens: readonly number[] = [];
  #basis: number | null = null;
  #points = new Map<number, Float32Array>();

  get tokens(): readonly number[] {
    return this.#tokens;
  }

  follow(tokens: readonly number[]): void {
    this.#tokens = tokens;
    this.#points.clear();
  }

  /** Take down where the tokens are in `frame`. Another set of axes begins anew. */
  note(frame: Frame): void {
    const { tokens, scale, basis, step } = frame;
    if (basis !== this.#basis) this.#points.clear();
    this.#basis = basis;
    if (!tokens || this.#tokens.length === 0) return;
    const xyz = this.#tokens.flatMap((i) => [0, 1, 2].map((d) => (tokens[3 * i + d] ?? 0) * scale));
    this.#points.set(step, Float32Array.from(xyz));
  }

  /** Steps whose snapshots are still to be seen, those that make an even line first. */
  missing(steps: readonly number[]): number[] {
    if (this.#tokens.length === 0) return [];
    return spread(steps)
      .slice(0, MOST)
      .filter((step) => !this.#points.has(step));
  }

  /** Lines up to a step, by token. */
  lines(until: number): Map<number, Float32Array> {
    const steps = [...this.#points.keys()].filter((s) => s <= until).sort((a, b) => a - b);
    return new Map(
      this.#tokens.map((token, k) => {
        const line = new Float32Array(steps.length * 3);
        for (const [i, step] of steps.entries()) {
          line.set(this.#points.get(step)!.subarray(3 * k, 3 * k + 3), 3 * i);
        }
        return [token, line];
      }),
    );
  }
}
