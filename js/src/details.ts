/**
 * Full resolution where a viewer has zoomed into old steps that the page holds in buckets.
 * Owns what is asked of the kernel and what came back; draws nothing.
 *
 * All charts share a request: the kernel keeps one answer at a time, the newest. An answer
 * is the tensor `nbmonitor/detail`, whose bytes are a frame.
 */

import { decodeFrame } from "./codec";
import type { Live } from "./model";
import { Series } from "./series";
import { type Course, type Piece, spliced } from "./splice";

export const DETAIL_KEY = "nbmonitor/detail";

const DEBOUNCE_MS = 150;
const ANSWER_MS = 3000;
/** How long no answer counts as none to be had. */
const GIVE_UP_MS = 30_000;
const PIECES = 6;

type View = readonly [number, number];

export interface Refined {
  course: Course;
  /** Why old steps are shown as a summary, or "" if they are not, or not for long. */
  summary: string;
}

interface Known extends Piece {
  /** Why this is no better than a summary, or "". */
  summary: string;
  /** Distance in x that was asked to be told apart. */
  width: number;
}

interface Want {
  view: View;
  rough: View;
  points: number;
}

/** Keys of which there is no more to be had for a while, and why. */
interface Silence {
  keys: string[];
  start: number;
  end: number;
  until: number;
  why: string;
}

interface Asked {
  id: string;
  keys: string[];
  start: number;
  end: number;
  width: number;
  timer: ReturnType<typeof setTimeout>;
}

const ENVELOPE = "each point stands for several steps, with their lowest, highest and mean value";

/** Distance in x of two points that a viewer can tell apart. */
const widthOf = ([x0, x1]: View, points: number) => (2 * (x1 - x0)) / Math.max(1, points);

const covers = ({ start, end }: { start: number; end: number }, [x0, x1]: View) =>
  start <= x0 && end >= x1;

export class Details {
  readonly #live: Live;
  readonly #signal: AbortSignal;
  readonly #prefix = Math.random().toString(36).slice(2, 10);
  readonly #known = new Map<string, Known[]>();
  readonly #wants = new Map<string, Want>();
  readonly #silent: Silence[] = [];
  readonly #listeners = new Set<() => void>();
  #asked: Asked | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #count = 0;
  #generation: number;
  #seen: unknown;

