/**
 * A synthetic run: the value of every series at every step, and the events.
 * Knows the project's series keys; knows no message and no page.
 */

import type { RunEvent } from "../src/wire.gen";
import type { Options } from "./options";
import { qualitySources, SPIKES } from "./quality";
import { type Given, qualityEvents } from "./quality_events";
import { noise, normal } from "./random";

export interface Source {
  key: string;
  label: string;
  unit: string;
  /** Value at a step; null where nothing is logged. */
  value(step: number): number | null;
}

const EPOCHS = 3;
const STEP_TIME = 0.41;
const MODULES = ["q_proj", "v_proj"];
const GiB = 2 ** 30;

function training(o: Options): Source[] {
  const warmup = Math.max(5, o.total * 0.06);
  const lr = (s: number) =>
    5e-4 *
    (s < warmup ? s / warmup : 0.5 * (1 + Math.cos((Math.PI * (s - warmup)) / (o.total - warmup))));
  const trend = (s: number) =>
    2.35 + 8.5 * Math.exp(-s / (o.total * 0.03)) + 2.2 * Math.exp(-s / (o.total * 0.35));
  const loss = (s: number) => {
    if (o.nan && s === Math.round(o.total * 0.31)) return Number.NaN;
    if (o.nan && s === Math.round(o.total * 0.37)) return Number.POSITIVE_INFINITY;
    const spike =
      o.quality === "full" ? SPIKES.findIndex((p) => Math.round(p * o.total) === s) : -1;
    if (spike >= 0) return 6.9 - 0.8 * spike;
    return trend(s) + 0.12 * normal(1, s) + (noise(2, s) > 0.994 ? 2.5 : 0);
  };
  const everyEval = Math.max(1, Math.round(o.total / 12));
  const evaluated = (s: number) => s > 0 && s % everyEval === 0;
  const one = (key: string, label: string, unit: string, value: Source["value"]): Source => ({
    key,
    label,
    unit,
    value,
  });
  return [
    one("train/loss", "loss", "", loss),
    one("train/learning_rate", "learning rate", "", lr),
    one(
      "train/grad_norm",
      "gradient norm",
      "",
      (s) => 0.6 + 3 * Math.exp(-s / 40) + 0.18 * Math.abs(normal(3, s)),
    ),
    one("train/epoch", "epoch", "", (s) => (EPOCHS * s) / o.total),
    one("train/step_time", "step time", "s", (s) => STEP_TIME + 0.02 * normal(4, s)),
    one("train/samples_per_second", "samples/s", "samples/s", (s) => 38 + normal(5, s)),
    one("train/samples_seen", "samples seen", "", (s) => s * 16),
    one("train/eta", "ETA", "s", (s) => (o.total - s) * STEP_TIME),
    one("eval/loss", "eval loss", "", (s) =>
      evaluated(s) ? trend(s) + 0.11 + 0.02 * normal(6, s) : null,
    ),
    one("eval/held_out_loss", "held-out loss", "", (s) =>
      evaluated(s) ? trend(s) + 0.34 + 0.02 * normal(7, s) : null,
    ),
    one("eval/runtime", "eval runtime", "s", (s) =>
      evaluated(s) ? 4.1 + 0.1 * normal(8, s) : null,
    ),
    one("tokens/seen", "tokens seen", "tokens", (s) => s * 8100),
    one("tokens/per_second", "tokens/s", "tokens/s", (s) => 19800 + 700 * normal(9, s)),
    one("tokens/per_step", "tokens/step", "tokens", (s) => Math.round(8100 + 240 * normal(10, s))),
    one("tokens/padding_ratio", "padding", "ratio", (s) => 0.08 + 0.02 * noise(11, s)),
    one("tokens/mean_length", "mean length", "tokens", (s) => 506 + 9 * normal(12, s)),
  ];
}

function telemetry(o: Options): Source[] {
  const out: Source[] = [];
  const add = (key: string, unit: string, value: Source["value"]) =>
    out.push({ key, label: key.slice(key.lastIndexOf("/") + 1).replaceAll("_", " "), unit, value });
  // One reading a second, at the step that is running then.
  const second = (value: (s: number) => number) => (s: number) => (s % 2 === 0 ? value(s) : null);
  for (let i = 0; i < o.gpus; i++) {
    const at = `gpu/${i}/`;
    const hot = i === 1;
    add(
      `${at}memory_used`,
      "bytes",
      second((s) => (hot ? 74 : 41 + 2 * noise(20 + i, s)) * GiB),
    );
    add(
      `${at}memory_total`,
      "bytes",
      second(() => 80 * GiB),
    );
    add(
      `${at}utilization`,
      "%",
      second((s) => 88 + 9 * noise(30 + i, s)),
    );
    add(
      `${at}temperature`,
      "°C",
      second((s) => (hot ? 81 : 62) + 3 * noise(40 + i, s)),
    );
    add(
      `${at}power`,
      "W",
      second((s) => 340 + 50 * noise(50 + i, s)),
    );
    add(
      `${at}power_limit`,
      "W",
      second(() => 400),
    );
    add(
      `${at}torch_allocated`,
      "bytes",
      second((s) => (33 + noise(60 + i, s)) * GiB),
    );
    add(
      `${at}torch_reserved`,
      "bytes",
      second(() => 38 * GiB),
    );
  }
  add(
    "host/cpu",
    "%",
    second((s) => 34 + 20 * noise(70, s)),
  );
  add(
    "host/memory_used",
    "bytes",
    second((s) => (21 + noise(71, s)) * GiB),
  );
  add(
    "host/memory_total",
    "bytes",
    second(() => 64 * GiB),
  );
  add(
    "host/process_memory",
    "bytes",
    second((s) => (6 + s * 0.0004) * GiB),
  );
  return out;
}

