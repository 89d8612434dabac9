/**
 * What the viewer has chosen: view of x, cursor, theme, toggles. Lives in the page only,
 * one per mounted view, never synced to the kernel. Knows no panel and no series.
 */

import type { Choices, Kept } from "./model";

export type Range = "rolling" | "all" | readonly [number, number];
export type Theme = "neon" | "light" | "auto";

/** Where a viewer wants to be taken. A new object each time, so that the same place works twice. */
export interface Place {
  /** Id of a panel; without one, the first panel that shows `key`, else the loss. */
  panel?: string | null;
  key?: string | null;
  /** Steps to zoom to. */
  window?: readonly [number, number] | null;
  /** Step to point at. */
  step?: number | null;
}

/**
 * Where the Parameters tab is seen from: relative to the view of the whole, so that it holds for
 * another model in another size. A new object with each move.
 */
export interface Viewpoint {
  /** What draws it; places in space mean the same only to the same. */
  readonly by: "flat" | "scene";
  /** Radians around the vertical and above the horizon. */
  readonly yaw: number;
  readonly pitch: number;
  /** 1 shows the whole. */
  readonly zoom: number;
  /** What is in the middle. */
  readonly centre: readonly [number, number, number];
  /** The layer that is looked at. */
  readonly layer: number | null;
  /** Where the flat stack of heatmaps is. */
  readonly stack: { readonly x: number; readonly y: number; readonly zoom: number } | null;
  /** Whether the whole is shown, and is to stay in view. */
  readonly home: boolean;
}

interface Values {
  /** Part of the run that the charts show. */
  range: Range;
  /** Step under the pointer, in any chart; null when it is elsewhere. */
  cursor: number | null;
  /** The viewer's choice; null follows the `theme` trait. */
  theme: Theme | null;
  /** The theme that is in force, once "auto" has been looked up. */
  look: "neon" | "light";
  scanlines: boolean;
  collapsed: ReadonlySet<string>;
  /** Panels whose y axis is logarithmic. */
  logY: ReadonlySet<string>;
  /** Panels that show the raw series only. */
  raw: ReadonlySet<string>;
  tab: string;
  /** Alerts that the viewer has put away, by `dismissal`. */
  dismissed: ReadonlySet<string>;
  /** Whether to tell of alerts while the page is hidden; null as long as nobody chose. */
  notify: boolean | null;
  place: Place | null;
  /** Where parameters are seen from, once the viewer has moved. */
  camera: Viewpoint | null;
  /** What playback has begun to do here; of dashboards side by side one leads. */
  lead: { readonly to: "newest" | "play" } | null;
  /** Step of the loss spike whose rows are shown; null for the worst. */
  spike: number | null;
}

export type Topic = keyof Values;
type Sets = "collapsed" | "logY" | "raw" | "dismissed";

const KEPT = ["dismissed", "notify"] as const satisfies (keyof Choices)[];

/** Rows that the rolling view shows. */
export const ROLLING = 500;

export class UiState {
  #home: "rolling" | "all" = "rolling";
  #values: Values = {
    range: "rolling",
    cursor: null,
    theme: null,
    look: "neon",
    scanlines: false,
    collapsed: new Set(),
    logY: new Set(),
    raw: new Set(),
    tab: "",
    dismissed: new Set(),
    notify: null,
    place: null,
    camera: null,
    lead: null,
    spike: null,
  };
  #listeners = new Map<Topic, Set<() => void>>();
  readonly #kept: Kept | undefined;

  /** `kept` outlives this view, which ends with `signal`: what is chosen is noted there, and followed. */
  constructor(kept?: Kept, signal?: AbortSignal) {
    this.#kept = kept;
    if (!kept) return;
    Object.assign(this.#values, kept.now);
    const follow = () => {
      for (const topic of KEPT) this.set(topic, kept.now[topic]);
    };
    if (signal) kept.onChange(follow, signal);
  }

  get<K extends Topic>(topic: K): Values[K] {
    return this.#values[topic];
  }

  set<K extends Topic>(topic: K, value: Values[K]): void {
    if (Object.is(this.#values[topic], value)) return;
    this.#values[topic] = value;
    if (topic === "range" && (value === "rolling" || value === "all")) this.#home = value;
    const kept = KEPT.find((name) => name === topic);
    if (kept && this.#kept && !Object.is(this.#kept.now[kept], value)) {
      this.#kept.put({ [kept]: value });
    }
    for (const fn of [...(this.#listeners.get(topic) ?? [])]) fn();
  }

  /** Put `id` into a set, or take it out. */
  toggle(topic: Sets, id: string): void {
    const next = new Set(this.#values[topic]);
    if (!next.delete(id)) next.add(id);
    this.set(topic, next);
  }

  /** Back from a zoom to the view that was chosen before it. */
  resetRange(): void {
    this.set("range", this.#home);
  }

  /** The view of x that a double click goes back to. */
  get home(): "rolling" | "all" {
    return this.#home;
  }

  /** Call `fn` after `topic` changed, until `signal` aborts. */
  on(topic: Topic, fn: () => void, signal: AbortSignal): void {
    const all = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, all.add(fn));
    signal.addEventListener("abort", () => all.delete(fn), { once: true });
  }
}
