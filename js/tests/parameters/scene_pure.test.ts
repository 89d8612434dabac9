// @vitest-environment node
/** The scene without a scene: where things stand, where they are seen from, what is under a place. */

import { describe, expect, test } from "vitest";
import {
  between,
  eyeOf,
  moved,
  type Pose,
  product,
  turned,
  unitAt,
  zoomed,
} from "../../src/parameters/scene_camera";
import { reachOf } from "../../src/parameters/scene_columns";
import { layoutOf, MARGIN, SIDE } from "../../src/parameters/scene_layout";
import { pickPoint, pickSheet, placeOf, rayOf, spotOf } from "../../src/parameters/scene_pick";
import { above, homeOf, poseOfLayer } from "../../src/parameters/scene_poses";
import { meta } from "./samples";

const POSE: Pose = { target: [1, 2, 3], yaw: 0.7, pitch: 0.4, distance: 10 };
const SIZE = { width: 800, height: 500 };
const FOV = 24;

/** Projection · view of a pose, the textbook way: what three.js computes. */
function viewOf(pose: Pose, { width, height } = SIZE): Float32Array {
  const eye = eyeOf(pose);
  const unit = (v: number[]) => v.map((x) => x / Math.hypot(...v));
  const cross = (a: number[], b: number[]) => [
    a[1]! * b[2]! - a[2]! * b[1]!,
    a[2]! * b[0]! - a[0]! * b[2]!,
    a[0]! * b[1]! - a[1]! * b[0]!,
  ];
  const dot = (a: number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  const back = unit(eye.map((x, i) => x - pose.target[i]!));
  const right = unit(cross([0, 1, 0], back));
  const up = cross(back, right);
  const rows = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
  const view = Float32Array.from({ length: 16 }, (_, i) =>
    i % 4 < 3 ? rows[i % 4]![i >> 2]! : i === 15 ? 1 : 0,
  );
  const f = 1 / Math.tan((FOV * Math.PI) / 360);
  const [near, far] = [0.1, 1000];
  const projection = new Float32Array(16);
  projection[0] = f / (width / height);
  projection[5] = f;
  projection[10] = (far + near) / (near - far);
  projection[11] = -1;
  projection[14] = (2 * far * near) / (near - far);
  return product(projection, view);
}

function onScreen(view: Float32Array, [x, y, z]: readonly number[]): [number, number] {
  const at = (r: number) => view[r]! * x! + view[r + 4]! * y! + view[r + 8]! * z! + view[r + 12]!;
  return [(SIZE.width / 2) * (1 + at(0) / at(3)), (SIZE.height / 2) * (1 - at(1) / at(3))];
}

describe("camera", () => {
  test("the target is in the middle, at its distance", () => {
    const [x, y] = onScreen(viewOf(POSE), POSE.target);
    expect(x).toBeCloseTo(400, 3);
    expect(y).toBeCloseTo(250, 3);
    expect(Math.hypot(...eyeOf(POSE).map((v, i) => v - POSE.target[i]!))).toBeCloseTo(10);
  });

  test("a move keeps what is at the target under the pointer", () => {
    const unit = unitAt(POSE.distance, FOV, SIZE.height);
    const [x, y] = onScreen(viewOf(moved(POSE, 30, -20, unit)), POSE.target);
    expect(x).toBeCloseTo(430, 0);
    expect(y).toBeCloseTo(230, 0);
  });

  test("dragged to the right, what is in front goes to the right", () => {
    const front = eyeOf({ ...POSE, distance: 3 });
    const [before] = onScreen(viewOf(POSE), front);
    expect(onScreen(viewOf(turned(POSE, 20, 0)), front)[0]).toBeGreaterThan(before);
  });

  test("never over the top, never through the target", () => {
    expect(turned(POSE, 0, 1e6).pitch).toBeLessThan(Math.PI / 2);
    expect(zoomed(POSE, 1e-9).distance).toBeGreaterThan(0);
  });

  test("a flight ends where it was to, by the shorter way around", () => {
    const to: Pose = {
      target: [0, 0, 0],
      yaw: POSE.yaw + 2 * Math.PI - 0.2,
      pitch: 0,
      distance: 4,
    };
    expect(between(POSE, to, 0)).toEqual(POSE);
    expect(between(POSE, to, 1).distance).toBeCloseTo(4);
    expect(between(POSE, to, 0.5).yaw).toBeCloseTo(POSE.yaw - 0.1);
  });
});

describe("picking", () => {
  const places = Int16Array.from([0, 0, 0, 100, 0, 0, 0, 200, 0]);
  const after = Int16Array.from([0, 0, 0, 100, 0, 300, 0, 200, 0]);
  const [a, b] = [
    { places, scale: 0.01 },
    { places: after, scale: 0.02 },
  ];

  test.each([0, 1, 2])("point %i is found where it is between two moments", (i) => {
    const view = viewOf(POSE);
    const at = placeOf(a, b, 0.25, i, 1, [1, 2, 3]);
    const [x, y] = onScreen(view, at);
    const found = (dx: number) =>
      pickPoint(a, b, 0.25, 1, [1, 2, 3], view, { x: x + dx, y, ...SIZE });
    expect(found(3)).toBe(i);
    expect(found(3000)).toBe(-1);
  });

  test("nothing behind the viewer is found", () => {
    const behind = { places: Int16Array.from(eyeOf({ ...POSE, distance: 20 })), scale: 1 };
    const view = viewOf({ ...POSE, target: [1, 2, 3] });
    for (const x of [0, 400, 800]) {
      expect(pickPoint(behind, behind, 0, 1, [0, 0, 0], view, { x, y: 250, ...SIZE })).toBe(-1);
    }
  });

  test("a ray goes where the projection shows", () => {
    const { eye, way } = rayOf(POSE, FOV, { x: 130, y: 420, ...SIZE });
    const far = eye.map((v, i) => v + 7 * way[i]!);
    const [x, y] = onScreen(viewOf(POSE), far);
    expect(x).toBeCloseTo(130, 1);
    expect(y).toBeCloseTo(420, 1);
  });

  test("the cell under the pointer, of the sheet in front, unless it is hidden", () => {
    const layout = layoutOf(meta(3), SIZE);
    const sheet = layout.sheets.at(-1)!;
    const { rows, columns } = sheet;
    const spot = (row: number, column: number) => [
      sheet.at[0] + SIDE * ((column + 0.5) / columns - 0.5),
      sheet.at[1],
      sheet.at[2] + SIDE * ((row + 0.5) / rows - 0.5),
    ];
    const pose: Pose = { target: sheet.at, yaw: 0.3, pitch: 0.9, distance: 12 };
    const [x, y] = onScreen(viewOf(pose), spot(1, 0));
    const ray = rayOf(pose, FOV, { x, y, ...SIZE });
    const all = new Set(layout.sheets.map((s) => s.matrix));
    expect(pickSheet(layout, all, ray)).toEqual({
      kind: "plane",
      matrix: sheet.matrix,
      row: 1,
      column: 0,
    });
    all.delete(sheet.matrix);
    expect(pickSheet(layout, all, ray)?.matrix).not.toBe(sheet.matrix);
    expect(pickSheet(layout, new Set(), ray)).toBeNull();
  });
});

describe("layout", () => {
  const layout = layoutOf(meta(6), SIZE);

  test("layers rise; the same role stands in one column", () => {
    const floors = layout.floors.filter((floor) => floor.layer !== null);
    expect(floors.map((floor) => floor.layer)).toEqual([0, 1, 2, 3, 4, 5]);
    for (let i = 1; i < floors.length; i++) {
      expect(floors[i]!.height).toBeGreaterThan(floors[i - 1]!.height);
    }
    const byRole = new Map<string, Set<number>>();
    for (const { matrix, at } of layout.sheets) {
      const { role, kind, layer } = meta(6).matrices.find((m) => m.id === matrix)!;
      if (layer === null) continue;
      const key = `${kind}/${role}`;
      byRole.set(key, (byRole.get(key) ?? new Set()).add(at[0]));
    }
    for (const columns of byRole.values()) expect(columns.size).toBe(1);
  });

  test("no two sheets share a place, however many of a role a layer has", () => {
    const model = meta(2);
    const first = model.matrices.find((m) => m.heat && m.layer === 0)!;
    for (let k = 0; k < 4; k++) model.matrices.push({ ...first, id: 900 + k });
    const places = layoutOf(model, SIZE).sheets.map(({ at }) => at.join());
    expect(new Set(places).size).toBe(places.length);
  });

  const shapes = [
    [320, 540],
    [540, 540],
    [934, 612],
    [1500, 540],
  ] as const;
  test.each([2, 6, 24].flatMap((layers) => shapes.map((shape) => [layers, ...shape] as const)))(
    "a model of %i layers fills a stage of %i x %i, and none of it is outside",
    (layers, width, height) => {
      const size = { width, height };
      const model = meta(layers);
      const layout = layoutOf(model, size);
      const all = new Set(layout.sheets.map((sheet) => sheet.matrix));
      const seen = { visible: all, showTokens: true, showPositions: false };
      const pose = homeOf(layout, FOV, size, seen);
      const view = viewOf(pose, size);
      const { at, radius } = layout.tokens;
      const ball = [0, 1, 2].flatMap((axis) =>
        [-1, 1].map((sign) => at.map((v, k) => v + (k === axis ? sign * radius : 0))),
      );
      const corners = layout.sheets.flatMap(({ at: [x, y, z] }) =>
        [-1, 1].flatMap((u) => [-1, 1].map((v) => [x + (u * SIDE) / 2, y, z + (v * SIDE) / 2])),
      );
      const spots = [...ball, ...corners].map((p) => spotOf(p as never, view, size)!);
      const [xs, ys] = [spots.map(([x]) => x), spots.map(([, y]) => y)];
      const ends = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      expect(ends[0]).toBeGreaterThanOrEqual(MARGIN.left - 1);
      expect(ends[1]).toBeLessThanOrEqual(width - MARGIN.right + 1);
      expect(ends[2]).toBeGreaterThanOrEqual(MARGIN.top - 1);
      expect(ends[3]).toBeLessThanOrEqual(height - MARGIN.bottom + 1);
      const shares = [(ends[1]! - ends[0]!) / width, (ends[3]! - ends[2]!) / height];
      expect(Math.max(...shares)).toBeGreaterThan(0.7);
      expect(shares[0]! * shares[1]!).toBeGreaterThan(0.35);
    },
  );

  test("what is chosen comes near: one layer fills more than all of them", () => {
    const one = new Set(layout.sheets.slice(-2).map((sheet) => sheet.matrix));
    const pose = (visible: ReadonlySet<number>, showTokens: boolean) =>
      homeOf(layout, FOV, SIZE, { visible, showTokens, showPositions: false });
    const all = new Set(layout.sheets.map((sheet) => sheet.matrix));
    const far = pose(all, true).distance;
    expect(pose(one, false).distance).toBeLessThan(far / 2);
    expect(pose(new Set(), true).distance).toBeLessThan(far);
    expect(Number.isFinite(pose(new Set(), false).distance)).toBe(true);
  });

  test("what stands above a layer is lifted off, and nothing else", () => {
    const lifted = above(layout, 3);
    for (const { matrix } of layout.sheets) {
      const { layer, kind } = meta(6).matrices.find((m) => m.id === matrix)!;
      expect(lifted.has(matrix)).toBe(layer === null ? kind === "head" : layer > 3);
    }
    expect(above(layout, 99).size).toBe(0);
    expect(poseOfLayer(layout, 99, FOV, 1)).toBeNull();
  });

  test("a model without tokens, or with nothing at all, has a layout too", () => {
    const bare = meta(0, { tokens: null, positions: null, matrices: [], layers: [] });
    const seen = { visible: new Set<number>(), showTokens: true, showPositions: true };
    expect(Number.isFinite(homeOf(layoutOf(bare, SIZE), FOV, SIZE, seen).distance)).toBe(true);
  });
});

test("the reach of a cloud leaves the farthest hundredth out", () => {
  const places = new Int16Array(3000).fill(0).map((_, i) => (i % 3 === 0 ? 100 : 0));
  places[0] = 30000;
  expect(reachOf(places)).toBe(100);
  expect(reachOf(new Int16Array(0))).toBe(0);
});
