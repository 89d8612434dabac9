// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import type { Stretch } from "../src/codec";
import { packHistory as packRows } from "../src/pack";
import { Store } from "../src/store";
import type { HistoryHeader, Put, RunEvent, SeriesSpec, ToPage } from "../src/wire.gen";
import { append, LOSS, packHistory } from "./fakes";

function golden(name: string): DataView {
  const data = readFileSync(new URL(`../../tests/wire/${name}`, import.meta.url));
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

const note = (step: number): RunEvent => ({ kind: "note", step, time: 0, data: {} });
const events = (seq: number, offset: number, list: RunEvent[], generation = 1): ToPage => ({
  kind: "event",
  seq,
  generation,
  offset,
  events: list,
});

function put(dtype: string, shape: number[], data: ArrayBufferView, seq = 1): [Put, DataView[]] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return [
    { kind: "put", seq, generation: 1, key: "lora/w", step: 3, dtype, shape, meta: { a: 1 } },
    [view],
  ];
}

function started(): Store {
  const store = new Store();
  expect(store.apply(...append(1, 0, [3, 2, 1], { declare: [LOSS] }))).toBe("ok");
  return store;
}

describe("append", () => {
  test("declares series and fills them", () => {
    const store = started();
    expect(store.series("train/loss")?.last()).toEqual({ x: 2, value: 1 });
    const have = { kind: "hello", generation: 1, have: { 0: 3 }, events: 0, reels: {} };
    expect(store.have()).toEqual(have);
    expect([store.seq, store.version]).toEqual([1, 1]);
  });

  test("a repeated frame changes nothing", () => {
    const store = started();
    expect(store.apply(...append(1, 0, [3, 2, 1], { declare: [LOSS] }))).toBe("ok");
    expect(store.series("train/loss")?.rows).toBe(3);
  });

  test("missing rows are a gap, and what comes to the answer of a hello fills it", () => {
    const store = started();
    expect(store.apply(...append(2, 5, [9]))).toBe("gap");
    expect(store.apply(...append(3, 3, [8, 7, 9]))).toBe("ok");
    expect(store.series("train/loss")?.rows).toBe(6);
  });

  test("a lost message is a gap even if its rows are not missed here", () => {
    expect(started().apply(...append(7, 3, [1]))).toBe("gap");
  });

  test("rows of a series whose declaration was lost are a gap", () => {
    expect(started().apply(...append(2, 0, [1], { id: 4 }))).toBe("gap");
  });
});

describe("generation", () => {
  test("a new one forgets everything", () => {
    const store = started();
    store.apply(events(2, 0, [note(1)]), []);
    store.apply(...put("uint8", [1], new Uint8Array([7]), 3));
    store.match("*");
    const other: SeriesSpec = { ...LOSS, key: "train/other" };
    store.apply(...append(4, 0, [5], { generation: 2, declare: [other] }));
    expect(store.series("train/loss")).toBeUndefined();
    expect(store.tensor("lora/w")).toBeUndefined();
    expect(store.events).toEqual([]);
    expect(store.match("*").map((s) => s.spec.key)).toEqual(["train/other"]);
    expect(store.have()).toMatchObject({ generation: 2, have: { 0: 1 } });
  });

  test("what is left of an old one is dropped", () => {
    const store = started();
    store.apply(...append(2, 0, [5], { generation: 2, declare: [LOSS] }));
    const version = store.version;
    expect(store.apply(...append(3, 1, [6], { generation: 1 }))).toBe("ok");
    expect(store.series("train/loss")?.rows).toBe(1);
    expect(store.version).toBe(version);
  });
});

describe("events", () => {
  test("are taken once, in order, and a hole is a gap", () => {
    const store = new Store();
    expect(store.apply(events(1, 0, [note(1), note(2)]), [])).toBe("ok");
    expect(store.apply(events(2, 1, [note(2), note(3)]), [])).toBe("ok");
    expect(store.apply(events(3, 0, [note(1)]), [])).toBe("ok");
    expect(store.events.map((e) => e.step)).toEqual([1, 2, 3]);
    expect(store.apply(events(4, 5, [note(6)]), [])).toBe("gap");
    expect(store.events).toHaveLength(3);
  });
});

