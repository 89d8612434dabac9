/**
 * The phases of a training as a band under a chart, each with its explanation.
 * Owns which phases there are and their elements; where a step lies is the chart's matter.
 */

import { dotted, grouped } from "../format";
import { h, setAttr, setText } from "../view";
import type { RunEvent } from "../wire.gen";

export interface Phase {
  name: string;
  from: number;
  /** Step of the next one, or null for the last. */
  to: number | null;
  message: string;
  confidence: number | null;
}

/** Phases in order of their steps. A later event takes back what it says began earlier. */
export function phasesOf(events: readonly RunEvent[]): Phase[] {
  const out: Phase[] = [];
  for (const { kind, step, data } of events) {
    if (kind !== "phase" || typeof data.name !== "string") continue;
    const from = typeof data.from === "number" ? data.from : step;
    const message = typeof data.message === "string" ? data.message : "";
    const confidence = typeof data.confidence === "number" ? data.confidence : null;
    while (out.length > 0 && out[out.length - 1]!.from >= from) out.pop();
    const last = out[out.length - 1];
    if (last?.name === data.name) Object.assign(last, { message, confidence });
    else {
      if (last) last.to = from;
      out.push({ name: data.name, from, to: null, message, confidence });
    }
  }
  if (out.length > 0) out[out.length - 1]!.to = null;
  return out;
}

/** A phase in words. */
export function phaseText({ name, from, to, message, confidence }: Phase): string {
  const steps =
    to === null ? `since step ${grouped(from)}` : `steps ${grouped(from)}–${grouped(to)}`;
  const sure = confidence === null ? "" : `${Math.round(confidence * 100)} % sure`;
  return [dotted(name.toUpperCase(), steps, sure), message].filter(Boolean).join("\n");
}

/** Where a chart has drawn what: its steps, and its pixels from the left. */
export interface Drawn {
  view: readonly [number, number];
  left: number;
  width: number;
}

export interface Band {
  readonly el: HTMLElement;
  /** Bring the band up to date; changes the document. */
  show(phases: readonly Phase[], drawn: Drawn | null): void;
}

const LEAST = 3;

/** A band that calls `zoom` with the steps of a phase that is pressed. */
export function makeBand(
  zoom: (window: readonly [number, number]) => void,
  signal: AbortSignal,
): Band {
  const tip = h("div", { class: "nbm-tip nbm-phase-tip", "data-tip": true, hidden: true });
  const strip = h("div", { class: "nbm-phase-strip" });
  const el = h(
    "div",
    { class: "nbm-phases", role: "group", "aria-label": "Phases of the training", hidden: true },
    strip,
    tip,
  );
  let all: readonly Phase[] = [];
  let end = 1;
  let shown = "";
  const at = (target: EventTarget | null) =>
    (target as Element | null)?.closest<HTMLElement>("[data-phase]") ?? null;
  const explain = (segment: HTMLElement | null) => {
    const phase = segment ? all[Number(segment.dataset.index)] : undefined;
    tip.hidden = !phase;
    if (!phase || !segment) return;
    setText(tip, phaseText(phase));
    const right = segment.offsetLeft > strip.clientWidth / 2;
    const gap = right
      ? el.clientWidth - segment.offsetLeft - segment.offsetWidth
      : segment.offsetLeft;
    setAttr(tip, "style", `${right ? "right" : "left"}:${Math.max(0, Math.round(gap))}px`);
  };
  const on = (type: string, act: (event: Event) => void) =>
    el.addEventListener(type, act, { signal });
  on("pointerover", (event) => explain(at(event.target)));
  on("focusin", (event) => explain(at(event.target)));
  on("pointerleave", () => explain(null));
  on("focusout", () => explain(null));
  on("click", (event) => {
    const phase = all[Number(at(event.target)?.dataset.index)];
    if (phase) zoom([phase.from, Math.max(phase.to ?? end, phase.from + 1)]);
  });
  return {
    el,
    show(phases, drawn) {
      all = phases;
      el.hidden = !drawn || phases.length === 0;
      if (!drawn || el.hidden) return;
      const [x0, x1] = drawn.view;
      end = x1;
      const text = JSON.stringify([phases, drawn]);
      if (text === shown) return;
      shown = text;
      setAttr(strip, "style", `margin-left:${drawn.left}px;width:${drawn.width}px`);
      const part = (x: number) => Math.min(1, Math.max(0, (x - x0) / (x1 - x0)));
      phases.forEach((phase, i) => {
        const segment = segmentAt(strip, i);
        const [a, b] = [part(phase.from), part(phase.to ?? Math.max(x1, phase.from))];
        const wide = (b - a) * drawn.width;
        segment.hidden = wide < LEAST;
        setAttr(
          segment,
          "style",
          `left:${(a * 100).toFixed(2)}%;width:${((b - a) * 100).toFixed(2)}%`,
        );
        setAttr(segment, "data-phase", phase.name);
        setAttr(segment, "aria-label", phaseText(phase).replace("\n", ": "));
        // A cut word says less than none.
        setText(segment, wide > phase.name.length * 7 + 10 ? phase.name : "");
      });
      while (strip.children.length > phases.length) strip.lastElementChild?.remove();
    },
  };
}

function segmentAt(strip: HTMLElement, index: number): HTMLElement {
  const known = strip.children[index];
  if (known) return known as HTMLElement;
  const made = h("button", {
    type: "button",
    class: "nbm-phase",
    "data-index": index,
    "data-lm-suppress-shortcuts": "true",
  });
  strip.append(made);
  return made;
}
