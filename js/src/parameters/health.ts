/** The card of units: those that are dead, those that explode, and how many were looked at. */

import { counted, grouped, short } from "../format";
import { h, setAttr, setText } from "../view";
import { type Card, type CardOptions, cardOf, type Seen } from "./card";
import { unit } from "./change";
import { type Ranked, Ranking } from "./ranking";

const MOST = 6;

export interface Health {
  /** Units that were looked at, and matrices that have them. */
  readonly sampled: number;
  readonly matrices: number;
  readonly dead: number;
  readonly exploding: number;
  /** Matrices with such units, the worst first. */
  readonly found: readonly Ranked[];
  /** Matrices by how far their largest unit is from the others, most first. */
  readonly largest: readonly Ranked[];
}

/** What is known of the units at a moment; null if nothing is. */
export function healthOf({ meta, change }: Pick<Seen, "meta" | "change">): Health | null {
  const sums = { sampled: 0, matrices: 0, dead: 0, exploding: 0 };
  const found: (Ranked & { worst: number })[] = [];
  const largest: (Ranked & { worst: number })[] = [];
  for (const [row, matrix] of meta.matrices.entries()) {
    const of = (column: Parameters<typeof unit>[2]) => unit(change, row, column) || 0;
    const [sampled, dead, exploding] = [of("sampled"), of("dead"), of("exploding")];
    if (sampled === 0) continue;
    sums.sampled += sampled;
    sums.matrices++;
    sums.dead += dead;
    sums.exploding += exploding;
    const text = [exploding > 0 && `${exploding} expl.`, dead > 0 && `${dead} dead`];
    const far = unit(change, row, "largest");
    const of64 = `of ${sampled} sampled units, ${dead} dead and ${exploding} exploding`;
    const which = `unit ${grouped(of("unit"))} is ${short(far)} × the median unit`;
    const title = of64 + (exploding > 0 ? `; ${which}` : "");
    const top = { matrix, part: 0, text: `${short(far)} ×`, title: which, worst: far };
    if (far > 0) largest.push(top);
    const [part, worst] = [(dead + exploding) / sampled, exploding * 1e6 + dead];
    if (worst > 0) found.push({ matrix, part, text: text.filter(Boolean).join(" "), title, worst });
  }
  for (const list of [found, largest]) list.sort((a, b) => b.worst - a.worst);
  const most = largest[0]?.worst ?? 1;
  const parts = largest.map((one) => ({ ...one, part: one.worst === most ? 1 : one.worst / most }));
  return sums.sampled > 0 ? { ...sums, found, largest: parts } : null;
}

export class HealthBox implements Card {
  readonly el: HTMLElement;
  readonly #dead = h("b");
  readonly #exploding = h("b");
  readonly #told = h("p", { class: "nbm-side-note", "data-readout": "units" });
  readonly #numbers: HTMLElement;
  readonly #list: Ranking;
  readonly #head = h("h4", { class: "nbm-sidehead" });
  readonly #more = h("p", { class: "nbm-side-note" });

  constructor(options: CardOptions) {
    this.#list = new Ranking("unit", MOST, options.choose, options.signal);
    this.#numbers = h(
      "div",
      { class: "nbm-numbers" },
      h("span", {}, this.#dead, "dead"),
      h("span", {}, this.#exploding, "exploding"),
    );
    const side = h("span", { class: "nbm-side-note" }, "sampled");
    const parts = [this.#numbers, this.#told, this.#head, this.#list.el, this.#more];
    this.el = cardOf("units", "Units", side, ...parts);
  }

  repaint(): void {}

  show(seen: Seen): void {
    const health = healthOf(seen);
    this.#numbers.hidden = !health;
    for (const [el, count] of [
      [this.#dead, health?.dead ?? 0],
      [this.#exploding, health?.exploding ?? 0],
    ] as const) {
      setText(el, counted(count));
      setAttr(el, "data-tone", count > 0 ? "bad" : "good");
    }
    const found = health?.found ?? [];
    this.#list.show((found.length > 0 ? found : (health?.largest ?? [])).slice(0, MOST));
    const more = found.length - MOST;
    setText(this.#more, more > 0 ? `and in ${more} more` : "");
    setText(this.#head, found.length > 0 ? "found in" : "largest, against the median");
    this.#head.hidden = !health;
    const { sampled = 0, matrices = 0 } = health ?? {};
    const among = `among ${grouped(sampled)} sampled units of ${matrices} matrices`;
    const whole = found.length > 0 ? among : `none found ${among}`;
    setText(this.#told, health ? whole : seen.why);
  }
}
