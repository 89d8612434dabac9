import { describe, expect, test } from "vitest";
import { Series, type Window } from "../src/series";
import { NAN, NEG_INF, POS_INF } from "../src/wire.gen";
import { buckets, generator, type Row, randomRows, stretch, summary } from "./naive";

const SPEC = { id: 0, key: "train/loss", label: "loss", unit: "" };

function filled(rows: readonly Row[], random: () => number = () => 0.5): Series {
  const series = new Series(SPEC);
  for (let i = 0; i < rows.length; ) {
    const n = 1 + Math.floor(random() * 900);
    const part = rows.slice(i, i + n);
    const x = part.map((r) => r.x);
    series.append(
      stretch(
        i,
        x,
        part.map((r) => r.value),
      ),
    );
    i += n;
  }
  return series;
}

/** The rows of [x0, x1] with one neighbour on either side. */
function naiveRange(rows: readonly Row[], x0: number, x1: number): Row[] {
  const from = rows.findIndex((r) => r.x >= x0);
  const to = rows.findIndex((r) => r.x > x1);
  const first = from < 0 ? rows.length : from;
  return rows.slice(Math.max(0, first - 1), (to < 0 ? rows.length : to) + 1);
}

/** Split rows at the x of each point, as a decimated window did. Only for distinct x. */
function checkDecimated(w: Window, rows: readonly Row[]): void {
  let at = 0;
  for (let i = 0; i < w.n; i++) {
    const group: Row[] = [];
    while (at < rows.length && (rows[at] as Row).x <= (w.x[i] as number)) {
      group.push(rows[at++] as Row);
    }
    const want = summary(group);
    expect(w.x[i]).toBe(want.x);
    expect(w.min[i]).toBe(want.min);
    expect(w.max[i]).toBe(want.max);
    expect(w.last[i]).toBe(want.last);
    expect(w.marks[i]).toBe(want.marks);
    if (Number.isFinite(want.mean)) expect(w.mean[i]).toBeCloseTo(want.mean, 4);
    else expect(w.mean[i]).toBeNaN();
  }
  expect(at).toBe(rows.length);
}

describe("window against a naive list", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`seed ${seed}`, () => {
      const random = generator(seed);
      const rows = randomRows(200 + Math.floor(random() * 20_000), random, seed % 2 === 0);
      const series = filled(rows, random);
      expect(series.rows).toBe(rows.length);
      const end = (rows[rows.length - 1] as Row).x;
      for (let k = 0; k < 12; k++) {
        const x0 = k === 0 ? -1 : random() * end;
        const x1 = k === 0 ? end + 1 : x0 + random() * (end - x0);
        const most = 10 + Math.floor(random() * 1500);
        const w = series.window(x0, x1, most);
        const want = naiveRange(rows, x0, x1);
        expect(w.n).toBeLessThanOrEqual(most);
        expect(w.exact).toBe(want.length <= most);
        if (w.exact) {
          expect([...w.x]).toEqual(want.map((r) => r.x));
          expect([...w.last]).toEqual(want.map((r) => r.value));
        } else if (seed % 2 === 0) {
          expect(w.n).toBeGreaterThan(most / 4);
          checkDecimated(w, want);
        } else {
          const all = summary(want);
          expect(Math.min(...w.min.filter(Number.isFinite))).toBe(all.min);
          expect(Math.max(...w.max.filter(Number.isFinite))).toBe(all.max);
          expect(w.marks.reduce((m, v) => m | v, 0)).toBe(all.marks);
        }
        for (let i = 1; i < w.n; i++) expect(w.x[i]).toBeGreaterThanOrEqual(w.x[i - 1] as number);
      }
    });
  }
});

