/**
 * A made-up fine-tuning as the Quality tab sees it: series and tensors.
 * Reasoning stays weak on purpose, and calibration drifts. Knows no message and no page.
 */

import type { Options } from "./options";
import { noise, normal } from "./random";
import type { Source } from "./run";

export interface Made {
  key: string;
  dtype: string;
  shape: number[];
  values: number[];
  meta: Record<string, unknown>;
}

const PATTERNS = ["factual", "reasoning", "creative", "coding", "math"];
const BINS = ["0–100", "100–300", "300–500", "500–1000", "1000–2000", "2000+"];
const SEEN = [
  [64, 88, 41, 12, 3, 0],
  [22, 71, 66, 38, 14, 3],
  [31, 40, 22, 9, 0, 0],
  [18, 52, 61, 44, 19, 6],
  [77, 49, 18, 4, 0, 0],
];
const TOP = [0.93, 0.67, 0.84, 0.88, 0.9];
const LAYERS = 28;
/** Where the loss spikes, as parts of the run. */
export const SPIKES = [0.22, 0.4, 0.63];

/** Wilson's interval, 95 %. */
function wilson(correct: number, seen: number) {
  if (seen === 0) return { low: null, high: null };
  const z = 1.96;
  const p = correct / seen;
  const middle = (p + (z * z) / (2 * seen)) / (1 + (z * z) / seen);
  const half =
    (z / (1 + (z * z) / seen)) * Math.sqrt((p * (1 - p)) / seen + (z * z) / (4 * seen * seen));
  return { low: middle - half, high: middle + half };
}

const grown = (o: Options, s: number) => 1 - Math.exp(-s / (o.total * 0.22));
const emOf = (o: Options, p: number, s: number) => TOP[p]! * grown(o, s);
const every = (o: Options) => Math.max(1, Math.round(o.total / 20));

export function qualitySources(o: Options): Source[] {
  const at = (value: (s: number) => number) => (s: number) =>
    s > 0 && s % every(o) === 0 ? value(s) : null;
  const often = (value: (s: number) => number) => (s: number) => (s % 10 === 0 ? value(s) : null);
  const one = (key: string, unit: string, value: Source["value"], label = ""): Source => ({
    key,
    label: label || key,
    unit,
    value,
  });
  const em = (s: number) => 0.815 * grown(o, s) + 0.008 * normal(201, s);
  const parts = ["norm", "attention", "mlp"];
  const blocks = Array.from({ length: 36 }, (_, i) => `${Math.floor(i / 3)}.${parts[i % 3]}`);
  const groups = ["embedding", ...blocks, "norm", "head"];
  return [
    one("fixed_eval/exact_match", "ratio", at(em)),
    one(
      "fixed_eval/teacher_forced_match",
      "ratio",
      at((s) => Math.min(0.99, em(s) + 0.09)),
    ),
    one(
      "fixed_eval/cross_entropy",
      "nats",
      at((s) => 0.42 + 2.1 * (1 - grown(o, s)) + 0.02 * normal(202, s)),
    ),
    one(
      "fixed_eval/token_entropy",
      "nats",
      at((s) => 0.35 + 1.6 * (1 - grown(o, s)) + 0.02 * normal(203, s)),
    ),
    ...PATTERNS.map((name, p) =>
      one(
        `pattern/${name}/exact_match`,
        "ratio",
        at((s) => emOf(o, p, s) + 0.012 * normal(210 + p, s)),
      ),
    ),
    one(
      "train/loss_ema",
      "nats",
      (s) => 2.38 + 8.1 * Math.exp(-s / (o.total * 0.05)) + 2.2 * Math.exp(-s / (o.total * 0.37)),
      "streaming loss",
    ),
    ...groups.map((g, i) =>
      one(
        `grad/${g}/norm`,
        "",
        often(
          (s) =>
            (0.05 + 0.4 * Math.exp(-i / 8)) *
            (1 + 2 * Math.exp(-s / 60)) *
            (1 + 0.2 * noise(220 + i, s)),
        ),
      ),
    ),
    ...groups.map((g, i) =>
      one(
        `update/${g}/ratio`,
        "",
        often(
          (s) =>
            1e-3 *
            (0.4 + i / groups.length) *
            (1 - (0.7 * s) / o.total) *
            (1 + 0.2 * noise(240 + i, s)),
        ),
      ),
    ),
    ...[0, 3, 6, 9, 11].map((layer) =>
      one(
        `dead/${layer}/share`,
        "ratio",
        often((s) => 0.02 + (0.004 * layer * s) / o.total + 0.004 * noise(260 + layer, s)),
      ),
    ),
  ];
}

