"""Fixed sets from files, lists and Datasets, and what becomes of them as tokens."""

import json

import pytest
from datasets import Dataset, DatasetDict

from nbmonitor.encoding import IGNORED, Encoder
from nbmonitor.fixed_set import load
from nbmonitor.probes.fixed_eval import FixedEval
from tests.words import tokenizer

PAIRS = [{"prompt": "a b =", "answer": " c"}, {"question": "d", "response": "e f"}]


def test_every_series_of_the_fixed_evaluation_has_a_place():
    """Keys that no panel names, in `keys` or its options, are shown among what is left over."""
    named = {key for panel in FixedEval.panels for key in panel.keys}
    named |= {str(value) for panel in FixedEval.panels for value in panel.options.values()}
    assert {series.key for series in FixedEval.series} <= named


def test_a_file_a_list_and_a_dataset_are_the_same(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)) + "\n\n", encoding="utf-8-sig")
    whole = tmp_path / "set.json"
    whole.write_text(json.dumps(PAIRS))
    rows = [{"prompt": e.prompt, "answer": e.answer} for e in load(PAIRS)]
    for data in (path, str(path), whole, Dataset.from_list(rows), iter(PAIRS)):
        assert [(e.form, e.prompt, e.answer) for e in load(data)] == [
            ("pair", "a b =", " c"),
            ("pair", "d", "e f"),
        ]
    assert len(load(PAIRS, limit=1)) == 1


