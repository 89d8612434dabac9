import { describe, expect, it } from "vitest";
import { type Column, straightened } from "../../src/chart/data";

const xs = Array.from({ length: 1000 }, (_, i) => i);

/** The column as it is drawn: straight lines between the points that are left. */
function drawn(column: Column): (number | null)[] {
  const out: (number | null)[] = column.map((y) => y ?? null);
  let last = -1;
  column.forEach((y, i) => {
    if (y === undefined) return;
    if (y !== null && last >= 0 && column[last] !== null) {
      const start = column[last] as number;
      for (let k = last + 1; k < i; k++) out[k] = start + ((y - start) * (k - last)) / (i - last);
    }
    last = i;
  });
  return out;
}

describe("straightened", () => {
  it("keeps a smooth curve within the tolerance with far fewer points", () => {
    const curve = xs.map((x) => Math.cos(x / 300));
    const column: Column = [...curve];
    const left = straightened(xs, column, 0.002);
    const after = drawn(column);
    expect(left).toBeLessThan(100);
    expect(column.filter((y) => y !== undefined).length).toBeLessThanOrEqual(left);
    for (const [i, y] of curve.entries())
      expect(Math.abs((after[i] ?? 9) - y)).toBeLessThan(0.0045);
    expect(after[0]).toBe(curve[0]);
    expect(after[999]).toBe(curve[999]);
  });

  it("keeps every corner of a zigzag and a single spike", () => {
    const zigzag: Column = xs.map((x) => x % 2);
    expect(straightened(xs, zigzag, 0.01)).toBeGreaterThan(990);
    expect(zigzag.filter((y) => y !== undefined).length).toBe(1000);
    const spike: Column = xs.map((x) => (x === 500 ? 9 : 1));
    straightened(xs, spike, 0.01);
    expect(spike.slice(499, 502)).toEqual([1, 9, 1]);
  });

  it("keeps gaps and the points beside them", () => {
    const column: Column = xs.map((x) => (x === 400 || x === 401 ? null : 1));
    straightened(xs, column, 0.01);
    expect(column[399]).toBe(1);
    expect(column[400]).toBeNull();
    expect(column[402]).toBe(1);
    expect(column.filter((y) => y !== undefined).length).toBe(6);
  });
});
