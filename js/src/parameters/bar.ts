/**
 * The controls of playback: buttons, speed, a step to jump to, the scrub bar. Owns their elements
 * and what they say; where playback is, and how it goes on, is `player.ts`'s matter.
 */

import { dotted, grouped } from "../format";
import { button, h, setAttr, setText } from "../view";
import { SPEEDS } from "./player";
import { Scrub, type ScrubOptions } from "./scrub";

const ICONS = {
  start: "M1 1h2v8H1zM9 1v8L3 5z",
  back: "M7 1v8L1 5zM8 1h2v8H8z",
  play: "M2 0l8 5-8 5z",
  pause: "M1 0h3v10H1zM6 0h3v10H6z",
  on: "M3 1l6 4-6 4zM0 1h2v8H0z",
  end: "M7 1h2v8H7zM1 1l6 4-6 4z",
} as const;

const SVG = "http://www.w3.org/2000/svg";

function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export interface BarOptions extends ScrubOptions {
  /** What is to be said of the snapshot that is shown, beside its number. */
  readonly about: () => string;
  /** Phase of the training at a step, or "". */
  readonly phase: (step: number) => string;
}

export class Bar {
  readonly el: HTMLElement;
  readonly #options: BarOptions;
  readonly #scrub: Scrub;
  readonly #play: HTMLButtonElement;
  readonly #loop: HTMLButtonElement;
  readonly #smooth: HTMLButtonElement;
  readonly #live: HTMLButtonElement;
  readonly #speed: HTMLSelectElement;
  readonly #jump: HTMLInputElement;
  readonly #step = h("b");
  readonly #about = h("span");
  readonly #phase = h("span", { class: "nbm-phase-name", tabindex: 0, hidden: true });

  constructor(options: BarOptions) {
    this.#options = options;
    const { player, signal } = options;
    const make = (id: string, name: keyof typeof ICONS, title: string, press: () => void) => {
      const el = button(id, "", title, press, signal);
      setAttr(el, "aria-label", title);
      el.append(icon(name));
      return el;
    };
    const back = make("step-back", "back", "One snapshot back (←)", () => player.nudge(-1));
    const on = make("step-on", "on", "One snapshot on (→)", () => player.nudge(1));
    const start = make("to-start", "start", "To the first snapshot (Home)", () =>
      player.nudge(-player.steps.length),
    );
    const end = make("to-end", "end", "To the last snapshot (End)", () =>
      player.nudge(player.steps.length),
    );
    this.#play = make("playback", "play", "Play (space)", () => player.toggle());
    this.#loop = button(
      "loop",
      "LOOP",
      "Begin again at the end",
      () => player.set({ loop: !player.loop }),
      signal,
    );
    this.#smooth = button(
      "interpolate",
      "SMOOTH",
      "Show the way between snapshots, interpolated; off, only what was measured",
      () => player.set({ smooth: !player.smooth }),
      signal,
    );
    this.#live = button(
      "follow",
      "NEWEST",
      "Stay with the newest snapshot",
      () => player.follow(),
      signal,
    );
    this.#speed = h(
      "select",
      { class: "nbm-select", "data-control": "speed", "aria-label": "Speed", title: "Speed" },
      ...SPEEDS.map((v) => h("option", { value: v, selected: v === player.speed }, `${v}/s`)),
    );
    const chosen = () => player.set({ speed: Number(this.#speed.value) });
    this.#speed.addEventListener("change", chosen, { signal });
    this.#jump = h("input", {
      class: "nbm-input nbm-jump",
      type: "number",
      min: 0,
      step: 1,
      "data-control": "jump",
      "aria-label": "Go to a step",
      placeholder: "step…",
    });
    this.#jump.addEventListener("change", () => this.#go(), { signal });
    this.#scrub = new Scrub(options);
    this.el = h(
      "div",
      { class: "nbm-playbar", role: "group", "aria-label": "Playback" },
      h("div", { class: "nbm-transport" }, start, back, this.#play, on, end),
      h("div", { class: "nbm-playset" }, this.#speed, this.#loop, this.#smooth, this.#live),
      h(
        "div",
        { class: "nbm-now", "data-readout": "snapshot" },
        h("span", {}, "STEP "),
        this.#step,
        this.#phase,
        this.#about,
      ),
      h("label", { class: "nbm-goto" }, "go to ", this.#jump),
      this.#scrub.el,
    );
  }

  #go(): void {
    const text = this.#jump.value.trim();
    if (text !== "" && Number.isFinite(Number(text))) {
      this.#options.player.pause();
      this.#options.player.seek(Number(text));
    }
    this.#jump.value = "";
  }

  /** Paint; what it returns changes the document. */
  paint(): () => void {
    const told = this.#scrub.paint();
    return () => {
      told();
      this.#tell();
    };
  }

  #tell(): void {
    const { player, about, phase } = this.#options;
    const n = player.steps.length;
    const title = player.playing ? "Pause (space)" : "Play (space)";
    if (this.#play.title !== title) {
      this.#play.title = title;
      setAttr(this.#play, "aria-label", title);
      this.#play.replaceChildren(icon(player.playing ? "pause" : "play"));
    }
    setAttr(this.#play, "aria-pressed", String(player.playing));
    setAttr(this.#loop, "aria-pressed", String(player.loop));
    setAttr(this.#smooth, "aria-pressed", String(player.smooth));
    setAttr(this.#live, "aria-pressed", String(player.following));
    for (const el of this.el.querySelectorAll<HTMLButtonElement>(".nbm-transport > button")) {
      el.disabled = n < 2;
    }
    setText(this.#step, n > 0 ? grouped(Math.round(player.step)) : "–");
    const name = n > 0 ? phase(player.step) : "";
    this.#phase.hidden = name === "";
    setText(this.#phase, name);
    setAttr(this.#phase, "data-explain", name ? `phase:${name}` : null);
    const { a, t } = player.span;
    const place = n === 0 ? "" : `snapshot ${a + 1}${t > 0 ? `–${a + 2}` : ""} of ${n}`;
    setText(this.#about, dotted(place, about()));
  }
}
