// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeFrame, decodeHistory, type Stretch } from "../src/codec";

const GOLDEN = new URL("../../tests/wire/", import.meta.url);

interface Truth {
  header?: unknown;
  rows: {
    id: number;
    offset: number;
    x: string;
    values: string;
    counts: number[] | null;
    marks: number[] | null;
  }[];
}

function bytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.bin`, GOLDEN)));
}

function truth(name: string): Truth {
  return JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), "utf8")) as Truth;
}

/** The bytes at an offset of our choice, as a websocket may deliver them. */
function viewAt(data: Uint8Array, offset: number): DataView {
  const room = new Uint8Array(data.length + offset + 3);
  room.set(data, offset);
  return new DataView(room.buffer, offset, data.length);
}

function hex(...arrays: (Float32Array | Float64Array)[]): string {
  const parts = arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength));
  return Buffer.concat(parts).toString("hex");
}

function plain(s: Stretch) {
  return {
    id: s.id,
    offset: s.offset,
    x: hex(s.x),
    values: s.counts ? hex(s.min, s.max, s.mean, s.last) : hex(s.last),
    counts: s.counts && [...s.counts],
    marks: s.marks && [...s.marks],
  };
}

const names = readdirSync(GOLDEN)
  .filter((f) => f.endsWith(".bin") && f !== "history.bin")
  .map((f) => f.slice(0, -4));

describe("golden frames", () => {
  test("are there", () => {
    expect(names).toEqual(expect.arrayContaining(["buckets", "irregular", "mixed", "regular"]));
  });

  for (const name of names) {
    for (const offset of [0, 8, 4, 1, 5]) {
      test(`${name} at byte offset ${offset}`, () => {
        const got = decodeFrame(viewAt(bytes(name), offset));
        expect(got.map(plain)).toEqual(truth(name).rows);
      });
    }
  }

  test("plain points share one array", () => {
    const [s] = decodeFrame(viewAt(bytes("regular"), 0));
    expect(s?.min).toBe(s?.last);
    expect(s?.max).toBe(s?.mean);
  });
});

describe("golden history", () => {
  for (const offset of [0, 3]) {
    test(`at byte offset ${offset}`, () => {
      const { header, stretches } = decodeHistory(viewAt(bytes("history"), offset));
      expect(header).toEqual(truth("history").header);
      expect(stretches.map(plain)).toEqual(truth("history").rows);
    });
  }
});

describe("bad bytes", () => {
  test("another version is named", () => {
    const data = bytes("regular");
    data[0] = 9;
    expect(() => decodeFrame(viewAt(data, 0))).toThrow("frame version 9 given, 1 expected");
  });

  test("a frame that is cut short says so, even inside a larger buffer", () => {
    const data = bytes("mixed");
    for (const n of [4, 12, 60, data.length - 8]) {
      const view = new DataView(data.slice().buffer, 0, n);
      expect(() => decodeFrame(view)).toThrow("cut short");
    }
  });

  test("something else than a history is refused", () => {
    expect(() => decodeHistory(viewAt(bytes("regular"), 0))).toThrow("not an nbmonitor history");
    expect(() => decodeHistory(viewAt(new Uint8Array(2), 0))).toThrow("not an nbmonitor history");
  });
});
