/**
 * Bytes to columns: decodes the frames and histories that `nbmonitor/wire.py` packs.
 * Knows the layout, not what a series means nor where its rows end up.
 */

import { assert } from "./assert";
import { BUCKETS, HISTORY_MAGIC, type HistoryHeader, REGULAR, VERSION } from "./wire.gen";

/** A stretch of one series. Plain points share one array for min, max, mean and last. */
export interface Stretch {
  id: number;
  /** Rows of the series before this stretch. */
  offset: number;
  x: Float64Array;
  min: Float32Array;
  max: Float32Array;
  mean: Float32Array;
  last: Float32Array;
  /** Rows that each bucket stands for; null for plain points. */
  counts: Uint32Array | null;
  /** NAN | POS_INF | NEG_INF seen in each bucket; null for plain points. */
  marks: Uint8Array | null;
}

/** Walks a little-endian buffer whose arrays are padded to 8 bytes. */
class Reader {
  readonly #buffer: ArrayBufferLike;
  readonly #end: number;
  #at: number;

  constructor(view: DataView) {
    // Typed arrays need aligned offsets; a websocket message may put the buffer anywhere.
    const aligned = view.byteOffset % 8 === 0;
    this.#buffer = aligned
      ? view.buffer
      : view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    this.#at = aligned ? view.byteOffset : 0;
    this.#end = this.#at + view.byteLength;
  }

  #take(bytes: number): number {
    const at = this.#at;
    assert(at + bytes <= this.#end, `frame is cut short: ${at + bytes - this.#end} bytes missing`);
    this.#at = at + Math.ceil(bytes / 8) * 8;
    return at;
  }

  u32(n: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(n * 4), n);
  }

  f32(n: number): Float32Array {
    return new Float32Array(this.#buffer, this.#take(n * 4), n);
  }

  f64(n: number): Float64Array {
    return new Float64Array(this.#buffer, this.#take(n * 8), n);
  }

  u8(n: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(n), n);
  }
}

function regular(start: number, stride: number, n: number): Float64Array {
  const x = new Float64Array(n);
  for (let i = 0; i < n; i++) x[i] = start + stride * i;
  return x;
}

function readGroup(read: Reader, into: Stretch[]): void {
  const [n = 0, m = 0, flags = 0] = read.u32(4);
  let x: Float64Array;
  if (flags & REGULAR) {
    const [start = 0, stride = 0] = read.f64(2);
    x = regular(start, stride, n);
  } else {
    x = read.f64(n);
  }
  const ids = read.u32(m);
  const offsets = read.u32(m);
  const counts = flags & BUCKETS ? read.u32(n) : null;
  const values = read.f32(m * n * (counts ? 4 : 1));
  const marks = counts ? read.u8(m * n) : null;
  for (let j = 0; j < m; j++) {
    const column = (k: number) => values.subarray(k * n, (k + 1) * n);
    const first = counts ? 4 * j : j;
    const min = column(first);
    into.push({
      id: ids[j] as number,
      offset: offsets[j] as number,
      x,
      min,
      max: counts ? column(first + 1) : min,
      mean: counts ? column(first + 2) : min,
      last: counts ? column(first + 3) : min,
      counts,
      marks: marks ? marks.subarray(j * n, (j + 1) * n) : null,
    });
  }
}

/** Decode a frame. The arrays are views of the buffer where it is aligned: copy what you keep. */
export function decodeFrame(view: DataView): Stretch[] {
  const read = new Reader(view);
  const [version, groups = 0] = read.u32(2);
  assert(
    version === VERSION,
    `frame version ${version} given, ${VERSION} expected; restart the kernel and reload the page`,
  );
  const out: Stretch[] = [];
  for (let g = 0; g < groups; g++) readGroup(read, out);
  return out;
}

export interface History {
  header: HistoryHeader;
  stretches: Stretch[];
  /** What stands after the frame: the bytes of the header's tensors. */
  rest: DataView;
}

/** Decode the `history` trait. */
export function decodeHistory(view: DataView): History {
  assert(view.byteLength >= 8, `not an nbmonitor history: ${view.byteLength} bytes`);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  assert(magic === HISTORY_MAGIC, `not an nbmonitor history: starts with ${magic}`);
  const end = 8 + view.getUint32(4, true);
  assert(end <= view.byteLength, "history is cut short");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))) as HistoryHeader;
  // Histories of older notebooks end with the frame and don't say how long it is.
  const long = header.frame_bytes ?? view.byteLength - end;
  assert(end + long <= view.byteLength, "history is cut short");
  const frame = new DataView(view.buffer, view.byteOffset + end, long);
  const left = view.byteLength - end - long;
  const rest = new DataView(view.buffer, view.byteOffset + end + long, left);
  return { header, stretches: decodeFrame(frame), rest };
}
