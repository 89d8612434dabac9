/** What is written and drawn over the flat cloud: trails, names, neighbours, axes, legend. */

import { short } from "../format";
import { faded, mixed, type Palette } from "../paint";
import { axesOf, type Camera } from "./camera";
import type { Clusters } from "./cluster";
import type { Range } from "./colour";
import type { Neighbour } from "./neighbours";
import type { Box, Splats } from "./splat";

type Context = CanvasRenderingContext2D;

/** Boxes that text already has; a text that would cover another is left out. */
export class Places {
  #taken: [number, number, number, number][] = [];

  claim(x: number, y: number, width: number, height: number): boolean {
    const free = this.#taken.every(
      ([l, t, r, b]) => x >= r || x + width <= l || y >= b || y + height <= t,
    );
    if (free) this.#taken.push([x, y, x + width, y + height]);
    return free;
  }
}

export interface Name {
  readonly text: string;
  /** What to write where there is no room for `text`. */
  readonly short?: string;
  readonly x: number;
  readonly y: number;
  readonly color: string;
  /** Written even where another name is. */
  readonly must: boolean;
  /** Around its place rather than beside it. */
  readonly centred?: boolean;
}

/** A token as it can be read: blanks and line ends made visible. */
export function tokenText(text: string): string {
  const seen = text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
  return seen.length > 24 ? `${seen.slice(0, 23)}…` : seen || "(empty)";
}

export function drawNames(
  ctx: Context,
  palette: Palette,
  box: Box,
  names: readonly Name[],
  places: Places,
): void {
  ctx.font = palette.font;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { text, short: less, x, y, color, must, centred } of names) {
    if (x < box.left || x > box.left + box.width || y < box.top || y > box.top + box.height)
      continue;
    const top = Math.min(Math.max(y - 8, box.top), box.top + box.height - 16);
    const room = (said: string) => {
      const width = ctx.measureText(said).width + 8;
      const left = centred ? x - width / 2 : x + 7;
      const inside = left + width > box.left + box.width ? x - 7 - width : left;
      return { said, width, left: Math.max(box.left, inside) };
    };
    const full = room(text);
    const brief = less === undefined ? null : room(less);
    const fits = [full, brief].find((r) => r && places.claim(r.left, top, r.width, 16));
    if (!fits && !must) continue;
    const { said, width, left } = fits ?? brief ?? full;
    ctx.fillStyle = faded(palette.panel, 0.82);
    ctx.fillRect(left, top, width, 16);
    ctx.fillStyle = color;
    ctx.fillText(said, left + 4, top + 8.5);
  }
}

/** Rings around points, and lines to the neighbours of the first. */
export function drawNeighbours(
  ctx: Context,
  palette: Palette,
  splats: Splats,
  origin: { x: number; y: number; ratio: number },
  index: number,
  neighbours: readonly Neighbour[],
): void {
  const at = (i: number) =>
    [origin.x + splats.x[i]! / origin.ratio, origin.y + splats.y[i]! / origin.ratio] as const;
  const [x, y] = at(index);
  ctx.lineWidth = 1;
  for (const { index: other, cosine } of neighbours) {
    const [u, v] = at(other);
    ctx.strokeStyle = faded(palette.readout, 0.25 + 0.45 * Math.max(0, cosine));
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(u, v);
    ctx.stroke();
  }
  ctx.strokeStyle = palette.readout;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.arc(x, y, 6, 0, 2 * Math.PI);
  ctx.stroke();
}

/** Paths over the snapshots: faint where they begin, bright where they end. */
export function drawTrails(
  ctx: Context,
  palette: Palette,
  trails: readonly Float32Array[],
  view: { camera: Camera; radius: number; box: Box },
  splats: Splats,
): void {
  const parts = 8;
  ctx.lineWidth = 1.5;
  ctx.lineJoin = "round";
  trails.forEach((points, k) => {
    const pair = { points, scale: 1 };
    splats.project(pair, pair, 0, view);
    const color = palette.hues[k % palette.hues.length] ?? palette.gauge;
    const n = splats.count;
    for (let part = 0; part < parts; part++) {
      const from = Math.floor((part * (n - 1)) / parts);
      const to = Math.floor(((part + 1) * (n - 1)) / parts);
      if (to <= from) continue;
      ctx.strokeStyle = faded(color, 0.2 + (0.8 * (part + 1)) / parts);
      ctx.beginPath();
      ctx.moveTo(splats.x[from]!, splats.y[from]!);
      for (let i = from + 1; i <= to; i++) ctx.lineTo(splats.x[i]!, splats.y[i]!);
      ctx.stroke();
    }
    if (n > 0) {
      ctx.fillStyle = color;
      ctx.fillRect(splats.x[n - 1]! - 2, splats.y[n - 1]! - 2, 4, 4);
    }
  });
}

