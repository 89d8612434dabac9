/** The line at the foot: model, adapters, precision, data, and how the page is fed. */

import { counted, grouped } from "../format";
import type { Live, RunConfig } from "../model";
import { h } from "../view";

/** Facts about a run, each a name (or "") and a text. */
export function facts(config: RunConfig): [string, string][] {
  const out: [string, string][] = [];
  if (config.model) out.push(["MODEL", config.model]);
  if (config.params) {
    const share =
      config.trainable_params === undefined ? 1 : config.trainable_params / config.params;
    const part = share < 0.9995 ? `, ${Number((share * 100).toPrecision(2))} % trained` : "";
    out.push(["", `${counted(config.params)} parameters${part}`]);
  }
  const { r, alpha, adapters } = config.lora ?? {};
  if (r !== undefined) {
    const several = adapters && adapters.length > 1 ? ` × ${adapters.length}` : "";
    out.push(["LoRA", `r=${r ?? "–"} α=${alpha ?? "–"}${several}`]);
  }
  if (config.precision) out.push(["", config.precision]);
  if (config.dataset_size) out.push(["", `${grouped(config.dataset_size)} samples`]);
  if (config.batch_size) {
    const times = config.gradient_accumulation_steps ?? 1;
    out.push(["BATCH", times > 1 ? `${config.batch_size} × ${times}` : `${config.batch_size}`]);
  }
  if (config.device) out.push(["", config.device]);
  return out;
}

export function mountFooter(root: HTMLElement, live: Live, signal: AbortSignal): void {
  const foot = h("footer", { class: "nbm-foot" });
  root.append(foot);
  const show = () => {
    const config = live.get("config");
    const versions = Object.entries(config.versions ?? {})
      .map(([name, version]) => `${name} ${version}`)
      .join("\n");
    const parts = facts(config).map(([name, text]) =>
      name ? h("span", {}, `${name} `, h("b", {}, text)) : h("span", {}, h("b", {}, text)),
    );
    if (parts.length === 0)
      parts.push(
        h("span", {}, "no model yet: TrainingMonitor(trainer) or watch(model) fills this line"),
      );
    const small = [live.link.note, live.get("capabilities").reason].filter(Boolean).join(" · ");
    if (small) parts.push(h("span", { class: "nbm-small" }, small));
    foot.replaceChildren(...parts);
    foot.title = versions;
  };
  live.onTrait("config", show, signal);
  live.onTrait("capabilities", show, signal);
  live.onLink(show, signal);
  show();
}
