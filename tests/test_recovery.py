"""What a killed process has left in its journal becomes the rows that it would have written."""

from __future__ import annotations

import marshal
from typing import Any

import pytest
import tiny
import torch

from nbmonitor import TrainingMonitor
from nbmonitor.probe import Context, Measured, Probe, Step
from nbmonitor.probes import discover
from nbmonitor.recovery import Deriver


class Kept:
    """A journal in memory: entries as bytes, and the rows that came of them."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.rows: list[Any] = []

    def entry(self, seq: int, payload: tuple[Any, ...]) -> None:
        assert seq == len(self.entries) + 1
        self.entries.append(marshal.dumps(payload, 2))

    def take(self, rows: Any, upto: int) -> None:
        del upto
        self.rows += rows

    def event(self, index: int, event: Any) -> None: ...
    def rewind(self, step: int) -> None: ...
    def fold(self) -> None: ...
    def close(self) -> None: ...


class Mine(Probe):
    """A probe that nobody knows in another process."""

    name = "mine"

    def on_step(self, step: Step) -> Measured:
        return {"mine/a": torch.tensor(float(step.number))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Kept, Any]:
    out = tmp_path_factory.mktemp("out")
    trainer = tiny.tiny_trainer(
        out, max_steps=30, eval_data=tiny.RandomText(8), eval_strategy="steps", eval_steps=10
    )
    monitor = TrainingMonitor(trainer, run_dir=False, probes=[Mine()])
    kept = Kept()
    monitor.run.journal = kept
    trainer.train()
    monitor.run.settle()
    monitor.close()
    return kept, monitor.run


def context(run: Any) -> Context:
    return Context(total_steps=run.total_steps, config=run.config)


def payloads(kept: Kept) -> list[tuple[Any, ...]]:
    return [marshal.loads(entry) for entry in kept.entries]


def without_mine(values: Any) -> dict[str, float]:
    return {key: value for key, value in values.items() if key != "mine/a"}


def test_entries_yield_the_rows_of_the_training_itself(trained) -> None:
    kept, run = trained
    deriver = Deriver(discover(), context(run), {})
    rows = [row for row in map(deriver.row, payloads(kept)) if row is not None]
    assert len(kept.rows) > 30
    assert [(s, pytest.approx(without_mine(v)), t) for s, v, t in kept.rows] == rows
    assert deriver.unknown == {"mine"}


def test_a_journal_goes_on_where_the_file_ends(trained) -> None:
    kept, run = trained
    # The file has everything up to the row of step 20 itself, but not what was logged there.
    end = 1 + next(i for i, p in enumerate(payloads(kept)) if p[:2] == ("step", 20))
    last: dict[str, tuple[int, float]] = {}
    whole = Deriver(discover(), context(run), {})
    for payload in payloads(kept)[:end]:
        row = whole.row(payload)
        if row is not None:
            last |= {key: (row[0], value) for key, value in row[1].items()}
    deriver = Deriver(discover(), context(run), last)
    found: dict[str, dict[int, float]] = {}
    for row in filter(None, map(deriver.row, payloads(kept)[end:])):
        for key, value in row[1].items():
            assert row[0] not in found.setdefault(key, {}), f"{key} twice at step {row[0]}"
            found[key][row[0]] = value
    history = run.history().set_index("step")
    exact = ("train/loss", "train/grad_norm", "tokens/seen", "tokens/samples_seen",
             "tokens/per_step", "train/samples_seen", "train/step_time", "train/epoch")  # fmt: skip
    for key in exact:
        assert sorted(found[key])[:10] == list(range(21, 31))
        for step in range(21, 31):
            assert found[key][step] == pytest.approx(history[key][step])
    assert found["eval/loss"][30] == pytest.approx(history["eval/loss"][30])
    assert sorted(found["train/eta"])[:9] == list(range(21, 30))


def test_a_probe_that_raises_costs_its_own_series_only(trained) -> None:
    kept, run = trained

    class Broken(Probe):
        name = "broken"

        def on_begin(self, context: Context) -> None:
            raise OSError

        def derive(self, step: Step, host: Measured) -> Measured:
            raise ValueError

    deriver = Deriver([Broken(), *discover()], context(run), {})
    rows = [row for row in map(deriver.row, payloads(kept)) if row is not None]
    assert sum("train/loss" in values for _, values, _ in rows) == 30
