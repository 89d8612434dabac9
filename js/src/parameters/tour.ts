/**
 * The guided tour: its stops as data, and a pure machine that goes through them. What a stop asks
 * for (a flight, kinds to show, a moment to go to) is carried out by whoever holds the stage and the
 * player. A stop whose subject this model doesn't have is left out.
 */

import { KINDS, PHASES } from "./explain";
import type { FlyTarget, Kind, Look, ParametersMeta } from "./stage";

/** What one stop wants to be seen. */
export interface Stop {
  readonly id: "start" | "embeddings" | "positions" | "attention" | "mlp" | "adapters" | "phases";
  readonly title: string;
  readonly text: string;
  readonly fly: FlyTarget;
  /** Kinds of matrices to show; null for all. */
  readonly kinds: readonly Kind[] | null;
  readonly look: Partial<Pick<Look, "colourBy" | "showTokens" | "showPositions" | "shared">>;
  /** The moment to go to, 0 the first and 1 the last; null to stay. */
  readonly moment: number | null;
  /** Whether playback runs from there. */
  readonly play: boolean;
}

export type TourState =
  | { readonly name: "idle" }
  | { readonly name: "at"; readonly index: number }
  | { readonly name: "done" };

export type TourAction = "begin" | "next" | "back" | "leave";

export const IDLE: TourState = { name: "idle" };

const has = (meta: ParametersMeta, ...kinds: Kind[]) =>
  meta.matrices.some((matrix) => matrix.heat !== null && kinds.includes(matrix.kind));

/** The first and a middle layer that hold a kind: attention is looked at early, MLPs in the middle. */
function layersWith(meta: ParametersMeta, kinds: readonly Kind[]): number[] {
  const layers = new Set<number>();
  for (const { layer, kind, heat } of meta.matrices) {
    if (layer !== null && heat && kinds.includes(kind)) layers.add(layer);
  }
  return [...layers].sort((a, b) => a - b);
}

/** The stops for this model, `snapshots` of which are there to be played back. */
export function stopsOf(meta: ParametersMeta, snapshots: number): Stop[] {
  const stops: Stop[] = [];
  const add = (stop: Partial<Stop> & Pick<Stop, "id" | "title" | "text">) =>
    stops.push({ fly: "reset", kinds: null, look: {}, moment: null, play: false, ...stop });
  // What has been learnt is seen in the newest; the beginning and the end of the tour go back.
  const newest = snapshots > 0 ? 1 : null;
  const alone = { shared: false, showTokens: false, showPositions: false };
  const parts = [
    meta.tokens ? "a point for each token" : "",
    meta.matrices.some((matrix) => matrix.heat) ? "a picture for each matrix" : "",
  ].filter(Boolean);
  add({
    id: "start",
    title: "What is shown",
    text: `${meta.model}: ${parts.join(", ") || "no parameters that could be shown"}. Each cell of a picture stands for a block of weights; the legend tells which colour is strong. No full copy of the model is kept: small snapshots are taken now and then while training, and played back.`,
    look: { showTokens: meta.tokens !== null, showPositions: meta.positions !== null },
    moment: 0,
  });
  if (meta.tokens) {
    add({
      id: "embeddings",
      title: KINDS.embedding.title,
      text: `${KINDS.embedding.text} ${KINDS.embedding.healthy}`,
      kinds: ["embedding"],
      moment: newest,
      fly: { token: pinnedToken(meta) },
      look: { colourBy: "norm", showTokens: true, showPositions: false },
    });
  }
  if (meta.positions) {
    add({
      id: "positions",
      title: KINDS.position.title,
      text: `${KINDS.position.text} ${KINDS.position.healthy}`,
      kinds: ["position"],
      moment: newest,
      look: { showTokens: false, showPositions: true },
    });
  }
  if (has(meta, "attention")) {
    const layer = layersWith(meta, ["attention"])[0];
    add({
      id: "attention",
      title: KINDS.attention.title,
      text: `${KINDS.attention.text} ${KINDS.attention.healthy}`,
      kinds: ["attention"],
      moment: newest,
      fly: layer === undefined ? "reset" : { layer },
      look: alone,
    });
  }
  if (has(meta, "mlp", "expert")) {
    const kind = has(meta, "mlp") ? "mlp" : "expert";
    const layers = layersWith(meta, ["mlp", "expert"]);
    const layer = layers[layers.length >> 1];
    add({
      id: "mlp",
      title: KINDS[kind].title,
      text: `${KINDS[kind].text} ${KINDS[kind].healthy}`,
      kinds: ["mlp", "expert"],
      moment: newest,
      fly: layer === undefined ? "reset" : { layer },
      look: alone,
    });
  }
  if (has(meta, "lora")) {
    add({
      id: "adapters",
      title: KINDS.lora.title,
      text: `${KINDS.lora.text} ${KINDS.lora.healthy}`,
      kinds: ["lora"],
      moment: newest,
      look: alone,
    });
  }
  add({
    id: "phases",
    title: "Phases of the training",
    text:
      snapshots > 1
        ? `${PHASES["rapid learning"].text} ${PHASES.refinement.text} Watch it from the first of ${snapshots} snapshots; move over the loss curve to see what the weights did there.`
        : "Playback needs at least two snapshots; the next one is on its way if training goes on.",
    look: {
      showTokens: meta.tokens !== null,
      showPositions: meta.positions !== null,
      shared: true,
    },
    moment: snapshots > 1 ? 0 : null,
    play: snapshots > 1,
  });
  return stops;
}

/** A token worth looking at: the first whole word of the sample, else the first token. */
function pinnedToken({ tokens }: ParametersMeta): number {
  const word = tokens?.strata_names.indexOf("word") ?? -1;
  return Math.max(0, word < 0 ? 0 : (tokens?.strata.indexOf(word) ?? 0));
}

/** Where an action leads; `count` stops. */
export function toured(state: TourState, action: TourAction, count: number): TourState {
  if (action === "leave") return IDLE;
  if (action === "begin") return count > 0 ? { name: "at", index: 0 } : { name: "done" };
  if (state.name !== "at") return state;
  if (action === "back") return { name: "at", index: Math.max(0, state.index - 1) };
  return state.index + 1 < count ? { name: "at", index: state.index + 1 } : { name: "done" };
}

/** The stop that a state stands at, or null; stops may have changed since. */
export function stopAt(state: TourState, stops: readonly Stop[]): Stop | null {
  return state.name === "at" ? (stops[state.index] ?? null) : null;
}

/** What one can look at from a stop: ids of the matrices of its kinds. */
export function visibleAt(stop: Stop, meta: ParametersMeta): Set<number> {
  const { kinds } = stop;
  const shown = meta.matrices.filter((matrix) => kinds === null || kinds.includes(matrix.kind));
  return new Set(shown.map((matrix) => matrix.id));
}
