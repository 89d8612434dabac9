/**
 * Playback and camera beside those of another run: what is done here is said, and what is done
 * there followed. `shell/pair.ts` carries it between dashboards; where there is but one, nobody
 * hears. The step goes by the cursor, as it does for the charts.
 */

import type { UiState, Viewpoint } from "../ui";
import type { Player } from "./player";

export class Beside {
  readonly #player: Player;
  readonly #ui: UiState;
  #doing: "newest" | "play" | null;
  #telling = false;

  constructor(player: Player, stand: (view: Viewpoint) => void, ui: UiState, signal: AbortSignal) {
    this.#player = player;
    this.#ui = ui;
    this.#doing = this.#now();
    ui.on("lead", () => this.#follow(), signal);
    const stood = () => {
      const view = ui.get("camera");
      if (view && !this.#telling) stand(view);
    };
    ui.on("camera", stood, signal);
    // A tab that is opened later stands where the one beside it does.
    stood();
  }

  /** Playback moved. */
  moved(): void {
    const now = this.#now();
    if (now === this.#doing) return;
    this.#doing = now;
    if (now) this.#tell(() => this.#ui.set("lead", { to: now }));
  }

  /** The viewer turned the camera. */
  turned(view: Viewpoint): void {
    this.#tell(() => this.#ui.set("camera", view));
  }

  #now(): "newest" | "play" | null {
    return this.#player.following ? "newest" : this.#player.playing ? "play" : null;
  }

  /** Two that play would drag each other along: the one that began last leads. */
  #follow(): void {
    if (this.#telling) return;
    if (this.#ui.get("lead")?.to === "play") this.#player.pause();
    else if (!this.#player.following) this.#player.follow();
  }

  #tell(say: () => void): void {
    this.#telling = true;
    say();
    this.#telling = false;
  }
}
