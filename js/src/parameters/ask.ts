/**
 * Questions to the kernel about parameters: a matrix in full, all snapshots along one set of axes.
 * Owns what was asked, and how that stands; what comes of it arrives as tensors of their own.
 */

import type { Live } from "../model";
import { onTensor } from "../view";

export const ANSWER_KEY = "parameters/answer";

/** How long a kernel may take to say that it has heard, and then to answer. */
const HEARD_MS = 10_000;
const DONE_MS = 120_000;

export interface Asked {
  readonly id: string;
  readonly state: "sent" | "waiting" | "refused" | "done";
  /** What is to be said of it, or "". */
  readonly note: string;
}

export class Asker {
  readonly #live: Live;
  readonly #changed: () => void;
  readonly #prefix = Math.random().toString(36).slice(2, 10);
  readonly #asked = new Map<string, Asked>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #count = 0;

  constructor(live: Live, changed: () => void, signal: AbortSignal) {
    this.#live = live;
    this.#changed = changed;
    onTensor(live, ANSWER_KEY, () => this.#hear(), signal);
    const end = () => {
      for (const timer of this.#timers.values()) clearTimeout(timer);
    };
    signal.addEventListener("abort", end, { once: true });
  }

  /** How the last question for `key` stands. */
  of(key: string): Asked | undefined {
    return this.#asked.get(key);
  }

  /** Ask for `key`; whoever wants to know how it stands looks at `of`. */
  ask(key: string): void {
    const { send, link } = this.#live;
    const id = `${this.#prefix}-${++this.#count}`;
    const message = { kind: "detail" as const, id, keys: [key], start: 0, end: 0, points: 0 };
    const alone = !send || link.state === "saved" || link.state === "lost";
    if (alone || !this.#live.send?.(message)) {
      this.#set(key, { id, state: "refused", note: "no kernel can be asked" });
      return;
    }
    this.#set(key, { id, state: "sent", note: "asked…" });
    this.#expect(key, HEARD_MS);
  }

  /** What was asked for is here. */
  done(key: string): void {
    const asked = this.#asked.get(key);
    if (asked) this.#set(key, { ...asked, state: "done", note: "" });
  }

  #hear(): void {
    const { id, key, state, note } = this.#live.store.tensor(ANSWER_KEY)?.meta ?? {};
    const asked = this.#asked.get(String(key));
    if (!asked || asked.id !== id || asked.state === "done") return;
    if (state !== "waiting" && state !== "refused" && state !== "done") return;
    this.#set(String(key), { ...asked, state, note: String(note ?? "") });
    if (state === "waiting") this.#expect(String(key), DONE_MS);
  }

  #expect(key: string, ms: number): void {
    const silent = () => {
      const asked = this.#asked.get(key);
      if (asked) this.#set(key, { ...asked, state: "refused", note: "the kernel did not answer" });
    };
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(silent, ms));
  }

  #set(key: string, asked: Asked): void {
    clearTimeout(this.#timers.get(key));
    this.#asked.set(key, asked);
    this.#changed();
  }
}