def test_forms():
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    forms = [
        {"messages": talk},
        {"prompt": talk[:1], "completion": talk[1:]},
        {"text": "a b"},
        {"text": "a b", "label": 2},
        {"prompt": "1 + 1", "answer": 2},
        {"input_ids": [0, 5, 6], "attention_mask": [0, 1, 1], "labels": [-100, 5, 6]},
        {"prompt": "a", "answer": ""},
    ]
    chat, pair, text, label, number, tokens, empty = load(forms)
    assert (chat.form, chat.prompt, chat.answer) == ("chat", talk[:1], "yo")
    assert (pair.form, pair.prompt, pair.answer) == (chat.form, chat.prompt, chat.answer)
    assert (text.form, text.answer, text.text()) == ("text", "a b", "a b")
    assert (label.form, label.prompt, label.answer) == ("label", "a b", 2)
    assert number.answer == "2"
    assert tokens.tokens == ([5, 6], [5, 6])
    assert empty.answer == ""


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ("nowhere.jsonl", FileNotFoundError, "nowhere.jsonl"),
        ([], ValueError, "no records"),
        (3, TypeError, "datasets.Dataset; int was given"),
        (DatasetDict(test=Dataset.from_list(PAIRS[:1])), TypeError, "'test'"),
        (["a"], ValueError, "record 0 of the fixed set is str"),
        ([PAIRS[0], {"prompt": "a"}], ValueError, "record 1 .* lacks an answer"),
        ([{"foo": 1}], ValueError, r"\['foo'\] and lacks a prompt"),
        ([{"prompt": 3, "answer": "a"}], ValueError, "the prompt of record 0 .* is int 3"),
        ([{"messages": [{"role": "user", "content": "a"}]}], ValueError, "assistant"),
        ([{"messages": ["a"]}], ValueError, "no list of"),
        ([{"input_ids": [1], "attention_mask": [1, 1]}], ValueError, "1 input_ids and 2"),
    ],
)
def test_what_is_wrong_is_said(data, error, said):
    with pytest.raises(error, match=said):
        load(data)


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "a"}\n{"text": ')
    with pytest.raises(ValueError, match=r"line 2 of .*set\.jsonl is no JSON"):
        load(path)
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(ValueError, match="no list of records"):
        load(tmp_path / "set.json")


def encoded(record, kind="causal", ends=(2,), words=None, **options):
    encoder = Encoder(tokenizer() if words is None else words, kind, ends, **options)
    return encoder.encode(0, load([record])[0]), encoder


def words(ids):
    return tokenizer().convert_ids_to_tokens(ids)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("ends", [False, True])
def test_prompt_and_answer(side, ends):
    """All the same on which side the tokenizer pads and whether it ends what it reads."""
    found, _ = encoded(PAIRS[0], words=tokenizer(side=side, ends=ends))
    assert words(found.ids) == ["a", "b", "=", "c", "</s>"]
    assert found.targets[:3] == [IGNORED] * 3
    assert words(found.answer) == ["c", "</s>"]
    assert found.start == 3
    open_, _ = encoded(PAIRS[0], ends=(), words=tokenizer(side=side, ends=ends))
    assert words(open_.ids) == ["a", "b", "=", "c"]


def test_a_merge_across_the_border_is_tokenised_apart():
    found, encoder = encoded({"prompt": "a b", "answer": "c"})
    assert words(found.ids) == ["a", "b", "c", "</s>"]
    assert encoder.apart == 1  # "bc" would be one word, and unknown


def test_an_empty_answer_is_its_end_or_nothing():
    found, _ = encoded({"prompt": "a", "answer": ""})
    assert words(found.answer) == ["</s>"]
    nothing, _ = encoded({"prompt": "a", "answer": ""}, ends=())
    assert nothing.answer == []


def test_conversations():
    talk = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
    found, _ = encoded({"messages": talk}, words=tokenizer(chat=True))
    assert words(found.ids) == ["<user>", "a", "b", "</s>", "<model>", "c", "</s>"]
    assert found.start == 5
    # Strings are what they are, unless the template is asked for.
    plain, _ = encoded({"prompt": "a b", "answer": "c"}, words=tokenizer(chat=True))
    assert words(plain.ids) == ["a", "b", "c", "</s>"]
    asked, _ = encoded({"prompt": "a b", "answer": "c"}, words=tokenizer(chat=True), chat=True)
    assert asked == found
    with pytest.raises(ValueError, match="no chat_template"):
        encoded({"messages": talk})


def test_what_a_template_writes_behind_the_end_is_not_expected():
    made = tokenizer(chat=True)
    made.chat_template = made.chat_template.replace("' </s> '", "' </s> z '")
    made.chat_template = made.chat_template.replace(" </s> {%", " </s> z {%")
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c"}]
    found, _ = encoded({"messages": talk}, words=made)
    assert words(found.answer) == ["c", "</s>"]


def test_other_kinds():
    pair, _ = encoded(PAIRS[0], "seq2seq", words=tokenizer(ends=True))
    assert (words(pair.ids), words(pair.targets)) == (["a", "b", "=", "</s>"], ["c", "</s>"])
    text, _ = encoded({"text": "a b"})
    assert (text.targets, text.start) == (text.ids, None)
    found, _ = encoded({"text": "a", "label": "yes"}, "classes", classes={"yes": 1})
    assert (found.targets, found.start) == ([1], None)
    with pytest.raises(ValueError, match="label 'no'; the model's classes are yes"):
        encoded({"text": "a", "label": "no"}, "classes", classes={"yes": 1})
    with pytest.raises(ValueError, match="this model takes text and label"):
        encoded(PAIRS[0], "classes")
    with pytest.raises(ValueError, match="this model takes prompt and answer"):
        encoded({"text": "a", "label": 1})
    with pytest.raises(ValueError, match="plain text"):
        encoded({"text": "a"}, "seq2seq")


def test_tokens_as_they_are():
    found, encoder = encoded({"input_ids": [7, 8, 9], "labels": [-100, 8, 9]})
    assert (found.ids, found.answer, found.start) == ([7, 8, 9], [8, 9], 1)
    gaps, _ = encoded({"input_ids": [7, 8, 9], "labels": [7, -100, 9]})
    assert gaps.start is None
    none, _ = encoded({"input_ids": [7, 8], "labels": [-100, -100]})
    assert (none.answer, none.start) == ([], None)
    assert Encoder(None, "causal").decode([7, 8]) == "7 8"
    assert encoder.decode(found.ids) == "b c d"
