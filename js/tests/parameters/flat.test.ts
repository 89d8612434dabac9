/** The flat stage in a page: it draws, is turned and picked from, and leaves nothing behind. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FrameLoop } from "../../src/frame";
import type { Palette } from "../../src/paint";
import { makeFlat } from "../../src/parameters/flat";
import type { Picked } from "../../src/parameters/stage";
import type { Viewpoint } from "../../src/ui";
import { countListeners, fakeCanvas, runFrames } from "../views/page";
import { lookOf, metaOf, momentOf } from "./moments";

const HUES = "#00ffff #ff8c1a #b18cff #ffd700 #ff6fb5 #39ff14 #6fb7ff #ff00ff".split(" ");
const PALETTE = {
  panel: "#0d1420",
  grid: "#1a2a3a",
  border: "#1a3a4a",
  readout: "#e0e0e0",
  label: "#8fa3b5",
  gauge: "#00ffff",
  warn: "#ffb020",
  font: "11px monospace",
  hues: HUES,
  heat: ["#101a2b", "#1f5fa8", "#19c9a4", "#fdfb9c"],
} as Palette;

const META = metaOf(300, 3);
const [A, B] = [momentOf(META, 0), momentOf(META, 10)];

function open() {
  const end = new AbortController();
  const el = document.createElement("div");
  document.body.append(el);
  const hovered: (Picked | null)[] = [];
  const chosen: (Picked | null)[] = [];
  const turned: Viewpoint[] = [];
  const stage = makeFlat({
    el,
    palette: () => PALETTE,
    loop: new FrameLoop(end.signal),
    signal: end.signal,
    why: "",
    hovered: (picked) => hovered.push(picked),
    turned: (view) => turned.push(view),
    chosen: (picked) => chosen.push(picked),
  });
  stage.setMeta(META);
  stage.resize(900, 500);
  const canvas = el.querySelector("canvas")!;
  const point = (type: string, x: number, y: number, more: PointerEventInit = {}) =>
    canvas.dispatchEvent(
      new PointerEvent(type, { clientX: x, clientY: y, pointerId: 1, bubbles: true, ...more }),
    );
  return { end, el, stage, canvas, hovered, chosen, turned, point };
}

beforeEach(() => {
  fakeCanvas();
});
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

/** Let the stage paint for its own sake, which waits a moment for a frame of the caller's. */
async function settle(): Promise<void> {
  await new Promise((done) => setTimeout(done, 80));
  await runFrames(2);
}

/** A place at which a token lies, found by looking. */
function somewhere(stage: ReturnType<typeof makeFlat>, kind: Picked["kind"]): [number, number] {
  for (let y = 20; y < 480; y += 4) {
    for (let x = 20; x < 880; x += 4) if (stage.pick(x, y)?.kind === kind) return [x, y];
  }
  throw new Error(`no ${kind} anywhere`);
}

