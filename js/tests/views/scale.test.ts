import { describe, expect, test } from "vitest";
import { logExtent } from "../../src/chart/heat";
import {
  bytes,
  counted,
  duration,
  exact,
  grouped,
  short,
  tickLabels,
  withUnit,
} from "../../src/format";
import { extentOf, logTicks, moved, padded, smoothed, stepTicks, ticks } from "../../src/scale";
import type { Window } from "../../src/series";

describe("numbers", () => {
  test.each([
    [0.847, "0.847"],
    [1.4e-5, "1.4E-5"],
    [1240, "1,240"],
    [0, "0"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "+∞"],
  ])("short %d", (value, text) => expect(short(value)).toBe(text));

  test("units", () => {
    expect(grouped(9600)).toBe("9,600");
    expect(counted(1_234_567)).toBe("1.23M");
    expect(bytes(14.2 * 2 ** 30)).toBe("14.2 GiB");
    expect(duration(862)).toBe("14:22");
    expect(duration(11_225)).toBe("3:07:05");
    expect(withUnit(0.15, "ratio")).toBe("15 %");
    expect(withUnit(71.6, "°C")).toBe("72 °C");
    expect(exact(Math.fround(0.847213))).toBe("0.847213");
  });

  test("tick labels share their decimals", () => {
    expect(tickLabels([0, 0.5, 1])).toEqual(["0.0", "0.5", "1.0"]);
    expect(tickLabels([0, 1e-5, 2e-5])).toEqual(["0", "1E-5", "2E-5"]);
  });
});

describe("ticks", () => {
  test("are round and within the range", () => {
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(logTicks(0.01, 100, 8)).toContain(1);
    expect(stepTicks(0, 3, 8)).toEqual([0, 1, 2, 3]);
  });

  test("extents leave out what is not finite, and a flat line gets room", () => {
    expect(extentOf([Number.NaN, 2, 1, Number.POSITIVE_INFINITY])).toEqual([1, 2]);
    expect(extentOf([Number.NaN])).toBeNull();
    const [low, high] = padded([2, 2], false);
    expect(low).toBeLessThan(2);
    expect(high).toBeGreaterThan(2);
    expect(padded([0, 10], false)[0]).toBe(0);
  });

  test("a moved view stays inside the run", () => {
    expect(moved([80, 100], [0, 100], 0.5, 1)).toEqual([80, 100]);
    expect(moved([40, 60], [0, 100], 0, 10)).toEqual([0, 100]);
  });
});

test("smoothing passes NaN by and has no bias at the start", () => {
  const out = smoothed([4, Number.NaN, 4], 8);
  expect(out[0]).toBeCloseTo(4);
  expect(out[1]).toBeNaN();
  expect(out[2]).toBeCloseTo(4);
});

describe("a scale of colours for logarithms", () => {
  const row = (values: number[]) =>
    ({ n: values.length, mean: new Float32Array(values) }) as unknown as Window;
  const course = Array.from({ length: 100 }, (_, i) => -2 - i / 100);

  test("reaches from end to end", () => {
    expect(logExtent([row(course), row([Number.NaN])])?.map((v) => v.toFixed(2))).toEqual([
      "-2.99",
      "-2.00",
    ]);
    expect(logExtent([row([Number.NaN])])).toBeNull();
  });

  test("begins above a few that lie decades under all others", () => {
    const [low, high] = logExtent([row([...course, -9])]) ?? [];
    expect(low).toBeGreaterThan(-3);
    expect(high).toBe(-2);
  });
});
