/** The stack of heatmaps as the flat stage draws it: its own scroll and zoom, names, legend. */

import { short } from "../format";
import type { Palette } from "../paint";
import { clamp } from "../scale";
import { diverging, type Range, rangeOf, sequential, type Tables } from "./colour";
import type { Shown } from "./flat_cloud";
import { drawLegend, drawNote, legendEnds } from "./flat_overlay";
import { type Cell, cellAt, type Layout, layoutOf, Planes, rowsOf } from "./planes";
import type { Box } from "./splat";
import type { ParametersMeta, Picked } from "./stage";

/** Where the viewer is in the stack: what is at the box's top left, and how large. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export const TOP: Place = { x: 0, y: 0, zoom: 1 };
const ZOOM = 12;
const FOOT = 20;

export class Stack {
  readonly #planes = new Planes();
  #layout: Layout = layoutOf([], 1, 1);
  #laid: readonly unknown[] = [];
  #box: Box = { left: 0, top: 0, width: 1, height: 1 };
  place: Place = TOP;
  /** The cell under the pointer. */
  hovered: number | null = null;

  /** Lay out what is visible in `box`. */
  fit(meta: ParametersMeta, visible: ReadonlySet<number>, box: Box): void {
    const laid = [meta, visible, box.width, box.height];
    this.#box = box;
    if (laid.some((part, i) => part !== this.#laid[i])) {
      this.#laid = laid;
      this.#layout = layoutOf(rowsOf(meta, visible), box.width, box.height - FOOT);
    }
    this.place = this.#held(this.place);
  }

  draw(
    ctx: CanvasRenderingContext2D,
    palette: Palette,
    tables: Tables,
    meta: ParametersMeta,
    shown: Shown,
  ): void {
    const { a, b, t, look } = shown;
    const box = this.#box;
    const all = this.#layout.cells;
    const shared = look.shared ? this.#planes.shared(a, b, t, all) : null;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height - FOOT);
    ctx.clip();
    ctx.imageSmoothingEnabled = false;
    for (const cell of all) {
      const [x, y, size] = this.#onScreen(cell);
      if (y > box.top + box.height || y + size + this.#layout.caption < box.top) continue;
      if (x > box.left + box.width || x + size < box.left) continue;
      const pair = this.#planes.pair(a, b, cell.matrix.id);
      if (!pair) {
        ctx.strokeStyle = palette.grid;
        ctx.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
        drawNote(ctx, palette, "–", x + size / 2, y + size / 2, size, "center");
      } else {
        const own = this.#planes.range(pair, t);
        const range = shared ?? rangeOf(own[0], own[1]);
        const picture = this.#planes.picture(cell.matrix.id, pair, t, range, look, tables);
        ctx.drawImage(picture, x, y, size, size);
        ctx.strokeStyle = this.hovered === cell.matrix.id ? palette.readout : palette.border;
        ctx.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
        this.#caption(ctx, palette, cell, look.shared ? null : own, x, y + size);
      }
    }
    this.#rows(ctx, palette);
    ctx.restore();
    this.#foot(ctx, palette, meta, shared, shown);
  }

  /** What is under a place of the stage, or null. */
  pick(x: number, y: number): Picked | null {
    const box = this.#box;
    if (y >= box.top + box.height - FOOT) return null;
    const [u, v] = this.#inside(x, y);
    const found = cellAt(this.#layout, u, v);
    const heat = found?.cell.matrix.heat;
    if (!found || !heat) return null;
    const row = Math.floor(found.down * heat[0]);
    const column = Math.floor(found.across * heat[1]);
    return { kind: "plane", matrix: found.cell.matrix.id, row, column };
  }

  moved(dx: number, dy: number): Place {
    const { x, y, zoom } = this.place;
    return this.#held({ x: x - dx / zoom, y: y - dy / zoom, zoom });
  }

  /** Zoomed so that what is at a place of the stage stays there. */
  zoomed(factor: number, x: number, y: number): Place {
    const [u, v] = this.#inside(x, y);
    const zoom = clamp(this.place.zoom * factor, 1, ZOOM);
    const part = this.place.zoom / zoom;
    return this.#held({
      x: u - (u - this.place.x) * part,
      y: v - (v - this.place.y) * part,
      zoom,
    });
  }

  /** The place that shows a layer's row, or null if it isn't there. */
  placeOf(layer: number): Place | null {
    const cells = this.#layout.cells.filter((cell) => this.#layout.rows[cell.row]?.layer === layer);
    const first = cells[0];
    if (!first) return null;
    const { gutter, caption } = this.#layout;
    const left = first.x - gutter;
    const right = Math.max(...cells.map((cell) => cell.x + cell.size)) + 8;
    const bottom = Math.max(...cells.map((cell) => cell.y + cell.size)) + caption;
    const box = this.#box;
    const high = box.height - FOOT;
    const zoom = clamp(Math.min(box.width / (right - left), high / (bottom - first.y + 8)), 1, 4);
    return this.#held({ x: left, y: (first.y + bottom) / 2 - high / zoom / 2, zoom });
  }

  /** Another one for each change of what is visible, and of the room. */
  get layout(): Layout {
    return this.#layout;
  }

  clear(): void {
    this.#planes.clear();
    this.#laid = [];
  }

  /** Kept within the stack. */
  #held({ x, y, zoom }: Place): Place {
    const wide = Math.max(0, this.#layout.width - this.#box.width / zoom);
    const high = Math.max(0, this.#layout.height - (this.#box.height - FOOT) / zoom);
    return { x: clamp(x, 0, wide), y: clamp(y, 0, high), zoom };
  }

  #inside(x: number, y: number): readonly [number, number] {
    const { place } = this;
    return [
      (x - this.#box.left) / place.zoom + place.x,
      (y - this.#box.top) / place.zoom + place.y,
    ];
  }

  #onScreen(cell: Cell): readonly [number, number, number] {
    const { x, y, zoom } = this.place;
    const left = this.#box.left + (cell.x - x) * zoom;
    const top = this.#box.top + (cell.y - y) * zoom;
    return [Math.round(left), Math.round(top), Math.round(cell.size * zoom)];
  }

  #caption(
    ctx: CanvasRenderingContext2D,
    palette: Palette,
    cell: Cell,
    own: readonly [number, number] | null,
    x: number,
    y: number,
  ): void {
    const size = cell.size * this.place.zoom;
    const part = cell.matrix.role || cell.matrix.label;
    // A scale of its own is told beside the picture where there is room, else when one points at it.
    const text = own && size > 120 ? `${part}  ${short(own[0])} … ${short(own[1])}` : part;
    drawNote(ctx, palette, text, x, y + this.#layout.caption * 0.55, size);
  }

  #rows(ctx: CanvasRenderingContext2D, palette: Palette): void {
    const { rows, cells, gutter } = this.#layout;
    rows.forEach((row, r) => {
      const first = cells.find((cell) => cell.row === r);
      if (!first) return;
      const [x, y, size] = this.#onScreen(first);
      const room = (gutter - 6) * this.place.zoom;
      drawNote(ctx, palette, row.label, x - room, y + Math.min(size / 2, 60), room);
    });
  }

  /** The legend: of the shared scale, or of the matrix under the pointer. */
  #foot(
    ctx: CanvasRenderingContext2D,
    palette: Palette,
    meta: ParametersMeta,
    shared: Range | null,
    { a, b, t, look }: Shown,
  ): void {
    const box = this.#box;
    const y = box.top + box.height - FOOT / 2;
    const pointed = this.#layout.cells.find((cell) => cell.matrix.id === this.hovered)?.matrix;
    const pair = pointed && !look.shared ? this.#planes.pair(a, b, pointed.id) : null;
    const own = pair && rangeOf(...this.#planes.range(pair, t));
    const range = look.shared ? shared : own;
    const stops = range?.diverging ? diverging(palette) : sequential(palette);
    const ends = range || look.shared ? legendEnds(range) : (["its least", "its most"] as const);
    const what = meta.heat_of === "max" ? "largest |w|" : "RMS of w";
    const end = drawLegend(ctx, palette, stops, what, ends, box.left, y, box.width);
    const room = box.left + box.width - end - 12;
    const hidden = this.#layout.height * this.place.zoom > box.height - FOOT + 1;
    const scale = look.shared ? "one scale" : own ? "its own scale" : "each its own scale";
    const note = [pointed?.label, scale, hidden && "drag for more"].filter(Boolean).join(" · ");
    if (room > 90) drawNote(ctx, palette, note, end + 12, y, room);
  }
}
