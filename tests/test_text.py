"""The `text` supplier: one-hot sequences, padded left or right, with a symbol or with nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suppliers import everything, made, refusal

VOCABS = {"word": ["a", "b", "_"], "tags": ["N", "V", 3]}


def written(folder: Path, *rows: Any) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(text, encoding="utf-8")


def batch(folder: Path, **options: Any) -> dict[str, Any]:
    given = {"path": "a.jsonl", "seq_len": 4, "vocabs": VOCABS, **options}
    return everything(made("text", folder, given))


def test_sequences(tmp_path: Path) -> None:
    written(tmp_path, {"word": "ab", "tags": ["N", "3", "V", "V"]}, {"word": "", "tags": ["V"]})
    found = batch(tmp_path)
    a, b, none = [1, 0, 0], [0, 1, 0], [0, 0, 0]
    assert found["word"].tolist() == [[a, b, none, none], [none] * 4]
    assert found["tags"].argmax(-1)[0].tolist() == [0, 2, 1, 1]
    assert found["word_length"].tolist() == [[2], [0]]
    assert found["raw_word"] == ["ab", ""] and found["raw_tags"][1] == ["V"]
    assert batch(tmp_path, padding="left")["word"].tolist()[0] == [none, none, a, b]
    both = batch(tmp_path, padding={"word": "left", "tags": "right"}, pad_with={"word": "_"})
    assert both["word"].argmax(-1).tolist() == [[2, 2, 0, 1], [2, 2, 2, 2]]
    assert both["tags"].sum() == 5


@given(
    st.lists(st.text("abc", max_size=6), min_size=1, max_size=6),
    st.sampled_from(["left", "right"]),
    st.sampled_from([None, "c"]),
)
@settings(deadline=None, max_examples=40)
def test_as_ten_plain_lines_would(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], side: str, filler: str | None
) -> None:
    folder = tmp_path_factory.mktemp("text")
    written(folder, *({"k": text} for text in texts))
    found = batch(folder, seq_len=6, vocabs={"k": ["a", "b", "c"]}, padding=side, pad_with=filler)
    for text, row in zip(texts, found["k"], strict=True):
        fill = [filler] * (6 - len(text))
        symbols = [*fill, *text] if side == "left" else [*text, *fill]
        wanted = np.zeros((6, 3))
        for i, symbol in enumerate(symbols):
            if symbol is not None:
                wanted[i, "abc".index(symbol)] = 1
        assert np.array_equal(row, wanted)


def test_what_is_wrong(tmp_path: Path) -> None:
    def said(row: Any, **options: Any) -> str:
        written(tmp_path, {"word": "a"}, row)
        given = {"path": "a.jsonl", "seq_len": 4, "vocabs": {"word": ["a", "b"]}, **options}
        return refusal("text", tmp_path, given)

    good = {"word": "a"}
    assert said({"word": "abx"}) == "a.jsonl:2: 'x' in 'word' is not among its symbols in 'vocabs'"
    assert said({"word": "ababa"}) == "a.jsonl:2: 'word' has 5 symbols, more than 'seq_len' (4)"
    assert said({"word": 3}) == "a.jsonl:2: 'word' must be a text or a list of texts, found 3"
    assert said(good, seq_len=0) == "'seq_len' must be at least 1, found 0"
    assert said(good, padding="middle").startswith("'padding' of text must be ")
    assert said(good, padding={"word": "up"}) == (
        "'padding' of 'word' must be left or right, found 'up'"
    )
    assert said(good, pad_with="x") == "'pad_with' of 'word' must be one of its symbols, found 'x'"
    assert said(good, vocabs={"wrod": ["a"]}) == (
        "'vocabs' has no symbols for 'word' (did you mean 'wrod'?); it has: wrod"
    )
    assert said(good, vocabs={"word": [[1]]}).startswith("'vocabs.word' must be a list of texts or")
    assert said(good, vocabs={"word": "none.json"}).startswith("none.json: the vocabulary cannot")
