/**
 * Everything the page knows of a run: series, latest tensors, reels of tensors, events.
 * Owns what a message does to it; knows no comm and no drawing.
 */

import { assertNever } from "./assert";
import { decodeFrame, decodeHistory, type Stretch } from "./codec";
import { Reel } from "./reels";
import { Series } from "./series";
import { decodeTensor, decodeTensors, type Tensor } from "./tensor";
import type { Hello, RunEvent, SeriesSpec, ToPage } from "./wire.gen";

export type { Tensor } from "./tensor";

/** "gap": something before this message is missing; say hello to get it. */
export type Applied = "ok" | "gap";

function toRegExp(pattern: string): RegExp {
  if (pattern === "*") return /^/;
  const literal = (text: string) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${pattern.split("*").map(literal).join("[^/]*")}$`);
}

export class Store {
  #series: (Series | undefined)[] = [];
  #byKey = new Map<string, Series>();
  #tensors = new Map<string, Tensor>();
  #reels = new Map<string, Reel>();
  #matches = new Map<string, Series[]>();
  #events: RunEvent[] = [];
  /** Events before the first of ours: a packed history holds only the latest. */
  #older = 0;
  #listeners = new Set<() => void>();
  #generation = 0;
  #seq = 0;
  #version = 0;

  /** Changes when the run's history was rewritten and everything started over. */
  get generation(): number {
    return this.#generation;
  }

  /** Number of the last message that was applied. */
  get seq(): number {
    return this.#seq;
  }

  /** Counts applied messages, for anyone who wants to know whether something is new. */
  get version(): number {
    return this.#version;
  }

  get events(): readonly RunEvent[] {
    return this.#events;
  }

  /** Events that there were, with those that a packed history left out. */
  get eventCount(): number {
    return this.#older + this.#events.length;
  }

  /** True until the first row, tensor or event. */
  get empty(): boolean {
    return this.#series.length === 0 && this.#tensors.size === 0 && this.#events.length === 0;
  }

  series(key: string): Series | undefined {
    return this.#byKey.get(key);
  }

  /** Series whose key fits, in order of declaration. `*` stays within one part of the key; a lone `*` is all. */
  match(pattern: string): Series[] {
    let found = this.#matches.get(pattern);
    if (!found) {
      const wanted = toRegExp(pattern);
      found = this.#series.filter((s): s is Series => s !== undefined && wanted.test(s.spec.key));
      this.#matches.set(pattern, found);
    }
    return found;
  }

  tensor(key: string): Tensor | undefined {
    return this.#tensors.get(key);
  }

  tensors(): Tensor[] {
    return [...this.#tensors.values()];
  }

  /** All values of a tensor of which every one is kept: those with `reel` in their meta. */
  reel(key: string): Reel | undefined {
    return this.#reels.get(key);
  }

  reels(): Reel[] {
    return [...this.#reels.values()];
  }

  /** Call `fn` after each applied message, until the signal aborts. */
  onChange(fn: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(fn);
    signal.addEventListener("abort", () => this.#listeners.delete(fn), { once: true });
  }

  /** Apply one message. Repeats and overlaps do no harm; throws on bytes it cannot read. */
  apply(message: ToPage, buffers: readonly DataView[]): Applied {
    if (message.generation < this.#generation) return "ok";
    if (message.generation > this.#generation) this.#reset(message.generation);
    const skipped = this.#seq > 0 && message.seq > this.#seq + 1;
    this.#seq = Math.max(this.#seq, message.seq);
    const result = this.#take(message, buffers);
    this.#changed();
    return skipped ? "gap" : result;
  }

  #take(message: ToPage, buffers: readonly DataView[]): Applied {
    switch (message.kind) {
      case "append": {
        this.#declare(message.declare);
        const frame = buffers[0];
        return frame ? this.#rows(decodeFrame(frame)) : "ok";
      }
      case "put":
        this.#put(decodeTensor(message, buffers[0]));
        return "ok";
      case "event":
        return this.#append(message.events, message.offset);
      default:
        return assertNever(message);
    }
  }

  /** Take over a packed history. Does nothing if the store already has as much. */
  restore(history: DataView): void {
    const { header, stretches, rest } = decodeHistory(history);
    if (header.generation < this.#generation) return;
    if (header.generation > this.#generation) this.#reset(header.generation);
    this.#declare(header.declare);
    this.#rows(stretches);
    if (this.#events.length === 0) this.#older = header.events_offset;
    this.#append(header.events, header.events_offset);
    for (const tensor of decodeTensors(header.tensors ?? [], rest)) {
      const own = this.#tensors.get(tensor.key);
      const reel = tensor.meta.reel === true;
      if (reel ? !this.reel(tensor.key)?.at(tensor.step) : !own || own.step < tensor.step) {
        this.#put(tensor);
      }
    }
    this.#seq = Math.max(this.#seq, header.seq);
    this.#changed();
  }

  /** What to tell the kernel, so that it sends just what is missing. */
  have(): Hello & { reels: Record<string, number[]> } {
    const have: Record<string, number> = {};
    for (const s of this.#series) if (s) have[s.spec.id] = s.rows;
    const reels = Object.fromEntries([...this.#reels].map(([key, reel]) => [key, reel.seen]));
    const { generation, eventCount: events } = this;
    return { kind: "hello", generation, have, events, reels };
  }

  #put(tensor: Tensor): void {
    const { key, step, meta } = tensor;
    if (meta.reel === true) {
      const reel = this.#reels.get(key) ?? new Reel();
      this.#reels.set(key, reel);
      reel.put(tensor);
      // What a page lacked comes later than what is newer.
      if ((this.#tensors.get(key)?.step ?? step) > step) return;
    }
    this.#tensors.set(key, tensor);
  }

  #declare(specs: readonly SeriesSpec[]): void {
    for (const spec of specs) {
      if (this.#series[spec.id]) continue;
      const fresh = new Series(spec);
      this.#series[spec.id] = fresh;
      this.#byKey.set(spec.key, fresh);
      this.#matches.clear();
    }
  }

  #rows(stretches: readonly Stretch[]): Applied {
    let result: Applied = "ok";
    // Stretches over the same steps share a group, so that a series' newest may stand before its
    // buckets: taken in that order, they would be a gap.
    for (const stretch of [...stretches].sort((a, b) => a.offset - b.offset)) {
      // A row of a series that was never declared: its declaration was lost on the way.
      const done = this.#series[stretch.id]?.append(stretch) ?? "gap";
      if (done === "gap") result = "gap";
    }
    return result;
  }

  #append(events: readonly RunEvent[], offset: number): Applied {
    if (offset > this.eventCount) return "gap";
    this.#events.push(...events.slice(this.eventCount - offset));
    return "ok";
  }

  #reset(generation: number): void {
    this.#generation = generation;
    this.#series = [];
    this.#byKey.clear();
    this.#tensors.clear();
    this.#reels.clear();
    this.#matches.clear();
    this.#events = [];
    this.#older = 0;
  }

  #changed(): void {
    this.#version++;
    for (const fn of [...this.#listeners]) fn();
  }
}
