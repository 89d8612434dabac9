/** What the scene writes into three.js' objects, and when; what is done to it and said over it. */

import { describe, expect, test, vi } from "vitest";
import type { Pose } from "../../src/parameters/scene_camera";
import { Cloud, type CloudMoment } from "../../src/parameters/scene_cloud";
import { listenScene } from "../../src/parameters/scene_input";
import { layoutOf } from "../../src/parameters/scene_layout";
import { trailLines } from "../../src/parameters/scene_lines";
import { Overlay } from "../../src/parameters/scene_overlay";
import { Parts } from "../../src/parameters/scene_parts";
import { Planes } from "../../src/parameters/scene_planes";
import type { Heat, Look, Moment } from "../../src/parameters/stage";
import { meta } from "./samples";
import {
  type FakeGeometry,
  type FakeMaterial,
  FakeView,
  fakeKit,
  Node3,
  PALETTE,
  THREE,
  takeDisposed,
} from "./scene_fakes";

const cloudMoment = (n: number, scale = 1): CloudMoment => ({
  places: new Int16Array(3 * n),
  scale,
  values: new Uint8Array(n),
  weights: null,
  map: [1, 0],
});
const BRUSH = { factor: 2, pixels: 500, most: 1000, row: 0 };

/** Arrays that were handed to the graphics memory since the last call. */
function uploads(geometry: FakeGeometry): number {
  const all = [...new Set([...Object.values(geometry.attributes), geometry.index!])];
  const dirty = all.filter((attribute) => attribute?.needsUpdate);
  for (const attribute of dirty) attribute.needsUpdate = false;
  return dirty.length;
}

function drawn(part: { node: unknown }) {
  return part.node as { geometry: FakeGeometry; material: FakeMaterial; visible: boolean };
}

describe("cloud", () => {
  test("arrays are taken as they are; between two moments nothing is uploaded", () => {
    const cloud = new Cloud(THREE, [0, 0, 0], 0.1);
    const [a, b, c] = [cloudMoment(50), cloudMoment(50, 3), cloudMoment(50)];
    cloud.show(a, b, 0, BRUSH);
    const { geometry, material } = drawn(cloud);
    expect(geometry.attributes.position?.array).toBe(a.places);
    expect(geometry.attributes.position_b?.array).toBe(b.places);
    uploads(geometry);
    cloud.show(a, b, 0.5, BRUSH);
    expect(uploads(geometry)).toBe(0);
    expect(material.uniforms.u_t?.value).toBe(0.5);
    expect([material.uniforms.u_scale?.value, material.uniforms.u_scale_b?.value]).toEqual([2, 6]);
    // Played on: only the new end comes in. Played back: only the new beginning.
    cloud.show(b, c, 0, BRUSH);
    expect(geometry.attributes.position?.array).toBe(b.places);
    expect(uploads(geometry)).toBe(2);
    cloud.show(a, b, 1, BRUSH);
    expect(uploads(geometry)).toBe(2);
  });

  test("fewer points are an even sample of all, and their number may change", () => {
    const cloud = new Cloud(THREE, [0, 0, 0], 0.1);
    const [few, many] = [cloudMoment(10), cloudMoment(5000)];
    cloud.show(many, many, 0, BRUSH);
    const { geometry } = drawn(cloud);
    expect(geometry.drawn).toBe(1000);
    const order = geometry.index!.array as Uint32Array;
    expect(new Set(order).size).toBe(5000);
    const mean = order.subarray(0, 1000).reduce((sum, i) => sum + i, 0) / 1000;
    expect(mean).toBeGreaterThan(2300);
    expect(mean).toBeLessThan(2700);
    cloud.show(few, few, 0, BRUSH);
    expect(geometry.drawn).toBe(10);
  });
});

