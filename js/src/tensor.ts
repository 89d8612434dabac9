/** The latest value of a tensor, as typed array. Owns the dtype table; knows no drawing. */

import { assert } from "./assert";
import type { Put } from "./wire.gen";

export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

export interface Tensor {
  key: string;
  step: number;
  dtype: string;
  shape: readonly number[];
  meta: Readonly<Record<string, unknown>>;
  /** C order. float16 arrives as Float32Array, 64-bit integers as Float64Array. */
  data: TensorData;
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const READERS: Record<string, (b: ArrayBuffer) => TensorData> = {
  bool: (b) => new Uint8Array(b),
  uint8: (b) => new Uint8Array(b),
  int8: (b) => new Int8Array(b),
  uint16: (b) => new Uint16Array(b),
  int16: (b) => new Int16Array(b),
  uint32: (b) => new Uint32Array(b),
  int32: (b) => new Int32Array(b),
  float16: (b) => Float32Array.from(new Uint16Array(b), halfToFloat),
  float32: (b) => new Float32Array(b),
  float64: (b) => new Float64Array(b),
  int64: (b) => Float64Array.from(new BigInt64Array(b), Number),
  uint64: (b) => Float64Array.from(new BigUint64Array(b), Number),
};

const WIDTHS: Record<string, number> = { bool: 1, float16: 2 };

/** Bytes of one value of a dtype: its name ends with its bits. */
function widthOf(dtype: string): number {
  return WIDTHS[dtype] ?? Number(/\d+$/.exec(dtype)?.[0] ?? 8) / 8;
}

/** Tensors that stand one after the other in `rest`, each padded to 8 bytes. */
export function decodeTensors(puts: readonly Put[], rest: DataView): Tensor[] {
  let at = 0;
  return puts.map((put) => {
    const long = put.shape.reduce((product, n) => product * n, widthOf(put.dtype));
    assert(at + long <= rest.byteLength, `tensor ${put.key}: the history is cut short`);
    const own = new DataView(rest.buffer, rest.byteOffset + at, long);
    at += Math.ceil(long / 8) * 8;
    return decodeTensor(put, own);
  });
}

/** Copy the bytes of a `put` into a tensor of our own. */
export function decodeTensor(message: Put, view: DataView | undefined): Tensor {
  const { key, step, dtype, shape, meta } = message;
  const read = READERS[dtype];
  assert(read, `tensor ${key}: dtype ${dtype} given, one of ${Object.keys(READERS).join(", ")}`);
  assert(view, `tensor ${key}: its buffer is missing`);
  const bytes = new Uint8Array(view.byteLength);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  const data = read(bytes.buffer);
  const size = shape.reduce((product, n) => product * n, 1);
  assert(data.length === size, `tensor ${key}: shape ${shape} given, ${data.length} values came`);
  return { key, step, dtype, shape, meta, data };
}
