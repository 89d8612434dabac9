/** The guided tour's card: what a stop says, and the way to the next. Where it leads is `tour.ts`'s matter. */

import { button, h, setAttr, setText } from "../view";
import { IDLE, type Stop, stopAt, type TourAction, type TourState, toured } from "./tour";

export interface TourBoxOptions {
  /** The stops that there are now; asked for when the tour begins. */
  readonly stops: () => readonly Stop[];
  /** Show what a stop wants to be seen; null when the tour is over. */
  readonly visit: (stop: Stop | null) => void;
  readonly signal: AbortSignal;
}

export class TourBox {
  readonly el = h("section", { class: "nbm-tour", "aria-label": "Guided tour", hidden: true });
  /** The button that begins it. */
  readonly begin: HTMLButtonElement;
  readonly #options: TourBoxOptions;
  readonly #title = h("b");
  readonly #count = h("span", { class: "nbm-tour-count" });
  readonly #text = h("p", { "aria-live": "polite" });
  readonly #back: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  #state: TourState = IDLE;
  #stops: readonly Stop[] = [];

  constructor(options: TourBoxOptions) {
    this.#options = options;
    const { signal } = options;
    const make = (id: string, text: string, title: string, action: TourAction) =>
      button(id, text, title, () => this.#act(action), signal);
    this.begin = make("tour", "TOUR", "A guided tour of what is shown here", "begin");
    this.#back = make("tour-back", "BACK", "To the stop before", "back");
    this.#next = make("tour-next", "NEXT", "To the next stop", "next");
    const leave = make("tour-leave", "LEAVE", "End the tour", "leave");
    this.el.append(
      h("header", {}, this.#title, this.#count),
      this.#text,
      h("footer", {}, this.#back, this.#next, leave),
    );
    this.el.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape") return;
        this.#act("leave");
        event.stopPropagation();
      },
      { signal },
    );
  }

  #act(action: TourAction): void {
    const before = this.#state;
    if (action === "begin") this.#stops = this.#options.stops();
    this.#state = toured(before, action, this.#stops.length);
    if (this.#state === before) return;
    const stop = stopAt(this.#state, this.#stops);
    this.el.hidden = stop === null;
    if (stop) this.#tell(stop);
    if (stop || before.name === "at") this.#options.visit(stop);
    if (action === "begin" && stop) this.#next.focus({ preventScroll: true });
    if (!stop && before.name === "at") this.begin.focus({ preventScroll: true });
  }

  #tell(stop: Stop): void {
    const index = this.#state.name === "at" ? this.#state.index : 0;
    const last = index + 1 === this.#stops.length;
    setText(this.#title, stop.title);
    setText(this.#count, `${index + 1} of ${this.#stops.length}`);
    setText(this.#text, stop.text);
    setText(this.#next, last ? "END" : "NEXT");
    setAttr(this.#next, "title", last ? "End the tour" : "To the next stop");
    this.#back.disabled = index === 0;
  }
}