describe("a point that stands alone", () => {
  const n = 300_000;
  const rows = Array.from({ length: n }, (_, i) => ({ x: i, value: 1 }));
  for (const at of [0, 63, 64, 4095, 4096, 123_457, n - 1]) {
    test(`spike at row ${at} survives full zoom-out`, () => {
      const spiked = rows.slice();
      spiked[at] = { x: at, value: 1000 };
      const w = filled(spiked).window(0, n, 1400);
      expect(w.exact).toBe(false);
      const i = w.max.indexOf(1000);
      expect(i).toBeGreaterThanOrEqual(0);
      expect(Math.abs((w.x[i] as number) - at)).toBeLessThan(n / 300);
    });
  }

  test("NaN and infinities are marked, and leave the envelope finite", () => {
    const odd = rows.slice();
    odd[1000] = { x: 1000, value: Number.NaN };
    odd[150_000] = { x: 150_000, value: Number.POSITIVE_INFINITY };
    odd[250_000] = { x: 250_000, value: Number.NEGATIVE_INFINITY };
    const w = filled(odd).window(0, n, 700);
    expect([...w.marks].filter((m) => m !== 0)).toEqual([NAN, POS_INF, NEG_INF]);
    expect(w.max.every((v) => v === 1) && w.min.every((v) => v === 1)).toBe(true);
  });

  test("the same in an exact window: `last` is what was logged", () => {
    const series = new Series(SPEC);
    series.append(stretch(0, [0, 1, 2], [1, Number.POSITIVE_INFINITY, Number.NaN]));
    const w = series.window(0, 2, 100);
    expect([...w.last]).toEqual([1, Number.POSITIVE_INFINITY, Number.NaN]);
    expect([...w.max]).toEqual([1, Number.NaN, Number.NaN]);
    expect([...w.marks]).toEqual([0, POS_INF, NAN]);
    expect(w.exact).toBe(true);
  });

  test("a bucket of nothing but NaN has no envelope", () => {
    const series = filled(Array.from({ length: 10_000 }, (_, x) => ({ x, value: Number.NaN })));
    const w = series.window(0, 10_000, 100);
    expect(w.min.every(Number.isNaN) && w.max.every(Number.isNaN)).toBe(true);
    expect(w.marks.every((m) => m === NAN)).toBe(true);
  });
});

describe("offsets", () => {
  test("the same frames in any dose give the same series", () => {
    const random = generator(9);
    const rows = randomRows(9000, random, true);
    const part = (from: number, to: number) => {
      const some = rows.slice(from, to);
      return stretch(
        from,
        some.map((r) => r.x),
        some.map((r) => r.value),
      );
    };
    const series = new Series(SPEC);
    while (series.rows < rows.length) {
      const from = Math.floor(random() * (series.rows + 1));
      const to = Math.min(rows.length, from + Math.floor(random() * 1200));
      const before = series.rows;
      const done = series.append(part(from, to));
      expect(done).toBe(to > before ? "new" : "known");
      expect(series.rows).toBe(Math.max(before, to));
    }
    const w = series.window(-1, 1e9, 10_000);
    expect([...w.last]).toEqual(rows.map((r) => r.value));
  });

  test("rows after a hole are not taken", () => {
    const series = new Series(SPEC);
    series.append(stretch(0, [0, 1], [1, 2]));
    expect(series.append(stretch(3, [3], [4]))).toBe("gap");
    expect(series.rows).toBe(2);
    expect(series.append(stretch(1, [1, 2, 3], [2, 3, 4]))).toBe("new");
    expect([...series.window(0, 9, 10).last]).toEqual([1, 2, 3, 4]);
  });
});

