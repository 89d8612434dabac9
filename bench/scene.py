"""The 3D scene in JupyterLab, drawn by the processor (SwiftShader): frames, and what they cost.

The scene is played by the page; then plain three.js draws the very same objects into a canvas of
the same size at the same place, in a bare loop, with the same uploads: in turns, because the
machine is not the same from one second to the next. Points are not thinned out meanwhile.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import lab
from bench.figure import Figure

_SHOW = f"""
import sys
sys.path.insert(0, {str(lab.ROOT / "tests")!r})
import anywidget
from browser.snapshots import put
from nbmonitor import TrainingMonitor

class Peek(anywidget.AnyWidget):
    _esm = "export default {{ render({{ model }}) {{ window.manager = model.widget_manager; }} }}"

monitor = TrainingMonitor(run_dir=False, autosave=False)
display(monitor, Peek())
handles = dict(scene=monitor.scene3d.scene.model_id, renderer=monitor.scene3d.model_id)
import json
print("RESULT" + json.dumps(handles))
"""
_FILL = "for k in range({count}): put(monitor.run, k, k / {count}, tokens={tokens}, layers=2)\n"
# Every call back of a frame, with the time that it took.
SCRIPT = """
window.frames = [];
const raf = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (fn) => raf((now) => {
    const begun = performance.now();
    fn(now);
    window.frames.push([now, performance.now() - begun]);
});
"""
# How the page draws, and how plain three.js does.
_FIND = """async ({ scene, renderer }) => {
    const model = await manager.get_model(renderer);
    const views = await Promise.all(Object.values(model.views));
    const view = views.find((v) => v.renderer && v.el.closest('[data-panel=parameters]'));
    const root = (await manager.get_model(scene)).obj;
    const group = root.children.find((c) => c.name === 'nbmonitor' && c.visible);
    const count = (o) => o.geometry?.attributes.position?.count ?? 0;
    const clouds = group.children.filter((c) => c.type === 'Points');
    const points = clouds.sort((a, b) => count(b) - count(a))[0];
    const sheets = group.children.find((c) => c.material?.uniforms?.u_tiles);
    window.found = { view, root, points, sheets };
    const { geometry } = points;
    // Not thinned out: this is about so many points.
    geometry.setDrawRange(0, count(points));
    geometry.setDrawRange = () => {};
    // The camera is placed, the objects are written to, all is handed to WebGL.
    window.rendered = [];
    let begun = 0;
    const [look, render] = [view.camera.lookAt.bind(view.camera), view.renderScene.bind(view)];
    view.camera.lookAt = (...args) => {
        begun = performance.now();
        look(...args);
    };
    view.renderScene = (...args) => {
        render(...args);
        window.rendered.push(performance.now() - begun);
    };
    return count(points);
}"""
_PLAIN = """(seconds) => new Promise((done) => {
    const { view, root, points, sheets } = found;
    const box = document.querySelector('[data-panel=parameters] .nbm-scene');
    const canvas = document.createElement('canvas');
    canvas.style.cssText = 'position:absolute;inset:0;z-index:9';
    const three = new view.renderer.constructor({ canvas, antialias: false });
    three.setPixelRatio(1);
    three.setSize(box.clientWidth, box.clientHeight);
    box.append(canvas);
    const { attributes } = points.geometry;
    const kept = ['position', 'value', 'weight'].map((name) => {
        const one = attributes[name + '_b'];
        return [one, one.array, one.array.slice()];
    });
    const begun = performance.now();
    const times = [];
    let moment = 0;
    const frame = (now) => {
        const at = Math.floor((now - begun) / 100);  // ten snapshots a second
        if (at !== moment) {
            moment = at;
            for (const [one, first, second] of kept) {
                one.setArray(moment % 2 ? second : first);
                one.needsUpdate = true;
            }
            sheets.material.uniforms.u_tiles_b.value.needsUpdate = true;
        }
        points.material.uniforms.u_t.value = ((now - begun) % 100) / 100;
        three.render(root, view.camera);
        times.push(now);
        if (now - begun < seconds * 1000) return plain(frame);
        for (const [one, first] of kept) one.setArray(first);
        three.forceContextLoss();
        canvas.remove();
        done(times);
    };
    const plain = window.requestAnimationFrame;
    plain(frame);
})"""
PANEL = "[data-panel=parameters]"
CANVAS = f"{PANEL} .jupyter-threejs canvas"


def press(book: Any, control: str) -> None:
    """Press a button of the tab."""
    book.page.locator(f"{PANEL} [data-control={control}]").click()


def open_tab(book: Any, stage: str = CANVAS) -> None:
    """Open the tab, and wait for its stage."""
    book.page.get_by_role("tab", name="Parameters").click(timeout=60_000)
    book.page.locator(PANEL).scroll_into_view_if_needed(timeout=20_000)
    book.page.wait_for_selector(stage, timeout=60_000)
    book.page.locator(f"{PANEL} .nbm-stagebox").scroll_into_view_if_needed()


def wait_step(book: Any, step: int, seconds: float = 60) -> None:
    """Wait until the stage shows a step."""
    book.page.wait_for_selector(f"{PANEL} [data-step='{step}']", timeout=seconds * 1000)


def played(book: Any, seconds: float) -> tuple[float, list[float], list[float]]:
    """Play for a while: frames a second, script time of each, and the scene's part of it."""
    book.page.evaluate("() => { window.frames = []; window.rendered = []; }")
    time.sleep(seconds)
    frames, rendered = book.page.evaluate("() => [window.frames, window.rendered ?? []]")
    spent: dict[float, float] = {}
    for now, took in frames:
        spent[now] = spent.get(now, 0) + took
    return rate(sorted(spent)), list(spent.values()), rendered


