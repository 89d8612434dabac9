// @vitest-environment node
/** What has become of the weights: its numbers, and the one that belongs to a moment. */

import { expect, test, vi } from "vitest";
import { type Change, Changes, unit } from "../../src/parameters/change";
import { gradients, judge, stationsOf } from "../../src/parameters/stations";
import { FakeLive } from "../live";
import { change, feed, meta } from "./samples";

const M = meta(2);

async function ready(changes: Changes, step: number): Promise<Change | null> {
  await vi.waitFor(() => expect(changes.at(step)?.step).toBe(step), { timeout: 8000 });
  return changes.at(step);
}

test("the newest at or before a step is told, and nothing before the first", async () => {
  const live = new FakeLive();
  const changes = new Changes(live.store, () => {});
  expect([changes.some, changes.at(5)]).toEqual([false, null]);
  feed(live, [0, 10, 20], M);
  change(live, 10, (id) => [id / 10, 64, 1, 0, 1.5, 7], [1, 2], M);
  change(live, 20, () => [Number.NaN, 64, 0, 0, 1, 0], [], M);
  const first = await ready(changes, 10);
  expect([unit(first, 2, "since"), unit(first, 1, "dead"), unit(first, 0, "unit")]).toEqual([
    expect.closeTo(0.2, 5),
    1,
    7,
  ]);
  expect(first?.similarity?.ids).toEqual([1, 2]);
  expect([...first!.similarity!.values].map((v) => Number(v.toFixed(2)))).toEqual([1, 0.2, 0.2, 1]);
  expect(first?.frozen).toEqual([9]);
  expect(changes.at(15)?.step).toBe(10);
  expect((await ready(changes, 20))?.similarity).toBeNull();
  expect(unit(changes.at(20), 0, "since")).toBeNaN();
  expect(changes.at(9)).toBeNull();
  expect(unit(null, 0, "since")).toBeNaN();
});

test("damaged bytes are nothing, not the last that could be read", async () => {
  const live = new FakeLive();
  const changes = new Changes(live.store, () => {});
  change(live, 1, () => [0, 1, 0, 0, 1, 0], [], M);
  await ready(changes, 1);
  live.put("parameters/change", { reel: true }, new Uint8Array(20), undefined, 2);
  changes.at(2);
  await vi.waitFor(() => expect(changes.at(2)).toBeNull());
});

test("the way through a model, with or without layers", () => {
  const way = stationsOf(M);
  expect(way.map(({ name, short }) => `${short} ${name}`)).toEqual([
    "in embeddings",
    "0 layer 0",
    "1 layer 1",
  ]);
  expect(way.map(({ rows }) => rows)).toEqual([[0], [1, 2, 3], [4, 5, 6]]);
  const last = { ...M.matrices[0]!, id: 7, name: "head.weight", kind: "head" as const };
  expect(stationsOf({ ...M, matrices: [...M.matrices, last] }).at(-1)).toMatchObject({
    name: "head",
    rows: [7],
  });
  const flat = M.matrices.map((m, i) => ({ ...m, layer: null, name: `m${i >> 1}.weight` }));
  expect(stationsOf({ ...M, layers: [], matrices: flat }).map(({ name }) => name)).toEqual([
    "m0",
    "m1",
    "m2",
    "m3",
  ]);
});

test("gradients of a layer are those of all its weights; what is far off is named", () => {
  const grads = new Float32Array(M.matrices.length * 10).fill(Number.NaN);
  const put = (row: number, value: number) => {
    grads[row * 10 + 6] = value;
  };
  const sizes = M.matrices.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  put(1, 3);
  put(2, 4);
  put(4, 0);
  const rms = gradients(M, grads, stationsOf(M));
  expect([...rms]).toEqual([Number.NaN, Math.sqrt(25 / (sizes[1]! + sizes[2]!)), 0]);
  expect(judge(rms)).toMatchObject({ vanishing: [2], exploding: [] });
  expect(judge([1, 2, 3, 1e-4, 5000, Number.NaN])).toEqual({
    median: 2,
    vanishing: [3],
    exploding: [4],
  });
  expect(judge([1, Number.POSITIVE_INFINITY, 1, 1])?.exploding).toEqual([1]);
  expect(judge([Number.NaN])).toBeNull();
  expect(judge([0, 0])).toEqual({ median: 0, vanishing: [0, 1], exploding: [] });
});
