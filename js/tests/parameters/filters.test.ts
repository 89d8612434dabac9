// @vitest-environment node
/** Filters: which matrices are left, by layer, kind and change. */

import { describe, expect, test } from "vitest";
import {
  changeByLayer,
  depths,
  type Filters,
  hiddenBy,
  kindCounts,
  mostChanged,
  NO_FILTERS,
  presetOf,
  thresholdOf,
  toggled,
  visibleIds,
} from "../../src/parameters/filters";
import { meta, stats } from "./samples";

const M = meta(6);
const NONE = new Float32Array(0);
const with_ = (rest: Partial<Filters>): Filters => ({ ...NO_FILTERS, ...rest });
const layersLeft = (filters: Filters) => [
  ...new Set(
    [...visibleIds(M, filters, NONE)]
      .map((id) => M.matrices.find((m) => m.id === id)?.layer)
      .filter((layer) => layer !== null),
  ),
];

describe("layers", () => {
  test("each third of a stack has a name; stacks count for themselves", () => {
    expect([...depths(M).values()]).toEqual(["early", "early", "middle", "middle", "late", "late"]);
    const two = meta(0, {
      layers: [
        { index: 0, stack: "encoder", label: "" },
        { index: 1, stack: "encoder", label: "" },
        { index: 0, stack: "decoder", label: "" },
      ],
    });
    expect(Object.fromEntries(depths(two))).toEqual({
      "encoder:0": "early",
      "encoder:1": "late",
      "decoder:0": "early",
    });
  });

  test.each([
    ["all", [0, 1, 2, 3, 4, 5]],
    ["none", []],
    ["early", [0, 1]],
    ["middle", [2, 3]],
    ["late", [4, 5]],
  ] as const)("%s", (preset, left) => {
    const hidden = hiddenBy(M, preset);
    expect(layersLeft(with_({ hidden }))).toEqual(left);
    expect(presetOf(M, hidden)).toBe(preset);
  });

  test("each by itself; what has no layer stays", () => {
    const hidden = toggled(hiddenBy(M, "none"), "h:3");
    expect(layersLeft(with_({ hidden }))).toEqual([3]);
    expect(presetOf(M, hidden)).toBeNull();
    expect(visibleIds(M, with_({ hidden }), NONE).has(0)).toBe(true);
  });
});

describe("kinds", () => {
  test("those the model has, counted", () => {
    expect(kindCounts(M)).toEqual([
      ["embedding", 1],
      ["attention", 6],
      ["mlp", 6],
      ["norm", 6],
    ]);
  });

  test("are left out", () => {
    const left = visibleIds(M, with_({ without: new Set(["norm", "mlp"] as const) }), NONE);
    expect([...left]).toEqual([0, 1, 4, 7, 10, 13, 16]);
  });
});

describe("change", () => {
  const own = stats(M, (id) => (id === 5 ? Number.NaN : id));

  test("most first, unknown left out", () => {
    const most = mostChanged(M, own);
    expect(most[0]).toMatchObject({ matrix: { id: 18 }, change: 1.8 });
    expect(most).toHaveLength(18);
  });

  test("top-k is among what passes, of what has a picture", () => {
    const hidden = hiddenBy(M, "early");
    expect([...visibleIds(M, with_({ hidden, top: 3 }), own)]).toEqual([4, 2, 1]);
  });

  test("top-k of an unknown change leaves all", () => {
    expect(visibleIds(M, with_({ top: 3 }), NONE).size).toBe(19);
  });

  test("by layer", () => {
    const by = changeByLayer(M, own);
    expect(by.get("h:0")).toBeCloseTo(0.2);
    expect(by.get("h:1")).toBeCloseTo(0.5);
    expect(changeByLayer(M, NONE).size).toBe(0);
  });
});

test("the threshold is a share of the greatest value that is shown", () => {
  const picture = (scale: number) => ({
    data: new Uint8Array(4),
    rows: 2,
    columns: 2,
    scale,
    offset: 0.1,
  });
  const heat = new Map([
    [1, picture(0.01)],
    [2, picture(1)],
  ]);
  const half = with_({ threshold: 0.5 });
  expect(thresholdOf(half, { heat }, new Set([1]))).toBeCloseTo((0.1 + 2.55) / 2);
  expect(thresholdOf(half, { heat }, new Set([1, 2]))).toBeCloseTo((0.1 + 255) / 2);
  expect(thresholdOf(NO_FILTERS, { heat }, new Set([1]))).toBe(0);
});
