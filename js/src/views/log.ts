/** Events as a table, newest first. */

import { clock, grouped } from "../format";
import { h, type View } from "../view";
import type { RunEvent } from "../wire.gen";

/** Rows in the page; older ones are counted, not listed. */
const MOST = 300;

function tone(event: RunEvent): string {
  const status = String(event.data.status ?? "");
  if (event.kind === "nonfinite" || event.kind === "probe_error" || status === "failed")
    return "bad";
  if (event.kind === "alert" && event.data.severity === "critical") return "bad";
  if (event.kind === "alert" && (event.data.state === "cleared" || event.data.severity === "info"))
    return "good";
  if (event.kind === "alert" || status === "interrupted") return "warn";
  return event.kind === "status" || event.kind === "checkpoint" ? "good" : "";
}

/** `data.message`, with what it is a message of; else the data themselves in a line. */
export function message(event: RunEvent): string {
  const { title, name, message: text } = event.data;
  const head = { alert: title, phase: name }[event.kind];
  const about = typeof head === "string" && head && !String(text).startsWith(head) ? head : "";
  if (typeof text === "string" && text) return about ? `${about}: ${text}` : text;
  const entries = Object.entries(event.data);
  return entries.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(" ") || "–";
}

function row(event: RunEvent): HTMLTableRowElement {
  const cells = [clock(event.time), grouped(event.step), event.kind, message(event)];
  return h("tr", { "data-tone": tone(event) }, ...cells.map((text) => h("td", {}, text)));
}

const log: View = {
  name: "log",
  mount(el, ctx) {
    const body = h("tbody");
    const head = h(
      "tr",
      {},
      ...["TIME", "STEP", "KIND", "MESSAGE"].map((t) => h("th", { scope: "col" }, t)),
    );
    const table = h("table", { class: "nbm-log" }, h("thead", {}, head), body);
    const note = h("div", { class: "nbm-note" });
    el.append(h("div", { class: "nbm-scroll", tabindex: 0 }, table), note);
    let shown = 0;
    let generation = -1;
    const painted = ctx.loop.add(
      el,
      () => () => {
        const { events, generation: now } = ctx.live.store;
        if (now !== generation || events.length < shown) {
          body.replaceChildren();
          shown = 0;
          generation = now;
        }
        const fresh = events.slice(Math.max(shown, events.length - MOST)).reverse();
        body.prepend(...fresh.map(row));
        while (body.children.length > MOST) body.lastElementChild?.remove();
        shown = events.length;
        const more = shown - body.children.length;
        note.textContent =
          shown === 0
            ? "nothing has happened yet: the start of the run, evaluations, checkpoints and NaNs are listed here"
            : `${grouped(shown)} events${more > 0 ? `, ${grouped(more)} older ones not listed` : ""}`;
      },
      ctx.signal,
    );
    ctx.live.store.onChange(() => {
      if (ctx.live.store.events.length !== shown || ctx.live.store.generation !== generation) {
        painted.dirty();
      }
    }, ctx.signal);
  },
};

export default log;
