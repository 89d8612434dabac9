"""From a step that ends to its snapshot in the picture, the kernel busy with the training.

A plain loop trains a small GPT-2 and computes all the time in between. "Measured" is the moment
at which the loop says that a step has ended, before anything was read; "seen" is the first frame
after the one that drew the snapshot. Motion is reduced: else a new snapshot is glided to, and
there after 0.35 s more.
"""

from __future__ import annotations

from bench import lab, scene
from bench.figure import Figure

SNAPSHOTS = 60
_EVERY = 0.4
_FLUSH = 100

_CODE = f"""
import sys, time
sys.path.insert(0, {str(lab.ROOT)!r})
import json, torch, transformers
from nbmonitor import TrainingMonitor
torch.set_num_threads(1)
model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
    n_layer=6, n_embd=128, n_head=4, vocab_size=8000, n_positions=128))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
monitor = TrainingMonitor(autosave=False, parameters={{"every": 1, "share": 1}})
display(monitor)
"""
_TRAIN = f"""
monitor.watch(model, optimizer, total_steps={SNAPSHOTS})
ids = torch.randint(0, 8000, (2, 32), generator=torch.Generator().manual_seed(0))
weights = torch.randn(200, 200)
times = []
due = time.perf_counter() + 4
for step in range({SNAPSHOTS}):
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    while time.perf_counter() < due:  # a busy kernel: computes until the step is due
        weights = torch.tanh(weights @ weights)
    due += {_EVERY}
    times.append(time.time())
    monitor.step(loss)
    optimizer.zero_grad()
end = time.perf_counter() + 3
while time.perf_counter() < end:
    weights = torch.tanh(weights @ weights)
print("RESULT" + json.dumps(times))
"""
_LISTEN = """() => {
    window.seen = {};
    const box = document.querySelector('[data-panel=parameters] .nbm-stagebox');
    new MutationObserver(() => {
        const step = box.dataset.step;
        requestAnimationFrame(() => {
            window.seen[step] ??= (performance.timeOrigin + performance.now()) / 1000;
        });
    }).observe(box, { attributes: true, attributeFilter: ['data-step'] });
}"""


def measure() -> list[Figure]:
    """Train, and join what the loop and the page noted."""
    with lab.notebook(
        [_CODE, _TRAIN], flags=lab.GRAPHICS, reduced_motion="reduce"
    ) as book:  # fmt: skip
        book.run(0)
        book.run(1, wait=False)
        scene.open_tab(book)
        book.page.evaluate(_LISTEN)
        busy = book.busy(1)
        book.wait_idle(1, 120)
        times = lab.result(book, 1)
        seen = {int(step): when for step, when in book.page.evaluate("() => window.seen").items()}
    delays = sorted((seen[k] - when) * 1e3 for k, when in enumerate(times, 1) if k in seen)
    middle, high = (delays[int(len(delays) * share)] for share in (0.5, 0.95))
    note = (
        f"{len(delays)} of {SNAPSHOTS} seen, kernel {'busy' if busy else 'idle'}; "
        f"95 % below {high:.0f} ms; the flush interval is {_FLUSH} ms"
    )
    return [
        Figure(
            "a snapshot, measured → seen in the scene, p50", middle, "ms", 100 + _FLUSH, note=note
        )
    ]