  constructor(live: Live, signal: AbortSignal) {
    this.#live = live;
    this.#signal = signal;
    this.#generation = live.store.generation;
    this.#seen = live.store.tensor(DETAIL_KEY);
    live.store.onChange(() => this.#read(), signal);
    live.onLink(() => this.#tell(), signal);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(this.#timer);
        clearTimeout(this.#asked?.timer);
      },
      { once: true },
    );
  }

  /** Call `fn` when a line may look finer than before, or will never. */
  onChange(fn: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(fn);
    signal.addEventListener("abort", () => this.#listeners.delete(fn), { once: true });
  }

  /** `line` as finely as it can be had over `view`, on `points` pixels. Asks for what is missing. */
  refine(line: Course, view: View, points: number): Refined {
    const { key } = line.spec;
    const own = this.#live.store.series(key);
    const fine = { course: line, summary: "" };
    // Something computed from several series has no rows to ask for.
    if (!own || own !== line) return fine;
    const width = widthOf(view, points);
    const rough = own.coarse(view[0], view[1], width);
    if (!rough) {
      this.#wants.delete(key);
      return fine;
    }
    const known = this.#find(key, rough, width);
    if (known) {
      this.#wants.delete(key);
      return { course: spliced(own, known), summary: known.summary };
    }
    return { course: line, summary: this.#want(key, { view, rough, points }) };
  }

  /** A piece that covers `rough` and is fine enough, or as fine as the kernel will tell. */
  #find(key: string, [x0, x1]: View, width: number): Known | undefined {
    return this.#known
      .get(key)
      ?.filter(
        (piece) =>
          covers(piece, [x0, x1]) &&
          (piece.width <= width * 1.5 || piece.series.coarse(x0, x1, width) === null),
      )
      .pop();
  }

  /** Note a wish; returns why it can't be fulfilled, or "". */
  #want(key: string, want: Want): string {
    const { link } = this.#live;
    if (!this.#live.send || link.state === "lost" || link.state === "saved") {
      return `no kernel to ask for more: ${ENVELOPE}`;
    }
    const asked = this.#asked;
    const enough = asked && asked.width <= widthOf(want.view, want.points) * 1.5;
    if (enough && asked.keys.includes(key) && covers(asked, want.rough)) return "";
    const now = Date.now();
    const silent = this.#silent.find(
      (s) => s.until > now && s.keys.includes(key) && covers(s, want.rough),
    );
    if (silent) return `${silent.why}: ${ENVELOPE}`;
    const before = this.#wants.get(key);
    this.#wants.set(key, want);
    if (before?.view[0] !== want.view[0] || before.view[1] !== want.view[1]) this.#later();
    return "";
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), DEBOUNCE_MS);
  }

  #ask(): void {
    // One at a time; its answer, or its silence, brings us back here.
    if (this.#asked || this.#wants.size === 0 || this.#signal.aborted) return;
    const all = [...this.#wants.entries()];
    const view = all[all.length - 1]![1].view;
    const same = all.filter(([, { view: v }]) => v[0] === view[0] && v[1] === view[1]);
    const span = view[1] - view[0];
    const most = Math.max(...same.map(([, { points }]) => points));
    // Half a view more on either side, so that a small move needs no new answer.
    const start = Math.max(0, Math.min(...same.map(([, w]) => w.rough[0])) - span / 2);
    const end = Math.max(...same.map(([, w]) => w.rough[1])) + span / 2;
    const points = Math.ceil((2 * most * (end - start)) / span);
    const keys = same.map(([key]) => key);
    const id = `${this.#prefix}-${++this.#count}`;
    this.#wants.clear();
    if (!this.#live.send?.({ kind: "detail", id, keys, start, end, points })) return;
    const timer = setTimeout(() => this.#unanswered(), ANSWER_MS);
    this.#asked = { id, keys, start, end, width: widthOf(view, most), timer };
  }

  #unanswered(): void {
    const asked = this.#asked;
    this.#asked = null;
    if (asked) this.#giveUp(asked.keys, asked, "the kernel did not answer");
    this.#tell();
    this.#ask();
  }

  #giveUp(keys: string[], { start, end }: { start: number; end: number }, why: string): void {
    if (keys.length === 0) return;
    this.#silent.push({ keys, start, end, why, until: Date.now() + GIVE_UP_MS });
    while (this.#silent.length > 20) this.#silent.shift();
  }

  #read(): void {
    const { store } = this.#live;
    if (store.generation !== this.#generation) {
      this.#generation = store.generation;
      this.#known.clear();
      this.#silent.length = 0;
    }
    const tensor = store.tensor(DETAIL_KEY);
    if (!tensor || tensor === this.#seen) return;
    this.#seen = tensor;
    const asked = this.#asked;
    if (!asked || tensor.meta.id !== asked.id) return;
    clearTimeout(asked.timer);
    this.#asked = null;
    const { buffer, byteOffset, byteLength } = tensor.data;
    this.#take(asked, new DataView(buffer, byteOffset, byteLength), tensor.meta);
    this.#tell();
    this.#ask();
  }

  #take(asked: Asked, bytes: DataView, meta: Readonly<Record<string, unknown>>): void {
    const note = String(meta.note || "the kernel had no more to tell");
    const stretches = bytes.byteLength > 0 ? decodeFrame(bytes) : [];
    const { start, end, width } = asked;
    const missing = asked.keys.filter((key) => {
      const spec = this.#live.store.series(key)?.spec;
      const own = stretches.filter((s) => s.id === spec?.id);
      if (!spec || own.length === 0) return true;
      const series = new Series(spec);
      for (const stretch of own) series.append({ ...stretch, offset: series.rows });
      const whole = meta.resolution !== "summary" || own.every((s) => s.counts === null);
      const summary = whole ? "" : `${note}: ${ENVELOPE}`;
      const all = [...(this.#known.get(key) ?? []), { start, end, width, summary, series }];
      this.#known.set(key, all.slice(-PIECES));
      return false;
    });
    this.#giveUp(missing, asked, note);
  }

  #tell(): void {
    if (this.#signal.aborted) return;
    for (const fn of [...this.#listeners]) fn();
  }
}
