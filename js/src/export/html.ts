/**
 * A run as one HTML file that opens from a disk, with the same front end and no network.
 * Owns the few lines of HTML; what stands in the data is `standalone.ts`'s matter.
 */

import type { Live, Traits } from "../model";
import { headerOf, packHistory } from "../pack";
import type { Store } from "../store";
import type { Tensor } from "../tensor";
import { bytesOf, share, thinned } from "../thin";
import type { Put } from "../wire.gen";
import { resolution } from "./resolution";

/** Bytes of rows in a file; base64 makes a third more of them. */
export const BUDGET = 680_000;
const TENSOR_BYTES = 64_000;
/** The same for what stands beside a reel and says what its frames mean. */
const BESIDE_BYTES = 250_000;
/** Bytes of reels in a file: the newest frame, the first, and what lies between. */
export const REEL_BUDGET = 300_000;
/** Tensors that a kernel and its page talk with, no part of a run. */
const OWN = "nbmonitor/";

const escaped = (text: string) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

function base64(bytes: Uint8Array): string {
  let out = "";
  // In slices: a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 0x8000) {
    out += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(out);
}

/** The file around `data`, which is JSON; every `<` in it is written as an escape. */
export function page(title: string, background: string, data: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>body { margin: 0; padding: 8px; background: ${background}; }</style>
</head>
<body>
<div id="nbmonitor"></div>
<script type="application/json" id="nbmonitor-data">${data.replaceAll("<", "\\u003c")}</script>
<script type="module">
const data = JSON.parse(document.getElementById("nbmonitor-data").textContent);
const url = URL.createObjectURL(new Blob([data.module], { type: "text/javascript" }));
const { mountStandalone } = await import(url);
mountStandalone(document.getElementById("nbmonitor"), data);
</script>
</body>
</html>
`;
}

/** A tensor as the message that would bring it. */
function message(generation: number, tensor: Tensor): [Put, string] {
  const { key, step, shape, meta, data } = tensor;
  const dtype = data.constructor.name.replace("Array", "").toLowerCase();
  const head = { kind: "put" as const, seq: 0, generation };
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [{ ...head, key, step, dtype, shape: [...shape], meta }, base64(bytes)];
}

/** Tensors that fit into a small file; of a reel, frames that tell the whole run. */
function tensorsOf(store: Store): [Put, string][] {
  const area = (key: string) => key.slice(0, key.lastIndexOf("/") + 1);
  const known = store.tensors();
  const beside = new Set(known.filter(({ key }) => store.reel(key)).map(({ key }) => area(key)));
  const single = known
    .filter(({ key }) => !key.startsWith(OWN) && !store.reel(key))
    .filter(
      ({ key, data }) => data.byteLength <= (beside.has(area(key)) ? BESIDE_BYTES : TENSOR_BYTES),
    );
  const reels = store.reels();
  // By the size of their frames: so there are about as many of each, of the same steps.
  const sizes = reels.map((reel) => reel.bytes / Math.max(1, reel.steps.length));
  const whole = sizes.reduce((sum, size) => sum + size, 0) || 1;
  const frames = reels.flatMap((reel, i) => reel.chosen((REEL_BUDGET * sizes[i]!) / whole));
  return [...single, ...frames].map((tensor) => message(store.generation, tensor));
}

export interface Html {
  text: string;
  resolution: string;
}

/** The run of `live` as a file; throws if the host doesn't show the source of this page. */
export function toHtml(
  live: Live,
  look: { theme: Traits["theme"]; background: string },
  title: string,
  made: string,
): Html {
  const source = live.source?.();
  if (!source) throw new Error("this host doesn't show the page's own source; use run.to_html()");
  const { store } = live;
  const whole = store.match("*").map((series) => series.stretches());
  const most = share(whole.map(bytesOf), BUDGET);
  const rows = whole.flatMap((stretches) => thinned(stretches, most));
  const told = resolution(rows);
  const data = {
    panels: live.get("panels"),
    config: live.get("config"),
    status: live.get("status"),
    theme: look.theme,
    history: base64(packHistory(headerOf(store), rows)),
    tensors: tensorsOf(store),
    note: `exported ${made}: ${told}`,
    ...source,
  };
  return { text: page(title, look.background, JSON.stringify(data)), resolution: told };
}
