/** What is written over the scene, on a canvas of its own: names of tokens and clusters, legends. */

import { faded, type Palette } from "../paint";
import { h } from "../view";
import { type Clusters, clusterNames, clusterTitle } from "./cluster";
import { columnRange, diverging, pointStops, type Range, sequential } from "./colour";
import type { Shown } from "./flat_cloud";
import {
  clusterLabels,
  drawLegend,
  drawNames,
  drawNote,
  legendEnds,
  type Name,
  Places,
  tokenText,
} from "./flat_overlay";
import { NEIGHBOURS_LABEL, type Neighbour, neighboursOf } from "./neighbours";
import type { ParametersMeta } from "./stage";

const FOOT = 12;
const COLOURS = {
  norm: "length ‖e‖",
  moved: "moved since the last",
  since: "moved since the start",
  frequency: "frequency",
} as const;

/** A place in the picture, in CSS pixels. */
export type Spot = readonly [x: number, y: number];

export interface Written {
  readonly shown: Shown;
  /** What the tokens' places are between; null where there are none. */
  readonly points: Int16Array | null;
  readonly clusters: Clusters | null;
  /** The token under the pointer, or -1. */
  readonly hovered: number;
  /** Of the sheets, if they have one in common. */
  readonly range: Range | null;
  /** Points left out to keep up, or 0. */
  readonly drawn: number;
  readonly width: number;
  readonly height: number;
  /** Where a token is, null behind the viewer. */
  spot(token: number): Spot | null;
  /** Where a place in the tokens' stored units is. */
  place(x: number, y: number, z: number): Spot | null;
}

export class Overlay {
  readonly #canvas = h("canvas", {
    style: "position:absolute;inset:0;width:100%;height:100%;pointer-events:none",
    "aria-hidden": "true",
  });
  readonly #meta: ParametersMeta;
  readonly #texts: readonly string[];
  #near: { points: Int16Array; focus: number; found: Neighbour[] } | null = null;

  constructor(box: HTMLElement, meta: ParametersMeta) {
    this.#meta = meta;
    this.#texts = (meta.tokens?.texts ?? []).map(tokenText);
    box.append(this.#canvas);
  }

  draw(palette: Palette, written: Written): void {
    const ctx = this.#begin(written);
    if (!ctx) return;
    const { shown, width, height } = written;
    const names: Name[] = [];
    const near = written.points ? this.#tokens(ctx, palette, written, names) : false;
    const box = { left: 0, top: 0, width, height: height - 2 * FOOT };
    drawNames(ctx, palette, box, names, new Places());
    this.#legends(ctx, palette, written, near);
    if (shown.look.visible.size === 0 && !written.points) {
      drawNote(ctx, palette, "– nothing is chosen", width / 2, height / 2, width, "center");
    }
  }

  dispose(): void {
    this.#canvas.remove();
  }

  #begin({ width, height }: Written): CanvasRenderingContext2D | null {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== w || this.#canvas.height !== high) {
      this.#canvas.width = w;
      this.#canvas.height = high;
    }
    const ctx = this.#canvas.getContext("2d");
    ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx?.clearRect(0, 0, width, height);
    return ctx;
  }

  /** Names, and lines to the neighbours of the token in question; returns whether there are any. */
  #tokens(
    ctx: CanvasRenderingContext2D,
    palette: Palette,
    written: Written,
    names: Name[],
  ): boolean {
    const { look } = written.shown;
    const named = new Set<number>();
    const name = (token: number, color: string, must: boolean) => {
      const spot = named.has(token) ? null : written.spot(token);
      if (!spot) return;
      named.add(token);
      names.push({
        text: this.#texts[token] ?? String(token),
        x: spot[0],
        y: spot[1],
        color,
        must,
      });
    };
    const focus = written.hovered >= 0 ? written.hovered : (look.selected ?? -1);
    const from = focus >= 0 ? written.spot(focus) : null;
    const found = from ? this.#neighbours(written.points!, focus) : [];
    name(focus, palette.readout, true);
    name(look.selected ?? -1, palette.readout, true);
    for (const token of look.trails) name(token, palette.readout, false);
    ctx.lineWidth = 1;
    for (const { index, cosine } of found) {
      const to = written.spot(index);
      if (!from || !to) continue;
      ctx.strokeStyle = faded(palette.readout, 0.25 + 0.45 * Math.max(0, cosine));
      ctx.beginPath();
      ctx.moveTo(...from);
      ctx.lineTo(...to);
      ctx.stroke();
      name(index, palette.label, false);
    }
    const { clusters } = written;
    if (look.colourBy === "cluster" && clusters) {
      const place = (x: number, y: number, z: number) =>
        written.place(x, y, z) ?? ([-1, -1] as const);
      names.push(...clusterLabels(clusters, clusterNames(clusters, this.#texts), place, palette));
    }
    return found.length > 0;
  }

  #neighbours(points: Int16Array, focus: number): Neighbour[] {
    if (this.#near?.points !== points || this.#near.focus !== focus) {
      this.#near = { points, focus, found: neighboursOf(points, focus) };
    }
    return this.#near.found;
  }

  /** On the left the tokens' colours, on the right those of the sheets. */
  #legends(
    ctx: CanvasRenderingContext2D,
    palette: Palette,
    { shown, points, range, drawn, width, height }: Written,
    near: boolean,
  ): void {
    const { a, b, look } = shown;
    const y = height - FOOT;
    const split = Math.max(width / 2, width - 340);
    const room = split - 20;
    if (points) {
      const by = look.colourBy;
      let end = 10;
      if (by !== "cluster" && (a[by] || b[by])) {
        const ends = legendEnds(columnRange(a, b, by));
        end = drawLegend(ctx, palette, pointStops(palette), COLOURS[by], ends, 10, y, room);
      } else {
        const text = by === "cluster" ? clusterTitle(a) : `– ${COLOURS[by]} is not known here`;
        drawNote(ctx, palette, text, 10, y, room);
        end += ctx.measureText(text).width;
      }
      const note = near ? `lines: ${NEIGHBOURS_LABEL}` : drawn ? `${drawn} points, to keep up` : "";
      if (note && room - end > 60) drawNote(ctx, palette, note, end + 14, y, room - end);
    }
    if (look.visible.size === 0 || a.heat.size + b.heat.size === 0) return;
    const what = this.#meta.heat_of === "max" ? "largest |w|" : "RMS of w";
    const title = look.shared ? what : `${what}, each its own scale:`;
    const ends = look.shared ? legendEnds(range) : (["its least", "its most"] as const);
    const stops = range?.diverging ? diverging(palette) : sequential(palette);
    drawLegend(ctx, palette, stops, title, ends, split, y, width - split - 10);
  }
}
