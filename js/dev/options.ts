/** What the address of the replay page can ask for. */

export interface Options {
  /** Steps done when the page opens. */
  step: number;
  total: number;
  theme: "neon" | "light" | "auto";
  /** Tab to open, by the name of `PanelSpec.tab`; "" for the first. */
  tab: string;
  gpus: number;
  /** Layers with LoRA adapters; 0 for a full fine-tuning. */
  lora: number;
  /** Steps per second once open; 0 stands still. */
  live: number;
  state: string;
  link: "live" | "quiet" | "lost" | "saved";
  /** Extra logged keys that no panel claims. */
  metrics: number;
  /** Whether a NaN and an Inf turn up in the loss. */
  nan: boolean;
  views: number;
  width: number;
  /** How the make-believe kernel answers controls; "none" offers none at all. */
  controls: "ok" | "slow" | "refuse" | "silent" | "none";
  /** How it answers a zoom into old steps. */
  detail: "ok" | "summary" | "silent";
  /** Rows behind each point of the old steps; 1 keeps every row. */
  buckets: number;
  /** Extra events of all kinds. */
  markers: number;
  /** Whether there is a Quality tab; "empty": one that nothing has filled yet. */
  quality: "" | "full" | "empty";
  /** Whether there is a Parameters tab; "empty": without a snapshot; "few": as a saved notebook has it. */
  parameters: "" | "full" | "few" | "empty";
  /** Whether the adapters learn nothing, and little gradient reaches the first layers. */
  faulty: boolean;
  /** Path of the run file, or "". */
  file: string;
}

export function readOptions(search: string): Options {
  const given = new URLSearchParams(search);
  const number = (key: string, fallback: number) => Number(given.get(key) ?? fallback);
  const step = number("step", 250);
  const total = number("total", 500);
  const live = number("live", 0);
  return {
    step,
    total,
    theme: (given.get("theme") ?? "neon") as Options["theme"],
    tab: given.get("tab") ?? "",
    gpus: number("gpus", 2),
    lora: number("lora", 12),
    live: live === 1 ? 20 : live,
    state: given.get("state") ?? (step === 0 ? "waiting" : step >= total ? "finished" : "running"),
    link: (given.get("link") ?? "live") as Options["link"],
    metrics: number("metrics", 6),
    nan: number("nan", 1) !== 0,
    views: number("views", 1),
    width: number("width", 0),
    controls: (given.get("controls") ?? "ok") as Options["controls"],
    detail: (given.get("detail") ?? "ok") as Options["detail"],
    buckets: Math.max(1, number("buckets", 1)),
    markers: number("markers", 0),
    quality: (given.get("quality") ?? "") as Options["quality"],
    parameters: (given.get("parameters") ?? "") as Options["parameters"],
    faulty: number("faulty", 0) !== 0,
    file: given.get("file") ?? "",
  };
}
