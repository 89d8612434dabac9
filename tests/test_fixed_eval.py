"""A fixed evaluation of real models: what it measures, against naive code in float64."""

import math
import warnings

import numpy as np
import pytest
import torch
import transformers

from nbmonitor.capture import evaluation as module
from nbmonitor.capture import head, scoring
from nbmonitor.capture.decoding import cut, decode
from nbmonitor.capture.evaluation import Evaluation
from nbmonitor.capture.kind import processors
from nbmonitor.capture.undisturbed import undisturbed
from nbmonitor.encoding import IGNORED, Encoded, Encoder
from nbmonitor.fixed_set import load
from tests.tiny import VOCAB, tiny_model
from tests.words import learn, tasks, tokenizer


def decoder(kind):
    """A decoder with something about its logits that not all have."""
    if kind in {"gpt2", "llama", "mixtral"}:
        return tiny_model(kind)
    torch.manual_seed(0)
    names = {
        "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
        "gemma2": ("Gemma2", {"final_logit_softcapping": 2.0, "head_dim": 8}),
        "granite": ("Granite", {"logits_scaling": 4.0}),
        "cohere": ("Cohere", {"logit_scale": 0.25}),
    }
    name, more = names[kind]
    config = getattr(transformers, f"{name}Config")(
        num_hidden_layers=2, hidden_size=16, intermediate_size=32, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=VOCAB, max_position_embeddings=128,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, **more,
    )  # fmt: skip
    return getattr(transformers, f"{name}ForCausalLM")(config)


def encode(records, kind="causal", ends=(2,), **options):
    encoder = Encoder(tokenizer(ends=kind == "seq2seq"), kind, ends, **options)
    return [encoder.encode(i, e) for i, e in enumerate(load(records))]


def evaluated(model, encoded, kind="causal"):
    with undisturbed(model):
        return Evaluation(model, kind, 0).run(encoded)


def naive(model, encoded, kind="causal"):
    """One example at a time, without padding, all logits, float64."""
    model.eval()
    out = {"loss": [], "entropy": [], "bins": np.zeros((3, 10)), "forced": [], "each": []}
    for example in encoded:
        ids = torch.tensor([example.ids])
        with torch.no_grad():
            if kind == "seq2seq":
                labels = torch.tensor([example.targets])
                logits = model(input_ids=ids, labels=labels).logits[0]
                targets = example.targets
            else:
                logits = model(input_ids=ids).logits[0, :-1]
                targets = example.targets[1:]
        logp = torch.log_softmax(logits.double(), -1).numpy()
        rows = [(row, t) for row, t in zip(logp, targets, strict=True) if t != IGNORED]
        for row, target in rows:
            p = np.exp(row)
            out["loss"].append(-row[target])
            out["entropy"].append(-np.sum(p * row))
            out["bins"][:, int(p.max() * 10)] += (1, p.max(), row.argmax() == target)
        out["forced"].append(all(row.argmax() == target for row, target in rows))
        out["each"].append(np.mean([-row[target] for row, target in rows]) if rows else math.nan)
    return out


def greedy(model, example, kind="causal"):
    """What the model answers, one token after the other, without a cache."""
    model.eval()
    said = []
    for _ in example.answer:
        with torch.no_grad():
            if kind == "seq2seq":
                decoder_ids = torch.tensor([[0, *said]])
                ids = torch.tensor([example.ids])
                logits = model(input_ids=ids, decoder_input_ids=decoder_ids).logits
            else:
                ids = torch.tensor([[*example.ids[: example.start], *said]])
                logits = model(input_ids=ids).logits
        said.append(int(logits[0, -1].argmax()))
    return said


def check(outcome, expected, encoded):
    assert outcome.tokens == len(expected["loss"])
    assert outcome.loss == pytest.approx(np.mean(expected["loss"]), rel=2e-5)
    assert outcome.entropy == pytest.approx(np.mean(expected["entropy"]), rel=2e-5)
    assert outcome.bins == pytest.approx(expected["bins"], rel=1e-4, abs=1e-4)
    for example, forced, each in zip(encoded, expected["forced"], expected["each"], strict=True):
        verdict = outcome.verdicts[example.index]
        assert verdict.loss == pytest.approx(each, rel=1e-4, nan_ok=True)
        if example.start is not None:
            assert verdict.forced == forced


@pytest.mark.parametrize(
    "kind", ["gpt2", "llama", "qwen2", "gemma2", "granite", "cohere", "mixtral"]
)
def test_decoders_against_naive_code(kind):
    model = decoder(kind)
    encoded = encode(tasks())
    learn(model, [e.ids for e in encoded], steps=40)
    outcome = evaluated(model, encoded)
    assert not outcome.note  # the fast way was taken
    check(outcome, naive(model, encoded), encoded)
    for example in encoded:
        assert outcome.verdicts[example.index].exact == (greedy(model, example) == example.answer)
    assert outcome.proved + outcome.generated == len(encoded)


