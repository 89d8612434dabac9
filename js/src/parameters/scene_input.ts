/** Pointer and keys of the scene: what is done to the camera, and what is pointed at. */

import { keepKeys } from "../view";
import { listen } from "./pointer";
import { moved, type Pose, turned, zoomed } from "./scene_camera";

/** How far an arrow key turns, in pixels of a drag. */
const STEP = 24;

/** What the stage lets be done. */
export interface Acts {
  pose(): Pose;
  turn(pose: Pose): void;
  /** Size in the scene of one pixel at the target. */
  unit(): number;
  reset(): void;
  /** The pointer is here, or has left. */
  over(at: { x: number; y: number } | null): void;
  choose(x: number, y: number): void;
}

/** Do what is asked for on `box` until `signal` aborts. */
export function listenScene(box: HTMLElement, acts: Acts, signal: AbortSignal): void {
  const turn = (dx: number, dy: number) => acts.turn(turned(acts.pose(), dx, dy));
  const zoom = (factor: number) => acts.turn(zoomed(acts.pose(), factor));
  listen(
    box,
    {
      drag(dx, dy, _x, _y, shift) {
        if (shift) acts.turn(moved(acts.pose(), dx, dy, acts.unit()));
        else turn(dx, dy);
      },
      click: (x, y) => acts.choose(x, y),
      move: (x, y) => acts.over({ x, y }),
      leave: () => acts.over(null),
      zoom: (factor) => zoom(1 / factor),
      twice: () => acts.reset(),
    },
    signal,
  );
  const keys: Record<string, () => void> = {
    ArrowLeft: () => turn(STEP, 0),
    ArrowRight: () => turn(-STEP, 0),
    ArrowUp: () => turn(0, STEP),
    ArrowDown: () => turn(0, -STEP),
    "+": () => zoom(0.85),
    "-": () => zoom(1.18),
    "0": () => acts.reset(),
  };
  box.addEventListener(
    "keydown",
    (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    },
    { signal },
  );
  keepKeys(box, signal);
}
