/** What happy-dom lacks for drawing, and a count of listeners that are still there. */

import { vi } from "vitest";

/** A 2D context that takes every call, and elements of 600 × 200. */
export function fakeCanvas(): void {
  const context = new Proxy({} as Record<string | symbol, unknown>, {
    get: (target, name) => {
      if (name in target) return target[name];
      if (name === "measureText") return () => ({ width: 10 });
      return () => undefined;
    },
    set: (target, name, value) => {
      target[name] = value;
      return true;
    },
  });
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(function (
    this: HTMLCanvasElement,
  ) {
    context.canvas = this;
    return context as never;
  });
  class FakePath {
    moveTo(): void {}
    lineTo(): void {}
    rect(): void {}
    arc(): void {}
    addPath(): void {}
    closePath(): void {}
  }
  class FakeResize {
    readonly #fn: ResizeObserverCallback;
    constructor(fn: ResizeObserverCallback) {
      this.#fn = fn;
    }
    observe(target: Element): void {
      const contentRect = { width: 600, height: 200 } as DOMRectReadOnly;
      // As in a page: never before the one who observes has returned.
      queueMicrotask(() =>
        this.#fn([{ target, contentRect } as ResizeObserverEntry], this as never),
      );
    }
    unobserve(): void {}
    disconnect(): void {}
  }
  class FakeImage {
    readonly data: Uint8ClampedArray;
    constructor(
      readonly width: number,
      readonly height: number,
    ) {
      this.data = new Uint8ClampedArray(width * height * 4);
    }
  }
  vi.stubGlobal("reportError", (error: unknown) => {
    throw error;
  });
  vi.stubGlobal("Path2D", FakePath);
  vi.stubGlobal("ResizeObserver", FakeResize);
  vi.stubGlobal("ImageData", FakeImage);
  vi.stubGlobal("IntersectionObserver", undefined);
}

/** Let a few animation frames pass. */
export async function runFrames(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((done) => requestAnimationFrame(done));
    await Promise.resolve();
  }
}

/** Count listeners on window, document, body and media queries; an aborted signal removes one. */
export function countListeners(): { open: () => number; restore: () => void } {
  const live = new Set<string>();
  const ids = new WeakMap<object, number>();
  let next = 0;
  const id = (thing: object) => {
    if (!ids.has(thing)) ids.set(thing, next++);
    return ids.get(thing);
  };
  const targets: EventTarget[] = [window, document, document.body];
  const undo = targets.map((target) => {
    const { addEventListener: add, removeEventListener: remove } = target;
    target.addEventListener = ((type: string, fn: never, options?: never) => {
      const name = `${id(target)} ${type} ${id(fn)}`;
      live.add(name);
      const signal = (options as AddEventListenerOptions | undefined)?.signal;
      signal?.addEventListener("abort", () => live.delete(name), { once: true });
      add.call(target, type, fn, options);
    }) as typeof add;
    target.removeEventListener = ((type: string, fn: never, options?: never) => {
      live.delete(`${id(target)} ${type} ${id(fn)}`);
      remove.call(target, type, fn, options);
    }) as typeof remove;
    return () => {
      target.addEventListener = add;
      target.removeEventListener = remove;
    };
  });
  return {
    open: () => live.size,
    restore: () => {
      for (const fn of undo) fn();
    },
  };
}
