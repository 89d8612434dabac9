"""The fixed set in a real training: when it is evaluated, what is recorded, what is left alone."""

import json
import random
import time
import warnings

import numpy as np
import pytest
import torch

from nbmonitor import TrainingMonitor
from nbmonitor.controls import NAMES
from nbmonitor.probes import fixed_eval as module
from nbmonitor.trainer_steering import TrainerSteering
from tests.steering import At, answers, applied, available, click
from tests.tiny import RandomText, tiny_model, tiny_trainer
from tests.words import tasks, tokenizer

EM = "fixed_eval/exact_match"
ALL = {
    EM, "fixed_eval/teacher_forced_match", "fixed_eval/cross_entropy", "fixed_eval/ece",
    "fixed_eval/token_entropy", "fixed_eval/seconds",
}  # fmt: skip


@pytest.fixture
def train(tmp_path):
    """Train with a fixed set; return the monitor and the Trainer."""
    monitors = []

    def go(fixed=None, *, deeds=None, error=None, resume=None, tok=None, options=None, **arguments):
        at = At(**(deeds or {}))
        arguments = {"output_dir": str(tmp_path / "out"), "max_steps": 6, **arguments}
        trainer = tiny_trainer(callbacks=[at], **arguments)
        trainer.processing_class = trainer.callback_handler.processing_class = tok or tokenizer()
        options = {"eval_every": 3, "run_dir": False, **(options or {})}
        at.monitor = TrainingMonitor(trainer, fixed_eval=fixed or tasks(), **options)
        monitors.append(at.monitor)
        if error is None:
            trainer.train(resume_from_checkpoint=resume)
        else:
            with pytest.raises(error):
                trainer.train(resume_from_checkpoint=resume)
        assert not at.monitor.run.events("probe_error")
        return at.monitor, trainer

    yield go
    for monitor in monitors:
        monitor.close()


def steps(monitor, key=EM):
    return monitor.run.points(key)[0].tolist()


def state(monitor):
    return monitor.run.tensor("fixed_eval/state")[3]


def weights(trainer):
    return [p.detach().clone() for p in trainer.model.parameters()]


def test_first_every_third_and_last_step(train):
    monitor, _ = train(max_steps=8)
    for key in ALL:
        assert steps(monitor, key) == [1, 3, 6, 8]
    rows = [k for k in monitor.run.keys if k.startswith("pattern/")]
    assert set(rows) == {"pattern/coding/exact_match", "pattern/other/exact_match", "pattern/reasoning/exact_match"}  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_weights_are_bit_for_bit_those_of_a_training_without(tmp_path, kind):
    """With dropout, a data loader that shuffles, accumulation, and warm random states."""

    def run(fixed):
        drop = (
            {"attn_pdrop": 0.3, "resid_pdrop": 0.3}
            if kind == "gpt2"
            else {"attention_dropout": 0.3}
        )
        model = tiny_model(kind, **drop)
        trainer = tiny_trainer(
            tmp_path / "out", model=model, max_steps=9, gradient_accumulation_steps=2, seed=3,
            learning_rate=1e-2, max_grad_norm=0.5,
        )  # fmt: skip
        trainer.processing_class = trainer.callback_handler.processing_class = tokenizer()
        options = {"fixed_eval": tasks(), "eval_every": 1} if fixed else {}
        monitor = TrainingMonitor(trainer, run_dir=False, **options)
        trainer.train()
        assert (EM in monitor.run.keys) == fixed
        monitor.close()
        return weights(trainer), (random.random(), np.random.rand(), torch.rand(3).tolist())  # noqa: NPY002 - what others use

    (plain, after), (watched, too) = run(False), run(True)
    assert after == too
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_what_is_put_is_what_was_agreed_on(train):
    monitor, _ = train(max_steps=3)
    run = monitor.run
    _, step, drawn, meta = run.tensor("fixed_eval/reliability")
    assert (step, drawn.shape, drawn.dtype) == (3, (3, 10), np.float32)
    assert meta["ece"] == run.last("fixed_eval/ece")
    assert drawn[0].sum() == meta["tokens"]
    _, _, counts, meta = run.tensor("fixed_eval/patterns")
    assert (counts.shape, counts.dtype) == ((3, 6, 2), np.int32)
    assert meta["patterns"] == ["coding", "reasoning", "other"]
    assert counts[..., 0].sum() == meta["total"]["seen"] == 24
    assert set(meta["cells"]) == set(meta["failing"]) == {"0,0", "1,0", "2,0"}
    first = meta["failing"]["0,0"][0]
    assert first["prompt"].startswith("code ")
    assert first["expected"] in first["prompt"]
    assert first["got"] != first["expected"]
    assert all(len(rows) == 5 for rows in meta["failing"].values())
    assert sum(row["decoded"] for rows in meta["failing"].values() for row in rows) == 15
    _, _, array, told = run.tensor("fixed_eval/state")
    assert (array.shape, array.dtype) == ((0,), np.uint8)
    assert {"n", "step", "exact_match", "low", "high", "cross_entropy", "ece", "best", "trend",
            "drift", "seconds", "share_of_training"} <= set(told)  # fmt: skip
    assert (told["n"], told["step"], told["drift"]) == (24, 3, None)
    assert told["low"] <= told["exact_match"] <= told["high"]
    assert told["trend"]["exact_match"]["state"] == "too early"
    assert 0 < told["share_of_training"] < 1
    for key in ("reliability", "patterns", "state"):
        json.dumps(run.tensor(f"fixed_eval/{key}")[3], allow_nan=False)