describe("sheets", () => {
  const model = meta(2);
  const layout = layoutOf(model, { width: 800, height: 500 });
  const all = new Set(layout.sheets.map((sheet) => sheet.matrix));
  const look = (rest: Partial<Look> = {}) =>
    ({ visible: all, shared: true, threshold: 0, ...rest }) as Look;
  const heats = (value: number, scale: number): ReadonlyMap<number, Heat> =>
    new Map(
      layout.sheets.map(({ matrix, rows, columns }) => {
        const data = new Uint8Array(rows * columns).fill(value);
        data[0] = matrix;
        return [matrix, { data, rows, columns, scale, offset: 0.5 }];
      }),
    );

  test("each matrix is a tile of the atlas that its corners point at", () => {
    const planes = new Planes(THREE, layout);
    planes.show(heats(200, 0.1), heats(100, 0.1), 0, look());
    const { geometry, material } = drawn(planes);
    const { image } = material.uniforms.u_tiles!.value as {
      image: { data: Uint8Array; width: number; height: number };
    };
    const uv = geometry.attributes.uv!.array as unknown as Float32Array;
    layout.sheets.forEach(({ matrix, rows, columns }, i) => {
      const [left, top] = [uv[i * 8]! * image.width, uv[i * 8 + 1]! * image.height];
      expect(image.data[Math.round(top) * image.width + Math.round(left)]).toBe(matrix);
      expect(uv[i * 8 + 6]! * image.width - left).toBeCloseTo(columns, 3);
      expect(uv[i * 8 + 7]! * image.height - top).toBeCloseTo(rows, 3);
    });
  });

  test("one scale for all, or each its own; what is hidden has no place", () => {
    const planes = new Planes(THREE, layout);
    const [a, b] = [heats(200, 0.1), heats(100, 0.1)];
    planes.show(a, b, 0, look());
    const { geometry, material } = drawn(planes);
    const least = 0.5 + 0.1 * Math.min(...all);
    const shared = material.uniforms.u_shared!.value as number[];
    expect(shared[0]).toBeCloseTo(least);
    expect(shared[1]).toBeCloseTo(20.5);
    planes.show(a, b, 0, look({ shared: false, visible: new Set([layout.sheets[0]!.matrix]) }));
    expect((material.uniforms.u_shared!.value as number[])[2]).toBe(0);
    const shown = [...(geometry.attributes.shown!.array as unknown as Float32Array)];
    expect(shown.filter((v) => v === 1)).toHaveLength(4);
  });

  test("a matrix that one moment lacks is as in the other", () => {
    const planes = new Planes(THREE, layout);
    planes.show(new Map(), heats(100, 0.1), 0, look());
    const { geometry } = drawn(planes);
    expect([...(geometry.attributes.bytes!.array as unknown as Float32Array)][0]).toBeCloseTo(25.5);
  });
});

test("a trail fades towards where it began", () => {
  const { places, tints } = trailLines(
    new Map([[3, Float32Array.of(0, 0, 0, 1, 0, 0, 1, 1, 0)]]),
    2,
    ["#ff0000"],
  );
  expect([...places]).toEqual([0, 0, 0, 2, 0, 0, 2, 0, 0, 2, 2, 0]);
  expect(tints[3]!).toBeLessThan(tints[15]!);
});

