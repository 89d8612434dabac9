/**
 * The stage on pythreejs' objects: a cloud of tokens and a house of heatmaps, in three dimensions.
 * Python made the objects (`nbmonitor/scene/`), this side gives them data and draws, so that it
 * all plays while the kernel is busy, or gone.
 */

import type { SceneParts } from "../model";
import type { Viewpoint } from "../ui";
import { h } from "../view";
import { Flight, wantsStill } from "./camera";
import type { Shown } from "./flat_cloud";
import { Lod } from "./lod";
import { between, eyeOf, type Pose, product, unitAt } from "./scene_camera";
import { Recovery } from "./scene_context";
import { listenScene } from "./scene_input";
import { type Kit, openKit } from "./scene_kit";
import { sameTrails } from "./scene_lines";
import { Overlay } from "./scene_overlay";
import { Parts } from "./scene_parts";
import { pickPoint, pickSheet, rayOf, spotOf } from "./scene_pick";
import { above, homeOf, poseOfLayer, poseOfToken } from "./scene_poses";
import type { FlyTarget, Look, Moment, ParametersMeta, Picked, Stage, StageOptions } from "./stage";
import { poseOf, viewpointOf } from "./viewpoint";

const FLIGHT_MS = 700;
/** A long lens: floors far up look like those far down. */
const FOV = 24;
const NOWHERE: Pose = { target: [0, 0, 0], yaw: 0, pitch: 0.4, distance: 24 };
const NONE: ReadonlySet<number> = new Set();
const LABEL =
  "Parameters in 3D. Drag to turn, shift and drag to move, wheel to zoom; arrow keys, plus, minus and 0";

/** Where the scene is, and what to do when it breaks later. */
export interface SceneOptions extends StageOptions {
  /** `live.scene?.() ?? null`. */
  readonly parts: SceneParts | null;
  /** The picture can't be drawn any more: take the flat stage, for this reason. */
  readonly failed: (why: string) => void;
}

/**
 * Make the stage. Rejects with an Error whose message tells a viewer why there is none:
 * no WebGL, no widgets, pythreejs missing in Python or in the page.
 */
export async function openScene(options: SceneOptions): Promise<Stage> {
  const box = h("div", {
    class: "nbm-scene",
    style: "position:absolute;inset:0;overflow:hidden;touch-action:none;cursor:grab",
    tabindex: 0,
    role: "img",
    "aria-label": LABEL,
  });
  const end = new AbortController();
  options.signal.addEventListener("abort", () => end.abort(), { once: true, signal: end.signal });
  // Out of the way of the stage that is on until this one is there.
  box.hidden = true;
  options.el.append(box);
  try {
    const kit = await openKit(box, options.parts, options.palette, end.signal);
    box.hidden = false;
    return new SceneStage(box, kit, options, end);
  } catch (error) {
    end.abort();
    box.remove();
    throw error;
  }
}

export class SceneStage implements Stage {
  readonly name = "scene";
  readonly why: string;
  readonly #kit: Kit;
  readonly #box: HTMLElement;
  readonly #options: SceneOptions;
  readonly #end: AbortController;
  readonly #recovery: Recovery;
  readonly #dirty: () => void;
  readonly #lod = new Lod();
  #parts: Parts | null = null;
  #overlay: Overlay | null = null;
  #hovered = -1;
  #shown: Shown | null = null;
  #trails: ReadonlyMap<number, Float32Array> = new Map();
  #pose: Pose = NOWHERE;
  #flight: Flight<Pose> | null = null;
  /** As long as nobody has moved, the whole stays in view. */
  #atHome = true;
  /** Going home waits for the next draw: what is to be seen is said at the same time. */
  #homing: "at once" | "in flight" | null = "at once";
  /** From where the whole is seen. */
  #home = NOWHERE;
  /** The layer that is looked at. */
  #layer: number | null = null;
  /** Where to stand as soon as it is known where home is. */
  #awaited: Viewpoint | null = null;
  /** Sheets that are out of the way. */
  #lifted: ReadonlySet<number> = NONE;
  #kept: ReadonlySet<number> = NONE;
  #size = { width: 1, height: 1 };
  #sized: unknown = null;
  #pointer: { x: number; y: number } | null = null;
  #due = false;
  #last = 0;

