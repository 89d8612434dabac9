/** Drags, clicks, wheels and pinches on one element, told apart. Knows places only. */

export interface Gestures {
  /** The pointer went by `dx`, `dy` with a button down; `x0`, `y0` is where it went down. */
  drag(dx: number, dy: number, x0: number, y0: number, shift: boolean): void;
  /** Down and up in one place. */
  click(x: number, y: number): void;
  /** Over the element, no button down. */
  move(x: number, y: number): void;
  leave(): void;
  /** Wheel or pinch: nearer by `factor`, with what lies at `x`, `y` kept there. */
  zoom(factor: number, x: number, y: number): void;
  twice(x: number, y: number): void;
}

/** A pointer that has gone less far than this has not been dragged. */
const STEADY = 4;

/** Tell `gestures` what is done on `el` until `signal` aborts. */
export function listen(el: HTMLElement, gestures: Gestures, signal: AbortSignal): void {
  const down = new Map<number, { x: number; y: number; x0: number; y0: number }>();
  let dragged = false;
  const place = (event: MouseEvent): [number, number] => {
    const box = el.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const on = <K extends keyof HTMLElementEventMap>(
    type: K,
    fn: (event: HTMLElementEventMap[K]) => void,
  ) => el.addEventListener(type, fn, { signal, passive: type !== "wheel" });

  on("pointerdown", (event) => {
    if (event.button > 0) return;
    const [x, y] = place(event);
    if (down.size === 0) dragged = false;
    down.set(event.pointerId, { x, y, x0: x, y0: y });
    el.setPointerCapture?.(event.pointerId);
  });
  on("pointermove", (event) => {
    const [x, y] = place(event);
    const held = down.get(event.pointerId);
    if (!held) {
      if (down.size === 0) gestures.move(x, y);
      return;
    }
    const [dx, dy] = [x - held.x, y - held.y];
    if (down.size === 2) {
      pinch(down, event.pointerId, x, y, gestures);
      dragged = true;
    } else if (dragged || Math.hypot(x - held.x0, y - held.y0) >= STEADY) {
      dragged = true;
      gestures.drag(dx, dy, held.x0, held.y0, event.shiftKey);
    } else return;
    held.x = x;
    held.y = y;
  });
  const up = (event: PointerEvent) => {
    if (!down.delete(event.pointerId)) return;
    if (!dragged && event.type === "pointerup") gestures.click(...place(event));
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("pointerleave", () => {
    if (down.size === 0) gestures.leave();
  });
  on("dblclick", (event) => gestures.twice(...place(event)));
  on("wheel", (event) => {
    // A page is scrolled with the wheel: it zooms only where the viewer has clicked, or with Ctrl.
    const wanted = event.ctrlKey || event.metaKey || el.matches(":focus");
    if (!wanted) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    gestures.zoom(Math.exp(-event.deltaY * lines * 0.0015), ...place(event));
  });
}

function pinch(
  down: ReadonlyMap<number, { x: number; y: number }>,
  moving: number,
  x: number,
  y: number,
  gestures: Gestures,
): void {
  const [other] = [...down].filter(([id]) => id !== moving);
  const held = down.get(moving);
  if (!other || !held) return;
  const rest = other[1];
  const before = Math.hypot(held.x - rest.x, held.y - rest.y);
  const after = Math.hypot(x - rest.x, y - rest.y);
  if (before > 0 && after > 0) gestures.zoom(after / before, (x + rest.x) / 2, (y + rest.y) / 2);
}
