/**
 * The column beside the stage: how it is drawn, what of it is shown, its tokens and matrices. Puts
 * four boxes together and tells them what there is; owns nothing that is chosen.
 */

import { h } from "../view";
import type { Asked } from "./ask";
import type { Chosen } from "./chosen";
import type { Film } from "./film";
import { FilterBox, type FilterBoxOptions } from "./filterbox";
import { thresholdOf } from "./filters";
import { GroupBox } from "./groupbox";
import { LookBox, type LookBoxOptions } from "./lookbox";
import { MatrixBox, type MatrixBoxOptions } from "./matrixbox";
import type { MatrixMeta, ParametersMeta, Stage } from "./stage";
import { TokenBox, type TokenBoxOptions } from "./tokenbox";
import { basisText } from "./words";

const NO_STATS = new Float32Array(0);

export interface SideOptions {
  readonly look: LookBoxOptions;
  readonly filters: FilterBoxOptions;
  readonly tokens: TokenBoxOptions;
  readonly matrices: MatrixBoxOptions;
}

export interface SideState {
  readonly film: Film;
  readonly chosen: Chosen;
  readonly visible: ReadonlySet<number>;
  readonly matrix: MatrixMeta | null;
  readonly stage: Pick<Stage, "name" | "why">;
  /** How asking for one set of axes stands. */
  readonly asked: Asked | undefined;
}

export class Side {
  readonly el: HTMLElement;
  readonly #look: LookBox;
  readonly #filters: FilterBox;
  readonly #tokens: TokenBox;
  readonly #matrices: MatrixBox;
  readonly #groups = new GroupBox();
  readonly #hues: () => readonly string[];
  #meta: ParametersMeta | null = null;

  constructor(options: SideOptions) {
    this.#look = new LookBox(options.look);
    this.#filters = new FilterBox(options.filters);
    this.#tokens = new TokenBox(options.tokens);
    this.#matrices = new MatrixBox(options.matrices);
    this.#hues = options.tokens.hues;
    this.#look.el.append(this.#groups.el);
    const boxes = [this.#look, this.#filters, this.#tokens, this.#matrices];
    this.el = h("div", { class: "nbm-side" }, ...boxes.map(({ el }) => el));
  }

  setMeta(meta: ParametersMeta): void {
    this.#meta = meta;
    this.#filters.setMeta(meta);
    this.#tokens.setMeta(meta);
    this.#matrices.setMeta(meta);
  }

  show({ film, chosen, visible, matrix, stage, asked }: SideState): void {
    const { basis, trails, shown } = film;
    const frame = shown?.a ?? null;
    const value = frame ? thresholdOf(chosen.filters, frame, visible) : 0;
    this.#filters.show(frame?.stats ?? NO_STATS, visible.size, value);
    this.#tokens.show(frame, chosen.selected, trails.tokens);
    this.#matrices.show(frame, matrix);
    const coloured = chosen.choices.colourBy === "cluster" && frame?.tokens;
    this.#groups.show(coloured ? film.groups : null, this.#meta, this.#hues());
    this.#look.show({
      ...chosen.choices,
      stage: stage.name,
      why: stage.why,
      fixed: film.fixed && basis !== null,
      basis: basisText(basis, asked),
      hasTokens: frame?.tokens != null,
      hasPositions: frame?.positions != null,
      has: (by) => (by === "cluster" ? frame?.tokens != null : frame?.[by] != null),
    });
  }
}
