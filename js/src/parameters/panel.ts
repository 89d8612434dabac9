/**
 * The Parameters tab put together: what is known, where playback is, what is chosen, and who
 * draws. Owns the order of things in a frame; each part knows only its own.
 */

import { h, keepKeys, onResize, setAttr, setText, type ViewContext } from "../view";
import { showAids } from "./aid";
import { Asker } from "./ask";
import { Bar } from "./bar";
import { VIEW_KEY } from "./basis";
import { Beside } from "./beside";
import { atFirst, type Chosen, chosenAt } from "./chosen";
import { explainIn } from "./explainer";
import { Film, type Shot } from "./film";
import { thresholdOf, visibleIds } from "./filters";
import { Insights } from "./insights";
import { Magnified } from "./magnified";
import { Player } from "./player";
import type { Frame } from "./reel";
import { Side } from "./side";
import type { Look, MatrixMeta, ParametersMeta, Picked } from "./stage";
import { Stages } from "./stages";
import { MOST_TRAILS } from "./tokenbox";
import { type Stop, stopsOf } from "./tour";
import { TourBox } from "./tourbox";
import { aboutShown, emptyText, factsText, phaseAt, readMeta } from "./words";

export const META_KEY = "parameters/meta";

/** The most time that one frame may take of playback: after a stall it goes on from where it was. */
const LONGEST_MS = 200;

export class ParametersPanel {
  readonly #ctx: ViewContext;
  readonly #stageBox = h("div", { class: "nbm-stagebox" });
  readonly #facts = h("div", { class: "nbm-legend", "data-readout": "parameters" });
  readonly #empty = h("div", { class: "nbm-empty" });
  readonly #body: HTMLElement;
  readonly #player: Player;
  readonly #film: Film;
  readonly #stages: Stages;
  readonly #bar: Bar;
  readonly #side: Side;
  readonly #insights: Insights;
  readonly #magnified: Magnified;
  readonly #asker: Asker;
  readonly #tour: TourBox;
  readonly #dirty: () => void;
  readonly #beside: Beside;
  #meta: ParametersMeta | null = null;
  #metaBytes: unknown = null;
  #chosen: Chosen = atFirst(null);
  #matrix: MatrixMeta | null = null;
  #hovered: MatrixMeta | null = null;
  #visible: ReadonlySet<number> = new Set();
  #last = 0;
  #moving = false;
  /** What the stage was given last. */
  #drawn: readonly unknown[] = [];
  /** What was chosen before the tour began, and the step; null where the newest was followed. */
  #before: { chosen: Chosen; step: number | null } | null = null;
  /** The cursor is being set or followed from here. */
  #telling = false;
  /** Whether playback has put the charts' cursor where it is. */
  #led = false;