/** The three components' directions, in a corner. */
export function drawAxes(
  ctx: Context,
  palette: Palette,
  camera: Camera,
  x: number,
  y: number,
): void {
  const m = axesOf(camera);
  ctx.font = palette.font;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.lineWidth = 1;
  for (let axis = 0; axis < 3; axis++) {
    const [dx, dy] = [m[axis]! * 20, -m[3 + axis]! * 20];
    // Seen from its end, an axis is a point and its name would hide the others'.
    if (Math.hypot(dx, dy) < 5) continue;
    ctx.strokeStyle = mixed(palette.panel, palette.label, m[6 + axis]! < -0.2 ? 0.5 : 0.9);
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + dx, y + dy);
    ctx.stroke();
    ctx.fillStyle = palette.label;
    ctx.fillText(String(axis + 1), x + dx * 1.4, y + dy * 1.4);
  }
}

/** A bar of colours with what its ends stand for; returns the x where it ends. */
export function drawLegend(
  ctx: Context,
  palette: Palette,
  stops: readonly string[],
  title: string,
  ends: readonly [string, string],
  x: number,
  y: number,
  room: number,
): number {
  ctx.font = palette.font;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const [low, high] = ends.map((end) => ctx.measureText(end).width) as [number, number];
  const titled = ctx.measureText(title).width + 8;
  const width = Math.min(120, room - titled - low - high - 12);
  if (width < 24) return x;
  ctx.fillStyle = palette.label;
  ctx.fillText(title, x, y);
  ctx.fillText(ends[0], x + titled, y);
  const left = x + titled + low + 6;
  const bar = ctx.createLinearGradient(left, 0, left + width, 0);
  stops.forEach((stop, i) => {
    bar?.addColorStop(i / (stops.length - 1), stop);
  });
  ctx.fillStyle = bar;
  ctx.fillRect(left, y - 4, width, 8);
  ctx.strokeStyle = palette.border;
  ctx.lineWidth = 1;
  ctx.strokeRect(left - 0.5, y - 4.5, width + 1, 9);
  ctx.fillStyle = palette.label;
  ctx.fillText(ends[1], left + width + 6, y);
  return left + width + 6 + high;
}

/** What the ends of a legend say. */
export function legendEnds(range: Range | null): readonly [string, string] {
  return range ? [short(range.low), short(range.high)] : ["low", "high"];
}

/** One line of small text that is cut to its room. */
export function drawNote(
  ctx: Context,
  palette: Palette,
  text: string,
  x: number,
  y: number,
  room: number,
  align: "left" | "right" | "center" = "left",
): void {
  ctx.font = palette.font;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.fillStyle = palette.label;
  ctx.fillText(cut(ctx, text, room), x, y);
}

/** `text`, shortened with "…" until it fits. */
export function cut(ctx: Context, text: string, room: number): string {
  if (ctx.measureText(text).width <= room) return text;
  let most = text.length - 1;
  while (most > 1 && ctx.measureText(`${text.slice(0, most)}…`).width > room) most--;
  return `${text.slice(0, most)}…`;
}

/** The names of clusters at their centres. */
export function clusterLabels(
  found: Clusters,
  names: readonly string[],
  place: (x: number, y: number, z: number) => readonly [number, number],
  palette: Palette,
): Name[] {
  return names.flatMap((text, c) => {
    if (found.counts[c] === 0) return [];
    const [x, y] = place(
      found.centres[3 * c]!,
      found.centres[3 * c + 1]!,
      found.centres[3 * c + 2]!,
    );
    const color = palette.hues[c % palette.hues.length] ?? palette.readout;
    const number = String(c + 1);
    return [{ text: `${number}: ${text}`, short: number, x, y, color, must: true, centred: true }];
  });
}
