// @vitest-environment node
/** Reels: every step is kept, within bounds; what a base is stays as long as it is one. */

import { describe, expect, test } from "vitest";
import { baseOf, Reel, spread } from "../src/reels";
import { Store } from "../src/store";
import type { Tensor } from "../src/tensor";
import type { Put } from "../src/wire.gen";

const KEY = "parameters/snapshot";

function frame(step: number, base: number | null = null, size = 100): Tensor {
  const head = new TextEncoder().encode(`........{"v":1,"step":${step},"base":${base},"parts":[]}`);
  const data = new Uint8Array(size);
  data.set(head.subarray(0, size));
  const meta = { reel: true };
  return { key: KEY, step, dtype: "uint8", shape: [size], meta, data };
}

function put(step: number, value: number, meta: object = { reel: true }): [Put, DataView[]] {
  const head = { kind: "put" as const, seq: 1, generation: 1, key: KEY, step, dtype: "uint8" };
  return [{ ...head, shape: [1], meta: { ...meta } }, [new DataView(Uint8Array.of(value).buffer)]];
}

describe("a reel", () => {
  test("keeps every step in order, and replaces one that comes again", () => {
    const reel = new Reel();
    for (const step of [5, 1, 3]) reel.put(frame(step));
    expect([reel.steps, reel.bytes]).toEqual([[1, 3, 5], 300]);
    const version = reel.version;
    reel.put(frame(3, null, 40));
    expect([reel.steps, reel.bytes]).toEqual([[1, 3, 5], 240]);
    expect(reel.version).toBeGreaterThan(version);
  });

  test("reads what a frame is a difference to", () => {
    expect([baseOf(frame(4, 2)), baseOf(frame(4))]).toEqual([2, null]);
    expect(baseOf({ ...frame(4), meta: { base: 1 } })).toBe(1);
  });

  test("thins what is old, but neither a base, the ends, nor what is recent", () => {
    const reel = new Reel(120_000);
    for (let step = 0; step < 400; step++) {
      reel.put(frame(step, step % 16 === 0 ? null : step - (step % 16)));
      // A kilobyte goes with each.
      expect(reel.bytes + 1024 * reel.steps.length).toBeLessThanOrEqual(120_000);
    }
    const { steps } = reel;
    const held = new Set(steps);
    expect(held.has(0)).toBe(true);
    for (let step = 380; step < 400; step++) expect(held.has(step)).toBe(true);
    for (const step of steps) {
      const base = baseOf(reel.at(step) as Tensor);
      if (base !== null) expect(held.has(base), `${step} stands on ${base}`).toBe(true);
    }
    expect(steps.filter((step) => step < 200).length).toBeGreaterThan(5);
    expect(reel.seen).toHaveLength(400);
  });

  test("is told in few bytes: the newest with its base, the first, then between", () => {
    const reel = new Reel();
    for (let step = 0; step < 64; step++) {
      reel.put(frame(step, step % 16 === 0 ? null : step - (step % 16)));
    }
    expect(reel.chosen(450).map((t) => t.step)).toEqual([0, 15, 48, 63]);
    expect(reel.chosen(150).map((t) => t.step)).toEqual([0]);
    expect(reel.chosen(1e9)).toHaveLength(64);
    expect(new Reel().chosen(100)).toEqual([]);
  });

  test("any beginning of a spread is even", () => {
    expect(spread([])).toEqual([]);
    expect(spread([7])).toEqual([7]);
    const all = spread(Array.from({ length: 9 }, (_, i) => i));
    expect(all.slice(0, 5)).toEqual([8, 0, 4, 6, 2]);
    expect([...all].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe("in the store", () => {
  test("a reel grows, the newest is the tensor, whatever comes when", () => {
    const store = new Store();
    store.apply(...put(10, 1));
    store.apply(...put(30, 3));
    store.apply(...put(20, 2));
    expect(store.reel(KEY)?.steps).toEqual([10, 20, 30]);
    expect(store.tensor(KEY)?.step).toBe(30);
    expect(store.have().reels).toEqual({ [KEY]: [10, 20, 30] });
  });

  test("a tensor without the word is no reel", () => {
    const store = new Store();
    store.apply(...put(10, 1, {}));
    expect(store.reel(KEY)).toBeUndefined();
    expect(store.have().reels).toEqual({});
  });

  test("a history that was rewritten starts over", () => {
    const store = new Store();
    store.apply(...put(10, 1));
    const [message, buffers] = put(4, 1);
    store.apply({ ...message, generation: 2 }, buffers);
    expect(store.reel(KEY)?.steps).toEqual([4]);
  });
});
