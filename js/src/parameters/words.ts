/** What the Parameters tab says of itself: why there is nothing, what is shown. Pure. */

import { dotted, grouped } from "../format";
import type { Link, Live } from "../model";
import type { RunEvent } from "../wire.gen";
import type { Asked } from "./ask";
import type { Basis } from "./basis";
import type { Player } from "./player";
import type { Frame, Snapshots } from "./reel";
import type { ParametersMeta } from "./stage";

/** Read the tensor `parameters/meta`; null where it is no such thing. */
export function readMeta(data: unknown): ParametersMeta | null {
  if (!(data instanceof Uint8Array)) return null;
  try {
    const meta = JSON.parse(new TextDecoder().decode(data)) as ParametersMeta;
    if (!Array.isArray(meta.matrices) || !Array.isArray(meta.layers)) return null;
    const { tokens } = meta;
    // Without a tokenizer nobody knows texts; a number is a name, too.
    const texts = tokens?.texts.map((text, i) => text || `#${tokens.ids[i] ?? i}`);
    return tokens && texts ? { ...meta, tokens: { ...tokens, texts } } : meta;
  } catch {
    return null;
  }
}

const alone = (link: Link["state"]) => link === "saved" || link === "lost";

/** Why there is not a single snapshot; `empty` is what the panel's declaration says. */
export function emptyText(state: string, link: Link["state"], empty?: unknown): string {
  if (state === "waiting") {
    return "waiting for the first step: that is when the first snapshot of the parameters is taken";
  }
  if (alone(link)) {
    return "this copy of the run holds no snapshots of its parameters; the run file may: open_run(path)";
  }
  if (state === "running" || state === "paused") {
    return String(empty ?? "waiting for the first snapshot of the parameters");
  }
  return "no snapshot of the parameters was taken in this run";
}

export interface About {
  reason: string;
  between: boolean;
  newest: boolean;
  /** Snapshots that were taken and are not here. */
  lacking: number;
  link: Link["state"];
  /** Why the snapshot can't be shown, or "". */
  trouble: string;
}

/** What is said beside the number of a snapshot. */
export function aboutText({ reason, between, newest, lacking, link, trouble }: About): string {
  const where = alone(link) ? "in the run file only" : "not on this page";
  return dotted(
    between ? "interpolated" : reason !== "cadence" && reason,
    newest && "newest",
    lacking > 0 && `${grouped(lacking)} more ${where}`,
    trouble && `cannot be read: ${trouble}`,
  );
}

/** The same of the snapshot that playback stands at. */
export function aboutShown(
  snapshots: Snapshots,
  { span, steps, following }: Player,
  live: Pick<Live, "get" | "link">,
): string {
  const step = steps[span.a] as number;
  return aboutText({
    reason: String(snapshots.meta(step).reason ?? ""),
    between: span.t > 0,
    newest: following && live.get("status").state === "running",
    lacking: snapshots.taken - snapshots.steps.length,
    link: live.link.state,
    trouble: snapshots.trouble(step),
  });
}

/** Short facts for the head of the panel. */
export function factsText(
  { tokens }: ParametersMeta,
  frame: Frame | null,
  basis: Basis | null,
): string[] {
  const explained = frame?.explained.reduce((sum, part) => sum + part, 0) ?? 0;
  const axes = frame?.basis != null ? `axes of step ${grouped(frame.basis)}` : "3 axes";
  const estimate = frame?.basis != null && basis?.estimate ? " (estimate)" : "";
  return [
    tokens && `${grouped(tokens.count)} of ${grouped(tokens.vocabulary)} tokens × ${tokens.width}`,
    explained > 0 && `${axes} show ${Math.round(100 * explained)} % of the variance${estimate}`,
    frame?.coarse && "coarse, to fit into a small file",
  ].filter((text): text is string => typeof text === "string");
}

/** Name of the phase of the training that a step lies in, as far as it was told; "" if it wasn't. */
export function phaseAt(events: readonly RunEvent[], step: number): string {
  let found = "";
  let from = Number.NEGATIVE_INFINITY;
  for (const { kind, step: told, data } of events) {
    if (kind !== "phase" || typeof data.name !== "string") continue;
    const start = typeof data.from === "number" ? data.from : told;
    if (start > step || start < from) continue;
    [found, from] = [data.name, start];
  }
  return found;
}

/** What is to be said of showing all snapshots along one set of axes, or "". */
export function basisText(basis: Basis | null, asked: Asked | undefined): string {
  if (asked && asked.state !== "done") return `one basis: ${asked.note}`;
  return basis ? `one basis: that of step ${grouped(basis.step)}` : "";
}
