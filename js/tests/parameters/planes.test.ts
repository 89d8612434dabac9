/** Colours and the stack of heatmaps: ranges, what is faint, where each matrix lies and what is under a place. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Palette, ramp, rgb } from "../../src/paint";
import {
  blendColumn,
  columnRange,
  diverging,
  heatRange,
  pointStops,
  rangeOf,
  sequential,
  tablesOf,
} from "../../src/parameters/colour";
import { cellAt, colour, heatValue, layoutOf, Planes, rowsOf } from "../../src/parameters/planes";
import { fakeCanvas } from "../views/page";
import { heatOf, lookOf, matrixOf, metaOf, momentOf } from "./moments";

const CSS = readFileSync(resolve(import.meta.dirname, "../../src/theme.css"), "utf8");

function paletteOf(selector: string): Palette {
  const block = CSS.slice(CSS.indexOf(`${selector} {`)).split("}")[0] ?? "";
  const all = [...block.matchAll(/--nbm-([a-z]+):\s*([^;]+);/g)].map((m) => [m[1], m[2]]);
  const { heat, hues, ...rest } = Object.fromEntries(all) as Record<string, string>;
  return { ...rest, heat: heat!.split(/\s+/), hues: hues!.split(/\s+/) } as unknown as Palette;
}

const THEMES = {
  neon: paletteOf(".nbmonitor"),
  light: paletteOf('.nbmonitor[data-theme="light"]'),
};

/** Linear red, green, blue as seen with each deficiency: Machado, Oliveira and Fernandes 2009, severity 1. */
const SEEN = {
  all: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [
    0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998,
  ],
  deuteranopia: [
    0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881,
  ],
  tritanopia: [
    1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039,
  ],
};

