/**
 * One matrix in full: asked of the kernel, which answers between two steps, and drawn over the
 * stage. Owns the question, its answer or why there is none, and the picture.
 */

import { dotted, grouped, short } from "../format";
import type { Live } from "../model";
import type { Palette } from "../paint";
import { button, h, onTensor, picture, setAttr, setText } from "../view";
import { decodeBlob, type Part } from "./blob";
import { rangeOf, tablesOf } from "./colour";
import type { MatrixMeta } from "./stage";

export const MATRIX_KEY = "parameters/matrix";
const ANSWER_MS = 10_000;

interface Shown {
  matrix: MatrixMeta;
  cells: Part;
  meta: Readonly<Record<string, unknown>>;
}

export interface MagnifiedOptions {
  readonly live: Live;
  readonly palette: () => Palette;
  /** Something is to be said or painted anew. */
  readonly dirty: () => void;
  readonly signal: AbortSignal;
}

export class Magnified {
  readonly el = h("div", { class: "nbm-magnified", role: "dialog", hidden: true });
  readonly #options: MagnifiedOptions;
  readonly #title = h("b");
  readonly #note = h("div", { class: "nbm-side-note" });
  readonly #picture;
  readonly #prefix = Math.random().toString(36).slice(2, 10);
  readonly #close: HTMLButtonElement;
  readonly #image = document.createElement("canvas");
  #count = 0;
  #asked: { id: string; matrix: MatrixMeta; timer: ReturnType<typeof setTimeout> } | null = null;
  #said: { matrix: MatrixMeta; text: string } | null = null;
  #shown: Shown | null = null;
  #look: Palette | null = null;

  constructor(options: MagnifiedOptions) {
    this.#options = options;
    const { live, dirty, signal } = options;
    const box = h("div", { class: "nbm-magnified-picture" });
    this.#picture = picture(box, dirty, signal);
    this.#close = button("close-matrix", "×", "Close", () => this.close(), signal);
    const head = h("div", { class: "nbm-token-head" }, this.#title, this.#close);
    this.el.append(head, box, this.#note);
    this.el.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape") return;
        this.close();
        event.stopPropagation();
      },
      { signal },
    );
    onTensor(live, MATRIX_KEY, () => void this.#answered(), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#asked?.timer), { once: true });
  }

  /** What became of asking for `matrix`, or "". */
  answer(matrix: MatrixMeta): string {
    if (this.#asked?.matrix === matrix) return "asked: it comes between two steps…";
    return this.#said?.matrix === matrix ? this.#said.text : "";
  }

  ask(matrix: MatrixMeta): void {
    const { live } = this.#options;
    clearTimeout(this.#asked?.timer);
    this.#asked = null;
    const { state } = live.link;
    const id = `${this.#prefix}-${++this.#count}`;
    const keys = [`${MATRIX_KEY}/${matrix.id}`];
    const message = { kind: "detail" as const, id, keys, start: 0, end: 0, points: 0 };
    if (!live.send || state === "saved" || state === "lost" || !live.send(message)) {
      this.#say(matrix, "no kernel can be asked: the pooled picture is all there is here");
      return;
    }
    const silent = () => {
      this.#asked = null;
      this.#say(matrix, "no answer: a kernel gives it only while the model is being trained");
    };
    this.#asked = { id, matrix, timer: setTimeout(silent, ANSWER_MS) };
    this.#options.dirty();
  }

  close(): void {
    this.#shown = null;
    this.el.hidden = true;
  }

  #say(matrix: MatrixMeta, text: string): void {
    this.#said = { matrix, text };
    this.#options.dirty();
  }

  async #answered(): Promise<void> {
    const asked = this.#asked;
    const tensor = this.#options.live.store.tensor(MATRIX_KEY);
    if (!asked || !tensor || tensor.meta.id !== asked.id) return;
    clearTimeout(asked.timer);
    this.#asked = null;
    const { data, meta } = tensor;
    try {
      if (!(data instanceof Uint8Array) || data.length === 0) {
        throw new Error(String(meta.note || "the kernel has no more to tell"));
      }
      const cells = (await decodeBlob(data)).parts.get("cells");
      if (!cells) throw new Error("the kernel's answer has no cells");
      this.#said = null;
      this.#shown = { matrix: asked.matrix, cells, meta: { ...meta, step: tensor.step } };
      this.#look = null;
      this.el.hidden = false;
      this.#close.focus({ preventScroll: true });
    } catch (error) {
      this.#said = { matrix: asked.matrix, text: (error as Error).message };
    }
    this.#options.dirty();
  }

  /** Paint; what it returns changes the document. */
  paint(): (() => void) | null {
    const shown = this.#shown;
    if (!shown) return null;
    const palette = this.#options.palette();
    if (this.#look !== palette) this.#draw(shown, palette);
    this.#look = palette;
    const ctx = this.#picture.begin();
    if (ctx) {
      const [rows = 1, columns = 1] = shown.cells.shape;
      const { width, height } = this.#picture;
      const unit = Math.min(width / columns, height / rows);
      ctx.imageSmoothingEnabled = unit < 1;
      const [w, high] = [columns * unit, rows * unit];
      ctx.drawImage(this.#image, (width - w) / 2, (height - high) / 2, w, high);
    }
    return () => this.#tell(shown);
  }

  #draw({ cells }: Shown, palette: Palette): void {
    const { stored, scale, offset } = cells;
    const [rows = 0, columns = 0] = cells.shape;
    const { low, high, diverging } = this.#range(cells);
    const tables = tablesOf(palette);
    const table = diverging ? tables.signed : tables.heat;
    const words = new Uint32Array(rows * columns);
    const span = high - low || 1;
    for (let i = 0; i < words.length; i++) {
      const v = (offset + scale * stored[i]! - low) / span;
      words[i] = table[Math.max(0, Math.min(255, Math.round(255 * v)))]!;
    }
    this.#image.width = columns;
    this.#image.height = rows;
    const pixels = new ImageData(columns, rows);
    pixels.data.set(new Uint8ClampedArray(words.buffer));
    this.#image.getContext("2d")?.putImageData(pixels, 0, 0);
  }

  #range({ stored, scale, offset }: Part) {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const v of stored) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    return rangeOf(offset + scale * low, offset + scale * high);
  }

  #tell({ matrix, cells, meta }: Shown): void {
    const { low, high } = this.#range(cells);
    const shape = Array.isArray(meta.shape) ? (meta.shape as number[]) : matrix.shape;
    setText(this.#title, matrix.label);
    setAttr(this.el, "aria-label", `${matrix.name} in full`);
    const step = `step ${grouped(Number(meta.step))}`;
    const whole = meta.note ? String(meta.note) : "every weight";
    const ends = `${short(low)} to ${short(high)}`;
    setText(this.#note, dotted(step, shape.join(" × "), ends, whole));
  }
}
