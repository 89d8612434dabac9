/**
 * The flat stage: the token cloud and the stack of heatmaps on one 2-D canvas. It needs no WebGL and
 * no kernel. Puts its parts together; knows neither the playback nor the controls around it.
 */

import { grouped as withCommas } from "../format";
import type { Item } from "../frame";
import type { Palette } from "../paint";
import type { Viewpoint } from "../ui";
import { button, h, keepKeys, setAttr } from "../view";
import { PLANES, type PlaneName } from "./camera";
import { Clusterer } from "./cluster";
import { type Tables, tablesOf } from "./colour";
import { Cloud, pointsOf, radiusOf, type Shown } from "./flat_cloud";
import { drawCloudOverlay } from "./flat_labels";
import { drawNote } from "./flat_overlay";
import { Stack } from "./flat_planes";
import { FlatView, partsOf, within } from "./flat_view";
import { Lod } from "./lod";
import { listen } from "./pointer";
import type { FlyTarget, Look, Moment, ParametersMeta, Picked, Stage, StageOptions } from "./stage";
import { cameraOf, flatViewpointOf } from "./viewpoint";

/** How near to a point a pointer must be, CSS pixels. */
const REACH = 10;
/** Milliseconds after a frame of the caller's within which the next one is awaited. */
const AWAITED = 40;
/** Finer screens than this gain nothing that an eye would see and cost four times the pixels. */
const SHARPEST = 2;

class FlatStage implements Stage {
  readonly name = "flat";
  readonly why: string;
  readonly #options: StageOptions;
  readonly #end = new AbortController();
  readonly #root: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #toolbar = h("div", { class: "nbm-stage-tools" });
  readonly #tools = new Map<PlaneName, HTMLButtonElement>();
  readonly #item: Item;
  readonly #cloud = new Cloud();
  readonly #stack = new Stack();
  readonly #view = new FlatView(this.#stack);
  readonly #lod = new Lod();
  readonly #clusterer = new Clusterer();
  #meta: ParametersMeta | null = null;
  #shown: Shown | null = null;
  #trails: ReadonlyMap<number, Float32Array> = new Map();
  #tables: { palette: Palette; tables: Tables } | null = null;
  #hovered: Picked | null = null;
  #radius = 0;
  #radii = new WeakMap<Moment, number>();
  #size: readonly [number, number] = [0, 0];
  /** The viewer has done something with the camera since the last paint, or is flying. */
  #turned = false;
  #pending = false;
  #asked = 0;
  #last = 0;