/** CIE L*a*b* (D65) of a colour, as a pair of eyes with a deficiency gets it. */
function lab(color: string, seen: readonly number[]): [number, number, number] {
  const linear = rgb(color).map((v) =>
    v <= 10.31475 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4,
  );
  const got = [0, 3, 6].map((k) =>
    Math.min(
      1,
      Math.max(
        0,
        linear.reduce((sum, v, i) => sum + v * seen[k + i]!, 0),
      ),
    ),
  );
  const [r, g, b] = got as [number, number, number];
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

describe.each(Object.entries(THEMES))("colours, %s", (_, palette) => {
  describe.each(Object.entries(SEEN))("seen with %s", (_, seen) => {
    const steps = (stops: readonly string[], n = 9) =>
      Array.from({ length: n }, (_, i) => lab(ramp(stops, i / (n - 1)), seen));

    test("sequential scales go one way in lightness", () => {
      for (const stops of [sequential(palette), pointStops(palette)]) {
        const light = steps(stops).map(([l]) => l);
        const way = Math.sign(light[8]! - light[0]!);
        for (let i = 1; i < 9; i++) expect((light[i]! - light[i - 1]!) * way).toBeGreaterThan(1.5);
      }
    });

    test("the diverging scale tells its ends from its middle and from each other", () => {
      const [low, , middle, , high] = steps(diverging(palette), 5);
      const gap = (p: number[], q: number[]) => Math.hypot(...p.map((v, k) => v - q[k]!));
      expect(gap(low!, middle!)).toBeGreaterThan(25);
      expect(gap(high!, middle!)).toBeGreaterThan(25);
      expect(gap(low!, high!)).toBeGreaterThan(25);
    });
  });

  test("no point is lost in the background", () => {
    const [ground] = lab(palette.panel, SEEN.all);
    for (const stop of pointStops(palette)) {
      expect(Math.abs(lab(stop, SEEN.all)[0] - ground)).toBeGreaterThan(20);
    }
  });
});

describe("ranges", () => {
  test("of a heatmap: what its bytes reach; with both signs, around 0", () => {
    const [low, high] = heatRange(heatOf([10, 20, 30, 40], 0.1, -1));
    expect([low, high]).toEqual([0, 3]);
    expect(rangeOf(0.5, 2)).toEqual({ low: 0.5, high: 2, diverging: false });
    expect(rangeOf(-1, 3)).toEqual({ low: -3, high: 3, diverging: true });
  });

  test("columns of two moments are blended in values, not in bytes of different scales", () => {
    const meta = metaOf(2, 0);
    const a = {
      ...momentOf(meta, 0),
      norm: Uint8Array.of(0, 255),
      ranges: { norm: [0, 1] as const },
    };
    const b = {
      ...momentOf(meta, 1),
      norm: Uint8Array.of(255, 0),
      ranges: { norm: [1, 4] as const },
    };
    expect(columnRange(a, b, "norm")).toEqual({ low: 0, high: 4, diverging: false });
    const at = (t: number) => [...blendColumn(a, b, t, "norm", new Uint8Array(2))!];
    expect(at(0)).toEqual([0, 64]);
    expect(at(1)).toEqual([255, 64]);
    expect(at(0.5)).toEqual([128, 64]);
    expect(
      blendColumn({ ...a, moved: null }, { ...b, moved: null }, 0, "moved", new Uint8Array(2)),
    ).toBeNull();
    // The first snapshot has nothing to compare with: on the way from it, the second's holds.
    const second = { ...b, moved: Uint8Array.of(7, 9) };
    expect([
      ...blendColumn({ ...a, moved: null }, second, 0.2, "moved", new Uint8Array(2))!,
    ]).toEqual([7, 9]);
  });
});

describe("planes", () => {
  beforeEach(fakeCanvas);

  test("a row for each layer, and for what lies before and after them, in the model's order", () => {
    const meta = metaOf(4, 2);
    meta.matrices.splice(1, 0, matrixOf(9, null, "position"));
    meta.matrices.push(matrixOf(7, null, "head"), { ...matrixOf(8, 0, "norm"), heat: null });
    const rows = rowsOf(meta, new Set(meta.matrices.map(({ id }) => id)));
    expect(rows.map(({ label }) => label)).toEqual(["input", "layer 0", "layer 1", "head"]);
    expect(rows[0]!.matrices.map(({ kind }) => kind)).toEqual(["embedding", "position"]);
    expect(rows[1]!.matrices.map(({ role }) => role)).toEqual(["qkv", "up"]);
    expect(rowsOf(meta, new Set([7])).map(({ label }) => label)).toEqual(["head"]);
  });

  test("layers of two stacks are told apart", () => {
    const meta = metaOf(4, 1);
    meta.layers.push({ index: 0, stack: "decoder", label: "" });
    meta.matrices.push({ ...matrixOf(9, 0, "attention"), stack: "decoder" });
    const rows = rowsOf(meta, new Set([1, 9]));
    expect(rows.map(({ label }) => label)).toEqual(["h 0", "decoder 0"]);
  });

  test.each([
    [12, 600, 540],
    [12, 448, 400],
    [2, 300, 200],
    [48, 600, 540],
    [12, 120, 100],
  ])(
    "%i layers in %i × %i: no cell on another, none outside at the right",
    (layers, width, height) => {
      const meta = metaOf(4, layers);
      const rows = rowsOf(meta, new Set(meta.matrices.map(({ id }) => id)));
      const layout = layoutOf(rows, width, height);
      expect(layout.cells).toHaveLength(meta.matrices.length);
      for (const cell of layout.cells) {
        if (width > 200) expect(cell.x + cell.size).toBeLessThanOrEqual(width);
        expect(cell.y + cell.size + layout.caption).toBeLessThanOrEqual(layout.height);
        for (const other of layout.cells) {
          if (other === cell) continue;
          const apart = Math.max(Math.abs(other.x - cell.x), Math.abs(other.y - cell.y));
          expect(apart).toBeGreaterThanOrEqual(cell.size);
        }
        const middle = cellAt(layout, cell.x + cell.size / 2, cell.y + cell.size / 2);
        expect(middle?.cell).toBe(cell);
        expect(middle?.across).toBeCloseTo(0.5);
      }
      expect(cellAt(layout, -1, -1)).toBeNull();
    },
  );

  test("nothing at all is laid out as nothing", () => {
    expect(layoutOf([], 100, 100).cells).toEqual([]);
  });

  test("values between two moments become colours of the range, and those below the threshold are faint", () => {
    const tables = tablesOf(THEMES.neon);
    const [a, b] = [heatOf([0, 100, 200, 50]), heatOf([100, 100, 0, 50])];
    const words = new Uint32Array(4);
    const at = (value: number, low: number, high: number) =>
      Math.round(((value - low) / (high - low)) * 255);
    colour(words, a, b, 0.25, rangeOf(0, 2), 0.6, tables);
    expect(words[1]).toBe(tables.heat[at(1, 0, 2)]);
    expect(words[2]).toBe(tables.heat[at(1.5, 0, 2)]);
    expect(words[0]).toBe(tables.heatFaint[at(0.25, 0, 2)]);
    expect(words[3]).toBe(tables.heatFaint[at(0.5, 0, 2)]);
    expect(heatValue(a, b, 0.25, 1, 0)).toBeCloseTo(1.5);
    const signed = heatOf([0, 100, 200, 255], 0.01, -1);
    colour(words, signed, signed, 0, rangeOf(-1, 1.55), 0, tables);
    expect([tables.signed[127], tables.signed[128]]).toContain(words[1]);
    // All alike: the middle of its own scale.
    colour(words, a, a, 0, rangeOf(0.5, 0.5), 0, tables);
    expect(words[3]).toBe(tables.heat[128]);
  });

  test("the shared range is that of all cells, and a picture is painted only when something changed", () => {
    const meta = metaOf(4, 1);
    const [a, b] = [momentOf(meta, 0), momentOf(meta, 1)];
    const heat = new Map([
      [0, heatOf([0, 10, 20, 30])],
      [1, heatOf([100, 110, 120, 130])],
    ]);
    const planes = new Planes();
    const { cells } = layoutOf(rowsOf(meta, new Set([0, 1])), 300, 300);
    const range = planes.shared({ ...a, heat }, { ...b, heat }, 0.5, cells)!;
    expect(range).toEqual({ low: 0, high: 1.3, diverging: false });
    expect(
      planes.shared({ ...a, heat: new Map() }, { ...b, heat: new Map() }, 0, cells),
    ).toBeNull();
    const pair = planes.pair({ ...a, heat: new Map() }, { ...b, heat }, 1)!;
    expect(pair).toEqual([heat.get(1), heat.get(1)]);
    const tables = tablesOf(THEMES.neon);
    let painted = 0;
    const context = document.createElement("canvas").getContext("2d")!;
    context.putImageData = () => {
      painted++;
    };
    const draw = (t: number, threshold = 0) =>
      planes.picture(1, pair, t, range, lookOf(meta, { threshold }), tables);
    const first = draw(0);
    expect(draw(0.5)).toBe(first);
    expect(painted).toBe(1);
    draw(0.5, 1);
    expect(painted).toBe(2);
  });
});
