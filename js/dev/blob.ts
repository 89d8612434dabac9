/**
 * Packs blobs in the page, so that the replay goes through the real decoder. Stores the bytes
 * uncompressed, which zlib allows; `nbmonitor/parameters/blob.py` stays the reference.
 */

type Values = Uint8Array | Int16Array | Float32Array;

export interface Given {
  values: Values;
  shape: readonly number[];
  scale?: number;
  offset?: number;
}

const BLOCK = 65_535;

function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (let i = 0; i < bytes.length; i++) {
    a = (a + bytes[i]!) % 65_521;
    b = (b + a) % 65_521;
  }
  return ((b << 16) | a) >>> 0;
}

/** `bytes` as a zlib stream of stored blocks. */
function stored(bytes: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  const out = new Uint8Array(2 + blocks * 5 + bytes.length + 4);
  const view = new DataView(out.buffer);
  out.set([0x78, 0x01]);
  let at = 2;
  for (let i = 0; i < blocks; i++) {
    const part = bytes.subarray(i * BLOCK, (i + 1) * BLOCK);
    out[at] = i === blocks - 1 ? 1 : 0;
    view.setUint16(at + 1, part.length, true);
    view.setUint16(at + 3, ~part.length & 0xffff, true);
    out.set(part, at + 5);
    at += 5 + part.length;
  }
  view.setUint32(at, adler32(bytes), false);
  return out;
}

/** A key blob of these parts; `extra` goes into its header. */
export function packBlob(
  step: number,
  parts: Record<string, Given>,
  extra: object = {},
): Uint8Array<ArrayBuffer> {
  const dtype = (values: Values) => values.constructor.name.replace("Array", "").toLowerCase();
  const specs = Object.entries(parts).map(([name, { values, shape, scale = 1, offset = 0 }]) => ({
    name,
    dtype: dtype(values),
    shape,
    scale,
    offset,
    delta: false,
    shuffle: false,
  }));
  const text = new TextEncoder().encode(
    JSON.stringify({ v: 1, step, base: null, parts: specs, ...extra }),
  );
  const long = Math.ceil(text.length / 8) * 8;
  const pieces = Object.values(parts).map(({ values: v }) => {
    return new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
  });
  const body = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  const packed = stored(body);
  const out = new Uint8Array(8 + long + packed.length).fill(0x20);
  out.set(new TextEncoder().encode("NBP1"));
  new DataView(out.buffer).setUint32(4, long, true);
  out.set(text, 8);
  out.set(packed, 8 + long);
  return out;
}
