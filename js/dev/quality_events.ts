/** Alerts and phases of the made-up fine-tuning of `quality.ts`. */

import type { Options } from "./options";

export type Given = [step: number, kind: string, data: Record<string, unknown>];

/** Alerts and phases of the whole run. */
export function qualityEvents(o: Options): Given[] {
  if (!o.quality) return [];
  const at = (part: number) => Math.round(part * o.total);
  const alert = (part: number, data: Record<string, unknown>): Given => [at(part), "alert", data];
  const spike = {
    id: "loss_spike",
    rule: "loss",
    severity: "warning",
    title: "Loss spike",
    action: "Look at the rows of that step: they may be corrupt.",
    key: "train/loss",
    panel: "loss",
    confidence: 0.97,
  };
  const phase = (part: number, name: string, message: string, confidence: number): Given => [
    at(part) + 4,
    "phase",
    { name, from: at(part), message, confidence },
  ];
  return [
    phase(
      0,
      "initialization",
      "Warmup: the learning rate is at 40 % of its peak, the loss has fallen from 10.9 to 8.2.",
      0.9,
    ),
    phase(
      0.06,
      "rapid learning",
      "The loss falls by 0.031 a step, 9 times its noise; weights move 1.2 % per 100 steps.",
      0.96,
    ),
    phase(
      0.26,
      "fine tuning",
      "The slope is a sixth of what it was: −0.0042 a step, still 3 times its noise.",
      0.88,
    ),
    phase(
      0.62,
      "convergence",
      "The loss moves less than its noise: −0.0003 ± 0.0004 a step over 120 steps.",
      0.82,
    ),
    phase(
      0.8,
      "plateau",
      "No change over 100 steps (p = 0.41), weights move 0.02 % per 100 steps.",
      0.75,
    ),
    alert(0.22, {
      ...spike,
      state: "raised",
      message: "train/loss 6.9 at one step, 6.2 deviations over its usual 2.9",
      window: [at(0.22) - 1, at(0.22) + 1],
      value: 6.9,
    }),
    alert(0.23, { ...spike, state: "cleared", message: "" }),
    alert(0.4, {
      ...spike,
      state: "raised",
      message: "train/loss 6.1 at one step, 5.1 deviations over its usual 2.6",
      window: [at(0.4) - 1, at(0.4) + 1],
      value: 6.1,
    }),
    alert(0.41, { ...spike, state: "cleared", message: "" }),
    alert(0.1, {
      id: "padding_waste",
      rule: "tokens",
      severity: "info",
      state: "raised",
      title: "Padding waste",
      message: "34 % of all tokens are padding over the last 40 steps",
      action: "Use group_by_length=True or packing.",
      key: "tokens/padding_ratio",
      panel: "tokens",
      window: [at(0.02), at(0.1)],
      confidence: 0.99,
      value: 0.34,
    }),
    alert(0.46, {
      id: "calibration_drift",
      rule: "calibration",
      severity: "warning",
      state: "raised",
      title: "Calibration drifts",
      message: "ECE 0.131 is 46 % over its best, 0.090 at step 150, in 3 evaluations on end",
      action: "Stop earlier, or scale the temperature before use.",
      key: "fixed_eval/ece",
      panel: "reliability",
      window: [at(0.3), at(0.46)],
      confidence: 0.93,
      value: 0.131,
    }),
    alert(0.48, {
      id: "gradient_explosion",
      rule: "gradients",
      severity: "critical",
      state: "raised",
      title: "Gradients explode",
      message:
        "train/grad_norm 412 at 3 of the last 5 steps, usually 0.8; max_grad_norm clips 99 % of it",
      action: "Halve the learning rate, or lower max_grad_norm to 0.5.",
      key: "train/grad_norm",
      panel: "gradients",
      window: [at(0.47), at(0.48)],
      confidence: 0.995,
      value: 412,
    }),
    alert(0.49, { severity: "info", title: "Mine", message: "a sample looks odd: see cell 14" }),
  ];
}
