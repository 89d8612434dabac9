/** A make-believe kernel for the replay page: applies controls, answers zooms. Draws nothing. */

import { CONTROLS_KEY, type Wish } from "../src/controls";
import { DETAIL_KEY } from "../src/details";
import type { Control, Detail, RunEvent, Status } from "../src/wire.gen";
import type { Options } from "./options";
import { packFrame } from "./pack";
import type { Source } from "./run";

/** What the kernel may do to the replay. */
export interface Desk {
  readonly step: number;
  put(key: string, meta: Record<string, unknown>, bytes?: DataView): void;
  event(event: Omit<RunEvent, "time" | "step">): void;
  status(state: Status["state"]): void;
}

const QUEUED_MS = 80;
const APPLIED_MS = { ok: 500, slow: 3000, refuse: 500 };
const KEPT = 20;

export class MakeBelieve {
  readonly #options: Options;
  readonly #desk: Desk;
  readonly #sources: readonly Source[];
  readonly #wishes: Wish[] = [];
  readonly #changes: number[] = [];
  #paused: boolean;

  constructor(options: Options, desk: Desk, sources: readonly Source[]) {
    this.#options = options;
    this.#desk = desk;
    this.#sources = sources;
    this.#paused = options.state === "paused";
  }

  hear(message: Control | Detail): void {
    if (message.kind === "detail") this.#detail(message);
    else this.#control(message);
  }

  /** Say what is possible, as at the start of a training. */
  tell(): void {
    const factor = this.#changes.reduce((product, by) => product * by, 1);
    this.#desk.put(CONTROLS_KEY, {
      pending: this.#wishes.slice(-KEPT).map((wish) => ({ ...wish })),
      available: {
        pause: this.#paused ? "the training is paused already" : "",
        resume: this.#paused ? "" : "the training is not paused",
        evaluate: this.#options.controls === "refuse" ? "the Trainer has no eval_dataset" : "",
        undo_learning_rate: this.#changes.length > 0 ? "" : "there is no change to undo",
      },
      learning_rate: { factor, undo: this.#changes.length > 0 },
    });
  }

  #control({ id, name, value }: Control): void {
    const { controls } = this.#options;
    if (controls === "silent" || controls === "none") return;
    const wish: Wish = { id, name, value, state: "queued", message: "", step: null };
    this.#wishes.push(wish);
    setTimeout(() => this.tell(), QUEUED_MS);
    setTimeout(() => {
      wish.step = this.#desk.step;
      if (controls === "refuse") {
        [wish.state, wish.message] = ["refused", "the run is being stopped"];
      } else {
        wish.state = "applied";
        wish.message = this.#apply(name, value);
        const data = { message: wish.message, name, value, id, source: "page" };
        this.#desk.event({ kind: "control", data });
      }
      this.tell();
    }, APPLIED_MS[controls]);
  }

  #apply(name: string, value: unknown): string {
    const { multiply } = (value ?? {}) as { multiply?: number };
    const at = `at step ${this.#desk.step}`;
    switch (name) {
      case "pause":
        this.#paused = true;
        this.#desk.status("paused");
        return `paused by the viewer ${at}`;
      case "resume":
        this.#paused = false;
        this.#desk.status("running");
        return "resumed by the viewer after 4.2 s";
      case "stop":
      case "save_and_stop":
        this.#desk.status("interrupted");
        return `stopped by the viewer ${at}`;
      case "learning_rate":
        this.#changes.push(multiply ?? 1);
        return `learning rate 4.4E-4 → ${multiply ? (4.4e-4 * multiply).toPrecision(2) : "set"} by the viewer`;
      case "undo_learning_rate":
        this.#changes.pop();
        return "learning rate back by the viewer";
      default:
        return `${name} done, as the viewer asked`;
    }
  }

  #detail({ id, keys, start, end, points }: Detail): void {
    const { detail } = this.#options;
    if (detail === "silent") return;
    const columns = keys.flatMap((key) => {
      const index = this.#sources.findIndex((source) => source.key === key);
      const source = this.#sources[index];
      if (!source) return [];
      const x: number[] = [];
      const values: number[] = [];
      const last = Math.min(this.#desk.step, Math.floor(end));
      // As the kernel: no more rows than a chart can show.
      const every = Math.max(1, Math.ceil((last - start) / (4 * points)));
      for (let step = Math.max(0, Math.ceil(start)); step <= last; step += every) {
        const value = source.value(step);
        if (value === null) continue;
        x.push(step);
        values.push(value);
      }
      return [{ id: index, offset: 0, x, values }];
    });
    const note = detail === "summary" ? "not in memory any more, and not in a run file" : "";
    const resolution = detail === "summary" ? "summary" : "full";
    const frame = packFrame(detail === "summary" ? [] : columns);
    const meta = { id, keys, start, end, resolution, note };
    setTimeout(() => this.#desk.put(DETAIL_KEY, meta, frame), QUEUED_MS);
  }
}
