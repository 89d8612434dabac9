/**
 * The scrub bar: all snapshots from left to right, the loss behind them, marks where they have a
 * reason, a head that can be dragged. Even by snapshot, not by step: they are dense where much
 * happens. Knows no stage and no message.
 */

import { dotted, exact, grouped } from "../format";
import { faded, glowing, mixed, type Palette } from "../paint";
import { clamp } from "../scale";
import type { Series } from "../series";
import { h, type Picture, picture, setAttr, setText } from "../view";
import { indexAt, type Player, stepAt } from "./player";

const PAD = 9;
const FOOT = 15;
const LABEL_ROOM = 64;
/** Marks by the reason of a snapshot: name of a colour, and what it is called. */
const REASONS = { evaluation: "eval", checkpoint: "grad" } as const;

export interface ScrubOptions {
  readonly player: Player;
  readonly palette: () => Palette;
  /** Why the snapshot at a step was taken. */
  readonly reason: (step: number) => string;
  readonly loss: () => Series | undefined;
  /** Something is to be painted anew. */
  readonly dirty: () => void;
  readonly signal: AbortSignal;
}

export class Scrub {
  readonly el: HTMLElement;
  readonly #options: ScrubOptions;
  readonly #picture: Picture;
  readonly #tip: HTMLElement;
  #hovered: number | null = null;
  #dragging = false;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.el = h("div", {
      class: "nbm-scrub",
      "data-control": "scrub",
      role: "slider",
      tabindex: 0,
      "aria-label": "Step of the training that is shown",
    });
    this.#picture = picture(this.el, options.dirty, options.signal);
    setAttr(this.#picture.canvas, "role", "presentation");
    this.#tip = h("div", { class: "nbm-scrub-tip", hidden: true });
    this.el.append(this.#tip);
    this.#pointers();
    this.#keys();
  }

  #place(event: PointerEvent): number {
    const { left } = this.el.getBoundingClientRect();
    const n = this.#options.player.steps.length;
    const part = (event.clientX - left - PAD) / Math.max(1, this.#picture.width - 2 * PAD);
    return clamp(part, 0, 1) * Math.max(0, n - 1);
  }

  #pointers(): void {
    const { player, signal, dirty } = this.#options;
    const on = (
      type: "pointerdown" | "pointermove" | "pointerup" | "pointerleave" | "pointercancel",
      fn: (event: PointerEvent) => void,
    ) => this.el.addEventListener(type, fn, { signal });
    on("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.#dragging = true;
      this.el.setPointerCapture?.(event.pointerId);
      player.seekIndex(this.#place(event));
    });
    on("pointermove", (event) => {
      this.#hovered = this.#place(event);
      if (this.#dragging) player.seekIndex(this.#hovered);
      dirty();
    });
    const end = () => {
      if (this.#dragging && !player.smooth) player.seekIndex(Math.round(player.index));
      this.#dragging = false;
    };
    on("pointerup", end);
    on("pointercancel", end);
    on("pointerleave", () => {
      this.#hovered = null;
      dirty();
    });
  }

  #keys(): void {
    const { player, signal } = this.#options;
    this.el.addEventListener(
      "keydown",
      (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const last = player.steps.length - 1;
        const by = {
          ArrowRight: 1,
          ArrowUp: 1,
          ArrowLeft: -1,
          ArrowDown: -1,
          PageUp: 10,
          PageDown: -10,
          Home: -last,
          End: last,
        }[event.key];
        if (by !== undefined) player.nudge(by);
        else if (event.key === " ") player.toggle();
        else return;
        event.preventDefault();
      },
      { signal },
    );
  }

  /** What the snapshot nearest to an index is. */
  #told(index: number): string {
    const { player, reason, loss } = this.#options;
    const at = Math.round(index);
    const step = player.steps[at];
    if (step === undefined) return "no snapshot";
    const why = reason(step);
    const point = loss()?.at(step);
    return dotted(
      `step ${grouped(step)}`,
      `${at + 1} of ${player.steps.length}`,
      why !== "cadence" && why,
      point && `loss ${exact(point.value)}`,
    );
  }

  /** Paint; what it returns changes the document. */
  paint(): () => void {
    const ctx = this.#picture.begin();
    if (ctx) this.#draw(ctx);
    return () => this.#tell();
  }

  #tell(): void {
    const { player } = this.#options;
    const { steps } = player;
    setAttr(this.el, "aria-valuemin", String(steps[0] ?? 0));
    setAttr(this.el, "aria-valuemax", String(steps[steps.length - 1] ?? 0));
    setAttr(this.el, "aria-valuenow", String(Math.round(player.step)));
    setAttr(this.el, "aria-valuetext", this.#told(player.index));
    setAttr(this.el, "aria-disabled", steps.length < 2 ? "true" : null);
    const hovered = steps.length > 0 ? this.#hovered : null;
    this.#tip.hidden = hovered === null;
    if (hovered === null) return;
    setText(this.#tip, this.#told(hovered));
    const x = this.#x(Math.round(hovered));
    const wide = this.#tip.offsetWidth;
    // Beside the pointer, not under it.
    const left = x + 8 + wide > this.#picture.width ? x - 8 - wide : x + 8;
    this.#tip.style.left = `${Math.round(Math.max(0, left))}px`;
  }

  #x(index: number): number {
    const last = this.#options.player.steps.length - 1;
    const room = this.#picture.width - 2 * PAD;
    return last > 0 ? PAD + (room * index) / last : PAD + room / 2;
  }

  #draw(ctx: CanvasRenderingContext2D): void {
    const palette = this.#options.palette();
    const { player } = this.#options;
    const floor = this.#picture.height - FOOT;
    const head = this.#x(player.index);
    ctx.fillStyle = palette.bg;
    ctx.fillRect(0, 0, this.#picture.width, floor);
    if (player.steps.length === 0) return;
    ctx.fillStyle = faded(palette.gauge, 0.07);
    ctx.fillRect(0, 0, head, floor);
    this.#drawLoss(ctx, palette, floor, head);
    this.#drawMarks(ctx, palette, floor);
    if (this.#hovered !== null) {
      ctx.fillStyle = faded(palette.readout, 0.4);
      ctx.fillRect(Math.round(this.#x(Math.round(this.#hovered))), 0, 1, floor);
    }
    glowing(ctx, palette.gauge, palette.glow, () => {
      ctx.fillStyle = palette.gauge;
      ctx.fillRect(head - 1, 0, 2, floor + 3);
      ctx.beginPath();
      ctx.moveTo(head - 6, 0);
      ctx.lineTo(head + 6, 0);
      ctx.lineTo(head, 8);
      ctx.fill();
    });
    ctx.strokeStyle = palette.border;
    ctx.lineWidth = 1;
    ctx.strokeRect(0.5, 0.5, this.#picture.width - 1, floor - 1);
  }

  #drawLoss(ctx: CanvasRenderingContext2D, palette: Palette, floor: number, head: number): void {
    const { player, loss } = this.#options;
    const series = loss();
    const last = player.steps.length - 1;
    if (!series || series.rows === 0 || last < 1) return;
    const room = this.#picture.width - 2 * PAD;
    const columns = Math.max(2, Math.floor(room / 2));
    const values: number[] = [];
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = 0; i <= columns; i++) {
      const v = series.at(stepAt(player.steps, (i / columns) * last))?.value ?? Number.NaN;
      values.push(v);
      if (!Number.isFinite(v)) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    if (!(high > low)) return;
    const y = (v: number) => floor - 7 - ((v - low) / (high - low)) * (floor - 15);
    for (const part of [0, 1]) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(part ? 0 : head, 0, part ? head : this.#picture.width - head, floor);
      ctx.clip();
      ctx.strokeStyle = part ? palette.loss : mixed(palette.bg, palette.loss, 0.42);
      ctx.lineWidth = 1.25;
      ctx.beginPath();
      let down = false;
      for (const [i, v] of values.entries()) {
        if (!Number.isFinite(v)) {
          down = false;
          continue;
        }
        const x = PAD + (room * i) / columns;
        if (down) ctx.lineTo(x, y(v));
        else ctx.moveTo(x, y(v));
        down = true;
      }
      ctx.stroke();
      ctx.restore();
    }
  }

  #drawMarks(ctx: CanvasRenderingContext2D, palette: Palette, floor: number): void {
    const { player, reason } = this.#options;
    const { steps } = player;
    const dense = steps.length > this.#picture.width / 4;
    ctx.fillStyle = dense ? mixed(palette.bg, palette.label, 0.5) : palette.label;
    if (dense) ctx.fillRect(PAD, floor - 3, this.#picture.width - 2 * PAD, 2);
    ctx.font = palette.font;
    ctx.textBaseline = "bottom";
    ctx.textAlign = "center";
    let free = Number.NEGATIVE_INFINITY;
    for (const [i, step] of steps.entries()) {
      const x = this.#x(i);
      const color = REASONS[reason(step) as keyof typeof REASONS];
      if (color) {
        ctx.fillStyle = palette[color];
        ctx.beginPath();
        ctx.moveTo(x, floor - 10);
        ctx.lineTo(x + 4, floor - 5.5);
        ctx.lineTo(x, floor - 1);
        ctx.lineTo(x - 4, floor - 5.5);
        ctx.fill();
      } else if (!dense) {
        ctx.fillStyle = palette.label;
        ctx.fillRect(Math.round(x), floor - 5, 1, 4);
      }
      const right = this.#x(steps.length - 1);
      const end = i === steps.length - 1;
      if (!end && (x < free || x > right - LABEL_ROOM)) continue;
      free = x + LABEL_ROOM;
      ctx.fillStyle = palette.label;
      ctx.textAlign = i === 0 ? "left" : end ? "right" : "center";
      const at = i === 0 ? 0 : end ? this.#picture.width : x;
      ctx.fillText(grouped(step), at, this.#picture.height);
    }
  }
}

/** Index of the snapshot nearest to a step. */
export function nearestIndex(steps: readonly number[], step: number): number {
  return Math.round(indexAt(steps, step));
}
