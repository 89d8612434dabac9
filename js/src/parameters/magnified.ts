/**
 * One matrix in full: asked of the kernel, which copies it between two steps, and drawn over the
 * stage. Owns the picture and its frame.
 */

import { dotted, grouped, short } from "../format";
import type { Live } from "../model";
import type { Palette } from "../paint";
import { button, h, onTensor, picture, setAttr, setText } from "../view";
import type { Asker } from "./ask";
import { decodeBlob, type Part } from "./blob";
import { rangeOf, tablesOf } from "./colour";
import type { MatrixMeta } from "./stage";

export const MATRIX_KEY = "parameters/matrix";

const keyOf = ({ id }: MatrixMeta) => `${MATRIX_KEY}/${id}`;

interface Shown {
  matrix: MatrixMeta;
  cells: Part;
  meta: Readonly<Record<string, unknown>>;
}

export interface MagnifiedOptions {
  readonly live: Live;
  readonly asker: Asker;
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
  readonly #close: HTMLButtonElement;
  readonly #image = document.createElement("canvas");
  #asked: MatrixMeta | null = null;
  /** Why an answer could not be shown, and of which matrix it was. */
  #broken: { matrix: MatrixMeta; text: string } | null = null;
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
  }

  /** What became of asking for `matrix`, or "". */
  answer(matrix: MatrixMeta): string {
    if (this.#broken?.matrix === matrix) return this.#broken.text;
    const asked = this.#options.asker.of(keyOf(matrix));
    return asked && asked.state !== "done" ? asked.note : "";
  }

  ask(matrix: MatrixMeta): void {
    this.#broken = null;
    this.#asked = matrix;
    this.#options.asker.ask(keyOf(matrix));
  }

  close(): void {
    this.#shown = null;
    this.el.hidden = true;
  }

  async #answered(): Promise<void> {
    const { asker, live, dirty } = this.#options;
    const matrix = this.#asked;
    const tensor = live.store.tensor(MATRIX_KEY);
    if (!matrix || !tensor || tensor.meta.id !== asker.of(keyOf(matrix))?.id) return;
    const { data, meta } = tensor;
    this.#asked = null;
    try {
      const blob = data instanceof Uint8Array ? await decodeBlob(data) : null;
      const cells = blob?.parts.get("cells");
      if (!cells) throw new Error("the kernel's answer has no cells");
      this.#shown = { matrix, cells, meta: { ...meta, step: tensor.step } };
      this.#look = null;
      this.el.hidden = false;
      this.#close.focus({ preventScroll: true });
    } catch (error) {
      this.#broken = { matrix, text: (error as Error).message };
    }
    asker.done(keyOf(matrix));
    dirty();
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
