"""Dead units and token entropy: what hooks see of a training, and that they leave no trace."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny import tiny_model, tiny_trainer

from nbmonitor import TrainingMonitor
from nbmonitor.probe import Batch, Context, Step
from nbmonitor.probes.dead_units import DeadUnits
from nbmonitor.probes.entropy import KEY, TOKENS, TokenEntropy
from nbmonitor.sampling import stride
from nbmonitor.taps import Taps, due, following

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing. is deprecated.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
]


def host(measured):
    return {k: v.numpy() if getattr(v, "dim", int)() else float(v) for k, v in measured.items()}


def text(rows=3, width=8, vocabulary=64):
    torch.manual_seed(3)
    return torch.randint(3, vocabulary, (rows, width))


# ------------------------------------------------------------------ dead units


def begun(model):
    probe = DeadUnits()
    context = Context(model=model)
    assert probe.absent(context) == ""
    probe.on_begin(context)
    return probe


def layers_of(model):
    probe = begun(model)
    ids = text()
    extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    model.train()
    model(input_ids=ids, **extra)
    got = probe.on_step(Step(1, 0.0))
    probe.on_end(Step(1, 0.0))
    return sorted(got)


@pytest.mark.parametrize(
    ("kind", "layers"), [("llama", "0 1"), ("gpt2", "0 1"), ("bert", "0 1"),
                         ("t5", "dec.0 dec.1 enc.0 enc.1")],
)  # fmt: skip
def test_layers_of_architectures(kind, layers):
    assert layers_of(tiny_model(kind)) == [f"dead/{layer}/share" for layer in layers.split()]


@pytest.mark.parametrize("adapted", [False, True])
def test_planted_dead_units_are_found(adapted):
    model = tiny_model("llama", layers=2, hidden=32)
    mlp = model.model.layers[1].mlp
    with torch.no_grad():
        mlp.up_proj.weight[:16] = 0  # of 64: a gated unit without input
    if adapted:
        model = get_peft_model(model, LoraConfig(target_modules=["down_proj"]))
    probe = begun(model)
    model.train()
    for _ in range(2):
        model(input_ids=text())
    got = host(probe.on_step(Step(1, 0.0)))
    assert got == {"dead/0/share": 0.0, "dead/1/share": 0.25}


def test_the_share_is_of_all_micro_batches_and_positions():
    """Against its definition in float64, with few positions so that all are read."""
    model = tiny_model("gpt2", activation_function="relu")
    with torch.no_grad():
        for layer in model.transformer.h:
            layer.mlp.c_fc.bias -= torch.linspace(0, 0.3, 64)
    seen = {0: [], 1: []}
    for at, layer in enumerate(model.transformer.h):
        layer.mlp.c_proj.register_forward_pre_hook(
            lambda _, a, at=at: seen[at].append(a[0].double())
        )
    probe = begun(model)
    model.train()
    for rows in (2, 3):
        model(input_ids=text(rows))
    got = host(probe.on_step(Step(1, 0.0)))
    for at, found in seen.items():
        peaks = torch.cat([a.flatten(0, 1) for a in found]).abs().amax(0)
        exact = float((peaks <= 1e-3 * peaks.mean()).double().mean())
        assert got[f"dead/{at}/share"] == pytest.approx(exact)
        assert 0 < exact < 1


def test_not_a_number_is_told():
    model = tiny_model()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = math.nan
    probe = begun(model)
    model.train()
    model(input_ids=text())
    got = host(probe.on_step(Step(1, 0.0)))
    assert math.isnan(got["dead/0/share"])


def test_reasons():
    assert DeadUnits().absent(Context()) == "no model to be read"
    assert "known name" in DeadUnits().absent(Context(model=tiny_model("mixtral")))
    model = tiny_model()
    model.compile()  # nothing is compiled before the first call
    assert "torch.compile" in DeadUnits().absent(Context(model=model))
    wrapped = torch.compile(tiny_model())
    assert "torch.compile" in DeadUnits().absent(Context(model=tiny_model(), wrapped=wrapped))


# ------------------------------------------------------------------ taps


def test_due():
    assert [n for n in range(1, 41) if due(n, 10)] == [9, 19, 29, 39]
    assert all(due(n, 1) for n in range(5))


@pytest.mark.parametrize("spacing", [1, 2, 3, 10])
def test_a_probe_with_taps_is_asked_to_open_and_to_read_them(spacing):
    """Asked only when it wants to be, it sees the same steps as one that is always asked."""
    asked, opened, number, seen = [], True, 1, []
    while number < 45:
        if opened:
            seen.append(number)
        asked.append(number)
        opened = due(number, spacing)
        number = following(number, spacing, opened=opened)
    assert seen == [1, *(n for n in range(2, 45) if n % spacing == 0)]
    assert len(asked) <= 2 * len(seen)


@pytest.mark.parametrize("probe", [DeadUnits(), TokenEntropy()])
def test_a_cadence_that_a_viewer_sets_spaces_the_measurements(probe):
    assert probe.set_every(25) == 10
    assert (probe.every, probe.spacing) == (1, 25)
    assert [n for n in range(1, 80) if due(n, probe.spacing)] == [24, 49, 74]


@pytest.mark.parametrize(("count", "most", "width"), [(10, 20, 4), (100, 10, 5), (4096, 100, 64)])
def test_strides_meet_all_columns(count, most, width):
    step = stride(count, most, width)
    met = range(0, count, step)
    assert len(met) <= most
    assert len({at % width for at in met}) == min(width, len(met))


def test_a_hook_that_fails_stops_nothing_and_is_told():
    layer = torch.nn.Linear(2, 2)
    taps = Taps()

    def fail(_):
        raise RuntimeError("seen")

    taps.before(layer, fail)
    layer(torch.ones(1, 2))
    layer(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="seen"):
        taps.turn(opened=True)
    assert not layer._forward_pre_hooks


def test_copies_of_a_model_are_left_alone():
    layer, seen = torch.nn.Linear(2, 2), []
    taps = Taps()
    taps.before(layer, seen.append)
    copy.deepcopy(layer)(torch.ones(1, 2))
    pickle.loads(pickle.dumps(layer))(torch.ones(1, 2))
    assert not seen
    layer.eval()
    layer(torch.ones(1, 2))
    assert not seen
    layer.train()
    layer(torch.ones(1, 2))
    assert len(seen) == 1


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_computes_again_is_not_seen_twice(reentrant):
    layer, seen = torch.nn.Linear(2, 2), []
    Taps().before(layer, seen.append)
    given = torch.ones(1, 2, requires_grad=True)
    torch.utils.checkpoint.checkpoint(layer, given, use_reentrant=reentrant).sum().backward()
    assert len(seen) == 1


def test_a_training_is_the_same_with_and_without_and_keeps_no_hook(tmp_path):
    def weights(monitored):
        torch.manual_seed(5)
        model = tiny_model(attention_dropout=0.1)
        trainer = tiny_trainer(tmp_path, model=model, max_steps=12, learning_rate=1e-2)
        monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs") if monitored else None
        trainer.train()
        hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
        if monitor is not None:
            monitor.run.settle()
            assert monitor.run.events("probe_error") == []
            assert monitor.run.points("dead/1/share")[0].tolist() == [1, 10]
            assert monitor.run.points(KEY)[0].tolist() == [1, 10]
            assert all(3 < v <= math.log(64) + 1e-4 for v in monitor.run.points(KEY)[1])
            monitor.close()
        return [p.detach().clone() for p in model.parameters()], hooks

    (plain, before), (watched, after) = weights(monitored=False), weights(monitored=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert before == after


# ------------------------------------------------------------------ token entropy


def entropies(logits):
    """By the definition, in float64."""
    logs = logits.double().log_softmax(-1)
    return -(logs.exp() * logs.masked_fill(logs == -math.inf, 0.0)).sum(-1)


def watch(model, inputs, times=1):
    probe = TokenEntropy()
    probe.on_begin(Context(model=model))
    model.train()
    for _ in range(times):
        probe.on_batch(Batch(inputs, 1))
        logits = model(**inputs).logits
    measured = probe.on_step(Step(1, 0.0))
    got = probe.derive(Step(1, 0.0), host(measured)) if measured else {}
    return got.get(KEY), logits.detach(), probe


@pytest.mark.parametrize(("kind", "shifted"), [("llama", 1), ("gpt2", 1), ("bert", 0), ("t5", 0)])
def test_entropy_of_the_predicted_tokens_and_of_no_others(kind, shifted):
    options = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if kind == "gpt2" else {}
    options |= {"dropout_rate": 0.0} if kind == "t5" else {}
    if kind == "bert":
        options |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = tiny_model(kind, **options)
    with torch.no_grad():  # sharper, so that tokens differ
        model.get_output_embeddings().weight *= 2 if kind == "t5" else 30
    ids = text(4, 12)
    labels = ids.masked_fill(ids % 2 == 0, -100)
    got, logits, probe = watch(model, {"input_ids": ids, "labels": labels})
    if shifted:
        logits, labels = logits[:, :-1], labels[:, 1:]
    exact = float(entropies(logits)[labels != -100].mean())
    assert got == pytest.approx(exact, rel=1e-4)
    assert got != pytest.approx(float(entropies(logits).mean()), rel=1e-3)
    assert probe.unavailable() == {}


def test_a_sample_of_many_tokens_comes_near_and_holds_no_logits():
    model = tiny_model(hidden=32)
    with torch.no_grad():
        model.lm_head.weight *= 30
    ids = text(16, 64)
    got, logits, probe = watch(model, {"input_ids": ids, "labels": ids}, times=3)
    exact = entropies(logits)[:, :-1]
    spread = float(exact.std()) / math.sqrt(TOKENS)
    assert abs(got - float(exact.mean())) < 4 * spread
    assert got != float(exact.mean())
    assert all(t.dim() == 0 for pair in probe._sums for t in pair)


def test_adversarial_batches():
    probe = TokenEntropy()
    probe.on_batch(Batch({"labels": torch.tensor([[5, 5, -100]])}, 1))
    probe._shifted = False
    probe._take(
        torch.tensor([[[0.0, -math.inf, 0.0], [0.0, -math.inf, -math.inf], [math.nan] * 3]])
    )
    got = probe.derive(Step(1, 0.0), host(probe.on_step(Step(1, 0.0))))
    assert got[KEY] == pytest.approx(math.log(2) / 2)
    # Nothing is predicted: there is no mean.
    probe.on_batch(Batch({"labels": torch.full((1, 3), -100)}, 1))
    probe._take(torch.zeros(1, 3, 4))
    assert probe.derive(Step(2, 0.0), host(probe.on_step(Step(2, 0.0)))) == {}


def test_what_the_model_does_behind_its_head_is_done():
    model = tiny_model()
    model.config.final_logit_softcapping = 2.0
    with torch.no_grad():
        model.lm_head.weight *= 100
    ids = text()
    got, logits, _ = watch(model, {"input_ids": ids, "labels": ids})
    capped = 2.0 * torch.tanh(logits / 2.0)
    assert got == pytest.approx(float(entropies(capped)[:, :-1].mean()), rel=1e-4)


def test_labels_of_the_batch_before_are_not_taken_for_those_of_this_one():
    """A loop of its own shows a batch after its forward pass."""
    model = tiny_model()
    probe = TokenEntropy()
    probe.on_begin(Context(model=model))
    probe.set_every(1)
    model.train()
    for number in (1, 2, 3):
        ids = text()
        model(input_ids=ids)
        probe.on_batch(Batch({"input_ids": ids, "labels": ids}, 1))
        assert not probe.on_step(Step(number, 0.0))
        assert "too late" in probe.unavailable()[KEY]


def test_reasons_of_a_missing_entropy():
    ids = text()
    model = tiny_model()
    got, _, probe = watch(model, {"input_ids": ids})
    assert got is None
    assert "no labels" in probe.unavailable()[KEY]
    _, _, probe = watch(model, {"input_ids": ids, "labels": ids, "logits_to_keep": 8})
    assert probe.unavailable() == {}
    probe.on_begin(Context(model=torch.nn.Linear(1, 1)))
    assert "no output head" in probe.unavailable()[KEY]
    probe.on_begin(Context(model=model, wrapped=torch.compile(model)))
    assert "torch.compile" in probe.unavailable()[KEY]
    probe.on_begin(Context(model=model))
    probe.on_batch(Batch({"labels": ids}, 1))
    probe.on_step(Step(1, 0.0))
    assert "fused" in probe.unavailable()[KEY]
    probe.on_batch(Batch({"labels": ids}, 1))
    probe._take(torch.zeros(3, 2, 64))
    assert "positions" in probe.unavailable()[KEY]


def test_a_logged_entropy_is_taken_and_the_hook_goes():
    model = tiny_model()
    probe = TokenEntropy()
    probe.on_begin(Context(model=model))
    assert probe.on_log(1, {"train/loss": 1.0}) == {}
    assert probe.on_log(1, {"train/entropy": 2.5}) == {KEY: 2.5}
    probe.on_step(Step(1, 0.0))
    assert not model.lm_head._forward_hooks
    assert probe.unavailable() == {}


def test_trl_logs_it(tmp_path):
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    rows = [{"input_ids": text(1, 12)[0].tolist()} for _ in range(8)]
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{n}": n for n in range(64)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w3")),
        pad_token="w0",
        eos_token="w2",
    )
    arguments = trl.SFTConfig(
        str(tmp_path), max_steps=3, per_device_train_batch_size=2, logging_steps=1, use_cpu=True,
        report_to="none", save_strategy="no", disable_tqdm=True, bf16=False,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        tiny_model(), arguments, train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )  # fmt: skip
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    monitor.run.settle()
    logged = [e["entropy"] for e in trainer.state.log_history if "entropy" in e]
    assert monitor.run.points(KEY)[1].tolist() == pytest.approx(logged, rel=1e-5)
    assert len(logged) == 3
    monitor.close()