describe("tensors", () => {
  test("keep the latest value, copied out of an unaligned buffer", () => {
    const store = new Store();
    const room = new Uint8Array(19);
    room.set(new Uint8Array(Float32Array.of(1.5, Number.NaN, -2, 4).buffer), 3);
    store.apply(...put("float32", [2, 2], room.subarray(3)));
    room.fill(0);
    expect([...(store.tensor("lora/w")?.data ?? [])]).toEqual([1.5, Number.NaN, -2, 4]);
    expect(store.tensor("lora/w")).toMatchObject({ step: 3, shape: [2, 2], meta: { a: 1 } });
  });

  test("half floats and 64-bit integers come as numbers", () => {
    const store = new Store();
    const half = Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0x7e00, 0x0001);
    store.apply(...put("float16", [5], half));
    const infinity = Number.POSITIVE_INFINITY;
    expect([...(store.tensor("lora/w")?.data ?? [])]).toEqual([
      1,
      -2,
      infinity,
      Number.NaN,
      2 ** -24,
    ]);
    store.apply(...put("int64", [2], BigInt64Array.of(-5n, 2n ** 40n), 2));
    expect([...(store.tensor("lora/w")?.data ?? [])]).toEqual([-5, 2 ** 40]);
  });

  test("what cannot be read is refused with what was given", () => {
    const store = new Store();
    expect(() => store.apply(...put("complex64", [1], new Uint8Array(8)))).toThrow("complex64");
    expect(() => store.apply(...put("float32", [3], new Float32Array(2)))).toThrow("2 values");
  });
});

describe("match", () => {
  const store = new Store();
  const keys = ["eval/loss", "eval/a_loss", "lora/d/0/q/b_norm", "lora/d/1/q/b_norm", "x.y/z"];
  const declare = keys.map((key, id) => ({ id, key, label: "", unit: "" }));
  store.apply(...append(1, 0, [1], { declare }));
  const found = (pattern: string) => store.match(pattern).map((s) => s.spec.id);

  test("a star stays within a part of the key; a lone star is all", () => {
    expect(found("eval/*_loss")).toEqual([1]);
    expect(found("eval/*")).toEqual([0, 1]);
    expect(found("lora/*/*/*/b_norm")).toEqual([2, 3]);
    expect(found("lora/*")).toEqual([]);
    expect(found("*")).toEqual([0, 1, 2, 3, 4]);
    expect(found("x.y/z")).toEqual([4]);
    expect(found("xay/z")).toEqual([]);
  });

  test("sees a series that is declared later", () => {
    expect(found("late/*")).toEqual([]);
    const late = { id: 9, key: "late/one", label: "", unit: "" };
    store.apply(...append(2, 1, [1], { declare: [late] }));
    expect(found("late/*")).toEqual([9]);
    expect(Object.keys(store.have().have)).toContain("9");
  });
});

