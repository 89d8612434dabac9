/**
 * Part of the page as one canvas: backgrounds, borders, canvases and text, where they stand.
 * Owns the drawing of elements; knows no panel. Nothing is fetched, so nothing can taint it.
 */

/** What belongs to using the dashboard, not to what it shows. */
const LEFT_OUT =
  "[hidden], [data-control], .nbm-tools, .nbm-controls, .nbm-tabs, .nbm-tip, .u-select, .u-cursor-x, input, select";

/** Side of a canvas that every browser can make. */
const LARGEST = 8192;

interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

function opaque(color: string): boolean {
  return color !== "" && color !== "transparent" && !/^rgba\(.*,\s*0\)$|\/\s*0\)$/.test(color);
}

/** Colours of a gradient that goes from left to right, [] if there is none. */
function stopsOf(image: string): string[] {
  if (!image.startsWith("linear-gradient(90deg")) return [];
  return image.match(/(?:rgba?|color)\([^)]*\)|#[0-9a-f]{3,8}/gi) ?? [];
}

function drawBox(ctx: CanvasRenderingContext2D, style: CSSStyleDeclaration, box: Box): void {
  const { left, top, width, height } = box;
  if (opaque(style.backgroundColor)) {
    ctx.fillStyle = style.backgroundColor;
    ctx.fillRect(left, top, width, height);
  }
  const stops = stopsOf(style.backgroundImage);
  if (stops.length > 1) {
    const ramp = ctx.createLinearGradient(left, 0, left + width, 0);
    stops.forEach((color, i) => {
      ramp.addColorStop(i / (stops.length - 1), color);
    });
    ctx.fillStyle = ramp;
    ctx.fillRect(left, top, width, height);
  }
  const side = (size: string, color: string, line: string, draw: (w: number) => void) => {
    const w = Number.parseFloat(size) || 0;
    if (w === 0 || line === "none" || !opaque(color)) return;
    ctx.fillStyle = color;
    draw(w);
  };
  side(style.borderTopWidth, style.borderTopColor, style.borderTopStyle, (w) =>
    ctx.fillRect(left, top, width, w),
  );
  side(style.borderBottomWidth, style.borderBottomColor, style.borderBottomStyle, (w) =>
    ctx.fillRect(left, top + height - w, width, w),
  );
  side(style.borderLeftWidth, style.borderLeftColor, style.borderLeftStyle, (w) =>
    ctx.fillRect(left, top, w, height),
  );
  side(style.borderRightWidth, style.borderRightColor, style.borderRightStyle, (w) =>
    ctx.fillRect(left + width - w, top, w, height),
  );
}

/** The small light before a text, which is no element: it stands first and in the middle. */
function drawLamp(
  ctx: CanvasRenderingContext2D,
  el: HTMLElement,
  own: CSSStyleDeclaration,
  box: Box,
): void {
  if (!own.display.includes("flex")) return;
  const style = getComputedStyle(el, "::before");
  const size = Number.parseFloat(style.width);
  if (style.content !== '""' || !(size > 0)) return;
  const inset = Number.parseFloat(own.paddingLeft) + Number.parseFloat(own.borderLeftWidth);
  const high = Number.parseFloat(style.height);
  const place = { left: box.left + inset, top: box.top + (box.height - high) / 2 };
  drawBox(ctx, style, { ...place, width: size, height: high });
}

/** The lines that a text node is broken into, each with its place. */
function linesOf(node: Text): { text: string; box: DOMRect }[] {
  const range = document.createRange();
  range.selectNodeContents(node);
  const rects = [...range.getClientRects()];
  if (rects.length === 0) return [];
  if (rects.length === 1) return [{ text: node.data, box: rects[0]! }];
  const lines: { text: string; box: DOMRect }[] = [];
  for (let i = 0; i < node.length; i++) {
    range.setStart(node, i);
    range.setEnd(node, i + 1);
    const box = range.getBoundingClientRect();
    const line = lines[lines.length - 1];
    if (box.width === 0) continue;
    if (line && Math.abs(line.box.top - box.top) < 2) line.text += node.data[i];
    else lines.push({ text: node.data[i] ?? "", box });
  }
  return lines;
}

