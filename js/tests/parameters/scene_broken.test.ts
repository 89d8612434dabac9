/** What becomes of the scene when it breaks, and why there may be none. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Recovery } from "../../src/parameters/scene_context";
import { graphics, openKit } from "../../src/parameters/scene_kit";
import { FakeCamera, FakeView, fakeKit, Node3, PALETTE, THREE } from "./scene_fakes";

describe("a lost context", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function lost(comesBackAfter: number) {
    const view = new FakeView();
    const end = new AbortController();
    const told: string[] = [];
    let draws = 0;
    const recovery = new Recovery(
      fakeKit(view).view,
      () => {
        view.isFrozen = ++draws < comesBackAfter;
        recovery.drawn();
      },
      (why) => told.push(why),
      end.signal,
    );
    recovery.drawn();
    view.canvas.dispatchEvent(new Event("webglcontextlost"));
    view.isFrozen = true;
    vi.runAllTimers();
    return { view, told, draws: () => draws, end };
  }

  test("is used again when it comes back", () => {
    const { view, told, draws } = lost(2);
    expect([draws(), view.set, told]).toEqual([2, [], []]);
  });

  test("that stays away is replaced by one of another kind", () => {
    const { view, told } = lost(5);
    expect(view.set).toEqual([["_antialias", false]]);
    expect(told).toEqual([]);
  });

  test("for good is said, once, and ends", () => {
    const { told } = lost(Number.POSITIVE_INFINITY);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("graphics context");
  });
});

describe("why there is no scene", () => {
  const el = () => document.createElement("div");
  const never = new AbortController().signal;
  const palette = () => PALETTE;
  const handles = { renderer: "IPY_MODEL_r", camera: "IPY_MODEL_c" };

  function webgl(name: string | null) {
    const gl = {
      getExtension: () => ({ UNMASKED_RENDERER_WEBGL: 1, loseContext: () => {} }),
      getParameter: () => name,
    };
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation((() =>
      name === null ? null : gl) as never);
  }

  const tries = (parts: Parameters<typeof openKit>[1]) => openKit(el(), parts, palette, never);
  const model = (obj: unknown) => ({
    initPromise: Promise.resolve(),
    obj,
    get: () => null,
    set: () => {},
  });

  test.each([
    ["no widgets on the page", null, "no widgets"],
    ["Python says why", { handles: { absent: "pip install it" }, widgets: null }, "pip install it"],
    ["saved before there was one", { handles: {}, widgets: null }, "saved without"],
  ])("%s", async (_, parts, said) => {
    await expect(tries(parts)).rejects.toThrow(said);
  });

  test("no WebGL", async () => {
    webgl(null);
    expect(graphics()).toBeNull();
    await expect(tries({ handles, widgets: null })).rejects.toThrow("WebGL");
  });

  test("no widget manager", async () => {
    webgl("SwiftShader");
    await expect(tries({ handles, widgets: null })).rejects.toThrow("widget manager");
  });

  test("no extension: the host resolves with a model that shows an error", async () => {
    webgl("SwiftShader");
    const widgets = { get_model: async () => ({}), create_view: async () => ({}) };
    await expect(tries({ handles, widgets })).rejects.toThrow("extension");
  });

  test("a view that shows an error is taken away again", async () => {
    webgl("SwiftShader");
    const view = new FakeView();
    view.renderer = null;
    view.el.textContent = "it broke";
    const widgets = { get_model: async () => model({}), create_view: async () => view };
    await expect(tries({ handles, widgets })).rejects.toThrow("it broke");
    expect(view.removed).toBe(1);
  });

  test("none: the classes are those of the objects, and the camera is a copy", async () => {
    webgl("ANGLE (SwiftShader)");
    const view = new FakeView();
    const camera = new FakeCamera();
    const objects: Record<string, unknown> = {
      r: {},
      c: camera,
      s: new Node3(),
      p: new (THREE.Points as never as new () => object)(),
      g: {},
      a: {},
      m: {},
      t: {},
    };
    const widgets = {
      get_model: async (id: string) => model(objects[id]),
      create_view: async () => view,
    };
    const names = {
      ...handles,
      scene: "s",
      points: "p",
      mesh: "m",
      lines: "m",
      geometry: "g",
      position: "a",
      material: "m",
      texture: "t",
    };
    const kit = await tries({ handles: names, widgets });
    expect(kit.three.Points).toBe(THREE.Points);
    expect(kit.three.Group).toBe(THREE.Group);
    expect(kit.software).toBe(true);
    expect(kit.camera).not.toBe(camera);
    expect(view.camera).toBe(kit.camera);
  });
});
