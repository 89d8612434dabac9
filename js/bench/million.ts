/**
 * A million steps of eight series in the store: heap, time of a window, time of an append.
 * Run by `npm run bench` (node, with --expose-gc); prints one JSON line.
 */

import { packFrame } from "../dev/pack";
import { Store } from "../src/store";

const STEPS = 1_000_000;
const SERIES = 8;
const BATCH = 1000;
const WIDTH = 1400;
const MB = 2 ** 20;

declare const gc: () => void;

function used(): number {
  gc();
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / MB;
}

function value(step: number, id: number): number {
  return Math.sin(step / 1000 + id) + ((step * 2654435761) % 1000) / 1000;
}

/** Fill a store batch by batch, as live frames do. `jitter` makes x irregular. */
function fill(jitter: boolean): { store: Store; appendMs: number } {
  const store = new Store();
  let seq = 0;
  let spent = 0;
  const declare = Array.from({ length: SERIES }, (_, id) => ({
    id,
    key: `train/s${id}`,
    label: "",
    unit: "",
  }));
  for (let from = 0; from < STEPS; from += BATCH) {
    const x = Array.from({ length: BATCH }, (_, i) => from + i + (jitter ? (i % 3) / 10 : 0));
    const columns = declare.map(({ id }) => ({
      id,
      offset: from,
      x,
      values: x.map((step) => (id === 0 && step === 123_457 ? 1000 : value(step, id))),
    }));
    const frame = packFrame(columns);
    const start = performance.now();
    store.apply({ kind: "append", seq: ++seq, generation: 1, declare: from ? [] : declare }, [
      frame,
    ]);
    spent += performance.now() - start;
  }
  return { store, appendMs: spent };
}

function percentile(sorted: readonly number[], p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] as number;
}

function windows(store: Store, span: number, repeat: number): { p50: number; p99: number } {
  const series = store.series("train/s0");
  const times: number[] = [];
  for (let i = 0; i < repeat; i++) {
    const x0 = ((STEPS - span) * i) / repeat;
    const start = performance.now();
    series?.window(x0, x0 + span, WIDTH);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

const before = used();
const regular = fill(false);
const heap = used() - before;
const first = performance.now();
const all = regular.store.series("train/s0")?.window(0, STEPS, WIDTH);
const firstMs = performance.now() - first;
for (const s of regular.store.match("*")) s.window(0, STEPS, WIDTH);
const heapRead = used() - before;
const full = windows(regular.store, STEPS, 400);
const middle = windows(regular.store, 40_000, 400);
const pan = windows(regular.store, 300_000, 400);
const irregular = fill(true);
for (const s of irregular.store.match("*")) s.window(0, STEPS, WIDTH);
const heapBoth = used() - before;

const round = (o: unknown) =>
  JSON.stringify(o, (_, v) => (typeof v === "number" ? Math.round(v * 1000) / 1000 : v));
console.log(
  round({
    rows: regular.store.series("train/s0")?.rows,
    spike: all ? Math.max(...all.max) : null,
    points: all?.n,
    heap_mb: heap,
    heap_after_windows_mb: heapRead,
    heap_irregular_mb: heapBoth - heapRead,
    append_us_per_1000x8: (regular.appendMs / (STEPS / BATCH)) * 1000,
    window_first_ms: firstMs,
    window_full_ms: full,
    window_300k_ms: pan,
    window_40k_ms: middle,
  }),
);
