/** The card of the gradient's flow: when it is known, what is wrong with it, when it is in motion. */

import { dotted, grouped, short } from "../format";
import type { Extent } from "../scale";
import { h, setText } from "../view";
import { Board, type Cell, type Drawing, type Field } from "./board";
import { type Card, type CardOptions, cardOf, listed, type Seen } from "./card";
import { drawFlow, reachOf } from "./flow";
import { FAR, gradients, type Judged, judge } from "./stations";

/** Time between two pictures of the pulses, and how long they run after something has changed. */
const FRAME_MS = 30;
const AWAKE_MS = 8000;

export class FlowBox implements Card {
  readonly el: HTMLElement;
  readonly #board: Board;
  readonly #note = h("span", { class: "nbm-side-note" });
  readonly #verdict = h("p", { class: "nbm-side-note" });
  readonly #calm: boolean;
  #seen: Seen | null = null;
  #rms: Float64Array = new Float64Array(0);
  #judged: Judged | null = null;
  #reach: Extent | null = null;
  #until = 0;
  #last = 0;
  #ms = 0;
  #live = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: CardOptions) {
    this.#calm = window.matchMedia?.("(prefers-reduced-motion: reduce)").matches === true;
    this.#board = new Board({
      ...options,
      id: "flow",
      label: "Gradient by layer",
      draw: (drawing) => this.#draw(drawing),
      tell: (at) => this.#tell(at),
      chosen: ([, station]) => {
        const row = this.#seen?.stations[station]?.rows[0] ?? -1;
        const matrix = this.#seen?.meta.matrices[row];
        if (matrix) options.choose(matrix);
      },
    });
    options.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
    const { box, told } = this.#board;
    this.el = cardOf("flow", "Gradient flow", this.#note, box, this.#verdict, told);
  }

  /** Whether the pulses go on running: while the run does, or is played. */
  set live(on: boolean) {
    if (on && !this.#live) this.#board.dirty();
    this.#live = on;
  }

  repaint(): void {
    this.#board.dirty();
  }

  show(seen: Seen): void {
    const { meta, stations, frame, other } = seen;
    if (meta !== this.#seen?.meta) this.#reach = null;
    this.#seen = seen;
    // At evaluations and the like gradients are gone; the snapshot beside it may have them.
    const made = [frame, other].map((f) => gradients(meta, f.stats, stations));
    const known = made.findIndex((rms) => rms.some((v) => !Number.isNaN(v)));
    this.#rms = made[Math.max(0, known)] ?? new Float64Array(0);
    this.#judged = judge(this.#rms);
    this.#reach = reachOf(this.#rms, this.#reach);
    this.#until = performance.now() + AWAKE_MS;
    setText(this.#note, known < 0 ? "–" : `RMS of ∇, step ${grouped([frame, other][known]!.step)}`);
    const named = this.#named();
    setText(this.#verdict, named);
    this.#verdict.dataset.tone = named ? "bad" : "";
    this.#board.show(this.#judged !== null && this.#reach !== null);
  }

  #named(): string {
    const names = (which: readonly number[] = []) =>
      listed(which.map((i) => `${this.#seen?.stations[i]?.name} (${short(this.#rms[i]!)})`));
    const { vanishing = [], exploding = [] } = this.#judged ?? {};
    return dotted(
      vanishing.length > 0 && `vanishing: ${names(vanishing)}`,
      exploding.length > 0 && `exploding: ${names(exploding)}`,
    );
  }

  #tell(at: Cell | null): string {
    const [seen, judged] = [this.#seen, this.#judged];
    if (!seen) return "";
    const { frame } = seen;
    if (!judged) {
      const why = frame.reason ? ` (${frame.reason})` : "";
      return `– no gradient was there at the snapshot of step ${grouped(frame.step)}${why}`;
    }
    if (at) {
      const rms = this.#rms[at[1]] ?? Number.NaN;
      const name = seen.stations[at[1]]?.name ?? "";
      if (Number.isNaN(rms)) return `${name}: – no gradient (frozen, or not read)`;
      return `${name}: ${short(rms)}, ${short(rms / judged.median)} × the median`;
    }
    const calm = judged.vanishing.length + judged.exploding.length === 0;
    const all = calm ? `all within ${grouped(FAR)} × of it` : "";
    return dotted(`median ${short(judged.median)}`, all);
  }

  #draw(drawing: Drawing): Field | null {
    const seen = this.#seen;
    if (!seen || !this.#reach || !this.#judged) return null;
    const { now, at } = drawing;
    const runs = !this.#calm && (this.#live || at !== null || now < this.#until);
    if (runs) {
      this.#ms += Math.min(now - this.#last, 3 * FRAME_MS);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(this.#board.dirty, FRAME_MS);
    }
    this.#last = now;
    const names = seen.stations.map((s) => s.short);
    const flow = { names, rms: this.#rms, reach: this.#reach, judged: this.#judged };
    return drawFlow(drawing, flow, this.#ms);
  }
}
