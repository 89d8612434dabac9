/**
 * Which stage is on: the 3-D scene where it can be had, the flat one until it is there, where it
 * can't be, and by choice. What was told to one is told to the next; draws nothing itself.
 */

import type { SceneParts } from "../model";
import type { Viewpoint } from "../ui";
import { makeFlat } from "./flat";
import { openScene } from "./scene";
import type { FlyTarget, Look, Moment, ParametersMeta, Picked, Stage, StageOptions } from "./stage";

export type Wanted = "scene" | "flat";

export interface StagesOptions extends Omit<StageOptions, "why" | "signal"> {
  readonly parts: () => SceneParts | null;
  /** Another stage is on, or it is known why not. */
  readonly changed: () => void;
  readonly signal: AbortSignal;
}

export class Stages {
  readonly #options: StagesOptions;
  #stage: Stage;
  #end: AbortController;
  #wanted: Wanted;
  #opening = false;
  #taken = 0;
  #why = "";
  #meta: ParametersMeta | null = null;
  #trails: ReadonlyMap<number, Float32Array> = new Map();
  #size: readonly [number, number] | null = null;
  #view: Viewpoint | null = null;

  constructor(options: StagesOptions, wanted: Wanted) {
    this.#options = options;
    this.#wanted = wanted;
    this.#end = new AbortController();
    this.#stage = this.#flat("");
    options.signal.addEventListener("abort", () => this.#end.abort(), { once: true });
    if (wanted === "scene") void this.#open();
  }

  get name(): Stage["name"] {
    return this.#stage.name;
  }

  /** Grows with each stage: a new one has seen nothing yet. */
  get taken(): number {
    return this.#taken;
  }

  get wanted(): Wanted {
    return this.#wanted;
  }

  /** Why there is no scene although it is wanted, or "". */
  get why(): string {
    return this.#wanted === "scene" && this.name === "flat" ? this.#why : "";
  }

  want(wanted: Wanted): void {
    this.#wanted = wanted;
    if (wanted === this.name) return;
    if (wanted === "flat") this.#take(() => this.#flat(""));
    else void this.#open();
  }

  setMeta(meta: ParametersMeta): void {
    if (meta === this.#meta) return;
    this.#meta = meta;
    this.#stage.setMeta(meta);
  }

  frame(a: Moment, b: Moment, t: number, look: Look): void {
    this.#stage.frame(a, b, t, look);
  }

  setTrails(trails: ReadonlyMap<number, Float32Array>): void {
    this.#trails = trails;
    this.#stage.setTrails(trails);
  }

  pick(x: number, y: number): Picked | null {
    return this.#stage.pick(x, y);
  }

  flyTo(target: FlyTarget): void {
    this.#stage.flyTo(target);
  }

  /** Be where the viewer of another run stands; so will the next stage. */
  stand(view: Viewpoint): void {
    this.#view = view;
    this.#stage.stand(view);
  }

  resize(width: number, height: number): void {
    this.#size = [width, height];
    this.#stage.resize(width, height);
  }

  #flat(why: string): Stage {
    return makeFlat({ ...this.#options, why, signal: this.#end.signal });
  }

  /** Put another stage in the place of the present one. */
  #take(make: () => Stage, end = new AbortController()): void {
    this.#stage.dispose();
    this.#end.abort();
    this.#end = end;
    this.#taken++;
    this.#stage = make();
    if (this.#meta) this.#stage.setMeta(this.#meta);
    this.#stage.setTrails(this.#trails);
    if (this.#size) this.#stage.resize(...this.#size);
    if (this.#view) this.#stage.stand(this.#view);
    this.#options.changed();
  }

  async #open(): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    const end = new AbortController();
    const { signal } = this.#options;
    signal.addEventListener("abort", () => end.abort(), { once: true, signal: end.signal });
    try {
      const failed = (why: string) => {
        this.#why = why;
        if (this.name === "scene") this.#take(() => this.#flat(why));
      };
      const parts = this.#options.parts();
      const made = { ...this.#options, parts, failed, why: "", signal: end.signal };
      const stage = await openScene(made);
      if (signal.aborted || this.#wanted !== "scene") end.abort();
      else this.#take(() => stage, end);
    } catch (error) {
      end.abort();
      this.#why = (error as Error).message;
    }
    this.#opening = false;
    if (!signal.aborted) this.#options.changed();
  }
}
