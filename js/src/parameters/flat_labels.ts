/** What is said over the flat cloud at this moment: chosen and hovered tokens, clusters, positions, notes. */

import { counted } from "../format";
import { faded, type Palette, ramp } from "../paint";
import type { Camera } from "./camera";
import { type Clusterer, clusterNames, clusterTitle } from "./cluster";
import { columnRange, pointStops } from "./colour";
import { type Cloud, pointsOf, radiusOf, type Shown } from "./flat_cloud";
import {
  clusterLabels,
  drawAxes,
  drawLegend,
  drawNames,
  drawNeighbours,
  drawNote,
  drawTrails,
  legendEnds,
  type Name,
  Places,
  tokenText,
} from "./flat_overlay";
import { NEIGHBOURS_LABEL, type Neighbour, neighboursOf } from "./neighbours";
import { type Box, placeOf, Splats } from "./splat";
import type { ColourBy, ParametersMeta } from "./stage";

const TITLES: Record<Exclude<ColourBy, "cluster">, string> = {
  norm: "norm",
  moved: "moved",
  since: "moved since the start",
  frequency: "frequency (log)",
};
const UNKNOWN: Record<Exclude<ColourBy, "cluster">, string> = {
  norm: "norms are not known here",
  moved: "nothing to compare with yet: this is the first snapshot",
  since: "how far they went since the start is not known here",
  frequency: "how often tokens occur is not known here",
};
const INSET = 116;

export interface Scene {
  readonly meta: ParametersMeta;
  readonly shown: Shown;
  readonly box: Box;
  readonly camera: Camera;
  readonly radius: number;
  readonly ratio: number;
  readonly cloud: Cloud;
  readonly clusterer: Clusterer;
  readonly trails: ReadonlyMap<number, Float32Array>;
  readonly hovered: number | null;
  readonly hasTokens: boolean;
  readonly hasPositions: boolean;
  readonly slowed: boolean;
}

export function drawCloudOverlay(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  scene: Scene,
): void {
  const { box, camera } = scene;
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.width, box.height);
  ctx.clip();
  if (scene.hasPositions) drawPositions(ctx, palette, scene);
  if (scene.hasTokens) drawTokens(ctx, palette, scene);
  drawAxes(ctx, palette, camera, box.left + 34, box.top + 36);
  ctx.restore();
}

function drawTokens(ctx: CanvasRenderingContext2D, palette: Palette, scene: Scene): void {
  const { meta, shown, box, camera, radius, cloud, trails, hovered, ratio } = scene;
  const { look } = shown;
  const wanted = look.trails.flatMap((i) => trails.get(i) ?? []);
  drawTrails(ctx, palette, wanted, { camera, radius, box }, new Splats());
  const { splats } = cloud;
  const at = (i: number) =>
    [box.left + splats.x[i]! / ratio, box.top + splats.y[i]! / ratio] as const;
  const text = (i: number) => tokenText(meta.tokens?.texts[i] ?? String(i));
  const valid = (i: number | null): i is number => i !== null && i >= 0 && i < splats.count;
  const names: Name[] = [];
  const name = (i: number, color: string, must: boolean) => {
    const [x, y] = at(i);
    names.push({ text: text(i), x, y, color, must });
  };
  const focus = valid(hovered) ? hovered : look.selected;
  let neighbours: Neighbour[] = [];
  if (valid(focus)) {
    const pair = pointsOf(shown)!;
    neighbours = neighboursOf(pair[shown.t < 0.5 ? 0 : 1].points, focus);
    drawNeighbours(ctx, palette, splats, { x: box.left, y: box.top, ratio }, focus, neighbours);
    name(focus, palette.readout, true);
  }
  if (valid(look.selected) && look.selected !== focus) name(look.selected, palette.readout, true);
  for (const i of look.trails) if (valid(i) && i !== focus) name(i, palette.readout, false);
  for (const { index } of neighbours) name(index, palette.label, false);
  if (look.colourBy === "cluster") names.push(...clusterTexts(palette, scene));
  drawNames(ctx, palette, box, names, new Places());
  drawFoot(ctx, palette, scene, neighbours.length > 0);
}

function clusterTexts(palette: Palette, scene: Scene): Name[] {
  const { meta, shown, box, camera, radius, clusterer } = scene;
  const moment = shown.t < 0.5 && shown.a.tokens ? shown.a : shown.b;
  const found = clusterer.of(moment);
  if (!found) return [];
  const names = clusterNames(found, (meta.tokens?.texts ?? []).map(tokenText));
  const unit = moment.scale / radius;
  const place = (x: number, y: number, z: number) =>
    placeOf([x * unit, y * unit, z * unit], camera, box);
  return clusterLabels(found, names, place, palette);
}

