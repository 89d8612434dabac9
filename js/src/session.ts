/**
 * The comm side of one widget model: messages into the store, hello and ack back.
 * Lives as long as the model, however many views it has; draws nothing.
 */

import { leaveInColab, type PageModel, scenePartsOf } from "./host";
import { Keeper } from "./kept";
import { LinkWatch } from "./link";
import type { Live, SceneParts, Source, Traits } from "./model";
import { Store } from "./store";
import type { Control, Detail, FromPage, ToPage } from "./wire.gen";

const ACK_MS = 2000;
const HELLO_MS = 500;
const OVER = new Set(["finished", "interrupted", "failed"]);

export class Session implements Live {
  readonly store = new Store();
  readonly kept: Keeper;
  readonly link: LinkWatch;
  readonly signal: AbortSignal;
  /** Whether the page came to a run that it was told the history of. */
  readonly restored: boolean;
  readonly #model: PageModel;
  #views = 0;
  #looking = false;
  #acked = -1;
  #ackTimer: ReturnType<typeof setInterval> | undefined;
  #helloTimer: ReturnType<typeof setTimeout> | undefined;
  #lastHello = Number.NEGATIVE_INFINITY;

  constructor(model: PageModel, signal: AbortSignal) {
    this.#model = model;
    this.signal = signal;
    // The kernel hears one by one, so that two pages add to each other; the whole stays in
    // the page, for the notebook that it saves.
    this.kept = new Keeper(model.get("kept"), (changes, all) => {
      for (const message of changes) this.#send(message);
      model.set("kept", all);
    });
    const trouble = this.#restore();
    this.restored = !this.store.empty;
    this.link = new LinkWatch(model, this.store, signal);
    if (trouble) this.link.complain(trouble);
    const receive = (message: ToPage, buffers: DataView[]) => this.#receive(message, buffers);
    model.on("msg:custom", receive);
    // The host asks for the whole state when it has lost the kernel for a while. A run that
    // ended meanwhile sends nothing any more: no gap would ever be noticed.
    const returned = () => this.#hello();
    model.on("change:history", returned);
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    signal.addEventListener(
      "abort",
      () => {
        model.off("msg:custom", receive);
        model.off("change:history", returned);
        clearInterval(this.#ackTimer);
        clearTimeout(this.#helloTimer);
      },
      { once: true },
    );
    this.#hello();
  }

  get<K extends keyof Traits>(key: K): Traits[K] {
    return this.#model.get(key);
  }

  onTrait(key: keyof Traits, fn: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#model.on(`change:${key}`, fn);
    signal.addEventListener("abort", () => this.#model.off(`change:${key}`, fn), { once: true });
  }

  onLink(fn: () => void, signal: AbortSignal): void {
    this.link.onChange(fn, signal);
  }

  send(message: Control | Detail): boolean {
    const host = this.#model.get("capabilities")?.host;
    if (host === "colab" && message.kind === "control") leaveInColab(this.#model, message);
    return this.#send(message);
  }

  scene(): SceneParts {
    return scenePartsOf(this.#model);
  }

  source(): Source | null {
    const module = this.#model.get("_esm");
    return module ? { module, style: this.#model.get("_css") ?? "" } : null;
  }

  /** Count a view until its signal aborts; returns how many there are now. */
  addView(signal: AbortSignal): number {
    this.#views++;
    signal.addEventListener(
      "abort",
      () => {
        this.#views--;
        this.#look();
      },
      { once: true },
    );
    this.#look();
    return this.#views;
  }

  get views(): number {
    return this.#views;
  }

  /** Returns what went wrong, or "". */
  #restore(): string {
    const history = this.#model.get("history");
    if (!history?.byteLength) return "";
    try {
      this.store.restore(history);
      return "";
    } catch (error) {
      return `the saved history cannot be read: ${(error as Error).message}`;
    }
  }

  #receive(message: ToPage, buffers: DataView[]): void {
    if (message?.kind !== "append" && message?.kind !== "put" && message?.kind !== "event") {
      // Newer kernels may say more; an unknown kind is no reason to stop.
      this.link.complain("the kernel sends messages this page does not know; reload the page");
      return;
    }
    this.link.heard();
    try {
      if (this.store.apply(message, buffers) === "gap") this.#hello();
    } catch (error) {
      this.link.complain(`a message cannot be read: ${(error as Error).message}`);
    }
  }

  /** Someone looks while the page is visible and shows a view of ours. */
  #look(): void {
    const looking = this.#views > 0 && document.visibilityState !== "hidden";
    if (looking === this.#looking || this.signal.aborted) return;
    this.#looking = looking;
    this.link.watched(looking);
    clearInterval(this.#ackTimer);
    if (!looking) return;
    this.#hello();
    this.#ackTimer = setInterval(() => this.#ack(), ACK_MS);
  }

  /** A run that is over needs no acks, except for what it still sends. */
  #ack(): void {
    const over = OVER.has(this.#model.get("status")?.state ?? "");
    if (over && this.#acked === this.store.seq) return;
    this.#acked = this.store.seq;
    this.#send({ kind: "ack", seq: this.store.seq });
  }

  /** Ask for what is missing, at most twice a second. */
  #hello(): void {
    if (this.#helloTimer !== undefined) return;
    const wait = this.#lastHello + HELLO_MS - Date.now();
    if (wait > 0) {
      this.#helloTimer = setTimeout(() => {
        this.#helloTimer = undefined;
        this.#hello();
      }, wait);
      return;
    }
    this.#lastHello = Date.now();
    this.#send(this.store.have());
  }

  #send(message: FromPage): boolean {
    try {
      this.#model.send(message);
      return true;
    } catch {
      this.link.complain("the page cannot reach the kernel");
      return false;
    }
  }
}
