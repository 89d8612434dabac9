/**
 * The one animation loop of a mounted dashboard: paints what is dirty and can be seen.
 * Owns scheduling; knows nothing of what is painted. Idle means that nothing is scheduled.
 */

/**
 * Draws on canvases. A function that it returns changes the document, after all canvases of
 * the frame.
 * Text on a canvas needs a layout that is up to date: a change of the document between two
 * paints would cost a layout each.
 */
export type Paint = (now: number) => unknown;

/** Handle of one painted thing: `dirty()` asks for a paint in the next frame. */
export interface Item {
  dirty(): void;
}

interface Entry {
  paint: Paint;
  dirty: boolean;
  visible: boolean;
}

export class FrameLoop {
  #entries = new Map<Element, Set<Entry>>();
  #observer: IntersectionObserver | null = null;
  #after = new Set<(now: number) => void>();
  #scheduled = 0;
  #painting = false;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    if (typeof IntersectionObserver !== "undefined") {
      this.#observer = new IntersectionObserver((seen) => this.#seen(seen), { rootMargin: "50px" });
    }
    document.addEventListener("visibilitychange", () => this.#schedule(), { signal });
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** Paint `paint` whenever it is dirty, the page is visible and `el` is on screen. Starts dirty. */
  add(el: Element, paint: Paint, signal: AbortSignal): Item {
    const entry: Entry = { paint, dirty: false, visible: true };
    const dirty = () => {
      entry.dirty = true;
      this.#schedule();
    };
    if (signal.aborted || this.#signal.aborted) return { dirty: () => {} };
    const beside = this.#entries.get(el);
    if (beside) beside.add(entry);
    else {
      this.#entries.set(el, new Set([entry]));
      this.#observer?.observe(el);
    }
    signal.addEventListener("abort", () => this.#remove(el, entry), {
      once: true,
      signal: this.#signal,
    });
    dirty();
    return { dirty };
  }

  /** Call `fn` at the end of each frame in which something was painted. */
  afterFrame(fn: (now: number) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#after.add(fn);
    signal.addEventListener("abort", () => this.#after.delete(fn), {
      once: true,
      signal: this.#signal,
    });
  }

  /** Paint at once what is dirty, on screen or not: for whoever takes a picture of it all. */
  paintAll(): void {
    if (this.#painting || this.#signal.aborted) return;
    this.#cancel();
    this.#paint(performance.now(), () => true);
    this.#schedule();
  }

  #remove(el: Element, entry: Entry): void {
    const beside = this.#entries.get(el);
    beside?.delete(entry);
    if (beside?.size === 0) {
      this.#entries.delete(el);
      this.#observer?.unobserve(el);
    }
    if (!this.#wanted()) this.#cancel();
  }

  #seen(seen: readonly IntersectionObserverEntry[]): void {
    for (const change of seen) {
      for (const entry of this.#entries.get(change.target) ?? []) {
        entry.visible = change.isIntersecting;
      }
    }
    this.#schedule();
  }

  #wanted(): boolean {
    if (this.#signal.aborted || document.visibilityState === "hidden") return false;
    for (const beside of this.#entries.values()) {
      for (const entry of beside) if (entry.dirty && entry.visible) return true;
    }
    return false;
  }

  #schedule(): void {
    if (this.#scheduled || this.#painting || !this.#wanted()) return;
    this.#scheduled = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now: number): void {
    this.#scheduled = 0;
    if (!this.#wanted()) return;
    this.#paint(now, (entry) => entry.visible);
    this.#schedule();
  }

  #paint(now: number, which: (entry: Entry) => boolean): void {
    this.#painting = true;
    const changes: (() => void)[] = [];
    for (const beside of [...this.#entries.values()]) {
      for (const entry of [...beside]) {
        if (!entry.dirty || !which(entry)) continue;
        entry.dirty = false;
        this.#guarded(() => {
          const change = entry.paint(now);
          if (typeof change === "function") changes.push(change as () => void);
        });
      }
    }
    for (const change of changes) this.#guarded(change);
    for (const fn of [...this.#after]) this.#guarded(() => fn(now));
    this.#painting = false;
  }

  /** One view that throws must not freeze the others; the error still reaches the page's handler. */
  #guarded(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      reportError(error);
    }
  }

  #cancel(): void {
    if (this.#scheduled) cancelAnimationFrame(this.#scheduled);
    this.#scheduled = 0;
  }

  #stop(): void {
    this.#cancel();
    this.#observer?.disconnect();
    this.#entries.clear();
    this.#after.clear();
  }
}
