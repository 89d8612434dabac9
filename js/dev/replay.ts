/**
 * A `Live` without a kernel: sends a synthetic run through the real codec and store.
 * The tests and the replay page use it; it knows no drawing.
 */

import { Keeper } from "../src/kept";
import type { Link, Live, Source as PageSource, Traits } from "../src/model";
import { Store } from "../src/store";
import type { Control, Detail, RunEvent, SeriesSpec, Status } from "../src/wire.gen";
import { type Desk, MakeBelieve } from "./kernel";
import type { Options } from "./options";
import { type Column, packBuckets, packFrame } from "./pack";
import { panels } from "./panels";
import { answer, parametersMeta, snapshot, taken } from "./parameters";
import { type Made, qualityTensors } from "./quality";
import { events, type Source, sources } from "./run";

const METHOD = { r: 16, alpha: 32, adapters: ["default"] };
const BATCH = 5000;
/** Steps that are told exactly when old ones are not. */
const RECENT = 500;
const LINKS: Record<Link["state"], string> = {
  live: "",
  quiet: "no news for 14 s",
  lost: "kernel lost; what you see is what this page had received",
  saved: "saved run; no kernel",
};

export class Replay implements Live {
  readonly store = new Store();
  readonly link: Link;
  readonly #options: Options;
  readonly #sources: Source[];
  readonly #rows: number[];
  readonly #traits: Traits;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #kernel: MakeBelieve;
  readonly send?: (message: Control | Detail) => boolean;
  readonly #own: RunEvent[] = [];
  #bundle: PageSource | null = null;
  readonly #put = new Map<string, string>();
  readonly kept = new Keeper();
  #snapshots = 0;
  #step = -1;
  #events = 0;
  #seq = 0;