function adapters(o: Options): Source[] {
  const every = Math.max(1, Math.round(o.total / 60));
  const out: Source[] = [];
  for (let layer = 0; layer < o.lora; layer++) {
    for (const [m, name] of MODULES.entries()) {
      const size = 0.5 + (layer / o.lora) * (m + 1) + 0.3 * noise(80 + layer, m);
      for (const [metric, scale, from] of [
        ["a_norm", 2, 3],
        ["b_norm", 1, 0],
        ["delta_norm", 1.4, 0],
      ] as const) {
        const value = (s: number) => from + scale * size * (1 - Math.exp(-s / (o.total * 0.4)));
        out.push({
          key: `lora/default/${layer}/self_attn.${name}/${metric}`,
          label: `${layer} ${name} ${metric}`,
          unit: "",
          value: (s) => (s % every === 0 || s === o.total ? value(s) : null),
        });
      }
    }
  }
  return out;
}

function extras(o: Options): Source[] {
  return Array.from({ length: o.metrics }, (_, i) => ({
    key: i % 2 ? `train/rewards/custom_${i}` : `train/metric_${i}`,
    label: `metric ${i}`,
    unit: "",
    value: (s: number) =>
      s % 5 === 0 ? Math.sin(s / (20 + i * 7)) + 0.1 * normal(90 + i, s) : null,
  }));
}

export function sources(o: Options): Source[] {
  return [
    ...training(o),
    ...telemetry(o),
    ...adapters(o),
    ...extras(o),
    ...(o.quality === "full" ? qualitySources(o) : []),
  ];
}

/** `o.markers` events of all kinds that are drawn, evenly over the run. */
function extraEvents(o: Options): Given[] {
  const kinds: [string, Record<string, unknown>][] = [
    ["evaluate", { message: "eval/loss 2.31" }],
    ["control", { name: "learning_rate", message: "learning rate 2E-4 → 1E-4 by the viewer" }],
    ["checkpoint", { path: "out/checkpoint" }],
    ["control", { name: "pause", message: "paused by the viewer" }],
    ["control", { name: "resume", message: "resumed by the viewer after 61.0 s" }],
    ["alert", { title: "Gradient norm", message: "train/grad_norm 41 is over its usual 0.8" }],
    ["resumed", { message: "resumed from checkpoint-200; steps 201 to 214 again" }],
  ];
  return Array.from({ length: o.markers }, (_, i) => {
    const [kind, data] = kinds[i % kinds.length]!;
    return [Math.round(((i + 0.5) * o.total) / o.markers), kind, data];
  });
}

/** Events up to `step`, oldest first. */
export function events(o: Options, step: number): RunEvent[] {
  const all: Given[] = [
    [0, "status", { status: "running", message: "" }],
    [1, "note", { message: "GPU 1: power limit is not readable for this user" }],
    ...(o.nan
      ? ([
          [Math.round(o.total * 0.31), "nonfinite", { key: "train/loss", value: "nan" }],
          [Math.round(o.total * 0.37), "nonfinite", { key: "train/loss", value: "inf" }],
        ] as Given[])
      : []),
    ...(o.quality
      ? []
      : [
          [
            Math.round(o.total * 0.4),
            "alert",
            {
              level: "warn",
              title: "Loss spike",
              message: "train/loss 4.9 is 6.2 deviations over its last 200 steps",
            },
          ] as Given,
        ]),
    [Math.round(o.total * 0.5), "checkpoint", { path: "out/checkpoint-250" }],
    ...extraEvents(o),
    ...(o.quality === "full" ? qualityEvents(o) : []),
    [o.total, "status", { status: "finished", message: "" }],
  ];
  all.sort((a, b) => a[0] - b[0]);
  return all
    .filter(([at]) => at <= step && (at > 0 || step > 0))
    .map(([at, kind, data]) => ({ kind, step: at, time: 1_760_000_000 + at * STEP_TIME, data }));
}