function reliability(o: Options, step: number): Made {
  const drift = 0.02 + (0.1 * step) / o.total;
  const count = [40, 90, 150, 240, 380, 610, 1050, 1900, 3600, 9800];
  const sure = count.map((_, i) => (i + 0.5) / 10 + 0.01);
  const right = sure.map((c, i) => Math.max(0.02, c - drift * (0.4 + i / 9) + (i < 3 ? 0.05 : 0)));
  const tokens = count.reduce((a, b) => a + b, 0);
  const ece = count.reduce((sum, n, i) => sum + (n / tokens) * Math.abs(sure[i]! - right[i]!), 0);
  return {
    key: "fixed_eval/reliability",
    dtype: "float32",
    shape: [3, 10],
    values: [...count, ...sure, ...right],
    meta: { ece, tokens, step },
  };
}

const FAILING = [
  {
    prompt:
      "Tom has 3 boxes with 12 pencils each. He gives a third of them to Ann and 4 to Ben. How many are left?",
    expected: "20",
    got: "24",
  },
  {
    prompt:
      "All bloops are razzies and some razzies are lazzies. Are all bloops lazzies? Answer yes or no.",
    expected: "no",
    got: "yes",
  },
  {
    prompt:
      "A train leaves at 14:35 and arrives at 17:10, with a stop of 25 minutes.\nHow long does it move?",
    expected: "2 h 10 min",
    got: "2 h 35 min, because the train leaves at 14:35 and arrives at 17:10",
  },
];

function patterns(o: Options, step: number): Made {
  const counts = SEEN.map((row, p) =>
    row.map(
      (n, l) =>
        [
          n,
          Math.min(n, Math.round(n * Math.min(1, emOf(o, p, step) * (1.06 - 0.05 * l)))),
        ] as const,
    ),
  );
  const cell = (all: readonly (readonly [number, number])[]) => {
    const seen = all.reduce((sum, [n]) => sum + n, 0);
    const correct = all.reduce((sum, [, c]) => sum + c, 0);
    return { seen, correct, ...wilson(correct, seen) };
  };
  const places = counts.flatMap((row, p) => row.map(([n, c], l) => [p, l, n, c] as const));
  const wrong = places.filter(([, , n, c]) => c < n);
  return {
    key: "fixed_eval/patterns",
    dtype: "int32",
    shape: [PATTERNS.length, BINS.length, 2],
    values: counts.flat(2),
    meta: {
      patterns: PATTERNS,
      bins: BINS,
      cells: Object.fromEntries(places.map(([p, l, n, c]) => [`${p},${l}`, wilson(c, n)])),
      rows: counts.map(cell),
      columns: BINS.map((_, l) => cell(counts.map((row) => row[l]!))),
      total: cell(counts.flat()),
      failing: Object.fromEntries(
        wrong.map(([p, l, n, c]) => [`${p},${l}`, FAILING.slice(0, Math.min(n - c, 3))]),
      ),
      length: "tokens of the expected answer",
      labelled: "the field 'category' of the record",
    },
  };
}

function state(o: Options, step: number): Made {
  const late = step > o.total * 0.7;
  const meta = {
    n: 1000,
    step,
    exact_match: 0.815 * grown(o, step),
    low: 0.815 * grown(o, step) - 0.025,
    high: 0.815 * grown(o, step) + 0.023,
    cross_entropy: 0.42 + 2.1 * (1 - grown(o, step)),
    ece: 0.03 + (0.13 * step) / o.total,
    best: {
      step: late ? Math.round(o.total * 0.76) : step,
      exact_match: 0.818 * grown(o, step),
      checkpoint: late ? `out/checkpoint-${Math.round(o.total * 0.75)}` : null,
    },
    trend: {
      exact_match: late
        ? {
            state: "plateau",
            since: Math.round(o.total * 0.7),
            p: 0.41,
            test: "Mann–Kendall, last 8",
          }
        : { state: "improving", since: null, p: 0.0004, test: "Mann–Kendall, last 8" },
      cross_entropy: { state: "improving", since: null, p: 0.002, test: "Mann–Kendall, last 8" },
    },
    drift: late ? { rise: 0.46, best_ece: 0.09 } : null,
    seconds: 4.2,
    share_of_training: 0.011,
  };
  return { key: "fixed_eval/state", dtype: "uint8", shape: [0], values: [], meta };
}

