/**
 * Whether a kernel is feeding the page, and what to tell the viewer if not.
 * Owns the verdict; knows neither messages nor drawing, and never throws.
 */

import { type Kernel, kernelOf, type PageModel } from "./host";
import type { Link } from "./model";
import type { Store } from "./store";

const GONE = new Set(["restarting", "autorestarting", "dead", "terminating"]);
const ACTIVE = new Set(["running", "paused"]);
const CHECK_MS = 1000;
const QUIET_MS = 10_000;
/** A kernel that is there answers the first hello well within this. */
const ANSWER_MS = 3000;

function lastStep(store: Store): number | null {
  let step: number | null = null;
  for (const series of store.match("*")) {
    const x = series.last()?.x;
    if (x !== undefined && (step === null || x > step)) step = x;
  }
  return step;
}

export class LinkWatch implements Link {
  state: Link["state"] = "live";
  message = "";
  note = "";
  readonly #model: PageModel;
  readonly #store: Store;
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<() => void>();
  readonly #restored: boolean;
  #kernel: Kernel | null | undefined;
  #heard = false;
  #news = Date.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  #watched = false;

  constructor(model: PageModel, store: Store, signal: AbortSignal) {
    this.#model = model;
    this.#store = store;
    this.#signal = signal;
    this.#restored = !store.empty;
    this.#kernel = kernelOf(model);
    this.#connect();
    if (this.#kernel === null) this.#saved();
    else if (this.#restored && this.#kernel === undefined) {
      const answer = setTimeout(() => !this.#heard && this.#saved(), ANSWER_MS);
      signal.addEventListener("abort", () => clearTimeout(answer), { once: true });
    }
    const pace = () => this.#pace();
    model.on("change:status", pace);
    signal.addEventListener("abort", () => {
      model.off("change:status", pace);
      clearInterval(this.#timer);
    });
  }

  onChange(fn: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(fn);
    signal.addEventListener("abort", () => this.#listeners.delete(fn), { once: true });
  }

  /** A message came: whatever was thought before, the kernel lives. */
  heard(): void {
    this.#heard = true;
    this.#news = Date.now();
    this.#set("live", "");
  }

  /** Silence counts only while someone is looking: otherwise it was asked for. */
  watched(yes: boolean): void {
    this.#watched = yes;
    this.#pace();
  }

  /** Show a lesser trouble, once: the first one stays. */
  complain(note: string): void {
    if (this.note) return;
    this.note = note;
    this.#tell();
  }

  #connect(): void {
    const signal = this.#kernel?.statusChanged;
    if (typeof signal?.connect !== "function") return;
    const slot = (_: unknown, status: string) => {
      if (GONE.has(status)) this.#lost();
    };
    signal.connect(slot);
    this.#signal.addEventListener("abort", () => signal.disconnect(slot), { once: true });
  }

  #runState(): string {
    return this.#model.get("status")?.state ?? "";
  }

  #where(): string {
    const step = lastStep(this.#store);
    return step === null ? "" : ` at step ${step}`;
  }

  #lost(): void {
    if (ACTIVE.has(this.#runState())) {
      const file = this.#model.get("config")?.run_file;
      const rest = file
        ? `, data safe in ${file}`
        : "; what you see is what this page had received";
      this.#set("lost", `kernel lost${this.#where()}${rest}`);
    } else {
      this.#set("lost", "kernel restarted; this run stays as it was");
    }
  }

  #saved(): void {
    const unfinished = ACTIVE.has(this.#runState());
    this.#set("saved", unfinished ? `saved${this.#where()}, while running; no kernel` : "");
  }

  /** The clock ticks only while a run is on and someone looks. */
  #pace(): void {
    const wanted = this.#watched && this.#runState() === "running" && !this.#signal.aborted;
    if (!wanted) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      if (this.state === "quiet") this.#set("live", "");
    } else if (this.#timer === undefined) {
      this.#news = Date.now();
      this.#timer = setInterval(() => this.#check(), CHECK_MS);
    }
  }

  #check(): void {
    const silence = Date.now() - this.#news;
    if (this.state === "lost" || this.state === "saved" || silence <= QUIET_MS) return;
    if (this.#restored && !this.#heard) this.#saved();
    else this.#set("quiet", `no news from the kernel for ${Math.floor(silence / 1000)} s`);
  }

  #set(state: Link["state"], message: string): void {
    if (state === this.state && message === this.message) return;
    this.state = state;
    this.message = message;
    this.#tell();
  }

  #tell(): void {
    for (const fn of [...this.#listeners]) fn();
  }
}