describe("flat stage", () => {
  test("draws every look without a fault, also of moments that lack things", () => {
    const { stage } = open();
    for (const colourBy of ["norm", "cluster", "moved", "since", "frequency"] as const) {
      for (const shared of [true, false]) {
        const look = lookOf(META, { colourBy, shared, trails: [1, 2], selected: 5, threshold: 1 });
        stage.setTrails(new Map([[1, Float32Array.of(0, 0, 0, 1, 1, 1)]]));
        stage.frame(A, B, 0.3, look);
      }
    }
    const bare = {
      ...A,
      tokens: null,
      norm: null,
      since: null,
      frequency: null,
      positions: null,
      heat: new Map(),
    };
    stage.frame(bare, bare, 0, lookOf(META));
    stage.frame(bare, B, 0.5, lookOf(META, { showTokens: false }));
    stage.frame(A, B, 0.5, lookOf(META, { showTokens: false, visible: new Set() }));
    stage.frame(
      A,
      B,
      0.5,
      lookOf(META, { showTokens: false, showPositions: false, visible: new Set() }),
    );
    const more = momentOf(metaOf(400, 3), 3);
    stage.frame(A, more, 0.5, lookOf(META, { selected: 9999, trails: [9999] }));
    for (const [width, height] of [
      [0, 0],
      [40, 30],
      [480, 800],
      [3000, 200],
    ] as const) {
      stage.resize(width, height);
      stage.frame(A, B, 0.5, lookOf(META));
    }
    expect(stage.name).toBe("flat");
  });

  test("tells tokens and heatmaps under the pointer, and a click from a drag", async () => {
    const { stage, hovered, chosen, point } = open();
    stage.frame(A, B, 0.5, lookOf(META));
    const [x, y] = somewhere(stage, "token");
    const picked = stage.pick(x, y);
    point("pointermove", x, y);
    point("pointerdown", x, y);
    point("pointerup", x, y);
    expect(hovered).toEqual([picked]);
    expect(chosen).toEqual([picked]);
    point("pointerdown", x, y);
    point("pointermove", x + 80, y);
    point("pointerup", x + 80, y);
    expect(chosen).toHaveLength(1);
    expect(hovered.at(-1)).toBeNull();
    const plane = stage.pick(...somewhere(stage, "plane"));
    expect(plane).toMatchObject({ kind: "plane", row: 0, column: 0 });
    await settle();
    expect(stage.pick(x, y)).not.toEqual(picked);
  });

  test("tells where its viewer goes; another stands there, and says nothing of it", async () => {
    const [one, other] = [open(), open()];
    for (const { stage } of [one, other]) stage.frame(A, B, 0, lookOf(META));
    await settle();
    expect(one.turned).toEqual([]);
    const before = other.stage.pick(...somewhere(one.stage, "token"));
    one.point("pointerdown", 200, 200);
    one.point("pointermove", 290, 170);
    one.point("pointerup", 290, 170);
    await settle();
    const view = one.turned.at(-1)!;
    expect(view).toMatchObject({ by: "flat", zoom: 1, layer: null });
    other.stage.stand(view);
    await settle();
    const place = somewhere(one.stage, "token");
    expect(other.stage.pick(...place)).toEqual(one.stage.pick(...place));
    expect(before).not.toBeNull();
    one.stage.flyTo({ layer: 2 });
    await new Promise((done) => setTimeout(done, 900));
    await settle();
    const layer = one.turned.at(-1)!;
    expect(layer.stack?.zoom).toBeGreaterThan(1);
    other.stage.stand(layer);
    await settle();
    const plane = somewhere(one.stage, "plane");
    expect(other.stage.pick(...plane)).toEqual(one.stage.pick(...plane));
    expect(other.turned).toEqual([]);
    for (const { end } of [one, other]) end.abort();
  });

  test("flies to a token with easing, and at once for who wants no motion", async () => {
    const { stage } = open();
    stage.frame(A, B, 0, lookOf(META));
    const middle = () => stage.pick(248, 250);
    stage.flyTo({ token: 7 });
    await settle();
    expect(middle()).not.toEqual({ kind: "token", index: 7 });
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    stage.flyTo({ token: 7 });
    await settle();
    expect(middle()).toEqual({ kind: "token", index: 7 });
    stage.flyTo({ layer: 2 });
    stage.flyTo({ layer: 99 });
    stage.flyTo({ token: 99999 });
    stage.flyTo("reset");
    await settle();
    expect(middle()).not.toEqual({ kind: "token", index: 7 });
  });

  test("flies to a layer as it lies after the filter that came with it", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    const { stage } = open();
    stage.resize(110, 100);
    stage.frame(A, B, 0, lookOf(META));
    stage.flyTo({ layer: 2 });
    stage.frame(
      A,
      B,
      0,
      lookOf(META, { visible: new Set([1, 3, 5]), showTokens: false, showPositions: false }),
    );
    await settle();
    const seen = new Map<number, number>();
    for (let y = 2; y < 100; y += 2) {
      for (let x = 2; x < 110; x += 2) {
        const picked = stage.pick(x, y);
        if (picked?.kind === "plane") seen.set(picked.matrix, (seen.get(picked.matrix) ?? 0) + 1);
      }
    }
    const most = [...seen].sort((p, q) => q[1] - p[1])[0];
    expect(most?.[0]).toBe(5);
  });

  test("is turned, zoomed and projected by keys, which the notebook doesn't get", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    const { el, stage, canvas } = open();
    stage.frame(A, B, 0, lookOf(META));
    const heard: string[] = [];
    document.body.addEventListener("keydown", (event) => heard.push(event.key));
    const press = (key: string) => {
      const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
      canvas.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(["ArrowLeft", "+", "-", "2", "0"].map(press)).toEqual([true, true, true, true, true]);
    expect(["Tab", "a", "7"].map(press)).toEqual([false, false, false]);
    expect(heard).toEqual([]);
    press("1");
    await settle();
    const on = [...el.querySelectorAll("[aria-pressed=true]")].map((button) => button.textContent);
    expect(on).toEqual(["1·2"]);
    expect(canvas.getAttribute("aria-label")).toContain("300 token embeddings, 7 heatmaps of Tiny");
  });

  test("the wheel scrolls the page until the stage has been clicked or Ctrl is held", () => {
    const { stage, canvas } = open();
    stage.frame(A, B, 0, lookOf(META));
    const turn = (ctrlKey: boolean) => {
      const event = new WheelEvent("wheel", { deltaY: -100, cancelable: true });
      Object.defineProperties(event, {
        ctrlKey: { value: ctrlKey },
        clientX: { value: 200 },
        clientY: { value: 200 },
      });
      canvas.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(turn(false)).toBe(false);
    expect(turn(true)).toBe(true);
  });

  test("100 stages opened and closed leave no element, no listener and no frame", async () => {
    const listeners = countListeners();
    const before = listeners.open();
    const asked = vi.spyOn(globalThis, "requestAnimationFrame");
    for (let i = 0; i < 100; i++) {
      const { stage, end } = open();
      stage.frame(A, B, 0.5, lookOf(META));
      stage.flyTo({ token: 3 });
      if (i % 2) stage.dispose();
      end.abort();
      stage.dispose();
    }
    expect(document.querySelectorAll(".nbm-stage")).toHaveLength(0);
    expect(listeners.open()).toBe(before);
    await runFrames(2);
    asked.mockClear();
    await new Promise((done) => setTimeout(done, 50));
    expect(asked).not.toHaveBeenCalled();
    listeners.restore();
  }, 30_000);

  test("nothing is painted after the end, and a stage that begins after it stays empty", () => {
    const { stage, end, el } = open();
    end.abort();
    stage.frame(A, B, 0.5, lookOf(META));
    expect(el.children).toHaveLength(0);
    expect(stage.pick(200, 200)).toBeNull();
  });
});
