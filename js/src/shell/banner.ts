/** The banner: why a run ended badly, or that its kernel is gone and where the data are. */

import type { Live } from "../model";
import { h, setAttr } from "../view";

/** Head and text of the banner, "" for none; `traceback` is set apart. */
function content(live: Live): { head: string; text: string; traceback: string; kind: string } {
  const { state, message, detail } = live.get("status");
  const kind = state === "failed" ? "failed" : live.link.state;
  const ended = state === "failed" || state === "interrupted";
  if (ended && (message || detail)) {
    const more = message && detail && detail !== message ? detail : "";
    const traceback = more.includes("\n") ? more : "";
    const first = message || detail.split("\n").pop() || "";
    const text = more && !traceback ? `${first} · ${more}` : first;
    return { head: state.toUpperCase(), text, traceback, kind };
  }
  const lost = live.link.state === "lost";
  return {
    head: lost ? "KERNEL LOST" : "",
    text: lost ? live.link.message : "",
    traceback: "",
    kind,
  };
}

export function mountBanner(root: HTMLElement, live: Live, signal: AbortSignal): void {
  const banner = h("div", { class: "nbm-banner", role: "alert", hidden: true });
  root.append(banner);
  let shown = "";
  const show = () => {
    const now = content(live);
    const key = Object.values(now).join("\0");
    if (key === shown) return;
    shown = key;
    setAttr(banner, "data-kind", now.kind);
    banner.hidden = now.head === "";
    banner.replaceChildren(h("b", {}, now.head), now.text);
    if (now.traceback) banner.append(h("pre", {}, now.traceback));
  };
  live.onTrait("status", show, signal);
  live.onLink(show, signal);
  show();
}