def rate(times: list[float]) -> float:
    """Frames a second."""
    return (len(times) - 1) / (times[-1] - times[0]) * 1e3 if len(times) > 1 else 0.0


def _share(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _loop(book: Any) -> None:
    press(book, "to-start")
    if book.page.locator(f"{PANEL} [data-control=loop]").get_attribute("aria-pressed") != "true":
        press(book, "loop")
    press(book, "playback")


def _against_plain(book: Any, rounds: int) -> tuple[list[float], list[float], list[float]]:
    ours, plain, twin = [], [], []
    for _ in range(rounds):
        _loop(book)
        ours.append(played(book, 4)[0])
        press(book, "playback")
        plain.append(rate(book.page.evaluate(_PLAIN, 4)))
    press(book, "stage-flat")
    for _ in range(rounds):
        _loop(book)
        twin.append(played(book, 4)[0])
        press(book, "playback")
    return ours, plain, twin


def measure() -> list[Figure]:
    """Play 5,000 points against plain three.js and the flat twin, then 50,257 points."""
    cells = [_SHOW, _FILL.format(count=20, tokens=5000)]
    with lab.notebook(cells, flags=lab.GRAPHICS, script=SCRIPT) as book:
        book.run(0)
        book.run(1)
        open_tab(book)
        wait_step(book, 19)
        book.page.evaluate(_FIND, lab.result(book, 0))
        ours, plain, twin = _against_plain(book, 4)
    middle = statistics.median
    ratio = middle(a / b for a, b in zip(ours, plain, strict=True))
    each = "; ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(ours, plain, strict=True))
    cells = [_SHOW, _FILL.format(count=10, tokens=50257)]
    sent: list[int] = []
    with lab.notebook(cells, flags=lab.GRAPHICS, script=SCRIPT) as book:
        book.page.on("websocket", lambda ws: ws.on("framesent", lambda m: sent.append(_own(m))))
        book.open()
        book.ready()
        book.run(0)
        book.run(1)
        open_tab(book)
        wait_step(book, 9)
        count = book.page.evaluate(_FIND, lab.result(book, 0))
        book.page.select_option(f"{PANEL} [data-control=speed]", "50")  # each frame another
        _loop(book)
        time.sleep(2)  # until all are unpacked
        sent.clear()
        fps, spent, rendered = played(book, 8)
        told = sum(sent)
    return [
        Figure("the 3D scene / plain three.js, frames a second", ratio, "×", 0.8, at_least=True,
               note=f"5,000 points, 9 heat maps, SwiftShader; in turns: {each}"),
        Figure("its flat twin", middle(twin), "fps", 30, at_least=True,
               note=f"the same browser; {min(twin):.0f} to {max(twin):.0f}"),
        Figure(f"{count:,} points: script of an update", middle(rendered), "ms", 2,
               note=f"objects written to and handed to WebGL, another snapshot in each of "
               f"{len(rendered)} frames ({fps:.1f} fps); 95 % below "
               f"{_share(rendered, 0.95):.1f} ms; all scripts of a frame {middle(spent):.1f} ms"),
        Figure("the same: bytes to the kernel", told, "B", 0, note="acknowledgements left out"),
    ]  # fmt: skip


def _own(message: bytes | str) -> int:
    data = message if isinstance(message, bytes) else message.encode()
    return 0 if b'"kind":"ack"' in data else len(data)
