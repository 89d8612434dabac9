/** A table of cells: where it lies, what is drawn of it, and that all names stay within. */

import { expect, test, vi } from "vitest";
import type { Drawing } from "../../src/parameters/board";
import { type Cells, drawCells } from "../../src/parameters/cells";
import { PALETTE } from "../views/mounted";

const [WIDTH, HEIGHT] = [300, 200];

function draw(cells: Cells, at: Drawing["at"] = null) {
  const fills: { style: unknown; box: number[] }[] = [];
  const ctx = {
    fillStyle: "",
    fillRect: (...box: number[]) => fills.push({ style: ctx.fillStyle, box }),
    fillText: vi.fn(),
    strokeRect: vi.fn(),
    measureText: (text: string) => ({ width: 6 * text.length }),
  };
  const given = { ctx: ctx as never, palette: PALETTE, width: WIDTH, height: HEIGHT, at, now: 0 };
  const field = drawCells(given, cells);
  return { field, fills: fills.slice(1), texts: ctx.fillText.mock.calls, outline: ctx.strokeRect };
}

test("each value has a cell of its colour, and what is unknown has none", () => {
  const values = [0, 1, Number.NaN, 2, 0, Number.POSITIVE_INFINITY];
  const rows = ["attention", "mlp"];
  const { field, fills, outline } = draw(
    { values, top: 2, rows, columns: ["in", "0", "out"] },
    [1, 2],
  );
  expect([field.rows, field.columns]).toEqual([2, 3]);
  const [low, high] = [PALETTE.heat[0], PALETTE.heat.at(-1)];
  const middle = fills[1]?.style;
  expect(fills.map(({ style }) => style)).toEqual([low, middle, PALETTE.panel, high, low, high]);
  expect([low, high]).not.toContain(middle);
  const last = fills[5]!.box;
  expect(last[0]! + last[2]!).toBeLessThanOrEqual(WIDTH);
  expect(last[1]! + last[3]!).toBeLessThanOrEqual(HEIGHT - 12);
  expect(outline).toHaveBeenCalledOnce();
});

test("a large table keeps as many names as there is room for, all of them within", () => {
  const names = Array.from({ length: 96 }, (_, i) => `${i} qkv`);
  const values = new Float32Array(96 * 96).fill(0.5);
  const { field, fills, texts } = draw({ values, top: 1, rows: names, columns: [], widest: 1.6 });
  expect(fills).toHaveLength(96 * 96);
  expect(texts.length).toBeGreaterThan(8);
  expect(texts.length).toBeLessThan(HEIGHT / 12 + 1);
  for (const [, , y] of texts) {
    expect(y).toBeGreaterThanOrEqual(6);
    expect(y).toBeLessThanOrEqual(HEIGHT - 6);
  }
  expect(field.width / 96).toBeLessThanOrEqual((1.6 * field.height) / 96 + 1e-9);
});

test("names below stay within, and the last is among them", () => {
  const columns = [...Array.from({ length: 50 }, (_, i) => String(i)), "out"];
  const { texts } = draw({ values: new Float32Array(51), top: 1, rows: ["mlp"], columns });
  const below = texts.filter(([text]) => text !== "mlp");
  expect(below.at(-1)?.[0]).toBe("out");
  for (const [text, x] of below) expect(x + 3 * text.length).toBeLessThanOrEqual(WIDTH);
  const places = below.map(([, x]) => x);
  expect(Math.min(...places.slice(1).map((x, i) => x - places[i]))).toBeGreaterThan(18);
});
