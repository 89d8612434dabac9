/**
 * A dashboard without a kernel and without a notebook: what an exported HTML file shows.
 * Owns the shape of the data in such a file; `export/html.ts` and `nbmonitor/html.py` write it.
 *
 *     mountStandalone(el: HTMLElement, data: StandaloneData): () => void
 *
 * The bundle exports it by this name beside its default, which is what a notebook loads. An
 * HTML file holds one block of JSON, every `<` in it written as \u003c, and a few lines:
 *
 *     const data = JSON.parse(document.getElementById("nbmonitor-data").textContent);
 *     const url = URL.createObjectURL(new Blob([data.module], { type: "text/javascript" }));
 *     const { mountStandalone } = await import(url);
 *     mountStandalone(document.getElementById("nbmonitor"), data);
 */

import { showDashboard } from "./dashboard";
import type { Live, Source, Traits } from "./model";
import { Store } from "./store";
import type { Put } from "./wire.gen";

/** What the JSON in an exported file holds; the traits are those of the widget. */
export interface StandaloneData extends Pick<Traits, "panels" | "config" | "status"> {
  theme?: Traits["theme"];
  capabilities?: Traits["capabilities"];
  /** The packed history, as `Run.pack` or `packHistory` make it, in base64. */
  history: string;
  /** Latest values of small tensors, each with its bytes in base64. */
  tensors?: [Put, string][];
  /** What resolution the file has and when it was made: a line for the footer. */
  note?: string;
  /** Source of the bundle and of its style sheet, so that the file can export itself again. */
  module?: string;
  style?: string;
}

function bytesOf(base64: string): DataView {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new DataView(bytes.buffer);
}

class Standalone implements Live {
  readonly store = new Store();
  readonly link = { state: "saved" as const, message: "", note: "" };
  readonly #data: StandaloneData;

  constructor(data: StandaloneData) {
    this.#data = data;
    this.link.note = data.note ?? "";
    const { state } = data.status;
    if (state === "running" || state === "paused") this.link.message = `exported while ${state}`;
    if (!data.history) return;
    try {
      this.store.restore(bytesOf(data.history));
      for (const [put, bytes] of data.tensors ?? []) this.store.apply(put, [bytesOf(bytes)]);
    } catch (error) {
      this.link.note = `the history in this file cannot be read: ${(error as Error).message}`;
    }
  }

  get<K extends keyof Traits>(key: K): Traits[K] {
    const traits: Traits = { theme: "neon", capabilities: {}, picture_id: "", ...this.#data };
    return traits[key];
  }

  source(): Source | null {
    const { module, style = "" } = this.#data;
    return module ? { module, style } : null;
  }

  /** Nothing ever changes here. */
  onTrait(): void {}
  onLink(): void {}
}

/** Show `data` in `el`; returns a function that takes it away again. */
export function mountStandalone(el: HTMLElement, data: StandaloneData): () => void {
  const end = new AbortController();
  if (data.style) {
    const style = document.createElement("style");
    style.textContent = data.style;
    document.head.append(style);
    end.signal.addEventListener("abort", () => style.remove(), { once: true });
  }
  showDashboard(el, new Standalone(data), end.signal);
  return () => end.abort();
}
