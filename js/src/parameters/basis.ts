/**
 * All snapshots in one set of axes, where the kernel has sent them so: `parameters/view/<chunk>`.
 * Complete or not at all: coordinates of two sets of axes don't belong in one film. Draws nothing.
 */

import type { Store } from "../store";
import type { Tensor } from "../tensor";
import { decodeBlob } from "./blob";
import type { Frame } from "./reel";

/** What to ask a kernel for, and the beginning of what it answers with. */
export const VIEW_KEY = "parameters/view";
const PREFIX = `${VIEW_KEY}/`;

interface View {
  stored: Int16Array;
  scale: number;
}

export interface Basis {
  /** Step whose axes these are. */
  step: number;
  explained: readonly number[];
  /** Whether the axes are estimated from sketches of the rows. */
  estimate: boolean;
  views: ReadonlyMap<number, View>;
}

/** `frame` in the axes of `basis`; as it is where the basis lacks it. */
export function seenIn(frame: Frame, basis: Basis | null): Frame {
  const view = basis?.views.get(frame.step);
  if (!basis || !view || view.stored.length !== frame.tokens?.length) return frame;
  const { explained, step } = basis;
  return { ...frame, tokens: view.stored, scale: view.scale, explained, basis: step };
}

/**
 * Snapshots that can be shown along `basis`: those it tells, and newer ones, whose own axes were
 * turned to it. Of a long run it leaves out many.
 */
export function stepsIn(steps: readonly number[], basis: Basis): readonly number[] {
  return steps.filter((step) => step > basis.step || basis.views.has(step));
}

/** Whether coordinates between two frames mean something. */
export function mixes(a: Frame, b: Frame, basis: Basis | null): boolean {
  const along = (frame: Frame) =>
    frame.basis === null && basis && frame.step > basis.step ? basis.step : frame.basis;
  return along(a) === along(b);
}

export class Bases {
  readonly #store: Store;
  readonly #changed: () => void;
  #chunks: readonly Tensor[] = [];
  #basis: Basis | null = null;

  constructor(store: Store, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
  }

  get basis(): Basis | null {
    return this.#basis;
  }

  /** Look whether there is a new complete set; call it after messages came. */
  refresh(): void {
    const chunks = this.#complete();
    if (chunks.length === this.#chunks.length && chunks.every((t, i) => t === this.#chunks[i])) {
      return;
    }
    this.#chunks = chunks;
    void this.#read(chunks);
  }

  /** The chunks of one set, [] if some are missing. */
  #complete(): Tensor[] {
    const first = this.#store.tensor(`${PREFIX}0`);
    const count = Number(first?.meta.chunks ?? 0);
    const out: Tensor[] = [];
    for (let i = 0; i < count; i++) {
      const tensor = this.#store.tensor(`${PREFIX}${i}`);
      if (!tensor || tensor.meta.basis_step !== first?.meta.basis_step) return [...this.#chunks];
      out.push(tensor);
    }
    return out;
  }

  async #read(chunks: readonly Tensor[]): Promise<void> {
    const views = new Map<number, View>();
    try {
      for (const { data } of chunks) {
        if (!(data instanceof Uint8Array)) throw new Error("not a blob");
        const { parts } = await decodeBlob(data);
        for (const [name, { stored, scale }] of parts) {
          const step = Number(/^view\/(\d+)$/.exec(name)?.[1] ?? Number.NaN);
          if (Number.isFinite(step) && stored instanceof Int16Array)
            views.set(step, { stored, scale });
        }
      }
    } catch {
      // Damaged, or another kind of bytes: the snapshots' own axes remain, which are always there.
      views.clear();
    }
    if (chunks !== this.#chunks) return;
    const meta = chunks[0]?.meta ?? {};
    const explained = Array.isArray(meta.explained) ? (meta.explained as number[]) : [];
    this.#basis =
      views.size > 0
        ? { step: Number(meta.basis_step), explained, estimate: meta.estimate === true, views }
        : null;
    this.#changed();
  }
}
