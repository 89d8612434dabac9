/** What is taken away from the page: a table, a file that opens by itself, names. */

import { afterEach, describe, expect, test, vi } from "vitest";
import { floatText, toCsv } from "../src/export/csv";
import { download, fileName } from "../src/export/download";
import { BUDGET, REEL_BUDGET, toHtml } from "../src/export/html";
import { packFrame } from "../src/pack";
import { mountStandalone, type StandaloneData } from "../src/standalone";
import { Store } from "../src/store";
import { LOSS } from "./fakes";
import { FakeLive, stretchOf } from "./live";
import { fakeCanvas } from "./views/page";

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

const key = (id: number, name: string) => ({ id, key: name, label: name, unit: "" });

function store(...stretches: [number, string, number[], number[]][]): Store {
  const out = new Store();
  const declare = stretches.map(([id, name]) => key(id, name));
  const rows = stretches.map(([id, , x, values]) => ({
    ...stretchOf(id, 0, values),
    x: Float64Array.from(x),
  }));
  out.apply({ kind: "append", seq: 1, generation: 1, declare }, [
    new DataView(packFrame(rows).buffer),
  ]);
  return out;
}

const lines = (csv: { parts: string[] }) => csv.parts.join("").trimEnd().split("\n");

describe("CSV", () => {
  test("a row per step, a column per key, empty where nothing was logged", () => {
    const csv = toCsv(store([0, "a", [1, 2, 4], [0.1, 2, 3]], [1, "b", [2, 3], [5, 6]]), "run");
    expect(lines(csv).slice(1)).toEqual(["step,a,b", "1,0.1,", "2,2,5", "3,,6", "4,3,"]);
    expect(csv.resolution).toBe("every step");
    expect(lines(csv)[0]).toMatch(/^# nbmonitor run; every step;/);
  });

  test("NaN is NaN, infinities are inf", () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    expect(lines(toCsv(store([0, "a", [0, 1, 2], odd]), "run")).slice(2)).toEqual([
      "0,NaN",
      "1,inf",
      "2,-inf",
    ]);
  });

  test("several readings in a step are one row with the last of them", () => {
    const csv = toCsv(store([0, "gpu", [3, 3, 3, 4], [1, 2, 3, 4]]), "run");
    expect(lines(csv).slice(2)).toEqual(["3,3", "4,4"]);
  });

  test("a key with a comma is quoted", () => {
    expect(lines(toCsv(store([0, 'a,"b"', [0], [1]]), "run"))[1]).toBe('step,"a,""b"""');
  });

  test("buckets give their last rows, and the file says so", () => {
    const live = new FakeLive();
    live.rows(LOSS, [1, 2, 3, 4, 5, 6], 3);
    const csv = toCsv(live.store, "run");
    expect(lines(csv).slice(2)).toEqual(["2,3", "5,6"]);
    expect(csv.resolution).toBe("summary: 1 of 3 rows");
    expect(lines(csv)[0]).toContain("summary: 1 of 3 rows");
  });

  test.each([0.1, 1 / 3, 5e-4, 1e-38, 123456789, -2.5])("%d as a float32 reads back", (v) => {
    const single = Math.fround(v);
    expect(Math.fround(Number(floatText(single)))).toBe(single);
  });
});