  constructor(options: Options) {
    this.#options = options;
    this.link = { state: options.link, message: this.#linkMessage(options.link), note: "" };
    this.#sources = sources(options);
    this.#rows = this.#sources.map(() => 0);
    this.#traits = {
      panels: panels(options),
      config: {
        name: "gpt2-topics",
        method: options.lora ? "lora" : "full",
        model: "GPT2LMHeadModel",
        params: 124_439_808,
        trainable_params: options.lora ? 589_824 : 124_439_808,
        ...(options.lora ? { lora: METHOD } : {}),
        precision: "bf16",
        dataset_size: 12_480,
        batch_size: 16,
        gradient_accumulation_steps: 2,
        max_steps: options.total,
        num_train_epochs: 3,
        device: options.gpus ? "cuda:0" : "cpu",
        logging_steps: 10,
        ...(options.file ? { run_file: options.file } : {}),
      },
      status: this.#status(options.state),
      theme: options.theme,
      capabilities: { host: "replay", channel: "none", reason: "" },
      picture_id: "replay",
    };
    this.#kernel = new MakeBelieve(options, this.#desk(), this.#sources);
    if (options.controls !== "none") {
      this.send = (message) => {
        const key = message.kind === "detail" ? (message.keys[0] ?? "") : "";
        if (key.startsWith("parameters/"))
          answer(options, this.#step, message.id, key, this.#tensor);
        else this.#kernel.hear(message);
        return true;
      };
    }
    // In batches, as a flusher sends them: a million steps at once would not fit in memory.
    for (let step = 0; step < options.step; ) {
      const to = options.buckets > 1 ? Math.max(step + 1, options.step - RECENT - 1) : options.step;
      step = Math.min(options.step, step + BATCH, step < to ? to : options.step);
      this.advance(step);
    }
    if (options.state === "running" || options.state === "paused") this.#kernel.tell();
  }

  #desk(): Desk {
    const replay = this;
    return {
      get step() {
        return replay.#step;
      },
      put: (key, meta, bytes = new DataView(new ArrayBuffer(0))) => {
        const head = { kind: "put" as const, seq: ++this.#seq, generation: 1, step: this.#step };
        const put = { ...head, key, dtype: "uint8", shape: [bytes.byteLength], meta };
        this.store.apply(put, [bytes]);
      },
      event: (event) => {
        const time = 1_760_000_000 + this.#step * 0.41;
        this.#own.push({ ...event, step: this.#step, time });
        this.#tellEvents();
      },
      status: (state) => this.setTrait("status", this.#status(state)),
    };
  }

  /** The source of the built bundle, if a test has given it. */
  source(): PageSource | null {
    return this.#bundle;
  }

  setSource(source: PageSource): void {
    this.#bundle = source;
  }

  get step(): number {
    return this.#step;
  }

  #status(state: string): Status {
    const detail =
      { interrupted: "KeyboardInterrupt at step 57", failed: "RuntimeError: CUDA out of memory" }[
        state
      ] ?? "";
    return { state, message: detail, detail, total_steps: this.#options.total, total_epochs: 3 };
  }

  /** Go on to `step`: one append, one event message, as a flusher would send. */
  advance(step: number): void {
    const declare: SeriesSpec[] =
      this.#seq === 0
        ? this.#sources.map(({ key, label, unit }, id) => ({ id, key, label, unit }))
        : [];
    const columns: Column[] = [];
    for (const [id, source] of this.#sources.entries()) {
      const x: number[] = [];
      const values: number[] = [];
      for (let s = Math.max(0, this.#step + 1); s <= step; s++) {
        const value = source.value(s);
        if (value === null) continue;
        x.push(s);
        values.push(value);
      }
      if (x.length === 0) continue;
      columns.push({ id, offset: this.#rows[id] as number, x, values });
      this.#rows[id] = (this.#rows[id] as number) + x.length;
    }
    this.#step = step;
    // Old steps as buckets, the newest exactly: as a kernel tells a long run.
    const old = this.#options.buckets > 1 && step < this.#options.step - RECENT;
    const frame = old ? packBuckets(columns, this.#options.buckets) : packFrame(columns);
    this.store.apply({ kind: "append", seq: ++this.#seq, generation: 1, declare }, [frame]);
    this.#tellEvents();
    this.#tellTensors();
    this.#tellSnapshots();
    if (step >= this.#options.total && this.#traits.status.state === "running") {
      this.setTrait("status", this.#status("finished"));
    }
  }

  /** What a kernel would have put by now, each only when it is new. */
  #tellTensors(): void {
    if (this.#options.quality !== "full") return;
    for (const made of qualityTensors(this.#options, this.#step)) {
      const text = JSON.stringify([made.values, made.meta]);
      if (this.#put.get(made.key) === text) continue;
      this.#put.set(made.key, text);
      const { key, dtype, shape, meta } = made;
      const head = { kind: "put" as const, seq: ++this.#seq, generation: 1, step: this.#step };
      this.store.apply({ ...head, key, dtype, shape, meta }, [bytesOf(made)]);
    }
  }

  #tensor = (key: string, step: number, meta: Record<string, unknown>, bytes: Uint8Array) => {
    const head = { kind: "put" as const, seq: ++this.#seq, generation: 1, key, step };
    const view = new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
    this.store.apply({ ...head, dtype: "uint8", shape: [bytes.length], meta }, [view]);
  };

  /** Snapshots of parameters that were taken by now. */
  #tellSnapshots(): void {
    const { parameters } = this.#options;
    if (!parameters || parameters === "empty") return;
    const put = this.#tensor;
    const all = taken(this.#options);
    const due = all.filter(({ step }) => step <= this.#step).length;
    if (this.#snapshots === 0 && due > 0) {
      put("parameters/meta", 0, {}, new TextEncoder().encode(JSON.stringify(parametersMeta())));
    }
    const every = parameters === "few" ? 24 : 1;
    for (; this.#snapshots < due; this.#snapshots++) {
      if (this.#snapshots % every !== 0 && this.#snapshots < all.length - 1) continue;
      const made = snapshot(this.#options, this.#snapshots, all);
      put("parameters/snapshot", made.step, made.meta, made.bytes);
      put("parameters/change", made.step, { reel: true, start: 0 }, made.change);
    }
  }

  #tellEvents(): void {
    const all = [...events(this.#options, this.#step), ...this.#own];
    if (all.length <= this.#events) return;
    const fresh = all.slice(this.#events);
    const offset = this.#events;
    this.#events = all.length;
    this.store.apply({ kind: "event", seq: ++this.#seq, generation: 1, offset, events: fresh }, []);
  }

  get<K extends keyof Traits>(key: K): Traits[K] {
    return this.#traits[key];
  }

  setTrait<K extends keyof Traits>(key: K, value: Traits[K]): void {
    this.#traits[key] = value;
    for (const fn of this.#listeners.get(key) ?? []) fn();
  }

  setLink(state: Link["state"]): void {
    this.link.state = state;
    this.link.message = this.#linkMessage(state);
    for (const fn of this.#listeners.get("link") ?? []) fn();
  }

  #linkMessage(state: Link["state"]): string {
    const { file, step } = this.#options;
    return state === "lost" && file
      ? `kernel lost at step ${step}, data safe in ${file}`
      : LINKS[state];
  }

  onTrait(key: keyof Traits, fn: () => void, signal: AbortSignal): void {
    this.#listen(key, fn, signal);
  }

  onLink(fn: () => void, signal: AbortSignal): void {
    this.#listen("link", fn, signal);
  }

  #listen(key: string, fn: () => void, signal: AbortSignal): void {
    const all = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, all.add(fn));
    signal.addEventListener("abort", () => all.delete(fn), { once: true });
  }
}

function bytesOf({ dtype, values }: Made): DataView {
  const typed = { int32: Int32Array, float32: Float32Array }[dtype] ?? Uint8Array;
  return new DataView(typed.from(values).buffer);
}
