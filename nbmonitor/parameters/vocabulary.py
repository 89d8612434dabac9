"""Which tokens of a vocabulary are followed, and what they read as.

A stratified, deterministic sample: strata are what a token is (special, digit, punctuation, start
of a word, continuation of one, other) by quartiles of its id, which in BPE vocabularies goes with
how rare it is. Each cell gets a share by the square root of its size (so that small strata are
seen and large ones don't fill the picture), and at least eight where it has them; within a cell,
ids are evenly spaced. It uses a tokenizer's vocabulary and ids of special tokens, nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRATA = ("special", "digit", "punctuation", "word", "continuation", "other")
_SPECIAL, _DIGIT, _PUNCTUATION, _WORD, _CONTINUATION, _OTHER = range(len(STRATA))
_LEAST = 8
_QUARTILES = 4
_LONGEST = 60

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that are followed, ascending by id.

    Parameters
    ----------
    ids
        (n,) rows of the embedding table.
    texts
        n of them; a leading space is one that belongs to the token. "" where nothing is known.
    strata
        (n,) indices into `STRATA`.
    note
        Why the texts are not known, or "".
    """

    ids: Ids
    texts: tuple[str, ...]
    strata: NDArray[np.int8]
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Spelling:
    """How a tokenizer writes the start of a word: as a prefix, or by marking what is none."""

    prefix: str = ""
    inner: str = ""
    letters: Mapping[str, int] = field(default_factory=dict)

    def read(self, token: str) -> str:
        """Text of a token as people write it; what is no text of its own is shown as bytes."""
        if self.letters:
            known = bytes(self.letters[c] for c in token if c in self.letters)
            if len(known) == len(token):
                return known.decode("utf-8", "backslashreplace")
        if self.prefix and token.startswith(self.prefix):
            return token.replace(self.prefix, " ")
        return token


def sample_vocabulary(
    size: int, tokenizer: Any = None, count: int = 5000, pinned: Sequence[str | int] = ()
) -> Vocabulary:
    """Choose the tokens that are followed.

    Parameters
    ----------
    size
        Rows of the embedding table. Those that no token of the tokenizer uses are left out.
    tokenizer
        With `get_vocab()`, and `all_special_ids` if it has some; None: ids alone.
    count
        Tokens at most.
    pinned
        Texts or ids that are to be among them in any case.

    Returns
    -------
    Vocabulary
        The same for the same arguments.
    """
    if not hasattr(tokenizer, "get_vocab"):
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor
    known, note = _tokens(tokenizer, size)
    if not known:
        ids = _spaced(np.arange(size), min(size, count))
        return Vocabulary(ids, ("",) * len(ids), np.full(len(ids), _OTHER, np.int8), note)
    spelling = _spelling(known.values())
    special = set(getattr(tokenizer, "all_special_ids", None) or ())
    ids = np.array(sorted(known), np.int64)  # (v,)
    texts = [spelling.read(known[int(at)]) for at in ids]
    strata = np.array(
        [
            _SPECIAL if int(at) in special else _stratum(known[int(at)], text, spelling)
            for at, text in zip(ids, texts, strict=True)
        ],
        np.int8,
    )  # (v,)
    chosen = _choose(strata, count, _places(pinned, ids, texts, known))
    shown = tuple(_shown(texts[int(at)]) for at in chosen)
    return Vocabulary(ids[chosen], shown, strata[chosen], note)


def _shown(text: str) -> str:
    """Return a text that can be sent, and that fits beside a point."""
    text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair can't be
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _tokens(tokenizer: Any, size: int) -> tuple[dict[int, str], str]:
    """Token by id, of those that have a row; and why there are none."""
    if tokenizer is None:
        return {}, "no tokenizer was given: tokens have numbers only"
    try:
        entries = dict(tokenizer.get_vocab()).items()
    except Exception as error:  # noqa: BLE001 - a tokenizer is the user's, and raises what it likes
        return {}, f"the tokenizer does not tell its vocabulary ({type(error).__name__})"
    known = {int(at): str(token) for token, at in entries if 0 <= int(at) < size}
    return known, "" if known else "no token of the tokenizer has a row in the embedding"