  constructor(options: StageOptions) {
    this.#options = options;
    this.why = options.why;
    const { signal } = this.#end;
    this.#canvas = h("canvas", { class: "nbm-stage-canvas", tabindex: 0, role: "application" });
    const tools = this.#toolbar;
    this.#root = h("div", { class: "nbm-stage", "data-stage": "flat" }, this.#canvas, tools);
    for (const name of Object.keys(PLANES) as PlaneName[]) {
      const [across, up] = name.split("·");
      const title = `Components ${across} (across) and ${up} (up): the projection along the third`;
      const el = button(`stage-${name}`, name, title, () => this.#turn(name), signal);
      this.#tools.set(name, el);
      tools.append(el);
    }
    const back = "Show everything again, from the side";
    tools.append(button("stage-home", "3-D", back, () => this.flyTo("reset"), signal));
    options.el.append(this.#root);
    this.#item = options.loop.add(this.#root, (now) => this.#again(now), signal);
    this.#listen(signal);
    options.signal.addEventListener("abort", () => this.dispose(), { once: true, signal });
    if (options.signal.aborted) this.dispose();
  }

  setMeta(meta: ParametersMeta): void {
    this.#meta = meta;
    this.#radius = 0;
    this.#stack.clear();
    const tokens = meta.tokens ? `${withCommas(meta.tokens.count)} token embeddings` : "no tokens";
    const maps = meta.matrices.filter((matrix) => matrix.heat).length;
    const keys = "arrows turn, + and − zoom, 1 2 3 project, 0 shows all";
    setAttr(this.#canvas, "aria-label", `${tokens}, ${maps} heatmaps of ${meta.model}; ${keys}`);
    this.#dirty();
  }

  frame(a: Moment, b: Moment, t: number, look: Look): void {
    this.#shown = { a, b, t: Math.min(1, Math.max(0, t)), look };
    this.#asked = performance.now();
    this.#paint(this.#asked);
  }

  setTrails(points: ReadonlyMap<number, Float32Array>): void {
    this.#trails = points;
    this.#dirty();
  }

  pick(x: number, y: number): Picked | null {
    const { cloud, stack } = this.#view.parts;
    if (within(stack, x, y)) return this.#stack.pick(x, y);
    if (!cloud || !within(cloud, x, y) || !this.#shown?.look.showTokens) return null;
    const ratio = this.#ratio();
    const [u, v] = [(x - cloud.left) * ratio, (y - cloud.top) * ratio];
    const index = this.#cloud.splats.nearest(u, v, REACH * ratio, this.#cloud.order);
    return index === null ? null : { kind: "token", index };
  }

  flyTo(target: FlyTarget): void {
    if (target === "reset") {
      this.#radius = 0;
      this.#view.home();
    } else if ("layer" in target) this.#view.toLayer(target.layer);
    else {
      const pair = this.#shown && pointsOf(this.#shown);
      const { t } = this.#shown ?? { t: 0 };
      if (!pair || !(target.token * 3 + 2 < pair[1].points.length) || !this.#radius) return;
      const at = (k: number) => {
        const [p, q] = pair.map(({ points, scale }) => points[3 * target.token + k]! * scale);
        return (p! + (q! - p!) * t) / this.#radius;
      };
      this.#view.toPoint([at(0), at(1), at(2)]);
    }
    this.#move();
  }

  stand(view: Viewpoint): void {
    this.#view.stand(cameraOf(view), view.by === "flat" ? view.stack : null);
    this.#turned = false;
    this.#dirty();
  }

  resize(width: number, height: number): void {
    this.#size = [Math.floor(width), Math.floor(height)];
    this.#dirty();
  }

  dispose(): void {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    this.#root.remove();
    this.#stack.clear();
    this.#shown = null;
    this.#trails = new Map();
  }

  #turn(name: PlaneName): void {
    this.#view.toPlane(name);
    this.#move();
  }

  #dirty(): void {
    this.#pending = true;
    this.#item.dirty();
  }

  /** Paint for the stage's own sake; during playback the caller's next frame shows it as well. */
  #again(now: number): void {
    if (!this.#pending) return;
    if (now - this.#asked < AWAITED) this.#item.dirty();
    else this.#paint(now);
  }

  #ratio(): number {
    return Math.min(SHARPEST, window.devicePixelRatio || 1);
  }

  #begin(): { ctx: CanvasRenderingContext2D; width: number; height: number } | null {
    const box = this.#root;
    if (this.#size[0] === 0) this.#size = [box.clientWidth, box.clientHeight];
    const [width, height] = this.#size;
    if (width < 1 || height < 1) return null;
    const ratio = this.#ratio();
    const [w, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== w || this.#canvas.height !== high) {
      this.#canvas.width = w;
      this.#canvas.height = high;
    }
    // Every frame writes nearly all pixels anew: on the processor's side that is one upload a frame,
    // where a canvas of the graphics card's (above all one that is emulated) takes many.
    const ctx = this.#canvas.getContext("2d", { willReadFrequently: true });
    ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx?.clearRect(0, 0, width, height);
    return ctx ? { ctx, width, height } : null;
  }

  #paint(now: number): void {
    this.#pending = false;
    const shown = this.#shown;
    const meta = this.#meta;
    const begun = shown && meta && this.#begin();
    if (!begun) return;
    const started = performance.now();
    const { ctx, width, height } = begun;
    const palette = this.#options.palette();
    if (this.#tables?.palette !== palette) this.#tables = { palette, tables: tablesOf(palette) };
    const { tables } = this.#tables;
    const { look } = shown;
    const hasTokens = look.showTokens && pointsOf(shown) !== null;
    const hasPositions = look.showPositions && pointsOf(shown, "positions") !== null;
    const hasStack = meta.matrices.some((matrix) => matrix.heat && look.visible.has(matrix.id));
    const view = this.#view;
    view.parts = partsOf(width, height, hasTokens || hasPositions, hasStack);
    const { cloud, stack } = view.parts;
    if (stack) this.#stack.fit(meta, look.visible, stack);
    const moving = view.advance(now);
    if (cloud) {
      if (hasTokens) this.#paintCloud(ctx, palette, tables, shown);
      drawCloudOverlay(ctx, palette, {
        meta,
        shown,
        box: cloud,
        camera: view.camera,
        radius: this.#radius,
        ratio: this.#ratio(),
        cloud: this.#cloud,
        clusterer: this.#clusterer,
        trails: this.#trails,
        hovered: this.#hovered?.kind === "token" ? this.#hovered.index : null,
        hasTokens,
        hasPositions,
        slowed: this.#lod.slowed,
      });
    }
    if (stack) this.#stack.draw(ctx, palette, tables, meta, shown);
    if (!cloud && !stack) {
      const why = meta.absent.tokens ?? "nothing is chosen to be shown";
      drawNote(ctx, palette, `– ${why}`, width / 2, height / 2, width - 20, "center");
    }
    // They would do nothing, and lie over the heatmaps.
    if (this.#toolbar.hidden !== !cloud) this.#toolbar.hidden = !cloud;
    for (const [name, el] of this.#tools) {
      setAttr(el, "aria-pressed", String(view.plane === name));
    }
    this.#lod.note(now - this.#last, performance.now() - started);
    this.#last = now;
    if (moving) this.#dirty();
    if (this.#turned) {
      this.#options.turned(flatViewpointOf(view.camera, this.#stack.place, view.layer));
    }
    this.#turned = moving;
  }

  /** The viewer moves: whoever follows is told where to when that is painted. */
  #move(): void {
    this.#turned = true;
    this.#dirty();
  }

  #paintCloud(ctx: CanvasRenderingContext2D, palette: Palette, tables: Tables, shown: Shown): void {
    const box = this.#view.parts.cloud!;
    const ratio = this.#ratio();
    // The view grows with the cloud and doesn't shrink with it: growth and collapse can be seen.
    this.#radius = Math.max(this.#radius, this.#extent(shown.a), this.#extent(shown.b)) || 1;
    const { camera } = this.#view;
    const { look } = shown;
    const extra = [...look.trails];
    if (look.selected !== null) extra.push(look.selected);
    const image = this.#cloud.paint(
      shown,
      { camera, radius: this.#radius, width: box.width, height: box.height, ratio },
      this.#lod.level(camera.zoom),
      extra,
      tables,
      this.#clusterer,
    );
    if (image) ctx.putImageData(image, Math.round(box.left * ratio), Math.round(box.top * ratio));
    ctx.strokeStyle = palette.border;
    ctx.lineWidth = 1;
    ctx.strokeRect(box.left + 0.5, box.top + 0.5, box.width - 1, box.height - 1);
  }

  #extent(moment: Moment): number {
    const known = this.#radii.get(moment);
    if (known !== undefined || !moment.tokens) return known ?? 0;
    const found = radiusOf(moment.tokens, moment.scale) * 1.1;
    this.#radii.set(moment, found);
    return found;
  }

  #hover(picked: Picked | null, x: number, y: number): void {
    this.#hovered = picked;
    this.#stack.hovered = picked?.kind === "plane" ? picked.matrix : null;
    this.#options.hovered(picked, x, y);
    this.#dirty();
  }

  #listen(signal: AbortSignal): void {
    const view = this.#view;
    listen(
      this.#canvas,
      {
        drag: (dx, dy, x0, y0, shift) => {
          view.drag(dx, dy, x0, y0, shift);
          if (this.#hovered) this.#hover(null, x0, y0);
          this.#move();
        },
        click: (x, y) => this.#options.chosen(this.pick(x, y)),
        move: (x, y) => {
          const picked = this.pick(x, y);
          if (JSON.stringify(picked) !== JSON.stringify(this.#hovered)) this.#hover(picked, x, y);
        },
        leave: () => {
          if (this.#hovered) this.#hover(null, 0, 0);
        },
        zoom: (factor, x, y) => {
          view.zoom(factor, x, y);
          this.#move();
        },
        twice: () => this.flyTo("reset"),
      },
      signal,
    );
    keepKeys(this.#canvas, signal);
    this.#canvas.addEventListener(
      "keydown",
      (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !view.key(event.key)) return;
        event.preventDefault();
        this.#move();
      },
      { signal },
    );
  }
}

/** A flat stage in `options.el`. */
export function makeFlat(options: StageOptions): Stage {
  return new FlatStage(options);
}