/** Legend and notes at the bottom of the cloud. */
function drawFoot(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  scene: Scene,
  near: boolean,
): void {
  const { shown, box, cloud, slowed, meta } = scene;
  const by = shown.look.colourBy;
  const [x, y] = [box.left + 10, box.top + box.height - 12];
  const room = box.width - 20;
  ctx.fillStyle = faded(palette.panel, 0.8);
  ctx.fillRect(box.left + 1, y - 10, box.width - 2, 21);
  let end = x;
  if (by !== "cluster" && (shown.a[by] || shown.b[by])) {
    const range = columnRange(shown.a, shown.b, by);
    const ends = legendEnds(range);
    end = drawLegend(ctx, palette, pointStops(palette), TITLES[by], ends, x, y, room);
  } else {
    const text = by === "cluster" ? clusterTitle(shown.a) : `– ${UNKNOWN[by]}`;
    drawNote(ctx, palette, text, x, y, room);
    end = x + ctx.measureText(text).width;
  }
  const drawn = cloud.order.length;
  const all = cloud.splats.count;
  const why = slowed ? ", to keep up" : "";
  const some = drawn < all ? `${counted(drawn)} of ${counted(all)} points${why}` : "";
  const size = shown.a.frequency || shown.b.frequency ? "size: frequency" : "";
  const of = meta.tokens ? `${counted(all)} of ${counted(meta.tokens.vocabulary)} tokens` : "";
  const note = near ? `lines: ${NEIGHBOURS_LABEL}` : [some || of, size].filter(Boolean).join(" · ");
  const left = box.left + box.width - 10 - end - 16;
  if (left > 80) drawNote(ctx, palette, note, box.left + box.width - 10, y, left, "right");
}

/** The position embeddings as a curve: in a corner beside tokens, because its scale is its own. */
function drawPositions(ctx: CanvasRenderingContext2D, palette: Palette, scene: Scene): void {
  const { shown, box, camera, hasTokens, meta } = scene;
  const pair = pointsOf(shown, "positions");
  if (!pair) return;
  const side = Math.min(INSET, box.width * 0.3);
  const where: Box = hasTokens
    ? {
        left: box.left + box.width - side - 8,
        top: box.top + box.height - side - 42,
        width: side,
        height: side,
      }
    : box;
  const radius = Math.max(...pair.map(({ points, scale }) => radiusOf(points, scale))) * 1.1 || 1;
  const splats = new Splats();
  splats.project(pair[0], pair[1], shown.t, {
    camera: hasTokens ? { ...camera, zoom: 1, centre: [0, 0, 0] } : camera,
    radius,
    box: where,
  });
  ctx.fillStyle = hasTokens ? faded(palette.panel, 0.85) : palette.panel;
  ctx.fillRect(where.left, where.top, where.width, where.height);
  ctx.strokeStyle = palette.border;
  ctx.lineWidth = 1;
  ctx.strokeRect(where.left + 0.5, where.top + 0.5, where.width - 1, where.height - 1);
  const stops = pointStops(palette);
  const n = splats.count;
  const parts = Math.min(32, Math.max(1, n - 1));
  ctx.lineWidth = hasTokens ? 1.2 : 2;
  for (let part = 0; part < parts; part++) {
    const from = Math.floor((part * (n - 1)) / parts);
    const to = Math.floor(((part + 1) * (n - 1)) / parts);
    ctx.strokeStyle = ramp(stops, part / parts);
    ctx.beginPath();
    ctx.moveTo(splats.x[from]!, splats.y[from]!);
    for (let i = from + 1; i <= to; i++) ctx.lineTo(splats.x[i]!, splats.y[i]!);
    ctx.stroke();
  }
  const last = String(Math.max(0, (meta.positions?.total ?? n) - 1));
  if (hasTokens) {
    drawNote(ctx, palette, `positions 0–${last}`, where.left, where.top + side + 9, side);
    return;
  }
  const end = (i: number, text: string): Name => {
    return { text, x: splats.x[i]!, y: splats.y[i]!, color: palette.readout, must: true };
  };
  if (n > 0) drawNames(ctx, palette, box, [end(0, "0"), end(n - 1, last)], new Places());
  const text = `position embeddings 0 to ${last} as one curve, from the first colour to the last`;
  drawNote(ctx, palette, text, box.left + 10, box.top + box.height - 12, box.width - 20);
}