describe("HTML", () => {
  const source = { module: 'export const a = "</script><!--";', style: ".x{}" };

  function exported(live: FakeLive): { text: string; data: StandaloneData; told: string } {
    const look = { theme: "neon" as const, background: "#000000" };
    const page = { ...toHtml(live, look, 'a <b> & "c"', "today") };
    const json = /id="nbmonitor-data">(.*?)<\/script>/s.exec(page.text)?.[1] ?? "";
    return { text: page.text, data: JSON.parse(json), told: page.resolution };
  }

  test("holds the run, the page's source and what resolution it has", async () => {
    const live = Object.assign(new FakeLive(), { source: () => source });
    live.rows(LOSS, [3, 2, 1]);
    live.put("nbmonitor/controls", {});
    live.put("attention", { layer: 1 }, Uint8Array.of(1, 2));
    const { text, data } = exported(live);
    expect([data.module, data.style]).toEqual([source.module, source.style]);
    expect(data.note).toBe("exported today: every step");
    expect(data.tensors?.map(([put]) => [put.key, put.dtype])).toEqual([["attention", "uint8"]]);
    expect(text.match(/<\/script>/g)).toHaveLength(2);
    expect(text).toContain("<title>a &lt;b> &amp; &quot;c&quot;</title>");
    fakeCanvas();
    const el = document.createElement("div");
    document.body.append(el);
    const leave = mountStandalone(el, data);
    await vi.waitFor(() => {
      expect(el.querySelector(".nbm-link")?.textContent).toBe("SAVED");
    });
    expect(el.querySelector(".nbm-foot")?.textContent).toContain("exported today: every step");
    leave();
    expect(el.children).toHaveLength(0);
  });

  test("a long run keeps to a megabyte, and says that it is a summary", () => {
    const live = Object.assign(new FakeLive(), { source: () => source });
    const values = Array.from({ length: 100_000 }, (_, i) => Math.sin(i));
    for (let id = 0; id < 8; id++) live.rows(key(id, `k${id}`), values);
    const { data, told } = exported(live);
    expect(data.history.length).toBeLessThanOrEqual((BUDGET * 4) / 3 + 4096);
    expect(told).toMatch(/^summary: 1 of \d+ rows$/);
  });

  test("a reel is told by frames over the whole run, within its share", () => {
    const live = Object.assign(new FakeLive(), { source: () => source });
    const size = 40_000;
    live.put("parameters/meta", {}, new Uint8Array(120_000));
    live.put("other/large", {}, new Uint8Array(120_000));
    for (let step = 0; step <= 100; step++) {
      live.put("parameters/snapshot", { reel: true }, new Uint8Array(size), [size], step);
    }
    const { data } = exported(live);
    const [first, ...frames] = (data.tensors ?? []).map(([put]) => put);
    expect(first?.key).toBe("parameters/meta");
    const steps = frames.map((put) => put.step);
    expect(steps).toEqual([0, 25, 50, 62, 75, 87, 100]);
    expect(steps.length * size).toBeLessThanOrEqual(REEL_BUDGET);
  });

  test("a reel of small frames leaves the room to the large ones, and tells the same steps", () => {
    const live = Object.assign(new FakeLive(), { source: () => source });
    for (let step = 0; step <= 100; step++) {
      for (const [key, size] of [
        ["parameters/snapshot", 30_000],
        ["parameters/change", 3000],
      ] as const) {
        live.put(key, { reel: true }, new Uint8Array(size), [size], step);
      }
    }
    const { data } = exported(live);
    const of = (key: string) =>
      (data.tensors ?? []).filter(([put]) => put.key === key).map(([put]) => put.step);
    expect(of("parameters/snapshot")).toHaveLength(9);
    expect(of("parameters/change")).toEqual(of("parameters/snapshot"));
  });

  test("a host that hides the source is told of run.to_html()", () => {
    expect(() => exported(new FakeLive())).toThrow("run.to_html()");
  });
});

describe("a download", () => {
  test("is offered under its name, and its URL is given back", () => {
    vi.useFakeTimers();
    const made = vi.spyOn(URL, "createObjectURL").mockReturnValue("blob:x");
    const revoked = vi.spyOn(URL, "revokeObjectURL").mockReturnValue();
    let name = "";
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (
      this: HTMLAnchorElement,
    ) {
      name = `${this.download} ${this.href}`;
    });
    download(new Blob(["x"]), "run.csv");
    expect([made.mock.calls.length, name]).toEqual([1, "run.csv blob:x"]);
    expect(document.querySelector("a")).toBeNull();
    vi.runAllTimers();
    expect(revoked).toHaveBeenCalledWith("blob:x");
  });

  test.each([
    ["meta-llama/Llama 3", "meta-llama-Llama-3.csv"],
    ["../../etc", "etc.csv"],
    ["🙂", "run.csv"],
    ["Prüfung_1.2", "Prüfung_1.2.csv"],
  ])("%s is called %s", (name, file) => {
    expect(fileName(name, "csv")).toBe(file);
  });
});