def _spelling(tokens: Any) -> _Spelling:
    tokens = list(tokens)
    starts = {mark: sum(t.startswith(mark) for t in tokens) for mark in ("Ġ", "▁", "##")}
    mark = max(starts, key=lambda m: starts[m])
    if not starts[mark]:
        return _Spelling()
    if mark == "##":
        return _Spelling(inner=mark)
    return _Spelling(prefix=mark, letters=_byte_letters() if mark == "Ġ" else {})


def _byte_letters() -> dict[str, int]:
    """Byte by letter in byte-level BPE (Radford et al., 2019): what can be printed is itself."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if byte not in set(plain))
    return letters | {chr(256 + at): byte for at, byte in enumerate(others)}


def _stratum(token: str, text: str, spelling: _Spelling) -> int:
    starts = not spelling.prefix or token.startswith(spelling.prefix)
    if spelling.inner and token.startswith(spelling.inner):
        starts, text = False, text[len(spelling.inner) :]
    text = text.strip()
    if not text or "\\x" in text or (text.startswith("<0x") and text.endswith(">")):
        return _OTHER
    if text.isdigit():
        return _DIGIT
    if all(unicodedata.category(c)[0] in "PS" for c in text):
        return _PUNCTUATION
    if any(c.isalpha() for c in text):
        return _WORD if starts else _CONTINUATION
    return _OTHER


def _places(
    pinned: Sequence[str | int], ids: Ids, texts: Sequence[str], known: Mapping[int, str]
) -> list[int]:
    """Where pinned tokens stand in `ids`; a text that several tokens have pins the first two."""
    out: list[int] = []
    for wanted in pinned:
        if isinstance(wanted, int):
            out += np.flatnonzero(ids == wanted).tolist()
            continue
        alike = (
            at
            for at, text in enumerate(texts)
            if wanted in {text, text.strip(), known[int(ids[at])]}
        )
        out += list(alike)[:2]
    return out


def _choose(strata: NDArray[np.int8], count: int, pinned: Sequence[int]) -> Ids:
    """Places of the sample, ascending, (at most count,)."""
    if len(strata) <= count:
        return np.arange(len(strata))
    rank = np.arange(len(strata)) * _QUARTILES // len(strata)
    cell = strata.astype(np.int64) * _QUARTILES + rank
    members = [np.flatnonzero(cell == c) for c in np.unique(cell)]
    kept = np.unique(np.array(list(pinned)[:count], np.int64))
    sizes = np.array([len(m) for m in members])
    shares = allot(sizes, count - len(kept))
    picked = [_spaced(m, int(n)) for m, n in zip(members, shares, strict=True)]
    return np.unique(np.concatenate([kept, *picked]))


def allot(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Share out `count` places by the square roots of `sizes`, at least eight where there are.

    Parameters
    ----------
    sizes
        (cells,) members of each.
    count
        Places; no more than members are given.
    """
    shares = np.minimum(sizes, _LEAST)
    if shares.sum() > count:
        shares = sizes * 0
    while (left := count - int(shares.sum())) > 0 and (shares < sizes).any():
        weights = np.where(shares < sizes, np.sqrt(sizes), 0.0)
        more = np.floor(left * weights / weights.sum()).astype(np.int64)
        if not more.any():
            more[np.argsort(-weights, kind="stable")[:left]] = 1
        shares = np.minimum(sizes, shares + more)
    return shares


def _spaced(members: Ids, count: int) -> Ids:
    """`count` members at even distances, (count,)."""
    if count >= len(members):
        return members
    places = np.floor((np.arange(count) + 0.5) * len(members) / max(1, count)).astype(np.int64)
    out: Ids = members[places]
    return out
