/**
 * A time-series chart: uPlot, themed, fed with windows of series, tied to the viewer's
 * range and cursor. Owns one uPlot instance; asks for at most two points a pixel.
 */

import uPlot from "uplot";
import { tickLabels } from "../format";
import { colorOf, faded } from "../paint";
import { clamp, type Extent, logTicks, moved, padded, stepTicks, ticks } from "../scale";
import type { Point } from "../series";
import { setAttr, type ViewContext } from "../view";
import {
  type Curve,
  lonely,
  type Mark,
  marksOf,
  merge,
  readCurve,
  type Source,
  straightened,
  yExtent,
} from "./data";
import { nearby } from "./events";
import { markers } from "./markers";
import type { Drawn } from "./phases";
import { type Dot, dots, glow, nonfinite } from "./plugins";
import { visibleRange, wholeRange } from "./range";
import { spotlight } from "./spotlight";
import { fillTip, makeTip } from "./tip";

export interface PlotOptions {
  /** Name of a colour in the palette for the first line. */
  color?: string | undefined;
  unit: string;
  /** Mark every measured point, for series with few of them. */
  points?: boolean;
  /** No axes: a strip that only shows a course. */
  bare?: boolean;
  /** Colours of the lines, where they are not told apart by hue. */
  colorAt?: (index: number, count: number) => string | undefined;
  /** Further points to mark. */
  extra?: () => readonly Dot[];
  /** Called where a viewer presses, with x and how far from it still counts. */
  pressed?: (x: number, reach: number) => void;
  log: () => boolean;
  smooth: () => boolean;
}

/** How near to a marker, in pixels, one has to point. */
const REACH = 6;

/** uPlot series of one curve: low, high, line, smooth. */
const PER_CURVE = 4;

/**
 * From so many points on a line is one pixel wide. Without graphics hardware a browser
 * strokes a hairline several times faster, and this is paid on every frame of a live run.
 */
const DENSE = 200;

/** Room for the labels of the y axis, in CSS pixels; grows with the longest of them. */
const LABELS = 50;
const LETTER = 7;

function labelsWidth(values: readonly string[] | null): number {
  const longest = Math.max(0, ...(values ?? []).map((text) => text?.length ?? 0));
  return Math.max(LABELS, 14 + longest * LETTER);
}

export class Plot {
  readonly #el: HTMLElement;
  readonly #ctx: ViewContext;
  readonly #options: PlotOptions;
  #plot: uPlot | null = null;
  #shape = "";
  #size = { width: 0, height: 0 };
  #view: Extent = [0, 1];
  #marks: Mark[] = [];
  #dots: Dot[] = [];
  #hovering = false;
  #courses: readonly Source[] = [];
  #tip: HTMLElement | null = null;
  lines: readonly Source[] = [];
  /** Why a zoomed view shows old steps as a summary, or "". */
  summary = "";
  /** Span of the smoothing that is drawn, in rows; 0 for none. */
  span = 0;

