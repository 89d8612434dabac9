// @vitest-environment node
/** Tokens that are found and followed. */

import { describe, expect, test } from "vitest";
import type { Frame } from "../../src/parameters/reel";
import { search, Trails } from "../../src/parameters/search";

const TEXTS = [" Cat", "concat", " cat", "cats", "dog", "CAT"];

test("the same text first, then the same letters, then beginnings, then the rest", () => {
  expect(search(TEXTS, "cat")).toEqual([2, 0, 5, 3, 1]);
  expect(search(TEXTS, "CAT")).toEqual([5, 0, 2, 3, 1]);
  expect(search(TEXTS, "cat", 2)).toEqual([2, 0]);
  expect(search(TEXTS, "  ")).toEqual([]);
  expect(search(TEXTS, "zebra")).toEqual([]);
});

describe("trails", () => {
  const frame = (step: number, basis: number | null = null) =>
    ({
      step,
      basis,
      scale: 0.5,
      tokens: Int16Array.from([0, 0, 0, step, 2, 4]),
    }) as unknown as Frame;

  test("grow with the snapshots that are seen, up to where playback is", () => {
    const trails = new Trails();
    expect(trails.missing([1, 2, 3])).toEqual([]);
    trails.follow([1]);
    expect(trails.missing([1, 2, 3])).toEqual([3, 1, 2]);
    for (const step of [3, 1]) trails.note(frame(step));
    expect(trails.missing([1, 2, 3])).toEqual([2]);
    expect([...(trails.lines(3).get(1) ?? [])]).toEqual([0.5, 1, 2, 1.5, 1, 2]);
    expect([...(trails.lines(2).get(1) ?? [])]).toEqual([0.5, 1, 2]);
  });

  test("other axes begin anew", () => {
    const trails = new Trails();
    trails.follow([0]);
    trails.note(frame(1));
    trails.note(frame(2, 9));
    expect(trails.missing([1, 2])).toEqual([1]);
  });

  test("of a thousand snapshots an even part is enough", () => {
    const trails = new Trails();
    trails.follow([0]);
    const steps = Array.from({ length: 1000 }, (_, i) => i);
    const wanted = trails.missing(steps);
    expect(wanted).toHaveLength(160);
    expect(wanted.slice(0, 3)).toEqual([999, 0, 499]);
  });
});
