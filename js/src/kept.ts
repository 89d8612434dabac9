/**
 * What viewers chose that outlives a view and a page: alerts put away, messages or none.
 * Says what changed to whoever keeps it; knows no model and draws nothing.
 */

import type { Choices, Kept } from "./model";
import type { Keep } from "./wire.gen";

/** The `kept` trait: what the kernel, or a saved notebook, tells a page that comes. */
export interface KeptJson {
  dismissed?: string[];
  notify?: boolean | null;
}

export class Keeper implements Kept {
  now: Choices;
  readonly #note: (changes: Keep[], all: KeptJson) => void;
  readonly #listeners = new Set<() => void>();

  /** `told` is missing in older notebooks; `note` hears of each change. */
  constructor(told?: KeptJson, note: (changes: Keep[], all: KeptJson) => void = () => {}) {
    this.now = { dismissed: new Set(told?.dismissed), notify: told?.notify ?? null };
    this.#note = note;
  }

  put(next: Partial<Choices>): void {
    const before = this.now;
    this.now = { ...before, ...next };
    const { dismissed, notify } = this.now;
    const away = [...dismissed].filter((id) => !before.dismissed.has(id));
    const back = [...before.dismissed].filter((id) => !dismissed.has(id));
    const changes: Keep[] = [
      ...away.map((id) => ({ kind: "keep", name: "dismissed", id, on: true }) as const),
      ...back.map((id) => ({ kind: "keep", name: "dismissed", id, on: false }) as const),
    ];
    if (notify !== null && notify !== before.notify) {
      changes.push({ kind: "keep", name: "notify", id: "", on: notify });
    }
    this.#note(changes, { dismissed: [...dismissed], notify });
    for (const fn of [...this.#listeners]) fn();
  }

  onChange(fn: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(fn);
    signal.addEventListener("abort", () => this.#listeners.delete(fn), { once: true });
  }
}
