// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeFrame, decodeHistory, type Stretch } from "../src/codec";
import { headerOf, packFrame, packHistory } from "../src/pack";
import { Store } from "../src/store";
import { bucketed, bytesOf, share, thinned } from "../src/thin";
import { NAN, POS_INF } from "../src/wire.gen";
import { stretchOf } from "./live";

const GOLDEN = new URL("../../tests/wire/", import.meta.url);
const golden = (name: string) => new Uint8Array(readFileSync(new URL(`${name}.bin`, GOLDEN)));
const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

describe("packFrame", () => {
  test.each(["buckets", "empty", "irregular", "mixed", "regular", "single", "stride"])(
    "%s comes out as Python packs it",
    (name) => {
      const data = golden(name);
      expect(packFrame(decodeFrame(viewOf(data)))).toEqual(data);
    },
  );
});

test("a packed history restores what was in the store", () => {
  const store = new Store();
  store.restore(viewOf(golden("history")));
  const all = store.match("*");
  const packed = packHistory(
    headerOf(store),
    all.flatMap((series) => series.stretches()),
  );
  const again = new Store();
  again.restore(viewOf(packed));
  expect(again.match("*").map((s) => [s.spec, s.rows, s.last()])).toEqual(
    all.map((s) => [s.spec, s.rows, s.last()]),
  );
  expect(again.events).toEqual(store.events);
  expect(again.have()).toEqual(store.have());
  expect(decodeHistory(viewOf(packed)).header.seq).toBe(0);
});

describe("thinned", () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i === 777 ? 1e6 : Math.sin(i)));
  const whole = stretchOf(3, 0, values);

  test("leaves alone what fits", () => {
    expect(thinned([whole], 20_000)).toEqual([whole]);
  });

  test("keeps to the budget, keeps the spike, and keeps the newest rows exactly", () => {
    const out = thinned([whole], 8000);
    expect(bytesOf(out)).toBeLessThanOrEqual(8000);
    const [old, recent] = out as [Stretch, Stretch];
    expect(Math.max(...old.max)).toBe(1e6);
    expect(recent.counts).toBeNull();
    expect([...recent.last]).toEqual([...whole.last.subarray(-512)]);
    const rows = old.counts!.reduce((sum, n) => sum + n, 0);
    expect([recent.offset, rows]).toEqual([rows, 5000 - 512]);
  });

  test("buckets of buckets weigh their means by rows, and last is exact at x", () => {
    const once = bucketed([stretchOf(0, 0, [1, 2, 3, 4, 5])], 2)!;
    const twice = bucketed([once], 2)!;
    expect([...twice.counts!]).toEqual([4, 1]);
    expect([...twice.mean]).toEqual([2.5, 5]);
    expect([...twice.x]).toEqual([3, 4]);
    expect([...twice.last]).toEqual([4, 5]);
  });

  test("a bucket says that it holds NaN and infinity, and reckons without them", () => {
    const odd = bucketed([stretchOf(0, 0, [1, Number.NaN, Number.POSITIVE_INFINITY, 3])], 4)!;
    expect([odd.min[0], odd.max[0], odd.mean[0], odd.marks![0]]).toEqual([1, 3, 2, NAN | POS_INF]);
  });
});

test("the modest leave their share to the others", () => {
  expect(share([10, 10, 1000], 120)).toBe(100);
  expect(share([10, 10], 120)).toBe(120);
});
