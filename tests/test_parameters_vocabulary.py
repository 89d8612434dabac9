"""Which tokens are followed: stratified, deterministic, with the texts that people know."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nbmonitor.parameters.vocabulary import STRATA, allot, sample_vocabulary


class Tokenizer:
    def __init__(self, tokens, special=()):
        self.tokens = tokens
        self.all_special_ids = list(special)

    def get_vocab(self):
        return {token: at for at, token in enumerate(self.tokens)}


def strata_of(vocabulary):
    return dict(zip(vocabulary.texts, (STRATA[at] for at in vocabulary.strata), strict=True))


def test_byte_level():
    tokens = ["<|end|>", "Ġthe", "ing", "12", ",", "Ġ", "Ċ", "Ġ7", "Ã©", "Ã", "<▁x>", "a1"]
    found = sample_vocabulary(len(tokens), Tokenizer(tokens, [0, 10]))
    assert strata_of(found) == {
        "<|end|>": "special", " the": "word", "ing": "continuation", "12": "digit",
        ",": "punctuation", " ": "other", "\n": "other", " 7": "digit", "é": "continuation",
        "\\xc3": "other", "<▁x>": "special", "a1": "continuation",
    }  # fmt: skip
    assert found.ids.tolist() == list(range(len(tokens)))
    assert found.note == ""


def test_sentencepiece():
    tokens = ["<s>", "<0x0A>", "▁Hund", "e", "▁", "42", "…"]
    found = sample_vocabulary(len(tokens), Tokenizer(tokens, [0]))
    assert strata_of(found) == {
        "<s>": "special", "<0x0A>": "other", " Hund": "word", "e": "continuation",
        " ": "other", "42": "digit", "…": "punctuation",
    }  # fmt: skip


def test_wordpiece():
    tokens = ["[PAD]", "hello", "##ing", "##7", "!"]
    found = sample_vocabulary(len(tokens), Tokenizer(tokens, [0]))
    assert strata_of(found) == {
        "[PAD]": "special", "hello": "word", "##ing": "continuation", "##7": "digit",
        "!": "punctuation",
    }  # fmt: skip


def test_texts_can_be_sent_and_fit():
    class Processor:
        tokenizer = Tokenizer(["cat", "a" * 200, "\ud800"])

    found = sample_vocabulary(3, Processor())
    assert found.texts[0] == "cat"
    assert found.texts[1] == "a" * 59 + "…"
    assert found.texts[2] == "\\ud800"
    assert found.note == ""


def test_words_and_characters():
    assert set(strata_of(sample_vocabulary(3, Tokenizer(["cat", "dog", "!"]))).values()) == {
        "word", "punctuation"
    }  # fmt: skip


def big(size=20_000):
    words = [f"Ġword{chr(97 + at % 26)}{at}" for at in range(size - 130)]
    return Tokenizer(
        ["<pad>", *(str(n) for n in range(100)), *",.!?;:-()*#&/'\"+=<>[]{}@%$^_", *words]
    )


def test_a_sample_of_many():
    tokenizer = big()
    size = len(tokenizer.tokens)
    tokenizer.all_special_ids = [0]
    found = sample_vocabulary(size, tokenizer, 1000)
    assert len(found.ids) == 1000
    assert (np.diff(found.ids) > 0).all()
    counts = Counter(STRATA[at] for at in found.strata)
    assert counts["special"] == 1
    assert counts["digit"] >= 8
    assert counts["punctuation"] >= 8
    words = found.ids[found.strata == STRATA.index("word")]
    quartiles = np.histogram(words, 4, (0, size))[0]
    assert quartiles.min() > 0.8 * quartiles.max()
    again = sample_vocabulary(size, tokenizer, 1000)
    assert (again.ids == found.ids).all()


def test_pinned():
    tokenizer = big()
    tokenizer.tokens[777] = "Ġking"
    found = sample_vocabulary(len(tokenizer.tokens), tokenizer, 200, ["king", 12_345, "nowhere"])
    assert 777 in found.ids
    assert 12_345 in found.ids
    assert len(found.ids) <= 200
    assert found.texts[list(found.ids).index(777)] == " king"


def test_rows_that_no_token_uses_are_left_out():
    found = sample_vocabulary(100, Tokenizer(["a", "b", "c"]))
    assert found.ids.tolist() == [0, 1, 2]
    fewer = sample_vocabulary(2, Tokenizer(["a", "b", "c"]))
    assert fewer.ids.tolist() == [0, 1]


@pytest.mark.parametrize("tokenizer", [None, object(), Tokenizer([])])
def test_without_texts(tokenizer):
    found = sample_vocabulary(10_000, tokenizer, 100)
    assert len(found.ids) == len(np.unique(found.ids)) == 100
    assert found.ids[0] < 100
    assert found.ids[-1] > 9_900
    assert set(found.texts) == {""}
    assert found.note


def test_a_real_tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(["the cat sat on the mat, the end"] * 20, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>")
    found = strata_of(sample_vocabulary(len(tokenizer), tokenizer))
    assert found["<eos>"] == "special"
    assert found[" the"] == "word"
    assert found["at"] == "continuation"
    assert found[","] == "punctuation"


def test_allotment():
    assert allot(np.array([4, 100, 10_000]), 200).tolist()[0] == 4
    shares = allot(np.array([4, 100, 10_000]), 200)
    assert shares.sum() == 200
    assert (shares <= [4, 100, 10_000]).all()
    assert allot(np.array([3, 2]), 100).tolist() == [3, 2]
    assert allot(np.full(50, 100), 10).sum() == 10
