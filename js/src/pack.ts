/**
 * Columns to bytes: packs a history as `nbmonitor/wire.py` does, from what the page holds.
 * The other half of `codec.ts`; `wire.py` stays the reference for the layout.
 */

import type { Stretch } from "./codec";
import type { Store } from "./store";
import { BUCKETS, HISTORY_MAGIC, type HistoryHeader, REGULAR, VERSION } from "./wire.gen";

const padded = (bytes: number) => Math.ceil(bytes / 8) * 8;

/** Common difference of `x`, or null if there is none. */
function strideOf(x: Float64Array): number | null {
  const stride = x.length < 2 ? 0 : x[1]! - x[0]!;
  for (let i = 2; i < x.length; i++) if (x[i]! - x[i - 1]! !== stride) return null;
  return stride;
}

function sameColumn(a: ArrayLike<number> | null, b: ArrayLike<number> | null): boolean {
  if (a === b) return true;
  if (!a || !b || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Stretches over the same x, and with the same counts, share a group. */
function grouped(stretches: readonly Stretch[]): Stretch[][] {
  const groups = new Map<string, Stretch[][]>();
  for (const s of stretches) {
    if (s.x.length === 0) continue;
    const name = `${s.x.length}|${s.x[0]}|${s.x[s.x.length - 1]}|${s.counts === null}`;
    const near = groups.get(name) ?? [];
    groups.set(name, near);
    const own = near.find(([o]) => sameColumn(o!.x, s.x) && sameColumn(o!.counts, s.counts));
    if (own) own.push(s);
    else near.push([s]);
  }
  return [...groups.values()].flat();
}

class Writer {
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  /** The bytes of an array, padded to 8. */
  put(array: Uint8Array | Uint32Array | Float32Array | Float64Array): void {
    const bytes = new Uint8Array(padded(array.byteLength));
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function joined(columns: readonly Float32Array[], n: number): Float32Array {
  const out = new Float32Array(columns.length * n);
  for (const [i, column] of columns.entries()) out.set(column, i * n);
  return out;
}

function putGroup(out: Writer, group: readonly Stretch[]): void {
  const { x, counts } = group[0]!;
  const n = x.length;
  const stride = strideOf(x);
  const flags = (stride === null ? 0 : REGULAR) | (counts ? BUCKETS : 0);
  out.put(Uint32Array.of(n, group.length, flags, 0));
  out.put(stride === null ? x : Float64Array.of(x[0]!, stride));
  out.put(Uint32Array.from(group, (s) => s.id));
  out.put(Uint32Array.from(group, (s) => s.offset));
  if (counts) out.put(counts);
  const columns = counts
    ? group.flatMap((s) => [s.min, s.max, s.mean, s.last])
    : group.map((s) => s.last);
  out.put(joined(columns, n));
  if (!counts) return;
  const marks = new Uint8Array(group.length * n);
  for (const [j, s] of group.entries()) marks.set(s.marks ?? [], j * n);
  out.put(marks);
}

/** Pack stretches into one frame. */
export function packFrame(stretches: readonly Stretch[]): Uint8Array<ArrayBuffer> {
  const out = new Writer();
  const groups = grouped(stretches);
  out.put(Uint32Array.of(VERSION, groups.length));
  for (const group of groups) putGroup(out, group);
  return out.bytes();
}

/** Events that go with a packed history; the newest, as Python keeps them. */
const EVENTS = 1000;

/** The head of a packed history of `store`. */
export function headerOf(store: Store): HistoryHeader {
  const events = store.events.slice(-EVENTS);
  return {
    generation: store.generation,
    seq: 0,
    declare: store.match("*").map((series) => series.spec),
    events: [...events],
    events_offset: store.eventCount - events.length,
  };
}

/** A packed history: what the `history` trait holds. */
export function packHistory(
  header: HistoryHeader,
  stretches: readonly Stretch[],
): Uint8Array<ArrayBuffer> {
  const frame = packFrame(stretches);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = padded(text.length);
  const out = new Uint8Array(8 + length + frame.length).fill(0x20);
  out.set(new TextEncoder().encode(HISTORY_MAGIC));
  new DataView(out.buffer).setUint32(4, length, true);
  out.set(text, 8);
  out.set(frame, 8 + length);
  return out;
}