describe("two views of one scene", () => {
  const moment: Moment = {
    step: 1,
    tokens: new Int16Array(30).fill(100),
    scale: 0.01,
    norm: new Uint8Array(10),
    moved: null,
    since: null,
    frequency: null,
    cluster: null,
    positions: null,
    positionScale: 1,
    heat: new Map(),
    stats: new Float32Array(0),
  };
  const look: Look = {
    colourBy: "norm",
    shared: true,
    visible: new Set(),
    threshold: 0,
    showTokens: true,
    showPositions: true,
    trails: [],
    selected: 2,
  };
  const camera = {
    pose: { target: [0, 0, 0], yaw: 0, pitch: 0, distance: 10 },
    fov: 40,
    width: 600,
    height: 400,
    ratio: 1,
    most: 5000,
  } as const;

  test("each shows its own things, and gives all of them back", () => {
    const scene = new Node3();
    const [one, two] = [fakeKit(new FakeView(), scene), fakeKit(new FakeView(), scene)];
    const size = { width: 600, height: 400 };
    const parts = [new Parts(one, meta(2), size), new Parts(two, meta(2), size)];
    for (const part of parts) part.update({ a: moment, b: moment, t: 0, look }, new Map(), camera);
    expect(scene.children.map((child) => child.visible)).toEqual([false, true]);
    parts[0]!.update({ a: moment, b: moment, t: 0, look }, new Map(), camera);
    expect(scene.children.map((child) => child.visible)).toEqual([true, false]);
    // Python has set the scene's children anew.
    scene.remove(scene.children[0]!);
    parts[0]!.update({ a: moment, b: moment, t: 0, look }, new Map(), camera);
    expect(scene.children).toHaveLength(2);
    takeDisposed();
    for (const part of parts) part.dispose();
    expect(scene.children).toHaveLength(0);
    // Seven geometries and seven materials each, with their textures.
    expect(takeDisposed()).toBeGreaterThanOrEqual(2 * 14);
  });
});

test("keys and pointer move the camera; a click chooses; all of it ends with the signal", () => {
  const box = document.createElement("div");
  const end = new AbortController();
  let pose: Pose = { target: [0, 0, 0], yaw: 0, pitch: 0.4, distance: 10 };
  const said: unknown[] = [];
  const acts = {
    pose: () => pose,
    turn: (next: Pose) => {
      pose = next;
    },
    unit: () => 0.1,
    reset: () => said.push("reset"),
    over: (at: unknown) => said.push(at),
    choose: (x: number, y: number) => said.push([x, y]),
  };
  listenScene(box, acts, end.signal);
  const key = (name: string) =>
    box.dispatchEvent(new KeyboardEvent("keydown", { key: name, cancelable: true }));
  key("ArrowLeft");
  expect(pose.yaw).toBeLessThan(0);
  key("+");
  expect(pose.distance).toBeLessThan(10);
  key("0");
  expect(said).toEqual(["reset"]);
  end.abort();
  key("0");
  expect(said).toEqual(["reset"]);
});

test("over the scene: names, neighbours and legends, each where there is something to say", () => {
  const texts: string[] = [];
  const ctx = new Proxy({} as Record<string, unknown>, {
    get: (target, name) => {
      if (name === "measureText") return (text: string) => ({ width: text.length * 6 });
      if (name === "fillText") return (text: string) => texts.push(text);
      if (name === "createLinearGradient") return () => ({ addColorStop: () => {} });
      return target[name as string] ?? (() => {});
    },
  });
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(ctx as never);
  const box = document.createElement("div");
  const overlay = new Overlay(box, meta(2));
  const moment = {
    tokens: Int16Array.from([9, 0, 0, 8, 1, 0, 0, 9, 0, 0, 0, 9]),
    norm: new Uint8Array(4),
    heat: new Map([[1, {}]]),
  } as unknown as Moment;
  const look = {
    colourBy: "norm",
    shared: false,
    visible: new Set([1]),
    trails: [],
    selected: null,
  };
  const written = {
    shown: { a: moment, b: moment, t: 0, look: look as unknown as Look },
    points: moment.tokens,
    clusters: null,
    hovered: 0,
    range: null,
    drawn: 0,
    width: 900,
    height: 500,
    spot: (token: number) => (token < 3 ? ([100 * token + 50, 60] as const) : null),
    place: () => null,
  };
  overlay.draw(PALETTE, written);
  expect(texts).toEqual(expect.arrayContaining(["<s>", "cat", "dog", "its least", "its most"]));
  expect(texts).not.toContain("7");
  expect(texts.some((text) => text.includes("cosine"))).toBe(true);
  texts.length = 0;
  overlay.draw(PALETTE, { ...written, points: null });
  expect(texts).not.toContain("<s>");
  overlay.dispose();
  expect(box.children).toHaveLength(0);
});