def test_in_passing_only_some_failing_answers_are_decoded(train, monkeypatch):
    puts = []
    monkeypatch.setattr(module, "_DECODED", 4)
    train(
        max_steps=2,
        deeds={"s2": lambda m: puts.append(m.run.tensor("fixed_eval/patterns")[3]["failing"])},
    )
    rows = [row for cell in puts[0].values() for row in cell]
    assert sum(row["decoded"] for row in rows) == 4
    assert all(row["got"].endswith("…") for row in rows if not row["decoded"])


def test_the_best_is_linked_to_the_checkpoint_nearest_to_it(train, tmp_path):
    monitor, _ = train(max_steps=7, save_strategy="steps", save_steps=2, save_total_limit=2)
    best = state(monitor)["best"]
    there = {int(path.name.split("-")[1]) for path in (tmp_path / "out").glob("checkpoint-*")}
    assert best["checkpoint_step"] in there
    assert abs(best["checkpoint_step"] - best["step"]) == min(abs(s - best["step"]) for s in there)
    assert best["checkpoint"] == f"checkpoint-{best['checkpoint_step']}"


def test_a_checkpoint_saved_later_is_linked_by_the_tick(train):
    seen = []

    def look(monitor):
        seen.append(state(monitor)["best"]["checkpoint"])
        monitor._engine.tick()
        seen.append(state(monitor)["best"]["checkpoint"])

    train(deeds={"s4": look}, save_strategy="steps", save_steps=3, max_steps=5)
    assert seen == [None, "checkpoint-3"]


def test_its_time_is_evaluation_and_no_time_of_a_step(train, monkeypatch):
    evaluate = module.Evaluation.run

    def slow(self, examples):
        time.sleep(0.4)
        return evaluate(self, examples)

    monkeypatch.setattr(module.Evaluation, "run", slow)
    spent = []

    class Spy(module.Probe):
        name = "spy"

        def on_step(self, step):
            spent.append(step.evaluation)

    monitor, _ = train(options={"probes": [Spy()]}, max_steps=5)
    assert min(monitor.run.points("fixed_eval/seconds")[1]) > 0.4
    assert max(monitor.run.points("train/step_time")[1]) < 0.35
    assert [value > 0.4 for value in spent] == [False, True, False, True, False]
    assert state(monitor)["share_of_training"] > 0.5