  constructor(box: HTMLElement, kit: Kit, options: SceneOptions, end: AbortController) {
    this.#kit = kit;
    this.#box = box;
    this.#options = options;
    this.#end = end;
    this.why = options.why;
    const { signal } = end;
    this.#recovery = new Recovery(
      kit.view,
      () => this.#ask(),
      (why) => {
        if (!signal.aborted) options.failed(why);
      },
      signal,
    );
    const item = options.loop.add(box, (now) => this.#tick(now), signal);
    this.#dirty = () => item.dirty();
    // What Python changes in the scene makes pythreejs draw: with our camera and our data.
    kit.view.tock = () => {
      kit.view._ticking = false;
      this.#ask();
    };
    const act = {
      pose: () => this.#pose,
      turn: (pose: Pose) => this.#turn(pose),
      unit: () => unitAt(this.#pose.distance, FOV, this.#size.height),
      reset: () => this.flyTo("reset"),
      over: (at: { x: number; y: number } | null) => {
        this.#pointer = at;
        if (at) this.#dirty();
        else this.#hover(null, 0, 0);
      },
      choose: (x: number, y: number) => options.chosen(this.pick(x, y)),
    };
    listenScene(box, act, signal);
    this.resize(box.clientWidth, box.clientHeight);
    signal.addEventListener("abort", () => this.#close(), { once: true });
  }

  setMeta(meta: ParametersMeta): void {
    this.#parts?.dispose();
    this.#parts = new Parts(this.#kit, meta, this.#size);
    this.#overlay?.dispose();
    this.#overlay = new Overlay(this.#box, meta);
    if (this.#atHome) this.#homing = "at once";
    this.#ask();
  }

  frame(a: Moment, b: Moment, t: number, look: Look): void {
    this.#shown = { a, b, t, look };
    this.#draw(performance.now());
  }

  setTrails(points: ReadonlyMap<number, Float32Array>): void {
    if (sameTrails(points, this.#trails)) return;
    this.#trails = points;
    this.#ask();
  }

  pick(x: number, y: number): Picked | null {
    const [parts, shown] = [this.#parts, this.#shown];
    if (!parts || !shown) return null;
    const size = { x, y, ...this.#size };
    const ends = parts.tokens;
    if (ends && shown.look.showTokens) {
      const { at } = parts.layout.tokens;
      const index = pickPoint(ends.a, ends.b, shown.t, parts.factor, at, this.#view(), size);
      if (index >= 0) return { kind: "token", index };
    }
    return pickSheet(parts.layout, this.#seen(shown.look.visible), rayOf(this.#pose, FOV, size));
  }

  flyTo(target: FlyTarget): void {
    const parts = this.#parts;
    if (!parts) return;
    this.#atHome = target === "reset";
    this.#homing = target === "reset" ? "in flight" : null;
    if (target === "reset") {
      this.#ask();
      return;
    }
    let to: Pose | null = null;
    if ("layer" in target) {
      const { width, height } = this.#size;
      to = poseOfLayer(parts.layout, target.layer, FOV, width / height);
    } else {
      const at = parts.place(target.token, this.#shown?.t ?? 0);
      if (at) to = poseOfToken(at, this.#pose);
    }
    if (!to) return;
    this.#lookAt(parts, "layer" in target ? target.layer : null);
    this.#flight = new Flight(this.#pose, to, between, FLIGHT_MS, wantsStill());
    this.#ask();
  }

  stand(view: Viewpoint): void {
    const parts = this.#parts;
    if (!parts || this.#homing === "at once") {
      this.#awaited = view;
      return;
    }
    this.#flight = this.#homing = null;
    this.#atHome = view.home;
    this.#lookAt(parts, view.by === "scene" ? view.layer : null);
    this.#pose = poseOf(view, this.#home);
    this.#ask();
  }

  resize(width: number, height: number): void {
    this.#size = { width: Math.max(1, width), height: Math.max(1, height) };
    this.#sized = null;
    if (this.#atHome) this.#homing = "at once";
    this.#ask();
  }

  dispose(): void {
    this.#end.abort();
  }

  /** The roof is lifted off the layer that is looked at. */
  #lookAt(parts: Parts, layer: number | null): void {
    this.#layer = layer;
    this.#lifted = layer === null ? NONE : above(parts.layout, layer);
  }

  #tell(): void {
    this.#options.turned(viewpointOf(this.#pose, this.#home, this.#layer, this.#atHome));
  }

  /** Everything that `look` shows comes into view, arranged for the stage's shape. */
  #goHome(parts: Parts, look: Look): void {
    parts.arrange(this.#size);
    this.#lookAt(parts, null);
    const to = homeOf(parts.layout, FOV, this.#size, look);
    this.#home = to;
    if (this.#homing === "in flight") {
      this.#flight = new Flight(this.#pose, to, between, FLIGHT_MS, wantsStill());
      this.#dirty();
    } else {
      this.#flight = null;
      this.#pose = to;
    }
    this.#homing = null;
    const awaited = this.#awaited;
    this.#awaited = null;
    if (awaited) this.stand(awaited);
  }

  /** What is seen of `visible`: the same set as long as it holds the same. */
  #seen(visible: ReadonlySet<number>): ReadonlySet<number> {
    const left = this.#lifted.size
      ? new Set([...visible].filter((id) => !this.#lifted.has(id)))
      : visible;
    const kept = this.#kept;
    if (left.size === kept.size && [...left].every((id) => kept.has(id))) return kept;
    this.#kept = left;
    return left;
  }

  #ask(): void {
    this.#due = true;
    this.#dirty();
  }

  #tick(now: number): void {
    if (this.#flight) {
      this.#pose = this.#flight.at(now);
      if (this.#flight.over(now)) this.#flight = null;
      this.#tell();
      this.#due = true;
    }
    if (this.#due) this.#draw(now);
    if (this.#flight) this.#dirty();
    if (this.#pointer) {
      const { x, y } = this.#pointer;
      this.#pointer = null;
      this.#hover(this.pick(x, y), x, y);
    }
  }

  #hover(picked: Picked | null, x: number, y: number): void {
    this.#options.hovered(picked, x, y);
    const token = picked?.kind === "token" ? picked.index : -1;
    if (token === this.#hovered) return;
    this.#hovered = token;
    this.#ask();
  }

  /** Projection · view, as it was drawn last. */
  #view(): Float32Array {
    const { camera } = this.#kit;
    return product(camera.projectionMatrix.elements, camera.matrixWorldInverse.elements);
  }

  /** Names and legends over what has been drawn. */
  #write(parts: Parts, shown: Shown, most: number): void {
    const view = this.#view();
    const ends = shown.look.showTokens ? parts.tokens : null;
    const moment = shown.t < 0.5 && shown.a.tokens ? shown.a : shown.b;
    const n = (ends?.b.places.length ?? 0) / 3;
    const [cx, cy, cz] = parts.layout.tokens.at;
    const unit = moment.scale * parts.factor;
    this.#overlay?.draw(this.#kit.palette(), {
      ...this.#size,
      shown,
      points: ends && (shown.t < 0.5 ? ends.a : ends.b).places,
      clusters: ends && shown.look.colourBy === "cluster" ? parts.clustersOf(moment) : null,
      hovered: this.#hovered,
      range: parts.range,
      drawn: n > most ? most : 0,
      spot: (token) => {
        const at = parts.place(token, shown.t);
        return at && spotOf(at, view, this.#size);
      },
      place: (x, y, z) => spotOf([cx + x * unit, cy + y * unit, cz + z * unit], view, this.#size),
    });
  }

  #draw(now: number): void {
    this.#due = false;
    const [parts, given] = [this.#parts, this.#shown];
    if (!parts || !given || this.#end.signal.aborted) return;
    if (this.#homing) this.#goHome(parts, given.look);
    const look = { ...given.look, visible: this.#seen(given.look.visible) };
    const shown = { ...given, look };
    const { view, camera, scene, software } = this.#kit;
    this.#fit();
    const begun = performance.now();
    const most = this.#lod.level(this.#home.distance / this.#pose.distance);
    const ratio = (view.renderer?.domElement.width ?? this.#size.width) / this.#size.width;
    camera.position.set(...eyeOf(this.#pose));
    camera.lookAt(...this.#pose.target);
    parts.update(shown, this.#trails, { ...this.#size, pose: this.#pose, fov: FOV, ratio, most });
    view.renderScene(scene, camera);
    if (!this.#recovery.drawn()) this.#sized = null;
    this.#write(parts, shown, most);
    const interval = now - this.#last;
    // Where the processor draws, it does so after this call: all of the frame is its work.
    this.#lod.note(interval, software ? interval : performance.now() - begun);
    this.#last = now;
  }

  /** The renderer comes from a pool: another one has another size. */
  #fit(): void {
    const { renderer } = this.#kit.view;
    if (this.#sized === renderer && renderer) return;
    this.#sized = renderer;
    const { width, height } = this.#size;
    renderer?.setPixelRatio(this.#kit.software ? 1 : Math.min(2, window.devicePixelRatio || 1));
    renderer?.setSize(width, height);
    Object.assign(this.#kit.camera, { aspect: width / height, fov: FOV, near: 0.1, far: 1000 });
    this.#kit.camera.updateProjectionMatrix();
  }

  #turn(pose: Pose): void {
    this.#flight = null;
    this.#homing = null;
    this.#atHome = false;
    this.#pose = pose;
    this.#tell();
    this.#ask();
  }

  #close(): void {
    const { view } = this.#kit;
    this.#parts?.dispose();
    // The renderer goes back to a pool, and would keep all that this camera has seen.
    view.renderer?.renderLists?.dispose();
    view.remove();
    // Its model holds on to a view that was removed: what that holds must not be all of this.
    view.stopListening();
    view.tock = () => {};
    this.#box.remove();
  }
}