def test_learned_answers_are_matches_and_others_begin_as_is_proved():
    model, encoded = decoder("llama"), encode(tasks())
    learn(model, [e.ids for e in encoded[:12]], steps=150)
    outcome = evaluated(model, encoded)
    exact = [outcome.verdicts[e.index].exact for e in encoded]
    assert sum(exact[:12]) >= 10
    assert not all(exact)
    for example in encoded:
        verdict = outcome.verdicts[example.index]
        if verdict.exact is False and verdict.decoded is None:
            assert greedy(model, example)[: len(verdict.begins)] == verdict.begins
            assert verdict.begins != example.answer[: len(verdict.begins)]


def test_half_precision_decides_near_ties_by_decoding():
    """In bfloat16 an untrained model's best and second best are often one and the same."""
    model, encoded = decoder("gpt2").to(torch.bfloat16), encode(tasks())
    learn(model, [e.ids for e in encoded], steps=60)
    outcome = evaluated(model, encoded)
    assert outcome.loss == pytest.approx(np.mean(naive(model, encoded)["loss"]), rel=2e-2)
    assert not outcome.note
    near = [v for v in outcome.verdicts.values() if v.decoded is not None]
    assert len(near) == outcome.generated
    for example in encoded:
        verdict = outcome.verdicts[example.index]
        if verdict.decoded is not None:
            assert verdict.exact == (verdict.decoded[: len(example.answer)] == example.answer)


def test_equal_logits_are_decoded():
    """All logits are equal: any answer is within rounding of being right."""
    model, encoded = decoder("gpt2"), encode(tasks(6))
    torch.nn.init.zeros_(model.lm_head.weight)
    outcome = evaluated(model, encoded)
    assert outcome.generated == 6
    assert outcome.loss == pytest.approx(math.log(VOCAB))
    assert outcome.entropy == pytest.approx(math.log(VOCAB))
    assert not any(v.exact for v in outcome.verdicts.values())  # it says token 0
    zeros = [Encoded(0, [5, 0, 0], [IGNORED, 0, 0], 1)]
    assert evaluated(model, zeros).verdicts[0].exact


def test_processors_of_generation_decide():
    """Repeating is forbidden, what the argmax would say; only decoding shows it."""
    model = decoder("gpt2")
    encoded = [Encoded(0, [5, 6, 6, 6, 6], [IGNORED, 6, 6, 6, 6], 1)]
    learn(model, [e.ids for e in encoded], steps=60)
    assert evaluated(model, encoded).verdicts[0].exact
    model.generation_config.no_repeat_ngram_size = 1
    assert processors(model) == ["no_repeat_ngram_size=1"]
    outcome = evaluated(model, encoded)
    assert outcome.verdicts[0].forced
    assert outcome.verdicts[0].exact is False
    assert (outcome.generated, outcome.proved) == (1, 0)
    assert "no_repeat_ngram_size" in outcome.note


def test_edges_in_one_set():
    """No answer at all, nothing that counts, one token, one row, holes, a whole text."""
    model = decoder("llama")
    encoded = [
        Encoded(0, [5, 6], [IGNORED, IGNORED], None),
        Encoded(1, [5], [5], None),
        Encoded(2, [5, 2], [IGNORED, 2], 1),
        Encoded(3, [5, 6, 7, 8], [IGNORED, 6, IGNORED, 8], None),
        Encoded(4, [5, 6, 7], [5, 6, 7], None),
    ]
    outcome = evaluated(model, encoded)
    check(outcome, naive(model, encoded), encoded)
    assert outcome.tokens == 1 + 2 + 2
    assert [outcome.verdicts[i].exact is None for i in range(5)] == [True, True, False, True, True]
    nothing = evaluated(model, encoded[:2])
    assert nothing.tokens == 0
    assert math.isnan(nothing.loss)
    check(evaluated(model, encoded[2:3]), naive(model, encoded[2:3]), encoded[2:3])


