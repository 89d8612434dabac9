/** Stand-ins for the host: a widget model, a Lumino signal, a notebook document. */

import { vi } from "vitest";
import { type Column, packFrame } from "../dev/pack";
import type { OutputJson, PageModel, Synced } from "../src/host";
import type { FromPage, HistoryHeader, SeriesSpec, ToPage } from "../src/wire.gen";

type Fn = (...args: never[]) => void;

export class FakeSignal {
  readonly slots = new Set<(sender: unknown, status: string) => void>();
  connect(slot: (sender: unknown, status: string) => void) {
    this.slots.add(slot);
  }
  disconnect(slot: (sender: unknown, status: string) => void) {
    this.slots.delete(slot);
  }
  emit(status: string) {
    for (const slot of [...this.slots]) slot(this, status);
  }
}

export class FakeOutputs {
  constructor(readonly items: OutputJson[]) {}
  get length() {
    return this.items.length;
  }
  get(i: number) {
    return { toJSON: () => structuredClone(this.items[i] as OutputJson) };
  }
  set(i: number, output: OutputJson) {
    this.items[i] = output;
  }
}

export class FakeDocument {
  readonly metadata: Record<string, unknown> = {};
  readonly save = vi.fn(async () => {});
  readonly model;
  constructor(outputs: OutputJson[] = [], dirty = true) {
    const cells = [{}, { outputs: new FakeOutputs(outputs) }];
    this.model = {
      dirty,
      readOnly: false,
      cells: { length: cells.length, get: (i: number) => cells[i] },
      setMetadata: (key: string, value: unknown) => {
        this.metadata[key] = value;
      },
      getMetadata: (key: string) => this.metadata[key],
    };
  }
}

/** An anywidget model: traits, events, and a list of what the page sent. */
export class FakeModel {
  readonly sent: FromPage[] = [];
  readonly listeners = new Map<string, Set<Fn>>();
  readonly traits: Partial<Synced>;
  widget_manager: unknown;

  constructor(traits: Partial<Synced> = {}, manager: unknown = {}) {
    this.traits = {
      panels: [],
      config: {},
      status: { state: "running", message: "", detail: "", total_steps: 100, total_epochs: 1 },
      theme: "neon",
      capabilities: {},
      picture_id: "abc",
      history: null,
      autosave: true,
      ...traits,
    };
    this.widget_manager = manager;
  }

  get page(): PageModel {
    return this as unknown as PageModel;
  }

  get(key: keyof Synced) {
    return this.traits[key];
  }

  set<K extends keyof Synced>(key: K, value: Synced[K]) {
    this.traits[key] = value;
  }

  on(event: string, fn: Fn) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(fn));
  }

  off(event: string, fn: Fn) {
    this.listeners.get(event)?.delete(fn);
  }

  send(message: FromPage) {
    this.sent.push(message);
  }

  get listening(): number {
    return [...this.listeners.values()].reduce((n, all) => n + all.size, 0);
  }

  emit(event: string, ...args: unknown[]) {
    for (const fn of [...(this.listeners.get(event) ?? [])]) fn(...(args as never[]));
  }

  setTrait<K extends keyof Synced>(key: K, value: Synced[K]) {
    this.traits[key] = value;
    this.emit(`change:${key}`);
  }

  setState(state: string) {
    this.setTrait("status", { ...(this.traits.status as Synced["status"]), state });
  }

  receive(message: ToPage, buffers: DataView[] = []) {
    this.emit("msg:custom", message, buffers);
  }

  kinds(): string[] {
    return this.sent.map((m) => m.kind);
  }
}

export const LOSS: SeriesSpec = { id: 0, key: "train/loss", label: "loss", unit: "" };

/** An `append` with one column of consecutive steps from `offset`. */
export function append(
  seq: number,
  offset: number,
  values: number[],
  { generation = 1, declare = [] as SeriesSpec[], id = 0 } = {},
): [ToPage, DataView[]] {
  const column: Column = { id, offset, x: values.map((_, i) => offset + i), values };
  return [{ kind: "append", seq, generation, declare }, [packFrame([column])]];
}

/** A `history` trait without rows. */
export function packHistory(header: HistoryHeader): DataView {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const frame = packFrame([]);
  const bytes = new Uint8Array(8 + length + frame.byteLength).fill(32);
  bytes.set(new TextEncoder().encode("NBM1"));
  bytes.set(text, 8);
  bytes.set(new Uint8Array(frame.buffer), 8 + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, length, true);
  return view;
}
