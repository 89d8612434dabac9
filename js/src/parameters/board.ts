/**
 * A small picture of cells that explains itself: a canvas, the cell that a pointer or the arrow
 * keys are at, and a line of text about that. Owns pointing and painting; what is drawn and said
 * is its user's matter.
 */

import type { FrameLoop } from "../frame";
import type { Palette } from "../paint";
import { clamp } from "../scale";
import { h, picture, setAttr, setText } from "../view";

/** Where the cells lie, in CSS pixels, and how many there are. */
export interface Field {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly rows: number;
  readonly columns: number;
}

export type Cell = readonly [row: number, column: number];

export interface Drawing {
  readonly ctx: CanvasRenderingContext2D;
  readonly palette: Palette;
  readonly width: number;
  readonly height: number;
  /** The cell that is pointed at. */
  readonly at: Cell | null;
  readonly now: number;
}

export interface BoardOptions {
  readonly id: string;
  readonly label: string;
  /** Draw, and say where the cells are; null where there are none. */
  readonly draw: (drawing: Drawing) => Field | null;
  /** What is to be said of a cell, or, at null, of the whole. */
  readonly tell: (at: Cell | null) => string;
  /** A cell was clicked, or Enter was pressed on it. */
  readonly chosen?: (at: Cell) => void;
  readonly loop: FrameLoop;
  readonly palette: () => Palette;
  readonly signal: AbortSignal;
}

const ARROWS: Readonly<Record<string, Cell>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export class Board {
  readonly box: HTMLElement;
  /** The line that tells of a cell. */
  readonly told = h("p", { class: "nbm-side-note nbm-board-told", "aria-live": "polite" });
  /** Ask for a paint. */
  readonly dirty: () => void;
  readonly #options: BoardOptions;
  #field: Field | null = null;
  #at: Cell | null = null;

  constructor(options: BoardOptions) {
    this.#options = options;
    const { id, loop, palette, signal } = options;
    this.box = h("div", { class: "nbm-board", "data-board": id });
    let dirty = () => {};
    const image = picture(this.box, () => dirty(), signal);
    const { canvas } = image;
    canvas.tabIndex = 0;
    dirty = loop.add(
      this.box,
      (now) => {
        const ctx = image.begin();
        if (ctx) {
          const { width, height } = image;
          const drawing = { ctx, palette: palette(), width, height, at: this.#at, now };
          this.#field = options.draw(drawing);
        }
        return () => {
          const text = options.tell(this.#at);
          setText(this.told, text);
          setAttr(canvas, "aria-label", `${options.label}: ${text}`);
        };
      },
      signal,
    ).dirty;
    this.dirty = dirty;
    const listen = <K extends keyof HTMLElementEventMap>(
      type: K,
      fn: (event: HTMLElementEventMap[K]) => void,
    ) => canvas.addEventListener(type, fn as EventListener, { signal });
    listen("pointermove", (event) => this.#point(this.#under(event)));
    listen("pointerdown", (event) => this.#choose(this.#under(event)));
    for (const type of ["pointerleave", "blur"] as const) listen(type, () => this.#point(null));
    listen("keydown", (event) => this.#key(event));
  }

  /** Paint anew, or, where there is nothing to be drawn, only say why. */
  show(on: boolean): void {
    this.box.hidden = !on;
    // What is hidden isn't painted.
    if (!on) setText(this.told, this.#options.tell(null));
    this.dirty();
  }

  #under({ offsetX: x, offsetY: y }: PointerEvent): Cell | null {
    const field = this.#field;
    if (!field) return null;
    const row = Math.floor(((y - field.top) / field.height) * field.rows);
    const column = Math.floor(((x - field.left) / field.width) * field.columns);
    const inside = row >= 0 && column >= 0 && row < field.rows && column < field.columns;
    return inside ? [row, column] : null;
  }

  #point(at: Cell | null): void {
    if (String(at) === String(this.#at)) return;
    this.#at = at;
    this.dirty();
  }

  #choose(at: Cell | null): void {
    this.#point(at);
    if (at) this.#options.chosen?.(at);
  }

  #key(event: KeyboardEvent): void {
    const by = ARROWS[event.key];
    const field = this.#field;
    if (event.key === "Enter" && this.#at) this.#choose(this.#at);
    else if (event.key === "Escape" && this.#at) this.#point(null);
    else if (by && field) {
      const [row, column] = this.#at ?? [0, 0];
      const [down, right] = this.#at ? by : [0, 0];
      const last = [field.rows - 1, field.columns - 1] as const;
      this.#point([clamp(row + down, 0, last[0]), clamp(column + right, 0, last[1])]);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