def test_the_control_evaluates_the_fixed_set_where_there_is_nothing_else(train):
    told = []

    def ask(monitor):
        told.append(available(monitor)["evaluate"])
        click("evaluate")(monitor)

    monitor, _ = train(deeds={"s2": ask, "s3": click("evaluate", identity="again")})
    assert told == [""]
    assert steps(monitor) == [1, 2, 3, 6]  # at 3 it was due anyway, and done
    assert applied(monitor) == [("evaluate", 2), ("evaluate", 3)]
    assert "fixed set evaluated" in answers(monitor)[0][2]


def test_the_control_evaluates_both(train):
    monitor, _ = train(deeds={"s2": lambda m: m.evaluate()}, eval_data=RandomText(8))
    assert steps(monitor) == [1, 2, 3, 6]
    assert steps(monitor, "eval/loss") == [2]
    message = answers(monitor)[0][2]
    assert "evaluated: loss" in message
    assert "fixed set evaluated" in message


def test_without_a_fixed_set_the_control_needs_an_eval_dataset(tmp_path):
    trainer = tiny_trainer(tmp_path / "out", callbacks=[at := At(s2=click("evaluate"))])
    at.monitor = monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train()
    assert answers(monitor)[0][1:] == ("refused", "the Trainer has no eval_dataset")
    panel = next(p for p in monitor._engine.panels() if p["id"] == "patterns")
    assert "fixed_eval=" in panel["absent"]
    monitor.close()


def test_an_interrupted_training_is_not_evaluated_at_its_end(train):
    def stop(monitor):
        raise KeyboardInterrupt

    monitor, _ = train(deeds={"s5": stop}, error=KeyboardInterrupt, max_steps=9)
    assert steps(monitor) == [1, 3]
    assert monitor.run.status == "interrupted"


def test_a_stopped_one_neither(train):
    monitor, _ = train(deeds={"s5": click("stop")}, max_steps=9)
    assert steps(monitor) == [1, 3]


def test_what_raises_is_off_and_the_training_goes_on(tmp_path):
    trainer = tiny_trainer(tmp_path / "out")
    trainer.processing_class = trainer.callback_handler.processing_class = tokenizer()
    records = [{"prompt": "a", "answer": "b"}, {"text": "a", "label": 1}]
    monitor = TrainingMonitor(trainer, run_dir=False, fixed_eval=records)
    trainer.train()
    assert monitor.run.status == "finished"
    assert (
        "this model takes prompt and answer"
        in monitor.run.events("probe_error")[0]["data"]["message"]
    )
    monitor.close()


def test_going_on_keeps_the_evaluations_so_far(train, tmp_path):
    arguments = {"save_strategy": "steps", "save_steps": 4, "options": {"eval_every": 1}}
    again, trainer = train(max_steps=5, **arguments)
    trainer.args.max_steps = 6
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    assert steps(again) == [1, 2, 3, 4, 5, 6]
    assert state(again)["evaluations"] == 6
    assert state(again)["trend"]["cross_entropy"]["p"] is not None


@pytest.mark.parametrize("said", [True, False])
def test_answers_end_as_those_of_the_training_do(train, said):
    class Ended(RandomText):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            labels = item["labels"].clone()
            if said:
                labels[0] = 2
            return {**item, "labels": labels}

    monitor, _ = train([{"prompt": "a", "answer": "b"}] * 3, data=Ended(), max_steps=2)
    assert state(monitor)["tokens"] == (6 if said else 3)
    noted = [e["data"]["message"] for e in monitor.run.events("note")]
    assert any("without an end token" in message for message in noted) != said


def test_text_alone_has_no_answers_to_match(train):
    monitor, _ = train([{"text": "a b c d"}] * 4)
    assert EM not in monitor.run.keys
    assert monitor.run.tensor("fixed_eval/patterns") is None
    told = state(monitor)
    assert (told["n"], told["exact_match"], told["low"]) == (4, None, None)
    assert told["best"]["by"] == "cross_entropy"
    reasons = {p["id"]: p for p in monitor._engine.panels()}
    assert "no answer" in json.dumps(reasons["fixed_match"])


