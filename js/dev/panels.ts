/** The Overview's panels as the Python probes declare them, for the replay page. */

import type { PanelSpec } from "../src/wire.gen";
import type { Options } from "./options";

function panel(
  id: string,
  title: string,
  view: string,
  order: number,
  rest: Partial<PanelSpec>,
): PanelSpec {
  return {
    id,
    title,
    view,
    keys: [],
    tab: "overview",
    order,
    span: 6,
    absent: "",
    options: {},
    ...rest,
  };
}

function quality(o: Options): PanelSpec[] {
  const own = (
    id: string,
    title: string,
    view: string,
    order: number,
    span: number,
    keys: string[] = [],
    rest: Partial<PanelSpec> = {},
  ) => panel(id, title, view, order, { span, keys, tab: "quality", ...rest });
  const color = { options: { points: true, color: "eval" } };
  const matches = ["fixed_eval/exact_match", "fixed_eval/teacher_forced_match"];
  return [
    own("verdict", "Verdict", "verdict", 10, 12),
    own("alerts", "Alerts", "alerts", 20, 12),
    own(
      "fixed_match",
      "Fixed set: match",
      "line",
      30,
      6,
      [...matches, "pattern/*/exact_match"],
      color,
    ),
    own(
      "fixed_loss",
      "Fixed set: loss",
      "line",
      40,
      6,
      ["fixed_eval/cross_entropy", "fixed_eval/token_entropy"],
      color,
    ),
    own("reliability", "Calibration", "reliability", 50, 4, ["fixed_eval/ece"]),
    own("patterns", "Patterns by length", "patterns", 60, 8),
    own("lora_truth", "Adapters", "adapters", 70, 12, [], {
      absent: o.lora ? "" : "The model has no LoRA adapters",
    }),
    own("gradients", "Gradients", "layers", 80, 6, ["grad/*/norm"]),
    own("updates", "Update to weight", "layers", 90, 6, ["update/*/ratio"]),
    own("dead", "Dead units", "line", 95, 6, ["dead/*/share"]),
    own("spikes", "Loss spikes", "spikes", 100, 12),
  ];
}

export function panels(o: Options): PanelSpec[] {
  return [
    panel("readouts", "", "readouts", 10, {
      span: 12,
      keys: ["train/epoch", "train/loss", "train/learning_rate", "train/grad_norm", "train/eta"],
      options: {
        items: [
          { id: "step", label: "STEP", key: "train/loss" },
          { id: "epoch", label: "EPOCH", key: "train/epoch" },
          { id: "loss", label: "LOSS", key: "train/loss" },
          { id: "learning_rate", label: "LR", key: "train/learning_rate" },
          { id: "grad_norm", label: "GRAD NORM", key: "train/grad_norm" },
          { id: "eta", label: "ETA", key: "train/eta" },
        ],
      },
    }),
    panel("loss", "Loss", "line", 100, {
      keys: ["train/loss"],
      options: { color: "loss", smooth: true, log: true },
    }),
    panel("learning_rate", "Learning rate", "line", 110, {
      keys: ["train/learning_rate"],
      options: { color: "learning_rate" },
    }),
    panel("grad_norm", "Gradient norm", "line", 120, {
      keys: ["train/grad_norm"],
      options: { color: "grad_norm" },
    }),
    panel("eval_loss", "Eval loss", "line", 130, {
      keys: ["eval/loss", "eval/*_loss"],
      options: { color: "eval", points: true },
    }),
    panel("gpu", "GPU", "gauges", 200, {
      span: 12,
      keys: [
        "gpu/*/memory_used",
        "gpu/*/memory_total",
        "gpu/*/utilization",
        "gpu/*/temperature",
        "gpu/*/power",
        "gpu/*/power_limit",
        "gpu/*/torch_allocated",
        "gpu/*/torch_reserved",
      ],
      absent: o.gpus ? "" : "No NVIDIA GPU: the driver library was not found (libnvidia-ml.so.1)",
      options: {
        arcs: [
          { label: "VRAM", used: "gpu/{i}/memory_used", total: "gpu/{i}/memory_total" },
          { label: "UTIL", key: "gpu/{i}/utilization", max: 100 },
        ],
        bars: [
          { label: "TEMP", key: "gpu/{i}/temperature", max: 100 },
          { label: "POWER", key: "gpu/{i}/power", limit: "gpu/{i}/power_limit" },
        ],
      },
    }),
    panel("host", "Host", "gauges", 210, {
      span: 12,
      keys: ["host/*"],
      options: {
        arcs: [
          { label: "CPU", key: "host/cpu", max: 100 },
          { label: "RAM", used: "host/memory_used", total: "host/memory_total" },
        ],
        bars: [{ label: "PROCESS", key: "host/process_memory", limit: "host/memory_total" }],
      },
    }),
    panel("tokens", "Token throughput", "sparkline", 300, {
      keys: [
        "tokens/per_second",
        "tokens/seen",
        "tokens/padding_ratio",
        "tokens/mean_length",
        "tokens/per_step",
      ],
      options: {
        stats: [
          { label: "padding", key: "tokens/padding_ratio", unit: "ratio" },
          { label: "seq", key: "tokens/mean_length" },
          { label: "seen", key: "tokens/seen" },
        ],
      },
    }),
    panel("lora", "LoRA norms", "layers", 310, {
      keys: ["lora/*/*/*/delta_norm", "lora/*/*/*/a_norm", "lora/*/*/*/b_norm"],
      absent: o.lora ? "" : "The model has no LoRA adapters",
      options: { metrics: ["delta_norm", "a_norm", "b_norm"] },
    }),
    panel("metrics", "Logged metrics", "metrics", 400, { span: 12, keys: ["*"] }),
    ...(o.quality ? quality(o) : []),
    ...(o.parameters
      ? [panel("parameters", "Parameters", "parameters", 10, { span: 12, tab: "parameters" })]
      : []),
    panel("events", "Log", "log", 10, { span: 12, tab: "log" }),
  ];
}
