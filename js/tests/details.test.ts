import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DETAIL_KEY, Details } from "../src/details";
import { packFrame } from "../src/pack";
import { Series } from "../src/series";
import { spliced } from "../src/splice";
import type { Detail, SeriesSpec } from "../src/wire.gen";
import { LOSS } from "./fakes";
import { FakeLive, stretchOf } from "./live";

const NORM: SeriesSpec = { id: 1, key: "train/grad_norm", label: "norm", unit: "" };
const value = (i: number) => (i === 1234 ? 50 : i % 10);
const VALUES = Array.from({ length: 4000 }, (_, i) => value(i));
const VIEW = [1000, 1400] as const;

let live: FakeLive;
let end: AbortController;
let details: Details;

beforeEach(() => {
  vi.useFakeTimers();
  live = new FakeLive();
  end = new AbortController();
  live.rows(LOSS, VALUES, 100);
  live.rows(NORM, VALUES, 100);
  details = new Details(live, end.signal);
});
afterEach(() => {
  end.abort();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const series = (spec = LOSS) => live.store.series(spec.key)!;
const look = (view: readonly [number, number] = VIEW, spec = LOSS) =>
  details.refine(series(spec), view, 400);

function reply(asked: Detail, resolution = "full", note = ""): void {
  const [from, to] = [Math.ceil(asked.start), Math.floor(asked.end)];
  const rows = VALUES.slice(from, to + 1);
  const stretches = asked.keys.map((key) => stretchOf(key === LOSS.key ? 0 : 1, from, rows));
  const { id, keys, start, end } = asked;
  const frame = resolution === "full" ? packFrame(stretches) : packFrame([]);
  live.put(DETAIL_KEY, { id, keys, start, end, resolution, note }, frame);
}

describe("a zoom into buckets", () => {
  test("asks once for all charts, after a moment of rest", () => {
    look([900, 1500]);
    vi.advanceTimersByTime(100);
    for (let i = 0; i < 5; i++) look();
    look(VIEW, NORM);
    vi.advanceTimersByTime(100);
    expect(live.sent).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(live.sent).toHaveLength(1);
    const asked = live.sent[0] as Detail;
    expect(asked.keys).toEqual([LOSS.key, NORM.key]);
    expect(asked.start).toBeLessThanOrEqual(VIEW[0]);
    expect(asked.end).toBeGreaterThanOrEqual(VIEW[1]);
  });

  test("draws the rows that come, and asks no more for them", () => {
    const told = vi.fn();
    details.onChange(told, end.signal);
    expect(look().course.window(...VIEW, 400).exact).toBe(false);
    vi.advanceTimersByTime(200);
    reply(live.sent[0] as Detail);
    expect(told).toHaveBeenCalled();
    const { course, summary } = look();
    const window = course.window(...VIEW, 1000);
    expect([window.exact, summary]).toEqual([true, ""]);
    expect(course.at(1234)).toEqual({ x: 1234, value: 50 });
    expect(course.at(100)).toEqual(series().at(100));
    look([1050, 1350]);
    vi.advanceTimersByTime(5000);
    expect(live.sent).toHaveLength(1);
  });

  test("without an answer in 3 s, it is a summary and says so", () => {
    expect(look().summary).toBe("");
    vi.advanceTimersByTime(3200);
    expect(look().summary).toContain("did not answer");
    vi.advanceTimersByTime(1000);
    expect(live.sent).toHaveLength(1);
  });

  test("an answer that knows no more is a summary", () => {
    look();
    vi.advanceTimersByTime(200);
    reply(live.sent[0] as Detail, "summary", "not in memory any more");
    expect(look().summary).toContain("not in memory any more");
  });

  test("a wish during another waits for its answer", () => {
    look();
    vi.advanceTimersByTime(200);
    look([3000, 3200]);
    vi.advanceTimersByTime(500);
    expect(live.sent).toHaveLength(1);
    reply(live.sent[0] as Detail);
    expect(live.sent).toHaveLength(2);
    expect((live.sent[1] as Detail).start).toBeGreaterThan(2000);
    reply(live.sent[1] as Detail);
  });

  test("somebody else's answer is not ours", () => {
    look();
    vi.advanceTimersByTime(200);
    reply({ ...(live.sent[0] as Detail), id: "another page" });
    expect(look().course).toBe(series());
    vi.advanceTimersByTime(3000);
  });

  test.each(["lost", "saved"] as const)("nobody is asked when the kernel is %s", (state) => {
    live.setLink(state);
    expect(look().summary).toContain("no kernel");
    vi.advanceTimersByTime(1000);
    expect(live.sent).toEqual([]);
  });
});

test("rows that are there exactly, or buckets finer than a pixel, ask for nothing", () => {
  live.rows({ ...LOSS, id: 2, key: "exact" }, VALUES);
  const exact = live.store.series("exact")!;
  expect(details.refine(exact, VIEW, 400)).toEqual({ course: exact, summary: "" });
  expect(look([0, 4000]).course).not.toBe(undefined);
  expect(details.refine(series(), [0, 4000], 20).summary).toBe("");
  vi.advanceTimersByTime(1000);
  expect(live.sent.filter((m) => m.kind === "detail" && m.keys.includes("exact"))).toEqual([]);
  vi.advanceTimersByTime(3000);
});

describe("spliced", () => {
  const own = new Series(LOSS);
  own.append(stretchOf(0, 0, VALUES, 100));
  const fine = new Series(LOSS);
  fine.append({ ...stretchOf(0, 1000, VALUES.slice(1000, 1201)), offset: 0 });
  const both = spliced(own, { start: 1000, end: 1200, series: fine });

  test("reads the piece inside, the series outside, each x once and in order", () => {
    const window = both.window(500, 2000, 5000);
    const x = [...window.x.subarray(0, window.n)];
    expect(x).toEqual([...new Set(x)].sort((a, b) => a - b));
    expect(x.filter((at) => at >= 1000 && at <= 1200)).toHaveLength(201);
    expect(x.filter((at) => at > 1200)[0]).toBe(1299);
    expect(window.exact).toBe(false);
  });

  test("a view within the piece is exact", () => {
    const window = both.window(1010, 1100, 500);
    expect([window.exact, window.n]).toEqual([true, 93]);
  });

  test("a view that ends with the piece has a neighbour outside, so that the line goes on", () => {
    const window = both.window(1150, 1200.5, 500);
    expect(window.x[window.n - 1]).toBe(1299);
  });
});