describe("buckets", () => {
  const rows = randomRows(20_000, generator(11), true);
  const values = rows.map((r) => r.value);
  const folded = () => {
    const series = new Series(SPEC);
    expect(series.append(buckets(0, rows.slice(0, 16_000), 37))).toBe("new");
    return series;
  };
  const rest = (from: number) =>
    stretch(
      from,
      rows.slice(from).map((r) => r.x),
      values.slice(from),
    );

  test("are followed by plain rows, which end in one series", () => {
    const series = folded();
    expect(series.rows).toBe(16_000);
    expect(series.append(rest(16_000))).toBe("new");
    expect(series.rows).toBe(20_000);
    const w = series.window(-1, 1e9, 300);
    const all = summary(rows);
    expect(Math.max(...w.max.filter(Number.isFinite))).toBe(all.max);
    expect(Math.min(...w.min.filter(Number.isFinite))).toBe(all.min);
    expect(w.marks.reduce((m, v) => m | v, 0)).toBe(all.marks);
    expect(w.exact).toBe(false);
    expect(series.last()).toEqual({ x: rows[19_999]?.x, value: values[19_999] });
  });

  test("a window of buckets is never called exact, one of plain rows is", () => {
    const series = folded();
    series.append(rest(16_000));
    const x = (i: number) => (rows[i] as Row).x;
    expect(series.window(x(1000), x(1400), 1000).exact).toBe(false);
    expect(series.window(x(17_000), x(17_400), 1000).exact).toBe(true);
  });

  test("many short stretches of both kinds still fit into maxPoints", () => {
    const series = new Series(SPEC);
    // Nine points each: two never share a group of sixteen, so groups come out half full.
    for (let i = 0; i < rows.length / 9; i++) {
      const some = rows.slice(i * 9, i * 9 + 9);
      const x = some.map((r) => r.x);
      const plain = stretch(
        i * 9,
        x,
        some.map((r) => r.value),
      );
      series.append(i % 2 ? plain : buckets(i * 9, some, 1));
    }
    expect(series.rows).toBe(rows.length);
    for (const most of [4, 17, 100, 1300, 6000]) {
      const w = series.window(-1, 1e9, most);
      expect(w.n).toBeLessThanOrEqual(most);
      expect(Math.max(...w.max.filter(Number.isFinite))).toBe(summary(rows).max);
      expect(w.last[w.n - 1]).toBe(values[19_999]);
    }
  });

  test("the mean weighs buckets by their rows", () => {
    const series = new Series(SPEC);
    const many = Array.from({ length: 500 }, (_, x) => ({ x, value: 0 }));
    series.append(buckets(0, many.slice(0, 499), 499));
    series.append(buckets(499, [{ x: 499, value: 5 }], 1));
    for (let i = 0; i < 10; i++) series.append(buckets(500 + i, [{ x: 500 + i, value: 0 }], 1));
    const w = series.window(0, 1e9, 4);
    expect(w.mean[0]).toBeLessThan(0.02);
    expect(w.mean[0]).toBeGreaterThan(0);
  });

  test("repeated and overlapping buckets are dropped; one held in part counts its new rows", () => {
    const series = folded();
    expect(series.append(buckets(0, rows.slice(0, 16_000), 37))).toBe("known");
    expect(series.append(buckets(15_990, rows.slice(15_990), 25))).toBe("new");
    expect(series.rows).toBe(20_000);
    expect(series.append(stretch(20_001, [1], [1]))).toBe("gap");
  });
});

describe("reading single points", () => {
  test("an empty series has none", () => {
    const series = new Series(SPEC);
    expect(series.extent()).toBeNull();
    expect(series.last()).toBeNull();
    expect(series.at(3)).toBeNull();
    expect(series.tailX(5)).toBeNaN();
    expect(series.window(0, 1, 100).n).toBe(0);
  });

  test("at() is the nearest point, tailX() counts rows", () => {
    const series = filled(Array.from({ length: 5000 }, (_, i) => ({ x: i * 10, value: i })));
    expect(series.extent()).toEqual([0, 49_990]);
    expect(series.at(-5)).toEqual({ x: 0, value: 0 });
    expect(series.at(40_956)).toEqual({ x: 40_960, value: 4096 });
    expect(series.at(40_954)).toEqual({ x: 40_950, value: 4095 });
    expect(series.at(1e9)).toEqual({ x: 49_990, value: 4999 });
    expect(series.tailX(1)).toBe(49_990);
    expect(series.tailX(500)).toBe(45_000);
    expect(series.tailX(9000)).toBe(0);
  });

  test("tailX() looks into buckets", () => {
    const series = new Series(SPEC);
    const rows = Array.from({ length: 1000 }, (_, x) => ({ x, value: x }));
    series.append(buckets(0, rows, 10));
    expect(series.tailX(1)).toBe(999);
    expect(series.tailX(11)).toBe(989);
    expect(series.tailX(1000)).toBe(9);
  });

  test("a step that goes back or is NaN is moved up, and its row kept", () => {
    const series = new Series(SPEC);
    series.append(stretch(0, [5, 6, 3, Number.NaN, 7], [1, 2, 3, 4, 5]));
    const w = series.window(0, 10, 100);
    expect([...w.x]).toEqual([5, 6, 6, 6, 7]);
    expect([...w.last]).toEqual([1, 2, 3, 4, 5]);
  });
});