  constructor(el: HTMLElement, ctx: ViewContext, options: PlotOptions) {
    this.#el = el;
    this.#ctx = ctx;
    this.#options = options;
    ctx.signal.addEventListener("abort", () => this.#drop(), { once: true });
    if (!options.bare) this.#keys();
  }

  resize(width: number, height: number): void {
    this.#size = { width: Math.floor(width), height: Math.floor(height) };
  }

  /** Steps that were drawn, and where, in pixels from the left; null before the first time. */
  get drawn(): Drawn | null {
    const plot = this.#plot;
    if (!plot) return null;
    const { left, width } = plot.bbox;
    const ratio = uPlot.pxRatio;
    return { view: this.#view, left: Math.round(left / ratio), width: Math.round(width / ratio) };
  }

  /** Colour of line `index`. */
  color(index: number): string {
    const own = this.#options.colorAt?.(index, this.lines.length);
    if (own !== undefined) return own;
    return colorOf(this.#ctx.palette(), this.#options.color, index);
  }

  /** Read the series in the present view and draw them. */
  paint(label: string): void {
    const { width, height } = this.#size;
    const front = this.#options.points
      ? (this.#ctx.live.store.series("train/loss")?.last()?.x ?? 0)
      : 0;
    const view = visibleRange(this.#ctx.ui, this.lines, front);
    if (!view || width < 40 || height < 20) return;
    this.#view = view;
    const log = this.#options.log();
    const smooth = this.#options.smooth();
    const points = clamp(width, 64, 4096);
    this.#refine(view, points);
    const curves = this.#courses.map((line) => readCurve(line, view, points, smooth));
    this.span = Math.max(0, ...curves.map((c) => c.span));
    const table = merge(curves, log);
    this.#marks = marksOf(curves);
    this.#dots = this.#spots(curves, table.columns, table.x);
    const extent = yExtent(curves, log);
    const plot = this.#ensure(log);
    const [y0, y1] = padded(extent ?? (log ? [0.1, 1] : [0, 1]), log);
    const tolerance = (0.3 * (y1 - y0)) / height;
    curves.forEach((curve, c) => {
      const line = plot.series[c * PER_CURVE + 3];
      const column = table.columns[c * PER_CURVE + 2];
      if (!line || !column) return;
      const dense = curve.window.n > DENSE;
      const left = dense && !log ? straightened(table.x, column, tolerance) : curve.window.n;
      line.width = left > DENSE ? 1 : 1.5;
    });
    plot.batch(() => {
      if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
      plot.setData([table.x, ...table.columns] as uPlot.AlignedData, false);
      plot.setScale("x", { min: view[0], max: view[1] });
      plot.setScale("y", { min: y0, max: y1 });
    });
    setAttr(plot.ctx.canvas, "aria-label", label);
  }

  /** What line `index` was at `x`, as finely as it is drawn. */
  at(index: number, x: number): Point | null {
    return (this.#courses[index] ?? this.lines[index])?.at(x) ?? null;
  }

  /** In a zoomed view, take the lines as finely as the kernel tells them. */
  #refine(view: Extent, points: number): void {
    this.summary = "";
    const zoomed = typeof this.#ctx.ui.get("range") !== "string";
    this.#courses = this.lines;
    if (!zoomed || this.#options.bare) return;
    const refined = this.lines.map((line) => this.#ctx.details.refine(line, view, points));
    this.#courses = refined.map(({ course }) => course);
    this.summary = refined.find(({ summary }) => summary)?.summary ?? "";
  }

  /** Say what happened where the viewer points. Changes the document: call it after the canvases. */
  showTip(): void {
    const plot = this.#plot;
    const x = this.#ctx.ui.get("cursor");
    const [x0, x1] = this.#view;
    // Only under the pointer itself: every chart has the crosshair, one box says enough.
    const inside = this.#hovering && plot !== null && x !== null && x >= x0 && x <= x1;
    const { events } = this.#ctx.live.store;
    // To ask for a width makes the browser lay out the page: not unless somebody points.
    const reach = () => (REACH * (x1 - x0)) / Math.max(1, plot?.over.clientWidth ?? 0);
    const near = inside ? nearby(events, this.#ctx.palette(), x, reach()) : null;
    if (!near && !this.#tip) return;
    this.#tip ??= makeTip(this.#el);
    const at = near && plot ? plot.over.offsetLeft + plot.valToPos(near.step, "x") : 0;
    fillTip(this.#tip, near, at, this.#size.width);
  }

  /** Put the crosshair where the viewer's cursor is, on whichever chart that is. */
  paintCursor(): void {
    const plot = this.#plot;
    if (!plot || this.#hovering) return;
    const x = this.#ctx.ui.get("cursor");
    const inside = x !== null && x >= this.#view[0] && x <= this.#view[1];
    const left = inside ? plot.valToPos(x, "x") : -10;
    plot.setCursor({ left, top: inside ? 0 : -10 }, false);
  }

  #spots(curves: readonly Curve[], columns: (number | null | undefined)[][], xs: number[]): Dot[] {
    const out: Dot[] = [];
    curves.forEach((curve, c) => {
      const line = columns[c * PER_CURVE + 2] ?? [];
      const few = this.#options.points && curve.window.exact && curve.window.n <= 60;
      const where = few ? line.map((_, i) => i) : lonely(line);
      for (const i of where) {
        const y = line[i];
        if (typeof y === "number") out.push({ x: xs[i]!, y, color: this.color(c) });
      }
    });
    return out;
  }

  #ensure(log: boolean): uPlot {
    const shape = `${this.lines.map((line) => line.spec.id).join()}|${log}`;
    if (this.#plot && this.#shape === shape) return this.#plot;
    this.#drop();
    this.#shape = shape;
    const plot = new uPlot(this.#build(log), [[]], this.#el);
    setAttr(plot.ctx.canvas, "role", "img");
    const { signal, ui } = this.#ctx;
    plot.over.addEventListener("mouseenter", () => (this.#hovering = true), { signal });
    plot.over.addEventListener(
      "mouseleave",
      () => {
        this.#hovering = false;
        ui.set("cursor", null);
      },
      { signal },
    );
    this.#presses(plot);
    this.#plot = plot;
    return plot;
  }

  #build(log: boolean): uPlot.Options {
    const { ui, palette, live } = this.#ctx;
    const { unit, bare } = this.#options;
    const axis = (size: number, space: number): uPlot.Axis => ({
      show: !bare,
      size,
      space,
      gap: 3,
      font: palette().font,
      stroke: () => palette().label,
      grid: { stroke: () => palette().grid, width: 1 },
      ticks: { show: false },
    });
    const count = (u: uPlot, axisIdx: number, pixels: number) =>
      Math.max(2, (axisIdx === 0 ? u.bbox.width : u.bbox.height) / uPlot.pxRatio / pixels);
    return {
      width: this.#size.width,
      height: this.#size.height,
      padding: bare ? [4, 0, 2, 0] : [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (_u, min, max) => [min ?? 0, max ?? 1] },
        y: { distr: log ? 3 : 1, auto: false, range: (_u, min, max) => [min ?? 0, max ?? 1] },
      },
      axes: [
        {
          ...axis(20, 60),
          splits: (u, i, min, max) => stepTicks(min, max, count(u, i, 90)),
          values: (_u, splits) => tickLabels(splits),
        },
        {
          ...axis(LABELS, 24),
          size: (_u, values) => labelsWidth(values),
          splits: (u, i, min, max) => (log ? logTicks : ticks)(min, max, count(u, i, 36)),
          filter: (_u, splits) => splits,
          values: (_u, splits) => tickLabels(splits, unit, log),
        },
      ],
      series: [{}, ...this.lines.flatMap((_, index) => this.#series(index))],
      bands: this.lines.map((_, index) => ({
        series: [index * PER_CURVE + 2, index * PER_CURVE + 1] as [number, number],
        fill: () => faded(this.color(index), 0.2),
      })),
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 4 },
        bind: {
          dblclick: () => () => {
            ui.resetRange();
            return null;
          },
        },
      },
      hooks: {
        setSelect: [(u) => this.#zoomed(u)],
        setCursor: [(u) => this.#pointed(u)],
      },
      plugins: [
        ...(bare ? [] : [spotlight(ui, palette)]),
        markers(
          () => live.store.events,
          palette,
          () => this.#view,
          !bare,
        ),
        glow(
          (series) => this.#lit(series),
          () => palette().glow,
        ),
        dots(() => [...this.#dots, ...(this.#options.extra?.() ?? [])], palette),
        nonfinite(() => this.#marks, palette),
      ],
    };
  }

  #series(index: number): uPlot.Series[] {
    const line = (alpha: () => number, width: number): uPlot.Series => ({
      scale: "y",
      width,
      stroke: () => faded(this.color(index), alpha()),
      points: { show: false },
    });
    return [
      line(() => 0.4, 1),
      line(() => 0.4, 1),
      line(() => (this.#options.smooth() && this.span > 0 ? 0.38 : 1), 1.5),
      line(() => 1, 2),
    ];
  }

  /** The colour of the light around a uPlot series, null for the faint ones. */
  #lit(series: number): string | null {
    const part = (series - 1) % PER_CURVE;
    const bright = this.#options.smooth() && this.span > 0 ? 3 : 2;
    return part === bright ? this.color(Math.floor((series - 1) / PER_CURVE)) : null;
  }

  #zoomed(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    const [x0, x1] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (x1 > x0) this.#ctx.ui.set("range", [x0, x1]);
  }

  /** A press is a click that was no drag. */
  #presses(plot: uPlot): void {
    const { pressed } = this.#options;
    if (!pressed) return;
    const { signal } = this.#ctx;
    let from = 0;
    plot.over.addEventListener("mousedown", (event) => (from = event.clientX), { signal });
    plot.over.addEventListener(
      "click",
      (event) => {
        if (Math.abs(event.clientX - from) > 3) return;
        const x = plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
        const [x0, x1] = this.#view;
        pressed(x, (REACH * (x1 - x0)) / Math.max(1, plot.over.clientWidth));
      },
      { signal },
    );
  }

  #pointed(u: uPlot): void {
    if (!this.#hovering) return;
    const left = u.cursor.left ?? -1;
    this.#ctx.ui.set("cursor", left < 0 ? null : u.posToVal(left, "x"));
  }

  /** Arrow keys move the view, + and − zoom it, Escape and 0 reset it. */
  #keys(): void {
    const { signal, ui } = this.#ctx;
    const steps: Record<string, readonly [number, number]> = {
      ArrowLeft: [-0.2, 1],
      ArrowRight: [0.2, 1],
      "+": [0, 0.5],
      "=": [0, 0.5],
      "-": [0, 2],
    };
    const panel = this.#el.closest<HTMLElement>("[data-panel]") ?? this.#el;
    panel.addEventListener(
      "keydown",
      (event) => {
        if (event.target !== panel || event.ctrlKey || event.metaKey || event.altKey) return;
        const whole = wholeRange(this.lines);
        const step = steps[event.key];
        if (event.key === "Escape" || event.key === "0") ui.resetRange();
        else if (whole && step) ui.set("range", moved(this.#view, whole, step[0], step[1]));
        else return;
        event.preventDefault();
        // The notebook has its own meaning for these keys.
        event.stopPropagation();
      },
      { signal },
    );
  }

  #drop(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }
}