def test_long_and_short_rows_are_grouped_and_scored_in_small_chunks(monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK_BYTES", 4 * VOCAB * 3)
    monkeypatch.setattr("nbmonitor.capture.batches.TOKENS", 40)
    model = decoder("gpt2")
    chance = np.random.default_rng(0)
    rows = [chance.integers(3, VOCAB, n).tolist() for n in (100, 1, 2, 33, 7, 7, 7, 60)]
    encoded = [Encoded(i, row, list(row), None) for i, row in enumerate(rows)]
    assert head.chunk_rows(VOCAB) == 3
    check(evaluated(model, encoded), naive(model, encoded), encoded)


def test_a_model_that_hides_what_it_does_to_its_logits_gives_all_of_them(monkeypatch):
    sizes = []

    class Odd(type(decoder("gpt2"))):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = out.logits * 1.5
            sizes.append(out.logits[..., 0].numel())
            return out

    plain = decoder("gpt2")
    odd = Odd(plain.config)
    odd.load_state_dict(plain.state_dict())
    encoded = encode(tasks())
    monkeypatch.setattr(module, "_FULL_BYTES", 4 * VOCAB * 30)
    outcome = evaluated(odd, encoded)
    assert "its config doesn't tell" in outcome.note
    # The first try, of all rows and one position, and then few rows with all of theirs.
    assert sizes[0] == 1
    assert max(sizes[1:]) <= 30
    sizes.clear()
    check(outcome, naive(odd, encoded), encoded)


def test_a_model_without_a_named_head_gives_all_logits(monkeypatch):
    model, encoded = decoder("gpt2"), encode(tasks())
    expected = naive(model, encoded)
    monkeypatch.setattr(head, "output_layer", lambda model: None)
    monkeypatch.setattr(module, "_FULL_BYTES", 4 * VOCAB * 30)
    outcome = evaluated(model, encoded)
    assert "no output layer" in outcome.note
    check(outcome, expected, encoded)


def test_what_does_not_fit_is_done_in_halves(monkeypatch):
    model, encoded = decoder("gpt2"), encode(tasks())
    expected, sizes = naive(model, encoded), []
    forward = type(model).forward

    def narrow(self, input_ids=None, **kwargs):
        sizes.append(len(input_ids))
        if len(input_ids) > 5:
            raise torch.OutOfMemoryError
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(model), "forward", narrow)
    outcome = evaluated(model, encoded)
    assert max(sizes) > 5
    check(outcome, expected, encoded)
    monkeypatch.setattr(
        type(model), "forward", lambda *a, **k: narrow(*a, **{**k, "input_ids": [0] * 9})
    )
    with pytest.raises(torch.OutOfMemoryError):
        evaluated(model, encoded)


def test_encoder_decoder():
    model = tiny_model("t5")
    encoded = encode(tasks(12), "seq2seq")
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(120):
        example = encoded[int(torch.randint(0, 6, ()))]
        loss = model(
            input_ids=torch.tensor([example.ids]), labels=torch.tensor([example.targets])
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    outcome = evaluated(model, encoded, "seq2seq")
    assert not outcome.note
    check(outcome, naive(model, encoded, "seq2seq"), encoded)
    for example in encoded:
        told = greedy(model, example, "seq2seq")
        assert outcome.verdicts[example.index].exact == (told == example.answer)


def test_classifier():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        num_hidden_layers=1, hidden_size=16, intermediate_size=32, num_attention_heads=2,
        vocab_size=VOCAB, num_labels=3,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    records = [{"text": "a b c", "label": i % 3} for i in range(7)] + [{"text": "z", "label": 0}]
    encoded = encode(records, "classes")
    outcome = evaluated(model, encoded, "classes")
    losses, hits = [], []
    for example in encoded:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([example.ids])).logits.double()
        losses.append(
            float(torch.nn.functional.cross_entropy(logits, torch.tensor(example.targets)))
        )
        hits.append(int(logits.argmax()) == example.targets[0])
    assert outcome.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert [outcome.verdicts[i].exact for i in range(8)] == hits
    assert outcome.verdicts[0].forced is None


def test_an_adapter_on_the_model_takes_part():
    peft = pytest.importorskip("peft")
    model = decoder("llama")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers by an old name
        adapted, encoded = peft.get_peft_model(model, config), encode(tasks())
    outcome = evaluated(adapted, encoded)
    assert not outcome.note
    check(outcome, naive(adapted, encoded), encoded)


def test_autocast_is_the_models_own():
    """As under `bf16=True`: the forward pass, and so our output layer, computes in bfloat16."""
    model, encoded = decoder("llama"), encode(tasks())
    plain = evaluated(model, encoded)
    forward = model.forward
    model.forward = torch.autocast("cpu", torch.bfloat16)(forward)
    outcome = evaluated(model, encoded)
    assert not outcome.note
    assert outcome.loss != plain.loss
    assert outcome.loss == pytest.approx(plain.loss, rel=1e-2)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_decoding_many_prompts_at_once_is_decoding_each_alone(kind):
    """Prompts of different lengths are padded on the left, and positions count from their start."""
    model = tiny_model(kind).eval()
    form = "seq2seq" if kind == "t5" else "causal"
    encoded = encode(tasks(), form, ends=(2,))
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data.mul_(3.0)  # so that answers differ
    with torch.no_grad():
        found = decode(model, encoded, form, fill=0)
    answers = {index: cut(row, (2,))[0] for index, row in found.items()}
    for example in encoded:
        alone = cut(greedy(model, example, form), (2,))[0]
        assert answers[example.index][: len(alone)] == alone
    assert len({tuple(answer) for answer in answers.values()}) > 3
