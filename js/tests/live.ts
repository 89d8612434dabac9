/** A `Live` whose kernel is a test: it records what is sent and says what it is told to. */

import type { Link, Live, Traits } from "../src/model";
import { packFrame } from "../src/pack";
import { Store } from "../src/store";
import { bucketed } from "../src/thin";
import type { Control, Detail, RunEvent, SeriesSpec } from "../src/wire.gen";

export class FakeLive implements Live {
  readonly store = new Store();
  readonly link: Link = { state: "live", message: "", note: "" };
  readonly sent: (Control | Detail)[] = [];
  reachable = true;
  #traits: Traits = {
    panels: [],
    config: {},
    status: { state: "running", message: "", detail: "", total_steps: 100, total_epochs: 1 },
    theme: "neon",
    capabilities: {},
    picture_id: "",
  };
  #listeners = new Set<() => void>();
  #seq = 0;

  send = (message: Control | Detail): boolean => {
    if (this.reachable) this.sent.push(message);
    return this.reachable;
  };

  get<K extends keyof Traits>(key: K): Traits[K] {
    return this.#traits[key];
  }

  set<K extends keyof Traits>(key: K, value: Traits[K]): void {
    this.#traits[key] = value;
    for (const fn of [...this.#listeners]) fn();
  }

  setState(state: string): void {
    this.set("status", { ...this.#traits.status, state });
  }

  setLink(state: Link["state"]): void {
    this.link.state = state;
    for (const fn of [...this.#listeners]) fn();
  }

  onTrait(_key: keyof Traits, fn: () => void): void {
    this.#listeners.add(fn);
  }

  onLink(fn: () => void): void {
    this.#listeners.add(fn);
  }

  put(
    key: string,
    meta: Record<string, unknown>,
    values:
      | Uint8Array<ArrayBuffer>
      | Int32Array<ArrayBuffer>
      | Float32Array<ArrayBuffer> = new Uint8Array(0),
    shape: number[] = [values.length],
    step = 0,
  ): void {
    const head = { kind: "put" as const, seq: ++this.#seq, generation: 1, step };
    const dtype = values.constructor.name.replace("Array", "").toLowerCase();
    this.store.apply({ ...head, key, dtype, shape, meta }, [new DataView(values.buffer)]);
  }

  /** One more event, at once. */
  event(kind: string, step: number, data: RunEvent["data"]): void {
    const offset = this.store.eventCount;
    const events = [{ kind, step, time: 1_760_000_000 + step, data }];
    this.store.apply({ kind: "event", seq: ++this.#seq, generation: 1, offset, events }, []);
  }

  /** `values` at steps 0, 1, …, every `size` rows in a bucket if it is more than one. */
  rows(spec: SeriesSpec, values: number[], size = 1): void {
    const frame = packFrame([stretchOf(spec.id, 0, values, size)]);
    const head = { kind: "append" as const, seq: ++this.#seq, generation: 1, declare: [spec] };
    this.store.apply(head, [new DataView(frame.buffer)]);
  }
}

export function stretchOf(id: number, from: number, values: number[], size = 1) {
  const all = Float32Array.from(values);
  const x = Float64Array.from(values, (_, i) => from + i);
  const columns = { min: all, max: all, mean: all, last: all };
  const plain = { id, offset: from, x, ...columns, counts: null, marks: null };
  return size > 1 ? (bucketed([plain], size) ?? plain) : plain;
}