function truth(o: Options, step: number): Made {
  const part = grown(o, step);
  const layers = Array.from({ length: LAYERS }, (_, layer) => {
    const depth = 0.25 + 0.75 / (1 + Math.exp(-(layer - 18) / 2.5)) + 0.12 * noise(300, layer);
    const of = (m: number) => 0.52 * part * depth * (0.7 + 0.3 * noise(301 + m, layer));
    const row = { layer, q: of(0), k: of(1) * 0.6, v: of(2), o: null, mlp: of(4) * 0.8 };
    return { ...row, relative: 0.021 * part * depth, effective_rank: 3 + 9 * depth * part };
  });
  const sum = (l: (typeof layers)[number]) => l.q + l.k + l.v + l.mlp;
  const top = [...layers].sort((a, b) => sum(b) - sum(a)).slice(0, 5);
  const early = step < o.total * 0.04;
  const verdict = early
    ? {
        state: "too early",
        reasons: [
          {
            title: "Step 8 of at least 20",
            text: "B is still near zero, as it starts.",
            action: "",
          },
        ],
      }
    : o.faulty
      ? {
          state: "not learning",
          reasons: [
            {
              title: "B is still zero",
              text: "‖B‖ is exactly 0 in 84 of 84 modules after 120 steps.",
              action: "Check that the optimiser got the adapter's parameters.",
            },
            {
              title: "No gradient",
              text: "requires_grad is False for every lora_B.",
              action: "Call model.train() after get_peft_model, or set is_trainable=True.",
            },
          ],
        }
      : {
          state: "learning",
          reasons: [
            {
              title: "Layers 18–27 adapt most",
              text: "‖ΔW‖/‖W‖ 1.9 %, all of 112 modules have moved.",
              action: "",
            },
          ],
        };
  const adapters = [
    { name: "default", layers, top: top.map((l) => ({ layer: l.layer, delta: sum(l) })), verdict },
  ];
  return { key: "lora/truth", dtype: "uint8", shape: [0], values: [], meta: { adapters } };
}

const TEXTS = [
  "Question: What is the capital of Burkina Faso?\nAnswer: Ouagadougou, since 1947 the seat of the government.",
  "def parse(line):\n\treturn [int(x, 16) for x in line.split(',') if x.strip()]\n\n# 0xDEADBEEF ÿÿþþ¡¿ ¡¿",
  "<td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td><td>&nbsp;</td>",
  "She sells sea shells by the sea shore, and the shells she sells are surely seashells.",
];

function spikes(o: Options, step: number): Made {
  const at = SPIKES.map((p) => Math.round(p * o.total)).filter((s) => s <= step);
  const all = at.map((s, k) => ({
    step: s,
    loss: 6.9 - 0.8 * k,
    usual: 2.9 - 0.3 * k,
    rows: TEXTS.map((text, row) => {
      const tokens = text.match(/\s?[A-Za-z]{1,6}|\s?\d+|\s?[^\sA-Za-z\d]{1,2}|\s/g) ?? [];
      const base = row === (k + 2) % 4 ? 8.5 : 2.2;
      const losses = tokens.map((_, i) =>
        i < (row === 0 ? 4 : 1) ? null : base * (0.3 + 1.1 * noise(400 + k * 4 + row, i)),
      );
      return {
        row: row * 2,
        dataset_index: row === 3 ? null : 10422 + row * 731,
        text,
        tokens,
        losses,
      };
    }),
  }));
  return { key: "insight/spikes", dtype: "uint8", shape: [0], values: [], meta: { spikes: all } };
}

function verdict(o: Options, step: number): Made {
  const late = step > o.total * 0.7;
  const em = (81.5 * grown(o, step)).toFixed(1);
  const since = Math.round(o.total * 0.7);
  const clauses = [
    {
      text: late
        ? `Fixed-eval EM ${em} % (plateau since step ${since}; best checkpoint-${Math.round(o.total * 0.75)}).`
        : `Fixed-eval EM ${em} %, still improving (p = 0.0004).`,
      panel: "fixed_match",
      step: late ? since : null,
    },
    {
      text: `“reasoning” ${Math.round(67 * grown(o, step))} % (n=214) needs data.`,
      panel: "patterns",
      step: null,
    },
    { text: "Layers 18–27 adapt most (Δ=0.52).", panel: "lora_truth", step: null },
    {
      text: `ECE ${(0.03 + (0.13 * step) / o.total).toFixed(2)}${late ? ", 46 % over its best" : ""}.`,
      panel: "reliability",
      step: null,
    },
  ];
  const action = late
    ? `Stop; use checkpoint-${Math.round(o.total * 0.75)}; add “reasoning” examples.`
    : "Go on; add “reasoning” examples for the next run.";
  const text = `${clauses.map((c) => c.text).join(" ")} → ${action}`;
  const final = step >= o.total;
  return {
    key: "quality/verdict",
    dtype: "uint8",
    shape: [0],
    values: [],
    meta: { text, action, clauses, step, final },
  };
}

/** Tensors as a kernel would have put them by `step`. */
export function qualityTensors(o: Options, step: number): Made[] {
  if (!o.quality || step < every(o)) return [];
  const at = Math.floor(step / every(o)) * every(o);
  const own = [
    reliability(o, at),
    patterns(o, at),
    state(o, at),
    spikes(o, step),
    verdict(o, step),
  ];
  return o.lora ? [...own, truth(o, at)] : own;
}
