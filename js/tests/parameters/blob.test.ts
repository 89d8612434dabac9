// @vitest-environment node
/** Blobs: what Python made, bit for bit, and what damaged bytes bring. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { baseOf, decodeBlob, readHead } from "../../src/parameters/blob";

const FOLDER = new URL("../../../tests/wire/blobs/", import.meta.url);
const NAMES = readdirSync(FOLDER)
  .filter((f) => f.endsWith(".bin"))
  .map((f) => f.replace(".bin", ""));

interface Truth {
  key: string | null;
  header: { step: number; base: number | null };
  parts: Record<string, { dtype: string; shape: number[]; stored: string; values: string }>;
}

const bytes = (name: string) => new Uint8Array(readFileSync(new URL(`${name}.bin`, FOLDER)));
const truth = (name: string) =>
  JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8")) as Truth;
const hex = (a: ArrayBufferView) =>
  Buffer.from(a.buffer as ArrayBuffer, a.byteOffset, a.byteLength).toString("hex");

async function read(name: string) {
  const { key } = truth(name);
  return decodeBlob(bytes(name), key ? await decodeBlob(bytes(key)) : null);
}

describe("golden blobs", () => {
  test("are there", () => expect(NAMES).toContain("delta"));

  test.each(NAMES)("%s", async (name) => {
    const want = truth(name);
    const blob = await read(name);
    expect([blob.step, blob.base]).toEqual([want.header.step, want.header.base]);
    expect(baseOf(bytes(name))).toBe(want.header.base);
    expect([...blob.parts.keys()]).toEqual(Object.keys(want.parts));
    for (const [at, part] of blob.parts) {
      const told = want.parts[at]!;
      expect(part.stored.constructor.name.replace("Array", "").toLowerCase()).toBe(told.dtype);
      expect(part.shape).toEqual(told.shape);
      expect(hex(part.stored), at).toBe(told.stored);
      if (told.dtype === "float32") continue;
      const values = new Float32Array(new Uint8Array(Buffer.from(told.values, "hex")).buffer);
      for (const [i, v] of values.entries()) {
        if (!Number.isFinite(v)) continue;
        const mine = part.offset + part.scale * part.stored[i]!;
        expect(Math.abs(mine - v)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(v)));
      }
    }
    const { v, step, base, parts, ...extra } = readHead(bytes(name)).head;
    expect(blob.extra).toEqual(extra);
    expect(v).toBe(1);
  });

  test("at any place of a buffer", async () => {
    const whole = new Uint8Array(bytes("key").length + 3);
    whole.set(bytes("key"), 3);
    const moved = await decodeBlob(whole.subarray(3));
    expect(hex(moved.parts.get("stats")!.stored)).toBe(truth("key").parts.stats!.stored);
  });
});

describe("bytes that are wrong", () => {
  test("a difference without its base says which one", async () => {
    await expect(decodeBlob(bytes("delta"))).rejects.toThrow("needs the one at step 40");
    const other = await decodeBlob(bytes("view"));
    await expect(decodeBlob(bytes("delta"), other)).rejects.toThrow("step 40");
  });

  test("cut short, damaged, another version, no blob", async () => {
    const key = bytes("key");
    await expect(decodeBlob(key.subarray(0, -9))).rejects.toThrow();
    await expect(decodeBlob(key.subarray(0, 40))).rejects.toThrow("cut short");
    const damaged = key.slice();
    damaged[readHead(key).end] = 0;
    await expect(decodeBlob(damaged)).rejects.toThrow();
    const later = Uint8Array.from(key);
    later[later.indexOf(49, 8)] = 50;
    await expect(decodeBlob(later)).rejects.toThrow("version 2");
    await expect(decodeBlob(new Uint8Array(4))).rejects.toThrow("not a blob");
    await expect(decodeBlob(new Uint8Array(40))).rejects.toThrow("not a blob");
  });
});
