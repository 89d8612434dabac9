// @vitest-environment node
/** Snapshots unpacked as they are wanted, within bounds; one set of axes for all. */

import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { Bases, seenIn } from "../../src/parameters/basis";
import { Snapshots } from "../../src/parameters/reel";
import { FakeLive } from "../live";
import { blob, feed, snapshot } from "./samples";

const golden = (name: string) =>
  Uint8Array.from(readFileSync(new URL(`../../../tests/wire/blobs/${name}.bin`, import.meta.url)));
const KEY = "parameters/snapshot";

async function read(snapshots: Snapshots, ...steps: number[]) {
  snapshots.want(steps);
  await vi.waitFor(
    () => expect(steps.every((s) => snapshots.get(s) || snapshots.trouble(s))).toBe(true),
    { timeout: 8000 },
  );
  return steps.map((s) => snapshots.get(s));
}

describe("snapshots", () => {
  test("are unpacked when they are wanted, and tell", async () => {
    const live = new FakeLive();
    feed(live, [0, 10, 20]);
    const changed = vi.fn();
    const snapshots = new Snapshots(live.store, changed);
    expect([snapshots.steps, snapshots.get(10)]).toEqual([[0, 10, 20], null]);
    const [frame] = await read(snapshots, 10);
    expect(changed).toHaveBeenCalled();
    expect(frame).toMatchObject({ step: 10, scale: 0.01, reason: "cadence", index: 1 });
    expect(frame?.tokens?.[1]).toBe(110);
    expect(frame?.ranges?.norm?.[1]).toBeCloseTo(1 + 2.55);
    expect([frame?.moved, frame?.heat.get(1)?.rows, frame?.explained[0]]).toEqual([null, 2, 0.4]);
    expect(snapshots.taken).toBe(3);
    expect(frame?.since?.[3]).toBe(255);
    expect(frame?.ranges?.since?.[1]).toBeCloseTo(0.51);
  });

  test("stand on their key, also one that comes later", async () => {
    const live = new FakeLive();
    live.put(KEY, { reel: true, index: 1 }, golden("delta"), undefined, 41);
    const snapshots = new Snapshots(live.store, () => {});
    await read(snapshots, 41);
    expect(snapshots.trouble(41)).toContain("needs the one at step 40");
    live.put(KEY, { reel: true, index: 0 }, golden("key"), undefined, 40);
    const [frame] = await read(snapshots, 41);
    expect(frame?.tokens).toHaveLength(15);
    expect(snapshots.trouble(41)).toBe("");
  });

  test("damaged bytes are told, the others are shown", async () => {
    const live = new FakeLive();
    feed(live, [0]);
    live.put(KEY, { reel: true, index: 1 }, new Uint8Array(50), undefined, 5);
    const snapshots = new Snapshots(live.store, () => {});
    const [broken, whole] = await read(snapshots, 5, 0);
    expect([broken, whole?.step]).toEqual([null, 0]);
    expect(snapshots.trouble(5)).toContain("not a blob");
  });

  test("only the last that were looked at are kept", async () => {
    const live = new FakeLive();
    const steps = Array.from({ length: 40 }, (_, i) => i);
    feed(live, steps);
    const one = new Snapshots(live.store, () => {});
    await read(one, 0);
    const snapshots = new Snapshots(live.store, () => {}, one.bytes * 10);
    for (const step of steps) await read(snapshots, step);
    expect(snapshots.bytes).toBeLessThanOrEqual(one.bytes * 10);
    expect([snapshots.get(39)?.step, snapshots.get(0)]).toEqual([39, null]);
  });

  test("few bits in a small file are spread out, and mean the same", async () => {
    const live = new FakeLive();
    const norm = { values: Uint8Array.of(0, 10, 31), scale: 0.1, offset: 2 };
    const data = blob(3, { "tokens/norm": norm }, { condensed: true });
    live.put(KEY, { reel: true, index: 0 }, data, undefined, 3);
    const [frame] = await read(new Snapshots(live.store, () => {}), 3);
    expect([...(frame?.norm ?? [])]).toEqual([0, 80, 248]);
    const [low, high] = frame?.ranges?.norm ?? [0, 0];
    expect(low + ((high - low) * 80) / 255).toBeCloseTo(3);
    expect(frame?.coarse).toBe(true);
  });

  test("one that is replaced is read again", async () => {
    const live = new FakeLive();
    feed(live, [0, 10]);
    const snapshots = new Snapshots(live.store, () => {});
    await read(snapshots, 10);
    snapshot(live, 10, 7);
    expect(snapshots.get(10)).toBeNull();
    const [frame] = await read(snapshots, 10);
    expect(frame?.index).toBe(7);
  });
});

describe("one set of axes", () => {
  const put = (live: FakeLive, chunk: number, chunks: number, steps: number[], basis = 20) => {
    const parts = Object.fromEntries(
      steps.map((s) => [`view/${s}`, { values: new Int16Array(12).fill(s), scale: 0.5 }]),
    );
    const meta = { chunk, chunks, basis_step: basis, explained: [0.6, 0.1, 0.1], estimate: true };
    live.put(`parameters/view/${chunk}`, meta, blob(basis, parts), undefined, basis);
  };

  test("is there when all chunks are, and only then", async () => {
    const live = new FakeLive();
    feed(live, [0, 10, 20]);
    const changed = vi.fn();
    const bases = new Bases(live.store, changed);
    put(live, 0, 2, [0, 10]);
    bases.refresh();
    await Promise.resolve();
    expect(bases.basis).toBeNull();
    put(live, 1, 2, [20]);
    bases.refresh();
    await vi.waitFor(() => expect(changed).toHaveBeenCalledOnce(), { timeout: 8000 });
    expect(bases.basis).toMatchObject({ step: 20, estimate: true });
    const [frame] = await read(new Snapshots(live.store, () => {}), 10);
    const seen = seenIn(frame!, bases.basis);
    expect([seen.tokens?.[0], seen.scale, seen.basis]).toEqual([10, 0.5, 20]);
    expect(seenIn({ ...frame!, step: 11 }, bases.basis).basis).toBeNull();
    put(live, 0, 2, [0, 10], 30);
    bases.refresh();
    expect(bases.basis?.step).toBe(20);
  });
});
