/**
 * Brings the picture back when the graphics context is lost: a driver's reset, or a browser that
 * has too many. pythreejs then shows a still image, and asks its pool for the lost context again
 * and again. Either the context comes back, or the pool is made to give another: it looks for one
 * with the same antialiasing, so that asking for the other kind gets a new one.
 */

import type { RendererView } from "./scene_kit";

/** When to look whether the context has come back, in ms after each failure. */
const LOOKS = [40, 120, 300] as const;
const MOST_NEW = 3;

export class Recovery {
  readonly #view: RendererView;
  readonly #redraw: () => void;
  readonly #failed: (why: string) => void;
  readonly #signal: AbortSignal;
  #looks = 0;
  #made = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watched: WeakSet<HTMLCanvasElement> = new WeakSet();

  constructor(
    view: RendererView,
    redraw: () => void,
    failed: (why: string) => void,
    signal: AbortSignal,
  ) {
    this.#view = view;
    this.#redraw = redraw;
    this.#failed = failed;
    this.#signal = signal;
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** Call after each draw. Returns whether there is a picture. */
  drawn(): boolean {
    const canvas = this.#view.renderer?.domElement;
    if (this.#view.isFrozen || !canvas) {
      this.#later();
      return false;
    }
    this.#looks = 0;
    if (!this.#watched.has(canvas)) {
      this.#watched.add(canvas);
      // A scene that stands still has to notice too.
      const again = () => this.#later();
      canvas.addEventListener("webglcontextlost", again, { signal: this.#signal });
      canvas.addEventListener("webglcontextrestored", again, { signal: this.#signal });
    }
    return true;
  }

  #later(): void {
    if (this.#signal.aborted || this.#timer !== undefined) return;
    const wait = LOOKS[this.#looks];
    if (wait === undefined && this.#made >= MOST_NEW) {
      this.#failed("the graphics context was lost, and the browser gave no other");
      return;
    }
    if (wait === undefined) {
      this.#made++;
      this.#looks = 0;
      const { model } = this.#view;
      model.set("_antialias", !model.get("_antialias"));
    } else this.#looks++;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#redraw();
    }, wait ?? 0);
  }
}
