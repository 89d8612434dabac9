"""What came of a run, as data and as Markdown: of a real training, live and from its file."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_model, tiny_trainer

from nbmonitor import Run, TrainingMonitor, open_run, wire
from nbmonitor.engine import Engine
from nbmonitor.judge import Judge
from nbmonitor.probes.loss import Loss

KEYS = {
    "name", "status", "message", "step", "total_steps", "seconds", "series", "events", "verdict",
    "fixed_eval", "patterns", "adapters", "phases", "alerts", "checkpoints",
}  # fmt: skip


def judged() -> Run:
    run = Run("a | b")
    run.set_status("running")
    run.extend([(n, {"train/loss": 4.0 / n}, 1e9 + n) for n in range(1, 51)])
    state: dict[str, Any] = {
        "n": 40, "exact_match": 0.5, "low": 0.35, "high": 0.65, "cross_entropy": 2.0, "ece": 0.2,
        "best": {"step": 40, "exact_match": 0.5, "checkpoint": "checkpoint-40"},
        "trend": {"exact_match": {"state": "improving"}},
    }  # fmt: skip
    run.put("fixed_eval/state", 50, np.zeros(0, np.uint8), state)
    rows = [{"seen": 20, "correct": 19}, {"seen": 20, "correct": 1}, {"seen": 0, "correct": 0}]
    meta = {"patterns": ["copy", "reverse", "math"], "rows": rows}
    run.put("fixed_eval/patterns", 50, np.zeros((3, 6, 2), np.int32), meta)
    raised = {
        "id": "padding_waste", "rule": "padding_waste", "severity": "warning", "state": "raised",
        "title": "Padding", "message": "60 %", "action": "Group by length.", "panel": "tokens",
    }  # fmt: skip
    run.event("alert", 20, raised)
    run.event("phase", 10, {"name": "rapid learning", "from": 3, "message": "…", "confidence": 0.9})
    run.event("checkpoint", 40, {"name": "checkpoint-40", "message": "saved"})
    return run


def test_data_keeps_its_keys_and_says_what_judges_the_run() -> None:
    got = judged().summary()
    assert set(got) == KEYS
    assert got["series"]["train/loss"]["min"] == pytest.approx(0.08)
    assert got["fixed_eval"]["exact_match"] == 0.5
    assert got["patterns"]["reverse"]["exact_match"] == 0.05
    assert got["patterns"]["math"] == {
        "seen": 0, "correct": 0, "exact_match": None, "low": None, "high": None,
    }  # fmt: skip
    assert [a["id"] for a in got["alerts"]] == ["padding_waste"]
    assert got["checkpoints"] == ["checkpoint-40"]
    assert "'reverse' 5.0 % (n=20) needs data" in got["verdict"]["text"]
    json.dumps(got, allow_nan=False)


def test_markdown_has_tables_that_are_tables() -> None:
    text = judged().summary_markdown()
    assert text.startswith("# a \\| b\n")
    assert "**→ Go on; add 'reverse' examples.**" in text
    for title in ("Verdict", "Fixed evaluation set", "Patterns", "Phases", "Open alerts", "Series"):
        assert f"\n## {title}\n" in text
    assert "\n## Adapters" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
    assert "| reverse | 20 | 1 | 5.0 % |" in text
    assert "| math |" not in text


def test_a_run_that_holds_nothing_is_summed_up_too() -> None:
    run = Run()
    assert run.summary()["verdict"]["text"] == ""
    assert run.summary_markdown().startswith("# Training run\n\n**waiting** at step 0")


def test_the_verdict_is_put_when_its_words_change() -> None:
    run = Run()
    engine = Engine(run, [Loss()])
    judge = Judge(run, every=0.0)
    judge.attach(engine)
    run.set_status("running")
    engine.log(1, {"train/loss": 4.0})
    engine.settle(wait=True)
    first = run.tensor("quality/verdict")
    assert first is not None
    assert first[3]["text"].startswith("Training loss 4, from 4.")
    judge.judge()
    assert run.tensor("quality/verdict") is first
    engine.log(2, {"train/loss": 2.0})
    engine.settle(wait=True)
    second = run.tensor("quality/verdict")
    assert second is not None
    assert (second[1], second[3]["final"]) == (2, False)
    run.set_status("finished")
    judge.judge()
    last = run.tensor("quality/verdict")
    assert last is not None
    assert last[3]["final"]


def test_the_evidence_is_not_read_at_every_row() -> None:
    run = Run()
    engine = Engine(run, [Loss()])
    judge = Judge(run, every=3600.0)
    judge.attach(engine)
    looks = []
    judge.judge = lambda: looks.append(run.step)  # type: ignore[method-assign]
    for n in range(1, 50):
        engine.log(n, {"train/loss": 1.0})
        engine.settle(wait=True)
    assert looks == [1]


def test_a_real_training_ends_with_its_verdict_in_the_file_and_the_notebook(tmp_path: Any) -> None:
    torch.manual_seed(0)
    trainer = tiny_trainer(
        tmp_path, model=tiny_model("gpt2"), max_steps=30, save_strategy="steps", save_steps=10
    )
    monitor = TrainingMonitor(trainer, autosave=False)
    trainer.train()
    live = monitor.run.summary()
    assert live["verdict"]["final"]
    assert live["checkpoints"] == ["checkpoint-10", "checkpoint-20", "checkpoint-30"]
    assert live["verdict"]["text"].startswith("Training loss ")
    assert "verdict" in [panel["id"] for panel in monitor.panels]
    kept = {put["key"]: put for put, _ in wire.unpack_tensors(monitor.run.pack())}
    assert kept["quality/verdict"]["meta"]["text"] == live["verdict"]["text"]
    monitor.close()
    view = open_run(tmp_path / "nbmonitor")
    found = view.run.tensor("quality/verdict")
    assert found is not None
    assert found[3]["final"]
    assert found[3]["text"] == view.run.summary()["verdict"]["text"] == live["verdict"]["text"]
    view.close()
