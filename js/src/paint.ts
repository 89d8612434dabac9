/**
 * Colours from the style sheet and strokes on a 2D context. Knows no data.
 *
 * Every colour on a canvas is a CSS variable of the root (theme.css), so that one
 * attribute changes the theme of text and canvases alike.
 */

import { clamp } from "./scale";

export interface Palette {
  bg: string;
  panel: string;
  grid: string;
  border: string;
  readout: string;
  label: string;
  loss: string;
  lr: string;
  grad: string;
  eval: string;
  gauge: string;
  hot: string;
  warn: string;
  /** Blur of the glow in CSS pixels; 0 on paper. */
  glow: number;
  font: string;
  /** Colours for series that have none of their own, told apart by hue and lightness. */
  hues: string[];
  /** Stops of the heat map's colour scale, from low to high, ordered by lightness. */
  heat: string[];
}

/** Any CSS colour as #rrggbb. A minifier writes "gold" for #ffd700 and #0ff for #00ffff. */
function plainColors(): (color: string) => string {
  const ctx = document.createElement("canvas").getContext("2d");
  return (color) => {
    if (!ctx || !color) return color;
    ctx.fillStyle = color;
    return String(ctx.fillStyle);
  };
}

/** Read the palette that applies to `el`. */
export function readPalette(el: Element): Palette {
  const style = getComputedStyle(el);
  const plain = plainColors();
  const text = (name: string) => style.getPropertyValue(`--nbm-${name}`).trim();
  const read = (name: string) => plain(text(name));
  const list = (name: string) => text(name).split(/\s+/).filter(Boolean).map(plain);
  return {
    bg: read("bg"),
    panel: read("panel"),
    grid: read("grid"),
    border: read("border"),
    readout: read("readout"),
    label: read("label"),
    loss: read("loss"),
    lr: read("lr"),
    grad: read("grad"),
    eval: read("eval"),
    gauge: read("gauge"),
    hot: read("hot"),
    warn: read("warn"),
    glow: Number.parseFloat(text("glow")) || 0,
    font: `11px ${text("font") || "monospace"}`,
    hues: list("hues"),
    heat: list("heat"),
  };
}

const NAMED = ["loss", "lr", "grad", "eval", "gauge", "hot", "warn", "label", "readout"] as const;

const ALIAS: Record<string, string> = { learning_rate: "lr", grad_norm: "grad" };

/** A colour by its name in the palette, by number among the hues, or as CSS. */
export function colorOf(palette: Palette, name: string | undefined, index: number): string {
  const own = NAMED.find((n) => n === (ALIAS[name ?? ""] ?? name));
  if (own && index === 0) return palette[own];
  if (name && !own && index === 0) return name;
  const others = palette.hues.filter((hue) => hue !== (own ? palette[own] : ""));
  return (
    others[(index - (own ? 1 : 0) + others.length) % Math.max(1, others.length)] ?? palette.gauge
  );
}

/** `color` (#rgb or #rrggbb) with an alpha. */
export function faded(color: string, alpha: number): string {
  if (!/^#([0-9a-f]{3}|[0-9a-f]{6})$/i.test(color)) return color;
  return `${hex(rgb(color))}${hex([clamp(alpha, 0, 1) * 255]).slice(1)}`;
}

function hex(parts: readonly number[]): string {
  return `#${parts.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;
}

/** Linear mix of two colours. */
export function mixed(a: string, b: string, t: number): string {
  const [p, q] = [rgb(a), rgb(b)];
  return hex([0, 1, 2].map((i) => p[i]! + (q[i]! - p[i]!) * clamp(t, 0, 1)));
}

/** Red, green, blue, 0 to 255. */
export function rgb(color: string): [number, number, number] {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(color);
  const long = short
    ? short
        .slice(1)
        .map((c) => c + c)
        .join("")
    : color.slice(1, 7);
  const n = Number.parseInt(long, 16) || 0;
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

/** The colour at `part`, 0 to 1, of a scale of colours. */
export function ramp(stops: readonly string[], part: number): string {
  const at = clamp(part, 0, 1) * (stops.length - 1);
  const k = clamp(Math.floor(at), 0, Math.max(0, stops.length - 2));
  return mixed(stops[k] ?? "#000000", stops[k + 1] ?? stops[k] ?? "#ffffff", at - k);
}

/** Black or white, whichever is easier to read on `color`: at least 4.5:1. */
export function ink(color: string): string {
  const [r, g, b] = rgb(color).map((v) => {
    const part = v / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b! > 0.179 ? "#000000" : "#ffffff";
}

/** 256 colours between `stops` as RGBA words for an ImageData (little-endian). */
export function colorTable(stops: readonly string[]): Uint32Array {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const [r, g, b] = rgb(ramp(stops, i / 255));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

/** Run `draw` with light of `color` around every stroke and fill. */
export function glowing(
  ctx: CanvasRenderingContext2D,
  color: string,
  blur: number,
  draw: () => void,
): void {
  ctx.save();
  if (blur > 0) {
    ctx.shadowColor = color;
    ctx.shadowBlur = blur;
  }
  draw();
  ctx.restore();
}

/** Share of a gauge from which it is red. */
export const HOT = 0.9;

/** Colour of a gauge at `part` of its range. */
export function gaugeColor(palette: Palette, part: number): string {
  return part > HOT ? palette.hot : palette.gauge;
}

const FROM = 0.8 * Math.PI;
const TO = 2.2 * Math.PI;

/** An arc gauge of 252°, open below; `part` null draws the empty dial. */
export function arcGauge(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  at: { x: number; y: number; radius: number },
  part: number | null,
): void {
  const { x, y, radius } = at;
  const width = Math.max(5, radius * 0.16);
  const angle = (p: number) => FROM + (TO - FROM) * clamp(p, 0, 1);
  const arc = (from: number, to: number, color: string, w = width) => {
    ctx.beginPath();
    ctx.arc(x, y, radius, from, to);
    ctx.strokeStyle = color;
    ctx.lineWidth = w;
    ctx.stroke();
  };
  arc(FROM, TO, palette.grid);
  arc(angle(HOT), TO, faded(palette.hot, 0.35));
  ctx.lineWidth = 1;
  for (let k = 0; k <= 10; k++) {
    const a = angle(k / 10);
    const r = radius + width / 2 + 2;
    ctx.beginPath();
    ctx.moveTo(x + Math.cos(a) * r, y + Math.sin(a) * r);
    const long = k % 5 === 0 ? 4 : 2;
    ctx.lineTo(x + Math.cos(a) * (r + long), y + Math.sin(a) * (r + long));
    ctx.strokeStyle = k >= 9 ? palette.hot : palette.border;
    ctx.stroke();
  }
  if (part === null) return;
  const color = gaugeColor(palette, part);
  const end = angle(Math.max(part, 0.004));
  glowing(ctx, color, palette.glow, () => {
    arc(FROM, end, color);
  });
  arc(end - 0.03, end + 0.03, palette.readout, width + 4);
}
