/**
 * What the viewer has chosen: view of x, cursor, theme, toggles. Lives in the page only,
 * one per mounted view, never synced to the kernel. Knows no panel and no series.
 */

export type Range = "rolling" | "all" | readonly [number, number];
export type Theme = "neon" | "light" | "auto";

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
}

export type Topic = keyof Values;
type Sets = "collapsed" | "logY" | "raw";

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
  };
  #listeners = new Map<Topic, Set<() => void>>();

  get<K extends Topic>(topic: K): Values[K] {
    return this.#values[topic];
  }

  set<K extends Topic>(topic: K, value: Values[K]): void {
    if (Object.is(this.#values[topic], value)) return;
    this.#values[topic] = value;
    if (topic === "range" && (value === "rolling" || value === "all")) this.#home = value;
    for (const fn of [...(this.#listeners.get(topic) ?? [])]) fn();
  }

  /** Put `id` into a set of panels, or take it out. */
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