  constructor(el: HTMLElement, ctx: ViewContext) {
    this.#ctx = ctx;
    const { live, ui, signal, loop, palette } = ctx;
    let dirty = () => {};
    this.#dirty = () => dirty();
    const calm = window.matchMedia?.("(prefers-reduced-motion: reduce)").matches === true;
    this.#player = new Player(() => this.#moved(), !calm);
    this.#film = new Film(live.store, () => {
      // One basis for all, once it is unpacked, may have fewer of them.
      this.#player.setSteps(this.#film.steps);
      this.#dirty();
    });
    this.#stages = new Stages(
      {
        el: this.#stageBox,
        palette,
        loop,
        signal,
        parts: () => live.scene?.() ?? null,
        hovered: (picked) => this.#hover(picked),
        turned: (view) => this.#beside.turned(view),
        chosen: (picked) => this.#choose(picked),
        changed: this.#dirty,
      },
      live.scene ? "scene" : "flat",
    );
    this.#beside = new Beside(this.#player, (view) => this.#stages.stand(view), ui, signal);
    this.#bar = new Bar({
      player: this.#player,
      palette,
      reason: (step) => String(this.#film.snapshots.meta(step).reason ?? ""),
      loss: () => live.store.series("train/loss"),
      about: () => aboutShown(this.#film.snapshots, this.#player, live),
      phase: (step) => phaseAt(live.store.events, step),
      dirty: this.#dirty,
      signal,
    });
    const asker = new Asker(live, this.#dirty, signal);
    this.#asker = asker;
    this.#magnified = new Magnified({ live, asker, palette, dirty: this.#dirty, signal });
    this.#tour = new TourBox({
      stops: () => (this.#meta ? stopsOf(this.#meta, this.#player.steps.length) : []),
      visit: (stop) => this.#visit(stop),
      signal,
    });
    this.#side = new Side({
      look: {
        choose: (change) => this.#change({ choices: { ...this.#chosen.choices, ...change } }),
        stage: (wanted) => {
          this.#stages.want(wanted);
          dirty();
        },
        fix: (on) => {
          this.#film.fixed = on;
          if (on && this.#film.stale) asker.ask(VIEW_KEY);
          this.#player.setSteps(this.#film.steps);
          dirty();
        },
        reset: () => this.#stages.flyTo("reset"),
        signal,
      },
      filters: {
        get: () => this.#chosen.filters,
        set: (filters) => this.#change({ filters }),
        palette,
        signal,
      },
      tokens: {
        select: (token) => this.#select(token),
        trail: (token) => this.#trail(token),
        hues: () => palette().hues,
        signal,
      },
      matrices: {
        choose: (matrix) => this.#goTo(matrix),
        ask: (matrix) => this.#magnified.ask(matrix),
        answer: (matrix) => this.#magnified.answer(matrix),
        visible: (id) => this.#visible.has(id),
        signal,
      },
    });
    this.#insights = new Insights({
      store: live.store,
      loop,
      palette,
      choose: (matrix) => this.#goTo(matrix),
      changed: this.#dirty,
      signal,
    });
    const parts = [this.#stageBox, this.#bar.el, this.#side.el, this.#insights.el];
    this.#body = h("div", { class: "nbm-parameters", hidden: true }, ...parts);
    this.#stageBox.append(this.#magnified.el, this.#tour.el);
    ctx.tools.append(this.#tour.begin);
    keepKeys(this.#body, signal);
    explainIn(this.#body, signal);
    showAids(this.#body, signal);
    ctx.tools.before(this.#facts);
    el.append(this.#empty, this.#body);
    const painted = loop.add(el, (now) => this.#paint(now), signal);
    dirty = painted.dirty;
    onResize(this.#stageBox, (w, hgt) => this.#resized(w, hgt), signal);
    live.store.onChange(() => this.#received(), signal);
    live.onTrait("status", dirty, signal);
    live.onLink(dirty, signal);
    ui.on("look", dirty, signal);
    ui.on("range", dirty, signal);
    ui.on("cursor", () => this.#pointed(), signal);
    this.#received();
  }

  // ------------------------------------------------------------------ what comes in

  #received(): void {
    const { store } = this.#ctx.live;
    const data = store.tensor(META_KEY)?.data;
    if (data !== this.#metaBytes) {
      this.#metaBytes = data;
      this.#setMeta(readMeta(data));
    }
    this.#film.refresh();
    this.#player.setSteps(this.#film.steps);
    this.#dirty();
  }

  #setMeta(meta: ParametersMeta | null): void {
    this.#meta = meta;
    this.#film.reset(meta?.tokens?.count ?? 0);
    this.#matrix = this.#hovered = null;
    if (!meta) return;
    this.#chosen = atFirst(meta);
    this.#stages.setMeta(meta);
    this.#side.setMeta(meta);
    this.#insights.setMeta(meta);
  }

  /** The cursor of the charts moved: go to its step. Where it leaves, playback stays. */
  #pointed(): void {
    const cursor = this.#ctx.ui.get("cursor");
    if (this.#telling || cursor === null) return;
    this.#telling = true;
    this.#player.seek(Math.round(cursor));
    this.#telling = false;
  }

  /** Playback moved: the charts' cursor goes with it, unless it was the one that moved it. */
  #moved(): void {
    this.#dirty();
    this.#beside.moved();
    const { ui } = this.#ctx;
    const { following, steps } = this.#player;
    if (this.#telling || steps.length === 0) return;
    const step = following ? null : Math.round(this.#player.step);
    // The newest has no crosshair; one that was put elsewhere by others is theirs.
    if (step === null && !this.#led) return;
    this.#led = step !== null;
    this.#telling = true;
    ui.set("cursor", step);
    this.#telling = false;
  }

  #resized(width: number, height: number): void {
    this.#stages.resize(Math.floor(width), Math.floor(height));
    this.#drawn = [];
    this.#dirty();
  }

  // ------------------------------------------------------------------ what is chosen

  #change(change: Partial<Chosen>): void {
    this.#chosen = { ...this.#chosen, ...change };
    this.#dirty();
  }

  #hover(picked: Picked | null): void {
    const matrix = picked?.kind === "plane" ? this.#matrixOf(picked.matrix) : null;
    if (matrix === this.#hovered) return;
    this.#hovered = matrix;
    this.#dirty();
  }

  #matrixOf(id: number): MatrixMeta | null {
    return this.#meta?.matrices.find((m) => m.id === id) ?? null;
  }

  #choose(picked: Picked | null): void {
    if (picked?.kind === "token") {
      const selected = picked.index === this.#chosen.selected ? null : picked.index;
      this.#change({ selected });
    } else if (picked?.kind === "plane") this.#matrix = this.#matrixOf(picked.matrix);
    else {
      this.#change({ selected: null });
      this.#matrix = null;
    }
    this.#dirty();
  }

  #select(token: number | null): void {
    this.#change({ selected: token });
    if (token !== null) this.#stages.flyTo({ token });
  }

  #trail(token: number): void {
    const { trails } = this.#film;
    const now = trails.tokens;
    const next = now.includes(token) ? now.filter((t) => t !== token) : [...now, token];
    trails.follow(next.slice(-MOST_TRAILS));
    this.#dirty();
  }

  #goTo(matrix: MatrixMeta): void {
    this.#matrix = matrix;
    if (matrix.layer !== null) this.#stages.flyTo({ layer: matrix.layer });
    this.#dirty();
  }

  /** Go where a stop of the tour leads; null ends it, and gives back what was before. */
  #visit(stop: Stop | null): void {
    if (!this.#meta) return;
    const player = this.#player;
    this.#before ??= { chosen: this.#chosen, step: player.following ? null : player.step };
    if (stop) {
      this.#chosen = chosenAt(stop, this.#meta, this.#chosen);
      if (stop.moment !== null) player.seekIndex(stop.moment * (player.steps.length - 1));
      if (stop.play) player.play();
    } else {
      const { chosen, step } = this.#before;
      this.#before = null;
      this.#chosen = chosen;
      player.pause();
      if (step === null) player.follow();
      else player.seek(step);
    }
    this.#stages.flyTo(stop?.fly ?? "reset");
    this.#dirty();
  }

  // ------------------------------------------------------------------ a frame

  #paint(now: number): () => void {
    const player = this.#player;
    // What moves by itself is painted frame after frame; before that, no time has passed for it.
    if (this.#moving) player.tick(Math.min(now - this.#last, LONGEST_MS));
    this.#last = now;
    this.#moving = player.moving;
    if (player.moving) this.#dirty();
    const meta = this.#meta;
    const shot = meta && this.#film.shot(player.span, player.moving);
    if (meta && shot) {
      this.#draw(meta, shot);
    }
    const told = meta && player.steps.length > 0 ? this.#bar.paint() : null;
    const magnified = this.#magnified.paint();
    return () => {
      told?.();
      magnified?.();
      this.#tell();
    };
  }

  /** Give the stage what is to be seen, unless it has just that: news of the run come often. */
  #draw(meta: ParametersMeta, { a, b, t }: Shot): void {
    const { trails } = this.#film;
    const lines = trails.lines(this.#player.step);
    const points = [...lines.values()].reduce((sum, line) => sum + line.length, 0);
    const palette = this.#ctx.palette();
    const now = [a, b, t, this.#chosen, trails.tokens, points, palette, this.#stages.taken];
    if (now.every((v, i) => v === this.#drawn[i])) return;
    this.#drawn = now;
    this.#visible = visibleIds(meta, this.#chosen.filters, (t < 0.5 ? a : b).stats);
    this.#stages.setTrails(lines);
    this.#stages.frame(a, b, t, this.#lookOf(a));
  }

  #lookOf(frame: Frame): Look {
    return {
      ...this.#chosen.choices,
      visible: this.#visible,
      threshold: thresholdOf(this.#chosen.filters, frame, this.#visible),
      trails: this.#film.trails.tokens,
      selected: this.#chosen.selected,
    };
  }

  // ------------------------------------------------------------------ what is said

  #tell(): void {
    const { live, spec } = this.#ctx;
    const meta = this.#player.steps.length > 0 ? this.#meta : null;
    this.#empty.hidden = meta !== null;
    this.#body.hidden = this.#facts.hidden = meta === null;
    if (!meta) {
      setText(
        this.#empty,
        emptyText(live.get("status").state, live.link.state, spec.options.empty),
      );
      return;
    }
    const { basis, shown } = this.#film;
    const frame = shown?.a ?? null;
    this.#side.show({
      film: this.#film,
      chosen: this.#chosen,
      visible: this.#visible,
      matrix: this.#hovered ?? this.#matrix,
      stage: this.#stages,
      asked: this.#asker.of(VIEW_KEY),
    });
    const running = this.#player.following && live.get("status").state === "running";
    const alive = running && live.link.state === "live";
    this.#insights.paint(shown, this.#player.moving || alive, this.#ctx.palette());
    const facts = factsText(meta, frame, basis);
    if (this.#facts.textContent !== facts.join("")) {
      this.#facts.replaceChildren(...facts.map((text) => h("span", {}, text)));
    }
    setAttr(this.#stageBox, "data-step", frame ? String(frame.step) : null);
  }
}