/** `text`, or as much of it as fits in `width` with an ellipsis. */
function fitting(ctx: CanvasRenderingContext2D, text: string, width: number): string {
  if (ctx.measureText(text).width <= width + 1) return text;
  let n = text.length;
  while (n > 1 && ctx.measureText(`${text.slice(0, n)}…`).width > width) n--;
  return `${text.slice(0, n)}…`;
}

function drawText(ctx: CanvasRenderingContext2D, node: Text, parent: HTMLElement): void {
  const style = getComputedStyle(parent);
  ctx.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  ctx.fillStyle = style.color;
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  // Not everywhere yet; without it the letters stand a little closer.
  if ("letterSpacing" in ctx) {
    ctx.letterSpacing = style.letterSpacing === "normal" ? "0px" : style.letterSpacing;
  }
  const cut = style.textOverflow === "ellipsis" && parent.scrollWidth > parent.clientWidth;
  for (const { text, box } of linesOf(node)) {
    const plain = text.replace(/\s+/g, " ");
    const shown = style.textTransform === "uppercase" ? plain.toUpperCase() : plain;
    const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = ctx.measureText(shown);
    const y = box.top + (box.height - up - down) / 2 + up;
    ctx.fillText(cut ? fitting(ctx, shown, parent.clientWidth) : shown, box.left, y);
  }
}

function drawElement(ctx: CanvasRenderingContext2D, el: HTMLElement): void {
  if (el.matches(LEFT_OUT)) return;
  const style = getComputedStyle(el);
  if (style.display === "none" || style.visibility === "hidden") return;
  const box = el.getBoundingClientRect();
  if (style.display !== "contents") drawBox(ctx, style, box);
  drawLamp(ctx, el, style, box);
  if (el instanceof HTMLCanvasElement) {
    if (el.width > 0 && el.height > 0) ctx.drawImage(el, box.left, box.top, box.width, box.height);
    return;
  }
  ctx.save();
  if (style.overflowX !== "visible" || style.overflowY !== "visible") {
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height);
    ctx.clip();
  }
  for (const child of el.childNodes) {
    if (child instanceof HTMLElement) drawElement(ctx, child);
    else if (child instanceof Text && child.data.trim() !== "") drawText(ctx, child, el);
  }
  ctx.restore();
}

export interface Foot {
  text: string;
  color: string;
  background: string;
  font: string;
}

const FOOT = 22;
const EDGE = 8;
/** Between parts; what was between them in the page is left out. */
const GAP = 6;

/** Draw `parts` one under the other, with a line of text underneath. */
export function rasterised(parts: readonly HTMLElement[], foot: Foot): HTMLCanvasElement {
  const placed: { el: HTMLElement; box: DOMRect; y: number }[] = [];
  let y = EDGE;
  let bottom = Number.NEGATIVE_INFINITY;
  for (const el of parts) {
    const box = el.getBoundingClientRect();
    if (placed.length > 0) y += Math.min(GAP, Math.max(0, box.top - bottom));
    placed.push({ el, box, y });
    y += box.height;
    bottom = box.bottom;
  }
  const left = Math.min(...placed.map(({ box }) => box.left)) - EDGE;
  const width = Math.max(...placed.map(({ box }) => box.right)) + EDGE - left;
  const height = y + FOOT;
  const ratio = Math.min(window.devicePixelRatio || 1, LARGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("this browser gives no canvas to draw on");
  ctx.scale(ratio, ratio);
  ctx.fillStyle = foot.background;
  ctx.fillRect(0, 0, width, height);
  for (const { el, box, y: top } of placed) {
    ctx.save();
    ctx.translate(-left, top - box.top);
    drawElement(ctx, el);
    ctx.restore();
  }
  ctx.font = foot.font;
  ctx.fillStyle = foot.color;
  ctx.textBaseline = "middle";
  if ("letterSpacing" in ctx) ctx.letterSpacing = "0px";
  ctx.fillText(foot.text, EDGE + 2, height - FOOT / 2);
  return canvas;
}

/** `canvas` as a PNG. */
export function toPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => {
      if (blob) done(blob);
      else fail(new Error("the picture is too large for this browser"));
    }, "image/png");
  });
}