describe("restore", () => {
  test("takes a series' buckets before its newest rows, wherever they stand in the frame", () => {
    const stretch = (id: number, offset: number, x: number[], bucket: number): Stretch => {
      const last = Float32Array.from(x);
      const counts = bucket > 1 ? Uint32Array.from(x, () => bucket) : null;
      const marks = counts && new Uint8Array(x.length);
      return {
        id,
        offset,
        x: Float64Array.from(x),
        min: last,
        max: last,
        mean: last,
        last,
        counts,
        marks,
      };
    };
    const header: HistoryHeader = {
      generation: 1,
      seq: 0,
      declare: [LOSS, { ...LOSS, id: 1, key: "eval/loss" }],
      events: [],
      events_offset: 0,
    };
    // Both share their newest steps, which the first of them brings in before the buckets.
    const bytes = packRows(header, [
      stretch(0, 0, [5, 6], 1),
      stretch(1, 0, [2, 4], 2),
      stretch(1, 4, [5, 6], 1),
    ]);
    const store = new Store();
    store.restore(new DataView(bytes.buffer));
    expect(store.have().have).toEqual({ 0: 2, 1: 6 });
  });

  test("takes the golden history, then goes on with plain rows", () => {
    const store = new Store();
    store.restore(golden("history.bin"));
    const loss = store.series("train/loss");
    const rows = loss?.rows ?? 0;
    expect(store.generation).toBe(2);
    expect(store.seq).toBe(41);
    expect(store.events).toHaveLength(1);
    expect(loss?.spec.label).toBe("loss ∅ é");
    expect(rows).toBeGreaterThan(0);
    expect(store.apply(...append(42, rows, [1, 2], { generation: 2 }))).toBe("ok");
    expect(loss?.rows).toBe(rows + 2);
  });

  test("takes the tensors of the golden history, unless it has newer ones", () => {
    const store = new Store();
    const put = (step: number, values: number[]) => {
      const head = { kind: "put" as const, seq: 1, generation: 2, key: "fixed_eval/counts", step };
      const bytes = new DataView(Int32Array.from(values).buffer);
      store.apply({ ...head, dtype: "int32", shape: [values.length], meta: {} }, [bytes]);
    };
    store.restore(golden("history.bin"));
    const told = (key: string) => store.tensor(`fixed_eval/${key}`);
    expect([...told("counts")!.data]).toEqual([1, 2, 300]);
    expect([told("state")?.data.length, told("state")?.meta.share]).toEqual([0, 0.5]);
    expect([...told("bins")!.data]).toEqual([0, 0.25, 0.5, 0.75, 1, 1.25]);
    expect(told("bins")?.shape).toEqual([2, 3]);
    put(99, [7]);
    store.restore(golden("history.bin"));
    expect([...told("counts")!.data]).toEqual([7]);
  });

  test("a history whose tensors are cut short says so", () => {
    const whole = golden("history.bin");
    const cut = new DataView(whole.buffer, whole.byteOffset, whole.byteLength - 24);
    expect(() => new Store().restore(cut)).toThrow("cut short");
  });

  test("a history with only the latest events goes on from their number", () => {
    const store = new Store();
    const header: HistoryHeader = {
      generation: 1,
      seq: 0,
      declare: [],
      events: [note(8), note(9)],
      events_offset: 8,
    };
    store.restore(packHistory(header));
    expect(store.have().events).toBe(10);
    expect(store.apply(events(1, 9, [note(9), note(10)]), [])).toBe("ok");
    expect(store.events.map((e) => e.step)).toEqual([8, 9, 10]);
    store.restore(packHistory(header));
    expect(store.events.map((e) => e.step)).toEqual([8, 9, 10]);
    expect(store.apply(events(2, 12, [note(12)]), [])).toBe("gap");
  });

  test("an older history, or the same again, changes nothing", () => {
    const store = new Store();
    store.restore(golden("history.bin"));
    const before = store.have();
    store.restore(golden("history.bin"));
    expect(store.have()).toEqual(before);
    store.apply(...append(50, 0, [1], { generation: 3, declare: [LOSS] }));
    store.restore(golden("history.bin"));
    expect(store.generation).toBe(3);
    expect(store.series("train/loss")?.rows).toBe(1);
  });
});

describe("onChange", () => {
  test("is called after each message until the signal aborts", () => {
    const store = started();
    const controller = new AbortController();
    const seen = vi.fn(() => store.series("train/loss")?.rows);
    store.onChange(seen, controller.signal);
    store.apply(...append(2, 3, [1]));
    expect(seen.mock.results[0]?.value).toBe(4);
    controller.abort();
    store.apply(...append(3, 4, [1]));
    expect(seen).toHaveBeenCalledTimes(1);
  });
});
