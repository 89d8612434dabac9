import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FrameLoop } from "../src/frame";

let frames: Map<number, (now: number) => void>;
let nextId: number;
let visibility: DocumentVisibilityState;
let observers: FakeObserver[];

class FakeObserver {
  readonly targets = new Set<Element>();
  constructor(readonly tell: (seen: { target: Element; isIntersecting: boolean }[]) => void) {
    observers.push(this);
  }
  observe(el: Element) {
    this.targets.add(el);
  }
  unobserve(el: Element) {
    this.targets.delete(el);
  }
  disconnect() {
    this.targets.clear();
  }
}

function frame(): void {
  const due = [...frames.values()];
  frames.clear();
  for (const fn of due) fn(1);
}

function show(state: DocumentVisibilityState): void {
  visibility = state;
  document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  frames = new Map();
  nextId = 0;
  observers = [];
  visibility = "visible";
  vi.stubGlobal("requestAnimationFrame", (fn: (now: number) => void) => {
    frames.set(++nextId, fn);
    return nextId;
  });
  vi.stubGlobal("cancelAnimationFrame", (id: number) => frames.delete(id));
  vi.stubGlobal("IntersectionObserver", FakeObserver);
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility);
});
afterEach(() => vi.unstubAllGlobals());

function setUp() {
  const loopEnd = new AbortController();
  const itemEnd = new AbortController();
  const loop = new FrameLoop(loopEnd.signal);
  const el = document.createElement("div");
  const paint = vi.fn();
  const item = loop.add(el, paint, itemEnd.signal);
  return { loop, loopEnd, itemEnd, el, paint, item };
}

describe("FrameLoop", () => {
  test("paints once a frame however often it was dirty, then schedules nothing", () => {
    const { item, paint } = setUp();
    item.dirty();
    item.dirty();
    expect(frames.size).toBe(1);
    frame();
    expect(paint).toHaveBeenCalledTimes(1);
    expect(frames.size).toBe(0);
  });

  test("several items share one frame", () => {
    const { loop, itemEnd, paint } = setUp();
    const other = vi.fn();
    loop.add(document.createElement("div"), other, itemEnd.signal);
    expect(frames.size).toBe(1);
    frame();
    expect([paint.mock.calls.length, other.mock.calls.length]).toEqual([1, 1]);
  });

  test("off screen nothing is scheduled; back on screen it catches up with one paint", () => {
    const { el, item, paint } = setUp();
    frame();
    observers[0]?.tell([{ target: el, isIntersecting: false }]);
    item.dirty();
    item.dirty();
    expect(frames.size).toBe(0);
    observers[0]?.tell([{ target: el, isIntersecting: true }]);
    frame();
    expect(paint).toHaveBeenCalledTimes(2);
  });

  test("a hidden page paints nothing until it is visible", () => {
    const { item, paint } = setUp();
    show("hidden");
    item.dirty();
    frame();
    expect(paint).not.toHaveBeenCalled();
    expect(frames.size).toBe(0);
    show("visible");
    frame();
    expect(paint).toHaveBeenCalledTimes(1);
  });

  test("a paint may ask for the next frame", () => {
    const { loop, itemEnd } = setUp();
    let left = 3;
    const moving = loop.add(
      document.createElement("div"),
      () => {
        if (--left > 0) moving.dirty();
      },
      itemEnd.signal,
    );
    for (let i = 0; i < 5; i++) frame();
    expect(left).toBe(0);
    expect(frames.size).toBe(0);
  });

  test("an item that dirties a later one is painted with it, and no empty frame follows", () => {
    const { loop, itemEnd, paint } = setUp();
    const other = vi.fn();
    const later = loop.add(document.createElement("div"), other, itemEnd.signal);
    paint.mockImplementation(() => later.dirty());
    frame();
    expect(other).toHaveBeenCalledTimes(1);
    expect(frames.size).toBe(0);
  });

  test("afterFrame follows a frame that painted, and only such", () => {
    const { loop, itemEnd, item, paint } = setUp();
    const order: string[] = [];
    paint.mockImplementation(() => order.push("paint"));
    loop.afterFrame(() => order.push("after"), itemEnd.signal);
    frame();
    frame();
    expect(order).toEqual(["paint", "after"]);
    itemEnd.abort();
    item.dirty();
    frame();
    expect(order).toHaveLength(2);
  });

  test("an item that throws does not stop the others", () => {
    const report = vi.fn();
    vi.stubGlobal("reportError", report);
    const { loop, itemEnd, paint } = setUp();
    paint.mockImplementation(() => {
      throw new Error("bad view");
    });
    const other = vi.fn();
    const good = loop.add(document.createElement("div"), other, itemEnd.signal);
    frame();
    good.dirty();
    frame();
    expect(other).toHaveBeenCalledTimes(2);
    expect(report).toHaveBeenCalledTimes(1);
  });

  test("aborting an item unobserves it and cancels the frame it asked for", () => {
    const { el, itemEnd, item, paint } = setUp();
    expect(observers[0]?.targets.has(el)).toBe(true);
    itemEnd.abort();
    expect(observers[0]?.targets.size).toBe(0);
    expect(frames.size).toBe(0);
    item.dirty();
    frame();
    expect(paint).not.toHaveBeenCalled();
  });

  test("aborting the loop ends everything", () => {
    const { loopEnd, item, paint } = setUp();
    loopEnd.abort();
    item.dirty();
    show("visible");
    frame();
    expect(paint).not.toHaveBeenCalled();
    expect(observers[0]?.targets.size).toBe(0);
  });

  test("works without an IntersectionObserver", () => {
    vi.stubGlobal("IntersectionObserver", undefined);
    const { paint } = setUp();
    frame();
    expect(paint).toHaveBeenCalledTimes(1);
  });
});
