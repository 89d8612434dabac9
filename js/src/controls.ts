/**
 * What the viewer has asked of the training, and what became of each wish.
 * Owns the states of wishes, the first of which is "sent"; knows no button. Answers arrive as the tensor
 * `nbmonitor/controls`, whose meta lists the last wishes of all pages.
 */

import type { Live } from "./model";

export const CONTROLS_KEY = "nbmonitor/controls";

/** sent: on its way · queued: waits for the end of a step · the others: done with. */
export type WishState = "sent" | "queued" | "applied" | "refused" | "failed";

export interface Wish {
  readonly id: string;
  readonly name: string;
  readonly value: unknown;
  state: WishState;
  message: string;
  step: number | null;
}

interface Answer {
  pending?: Partial<Wish>[];
  available?: Record<string, string>;
  learning_rate?: { factor?: number; undo?: boolean };
}

const OVER = new Set(["finished", "interrupted", "failed"]);
const OPEN = new Set<WishState>(["sent", "queued"]);
/** A kernel whose page channel works answers far sooner. */
const SILENCE_MS = 10_000;
const KEPT = 40;

export class Controls {
  readonly #live: Live;
  readonly #signal: AbortSignal;
  readonly #prefix = Math.random().toString(36).slice(2, 10);
  readonly #wishes = new Map<string, Wish>();
  readonly #listeners = new Set<(news: Wish | null) => void>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #count = 0;
  #answer: Answer = {};
  #seen: unknown;

  constructor(live: Live, signal: AbortSignal) {
    this.#live = live;
    this.#signal = signal;
    live.store.onChange(() => this.#read(), signal);
    live.onTrait("status", () => this.#tell(null), signal);
    live.onTrait("capabilities", () => this.#tell(null), signal);
    live.onLink(() => this.#tell(null), signal);
    signal.addEventListener("abort", () => this.#timers.forEach(clearTimeout), { once: true });
    this.#read();
  }

  /** Whether there is, or was, anybody to ask. */
  get possible(): boolean {
    return this.#live.send !== undefined;
  }

  /** Factor that the learning rate has been changed by, and whether that can be undone. */
  get learningRate(): { factor: number; undo: boolean } {
    const { factor = 1, undo = false } = this.#answer.learning_rate ?? {};
    return { factor, undo };
  }

  /** Steps between two logs as they were last asked for, if they were. */
  get loggingSteps(): number | undefined {
    const set = [...this.#wishes.values()]
      .filter((wish) => wish.name === "cadence" && wish.state === "applied")
      .pop();
    return (set?.value as { logging_steps?: number } | null | undefined)?.logging_steps;
  }

  /** Why `name` can't be asked for now, or "". */
  obstacle(name: string): string {
    const { state } = this.#live.get("status");
    const { link } = this.#live;
    if (link.state === "lost") return "the kernel is gone";
    if (link.state === "saved") return "this is a saved run: no kernel";
    if (OVER.has(state)) return `the run is ${state}`;
    const reason = this.#live.get("capabilities").controls || this.#answer.available?.[name];
    if (reason) return reason;
    return state === "waiting" && !this.#answer.available ? "the run has not started yet" : "";
  }

  /** The newest wish that is not done with and has one of `names`. */
  open(...names: string[]): Wish | undefined {
    return [...this.#wishes.values()]
      .filter((wish) => names.includes(wish.name) && OPEN.has(wish.state))
      .pop();
  }

  /** Send a wish; what becomes of it is told to the listeners. */
  ask(name: string, value: unknown = null): Wish {
    const id = `${this.#prefix}-${++this.#count}`;
    const wish: Wish = { id, name, value, state: "sent", message: "", step: null };
    const obstacle = this.obstacle(name);
    if (obstacle) [wish.state, wish.message] = ["refused", obstacle];
    else if (this.#live.send?.({ kind: "control", id, name, value }) !== true) {
      [wish.state, wish.message] = ["failed", "the page cannot reach the kernel"];
    } else this.#await(wish);
    this.#wishes.set(id, wish);
    for (const old of [...this.#wishes.keys()].slice(0, -KEPT)) this.#wishes.delete(old);
    this.#tell(wish);
    return wish;
  }

  /** Call `fn` with the wish that has news, or null when something else has changed. */
  onChange(fn: (news: Wish | null) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(fn);
    signal.addEventListener("abort", () => this.#listeners.delete(fn), { once: true });
  }

  /** A wish that nobody answers must not look as if it were on its way for ever. */
  #await(wish: Wish): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (wish.state !== "sent") return;
      wish.state = "failed";
      wish.message = `no answer from the kernel for ${SILENCE_MS / 1000} s; it may still come`;
      this.#tell(wish);
    }, SILENCE_MS);
    this.#timers.add(timer);
  }

  #read(): void {
    const tensor = this.#live.store.tensor(CONTROLS_KEY);
    if (!tensor || tensor === this.#seen) return;
    // What was decided before this page was opened is no news to tell.
    const first = this.#seen === undefined && this.#count === 0;
    this.#seen = tensor;
    this.#answer = tensor.meta as Answer;
    const news = (this.#answer.pending ?? []).map((given) => this.#merge(given, first));
    const told = news.filter((wish) => wish !== null);
    if (told.length === 0) this.#tell(null);
    for (const wish of told) this.#tell(wish);
  }

  /** Take over what the kernel says of a wish; returns it if it is ours and has changed. */
  #merge(given: Partial<Wish>, quietly: boolean): Wish | null {
    const { id, name = "", value = null, state = "queued", message = "", step = null } = given;
    if (!id) return null;
    const known = this.#wishes.get(id);
    const same = known?.state === state && known.message === message;
    const wish: Wish = known ?? { id, name, value, state, message, step };
    Object.assign(wish, { state, message, step });
    this.#wishes.set(id, wish);
    return same || quietly ? null : wish;
  }

  #tell(news: Wish | null): void {
    if (this.#signal.aborted) return;
    for (const fn of [...this.#listeners]) fn(news);
  }
}
