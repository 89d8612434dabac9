// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

/** Imports go to a lower floor, or stay on one; views never import each other. */
const FLOORS: readonly [floor: number, pattern: RegExp][] = [
  [0, /^(wire\.gen|assert|scale|format|paint|unpack)\.ts$/],
  [
    1,
    /^(codec|chunk|series|splice|tensor|reels|thin|store|pack|frame|model|controls|alerts|details|kept|ui)\.ts$/,
  ],
  [2, /^(view|host)\.ts$/],
  [2, /^(export|parameters)\//],
  [3, /^(chart|views|shell)\//],
  [3, /^(link|session|persist)\.ts$/],
  [4, /^(dashboard|standalone|widget)\.ts$/],
];
const LONGEST = 400;

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
  (f) => f.endsWith(".ts") && !f.endsWith(".d.ts"),
);

function floorOf(file: string): number {
  return FLOORS.find(([, pattern]) => pattern.test(file))?.[0] ?? Number.NaN;
}

function importsOf(file: string): string[] {
  const source = readFileSync(join(SRC, file), "utf8");
  return [...source.matchAll(/from "(\.[^"?]+)/g)].map((m) =>
    relative(SRC, `${resolve(SRC, dirname(file), m[1] as string)}.ts`),
  );
}

describe("architecture", () => {
  test("every file has a floor", () => {
    expect(files.filter((f) => Number.isNaN(floorOf(f)))).toEqual([]);
  });

  test("imports never go up", () => {
    const up = files.flatMap((f) =>
      importsOf(f)
        .filter((to) => files.includes(to) && floorOf(to) > floorOf(f))
        .map((to) => `${f} imports ${to}`),
    );
    expect(up).toEqual([]);
  });

  test("no view imports a view, and only the chart folder imports uPlot", () => {
    const sideways = files
      .filter((f) => f.startsWith("views/"))
      .flatMap((f) => importsOf(f).filter((to) => to.startsWith("views/")));
    expect(sideways).toEqual([]);
    const uplot = files.filter((f) => readFileSync(join(SRC, f), "utf8").includes('from "uplot"'));
    expect(uplot.filter((f) => !f.startsWith("chart/"))).toEqual([]);
  });

  test(`no file is longer than ${LONGEST} lines, and each says what it owns`, () => {
    for (const f of files) {
      const source = readFileSync(join(SRC, f), "utf8");
      expect(source.split("\n").length, f).toBeLessThanOrEqual(LONGEST);
      expect(source.slice(0, 3), f).toMatch(/^\/[*/]/);
    }
  });

  test("no module keeps state of its own", () => {
    const found = files.filter((f) => /^(let|var) /m.test(readFileSync(join(SRC, f), "utf8")));
    expect(found).toEqual([]);
  });
});
