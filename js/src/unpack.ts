/**
 * Opens a part of this bundle that is packed: a module of its own, deflated, in base64.
 * `vite/packed.ts` makes them; nothing is fetched, and each call makes a new module.
 */

/** The module in `packed`; throws with what a viewer can do about it. */
export async function unpack<T>(packed: string): Promise<T> {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("it is packed; Chrome 103, Firefox 113, Safari 16.4 and later can unpack it");
  }
  const text = atob(packed);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const source = await new Response(plain).text();
  // As anywidget loads the bundle itself: where that works, this does.
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(/* @vite-ignore */ url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
