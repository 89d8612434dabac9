/**
 * Bytes to arrays: a blob as `nbmonitor/parameters/blob.py` makes it, which stays the reference.
 * Knows neither what a part means nor where a blob comes from.
 */

import { assert } from "../assert";

export type Stored = Uint8Array | Int8Array | Uint16Array | Int16Array | Float32Array;

/** One array as it is kept: value = offset + scale × stored, each at most `error` off. */
export interface Part {
  stored: Stored;
  shape: readonly number[];
  scale: number;
  offset: number;
  error: number;
}

export interface Blob {
  step: number;
  /** Step of the blob that this was a difference to; null for a key. */
  base: number | null;
  parts: ReadonlyMap<string, Part>;
  /** What else the header says. */
  extra: Readonly<Record<string, unknown>>;
  /** Bytes that the arrays take. */
  bytes: number;
}

interface Spec {
  name: string;
  dtype: string;
  shape: number[];
  scale: number;
  offset: number;
  delta: boolean;
  shuffle: boolean;
  error?: number;
}

export interface Head {
  v: number;
  step: number;
  base: number | null;
  parts: Spec[];
  [key: string]: unknown;
}

const MAGIC = "NBP1";
const VERSION = 1;
/** What claims more is damaged. */
const MOST_BYTES = 2 ** 30;

const ARRAYS: Record<string, new (buffer: ArrayBuffer) => Stored> = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  float32: Float32Array,
};
const WIDTHS: Record<string, number> = { uint8: 1, int8: 1, uint16: 2, int16: 2, float32: 4 };

/** Read the header of a blob; `end` is where its body begins. */
export function readHead(data: Uint8Array): { head: Head; end: number } {
  assert(data.length >= 8, `not a blob: ${data.length} bytes`);
  const magic = String.fromCharCode(...data.subarray(0, 4));
  assert(magic === MAGIC, `not a blob: it begins with ${magic}`);
  const end = 8 + new DataView(data.buffer, data.byteOffset).getUint32(4, true);
  assert(end <= data.length, "the blob is cut short");
  const head = JSON.parse(new TextDecoder().decode(data.subarray(8, end))) as Head;
  assert(head.v === VERSION, `the blob has version ${head.v}; this page reads version ${VERSION}`);
  return { head, end };
}

/** Undo zlib; the host's own decompressor, off the page's thread. */
export async function inflate(data: Uint8Array, size: number): Promise<Uint8Array<ArrayBuffer>> {
  assert(
    typeof DecompressionStream === "function",
    "this browser can't unpack snapshots (it has no DecompressionStream)",
  );
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  // What goes wrong in writing comes out of the reading side, too: it is told there.
  writer.write(data as Uint8Array<ArrayBuffer>).catch(() => {});
  writer.close().catch(() => {});
  const out = new Uint8Array(size);
  let at = 0;
  const reader = stream.readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    assert(at + value.length <= size, "the blob is longer than its header says");
    out.set(value, at);
    at += value.length;
  }
  assert(at === size, "the blob is shorter than its header says");
  return out;
}

function sizeOf({ name, dtype, shape }: Spec): number {
  const width = WIDTHS[dtype];
  assert(width, `part ${name} is ${dtype}; one of ${Object.keys(WIDTHS).join(", ")} can be read`);
  return shape.reduce((product, n) => product * n, width);
}

/** Planes of bytes back to values that lie together. */
function joined(planes: Uint8Array, width: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(planes.length);
  const n = planes.length / width;
  for (let b = 0; b < width; b++) {
    const plane = b * n;
    for (let i = 0; i < n; i++) out[i * width + b] = planes[plane + i]!;
  }
  return out;
}

/** Add the bits of `base`, modulo 2^bits. */
function add(bytes: Uint8Array<ArrayBuffer>, base: Stored, width: number): void {
  const unsigned = width === 1 ? Uint8Array : width === 2 ? Uint16Array : Uint32Array;
  const to = new unsigned(bytes.buffer);
  const from = new unsigned(base.buffer as ArrayBuffer, base.byteOffset, base.length);
  for (let i = 0; i < to.length; i++) to[i] = to[i]! + from[i]!;
}

function readPart(bytes: Uint8Array, spec: Spec, base: Part | undefined): Part {
  const { dtype, shape, scale, offset, delta, shuffle, error = 0 } = spec;
  const width = WIDTHS[dtype] as number;
  const own = shuffle && width > 1 ? joined(bytes, width) : new Uint8Array(bytes);
  if (delta) {
    assert(base && base.stored.byteLength === own.length, `part ${spec.name} lacks its base`);
    add(own, base.stored, width);
  }
  const make = ARRAYS[dtype] as (typeof ARRAYS)[string];
  return { stored: new make(own.buffer), shape, scale, offset, error };
}

/** Step of the blob that `data` is a difference to, or null. */
export function baseOf(data: Uint8Array): number | null {
  return readHead(data).head.base;
}

/** Unpack a blob; `key` is the one at the step that it names as base. Rejects damaged bytes. */
export async function decodeBlob(data: Uint8Array, key: Blob | null = null): Promise<Blob> {
  const { head, end } = readHead(data);
  const { step, base } = head;
  assert(
    base === null || key?.step === base,
    `the snapshot at step ${step} needs the one at step ${base}, which this page does not have`,
  );
  const sizes = head.parts.map(sizeOf);
  const size = sizes.reduce((sum, n) => sum + n, 0);
  assert(size <= MOST_BYTES, `the blob says that it has ${size} bytes`);
  const body = await inflate(data.subarray(end), size);
  const parts = new Map<string, Part>();
  let at = 0;
  for (const [i, spec] of head.parts.entries()) {
    const long = sizes[i] as number;
    parts.set(spec.name, readPart(body.subarray(at, at + long), spec, key?.parts.get(spec.name)));
    at += long;
  }
  const { v, step: _, base: __, parts: ___, ...extra } = head;
  return { step, base, parts, extra, bytes: size };
}
