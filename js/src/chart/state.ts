/**
 * What was judged of a fixed evaluation, as short facts under its chart. Pure.
 *
 * The charts of an area show the tensor `<area>/state` beside its series, where there is one.
 */

import { duration, grouped, short, withUnit } from "../format";
import type { Store } from "../store";

interface Trend {
  state?: string;
  since?: number | null;
  p?: number | null;
  test?: string;
}

interface State {
  n?: number;
  exact_match?: number | null;
  low?: number | null;
  high?: number | null;
  cross_entropy?: number | null;
  best?: { step: number; exact_match: number; checkpoint?: string | null } | null;
  trend?: Record<string, Trend | undefined>;
  drift?: { rise: number | null; best_ece: number } | null;
  seconds?: number | null;
  share_of_training?: number | null;
}

export interface Fact {
  text: string;
  tone: "good" | "warn" | "";
  title: string;
}

const known = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);
const TONES: Record<string, Fact["tone"]> = {
  improving: "good",
  plateau: "warn",
  regressing: "warn",
};

function trendFact({ state, since, p, test }: Trend): Fact | null {
  if (!state) return null;
  const from = known(since) ? ` since step ${grouped(since)}` : "";
  const sure = known(p) ? `p = ${short(p)}` : "";
  const title = [test, sure].filter(Boolean).join(", ");
  const text = state === "too early" ? "too early for a trend" : `${state}${from}`;
  return { text, tone: TONES[state] ?? "", title };
}

/** Facts of a chart of `keys`, [] where nothing was judged. */
export function factsOf(store: Store, keys: readonly string[]): Fact[] {
  const area = keys[0]?.split("/")[0] ?? "";
  const state = store.tensor(`${area}/state`)?.meta as State | undefined;
  if (!state) return [];
  // A chart of the loss has the trend of the loss; one of matches theirs, and what follows from it.
  const loss = keys.includes(`${area}/cross_entropy`) && !keys.includes(`${area}/exact_match`);
  const out: Fact[] = [];
  const add = (text: string, title = "", tone: Fact["tone"] = "") =>
    out.push({ text, title, tone });
  if (!loss && known(state.exact_match)) {
    const range =
      known(state.low) && known(state.high)
        ? ` (${Math.round(state.low * 100)}–${Math.round(state.high * 100)})`
        : "";
    const n = known(state.n) ? `, n ${grouped(state.n)}` : "";
    add(`EM ${withUnit(state.exact_match, "ratio")}${range}${n}`, "95 % interval in brackets");
  }
  if (loss && known(state.cross_entropy)) add(`CE ${short(state.cross_entropy)}`);
  const trend = trendFact(state.trend?.[loss ? "cross_entropy" : "exact_match"] ?? {});
  if (trend) out.push(trend);
  const { best, drift } = state;
  if (!loss && best) {
    const saved = best.checkpoint ? ` → ${best.checkpoint.split("/").pop()}` : "";
    const title = best.checkpoint || "no checkpoint was saved near it";
    add(`best ${withUnit(best.exact_match, "ratio")} at ${grouped(best.step)}${saved}`, title);
  }
  if (loss && drift) {
    const title = `best ECE ${short(drift.best_ece)}`;
    const rise = known(drift.rise) ? `${withUnit(drift.rise, "ratio")} ` : "";
    add(`ECE ${rise}over its best`, title, "warn");
  }
  if (loss && known(state.seconds)) {
    const share = known(state.share_of_training)
      ? `, ${withUnit(state.share_of_training, "ratio")} of training`
      : "";
    const time = state.seconds < 10 ? `${short(state.seconds)} s` : duration(state.seconds);
    add(`costs ${time}${share}`, "time of one fixed evaluation");
  }
  return out;
}