def test_records_that_are_too_long_are_left_out_and_counted(train):
    monitor, _ = train([{"prompt": "a", "answer": "b " * 200}, {"prompt": "a", "answer": "b"}])
    assert state(monitor)["n"] == 1
    assert any("1 of 2 records" in e["data"]["message"] for e in monitor.run.events("note"))


def test_user_patterns_and_options(train):
    fixed = {
        "data": tasks(),
        "every": 2,
        "patterns": {"copying": "^copy"},
        "limit": 9,
        "ends": False,
    }
    monitor, _ = train(fixed, options={"eval_every": None})
    assert steps(monitor) == [1, 2, 4, 6]
    meta = monitor.run.tensor("fixed_eval/patterns")[3]
    assert (meta["patterns"], meta["total"]["seen"]) == (["copying", "other"], 9)
    assert "user" in meta["labelled"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"fixed_eval": "nowhere.jsonl"}, FileNotFoundError, "nowhere"),
        (
            {"fixed_eval": [{"prompt": "a", "answer": "b"}], "eval_every": 0},
            ValueError,
            "from 1 on",
        ),
        ({"fixed_eval": {"data": [], "evry": 3}}, TypeError, "got evry"),
        ({"fixed_eval": {"data": [{"text": "a"}], "ends": "no"}}, ValueError, "ends is True"),
        ({"fixed_eval": [{"text": "a"}], "patterns": 3}, TypeError, "patterns are"),
        ({"eval_every": 10}, TypeError, "fixed_eval"),
    ],
)
def test_what_is_wrong_is_said_at_once(options, error, said):
    with pytest.raises(error, match=said):
        TrainingMonitor(**options)


def test_without_a_tokenizer_it_says_what_to_give(tmp_path):
    trainer = tiny_trainer(tmp_path / "out", max_steps=1)
    monitor = TrainingMonitor(trainer, run_dir=False, fixed_eval=tasks())
    trainer.train()
    panel = next(p for p in monitor._engine.panels() if p["id"] == "fixed_match")
    assert "processing_class=tokenizer" in panel["absent"]
    monitor.close()


def test_a_plain_loop(tmp_path):
    model = tiny_model("llama")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    monitor = TrainingMonitor(
        run_dir=False, fixed_eval={"data": tasks(), "tokenizer": tokenizer()}, eval_every=2
    )
    monitor.watch(model, optimizer, total_steps=3)
    ids = torch.tensor([[3, 4, 5, 6]])
    for _ in range(3):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss, ids)
    monitor.finish()
    assert steps(monitor) == [1, 2, 3]
    assert not monitor.run.events("probe_error")
    monitor.close()


def test_a_model_in_half_precision_with_an_adapter(train):
    peft = pytest.importorskip("peft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers by an old name
        model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(r=2))
        monitor, _ = train(model=model, bf16=True, max_steps=3)
    assert steps(monitor) == [1, 3]
    assert not state(monitor)["note"]


def test_gradient_checkpointing_stays(train):
    model = tiny_model("llama")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(model=model, gradient_checkpointing=True, max_steps=3)
        assert model.training
        assert model.is_gradient_checkpointing


def test_a_plain_loops_control_evaluates_the_fixed_set():
    model = tiny_model("llama")
    options = {"fixed_eval": {"data": tasks(), "tokenizer": tokenizer()}, "run_dir": False}
    monitor = TrainingMonitor(**options)
    monitor.watch(model)
    monitor.step(1.0)
    monitor.evaluate()
    monitor.step(1.0)
    assert steps(monitor) == [1, 2]
    assert "fixed set evaluated" in answers(monitor)[-1][2]
    monitor.close()


def test_where_no_control_is_possible_the_fixed_set_makes_none(train, monkeypatch):
    reason = "the training has 2 processes"
    monkeypatch.setattr(TrainerSteering, "obstacles", lambda self: dict.fromkeys(NAMES, reason))
    monitor, _ = train(deeds={"s2": click("evaluate")})
    assert steps(monitor) == [1, 3, 6]
    assert answers(monitor)[0][1:] == ("refused", reason)
