"""Symbol sequences from JSON Lines, and the vocabularies that make numbers of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kur import kurfile

from kur.assemble import providers
from kur.data.supplier import Draw
from kur.data.tokens import Tokens
from kur.data.vocabulary import Vocabulary, load_vocabulary
from kur.errors import KurError

ROWS = [{"word": "Cab", "phones": "K AE B"}, {"word": "bad", "phones": "B AE D"}]
FIELDS: dict[str, Any] = {"word": None, "phones": {"split": "spaces"}}
DRAW = Draw(0, 0, False)


def written(folder: Path, rows: list[Any], name: str = "words.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_numbers_lengths_and_texts(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    tokens = Tokens(base=tmp_path, path="words.jsonl", fields=FIELDS)
    assert len(tokens) == 2 and tokens.lengths().tolist() == [3, 3]
    assert tokens.metadata() == {
        "vocabulary": {"word": ["a", "b", "c", "d"], "phones": ["AE", "B", "D", "K"]},
        "split": {"word": "characters", "phones": "spaces"},
    }
    sample = tokens.sample(0, DRAW)
    assert sample["word"].tolist() == [2, 0, 1] and sample["word"].dtype == np.int32
    assert sample["phones"].tolist() == [3, 0, 1]
    assert (sample["word_length"], sample["word_raw"]) == (3, "Cab")
    assert set(sample) - set(tokens.sources()) == {"word_raw", "phones_raw"}
    assert tokens.name(1) == f"{tmp_path}/words.jsonl:2"


def test_a_vocabulary_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    (tmp_path / "v.json").write_text('["b", "a", "?"]')
    fields = {"word": {"vocab": "v.json", "unknown": "?"}, "phones": {"vocab": ["A", "B", "K"]}}
    tokens = Tokens(base=tmp_path, path="words.jsonl", fields={"word": fields["word"]})
    assert tokens.sample(0, DRAW)["word"].tolist() == [2, 1, 0]
    assert tokens.sample(1, DRAW)["word"].tolist() == [0, 1, 2]
    phones = {"phones": {**fields["phones"], "split": "spaces"}}
    tokens = Tokens(base=tmp_path, path="words.jsonl", fields=phones, samples=1)
    assert len(tokens) == 1 and tokens.sample(0, DRAW)["phones"].tolist() == [2, 1]


def test_validation_has_the_vocabulary_of_the_training_data(tmp_path: Path) -> None:
    written(tmp_path, ROWS, "train.jsonl")
    written(tmp_path, [{"word": "da", "phones": "D"}], "valid.jsonl")
    text = """
model: [input: word, embedding: {vocab_size: 4, size: 2}]
train: {data: [tokens: {path: train.jsonl, fields: {word: }}]}
validate: {data: [tokens: {path: valid.jsonl, fields: {word: }}]}
"""
    made = kurfile(tmp_path, text)
    [batch] = providers(made, "validate")[""].batches(0, training=False)
    assert batch["word"].tolist() == [[3, 0]]


WRONG: list[tuple[list[Any], dict[str, Any], str]] = [
    (ROWS, {}, "'fields' names no field"),
    ([{"word": 3}], FIELDS, "words.jsonl:1: no text in the field 'word'"),
    (ROWS, {"letters": None}, "words.jsonl:1: no text in the field 'letters'"),
    (
        [ROWS[0], {"word": ""}],
        {"word": None},
        "words.jsonl:2: the field 'word' has no symbol of its vocabulary: ''",
    ),
    (ROWS, {"word": {"vocab": ["z"]}}, "words.jsonl:1: the field 'word' has no symbol of its"),
    (ROWS, {"word": {"vocab": []}}, "'vocab' holds no symbols"),
    (ROWS, {"word": {"vocab": ["a", "a", "b"]}}, "'vocab' holds 'a' more than once"),
    (ROWS, {"word": {"vocab": "none.json"}}, "none.json: the vocabulary cannot be read: No such"),
    (ROWS, {"word": {"vocab": "words.jsonl"}}, "words.jsonl: not a JSON list of symbols: Extra "),
    (ROWS, {"word": {"vocab": "map.json"}}, "'vocab' must be a list of texts or the path of a J"),
    (ROWS, {"word": {"unknown": "?", "vocab": ["a", "b"]}}, "'unknown' must be a symbol of the "),
    (ROWS, {"word": {"splt": "x"}}, "the field 'word' has no argument 'splt' (did you mean 'spl"),
    (ROWS, {"word": {"split": "x"}}, "'split' of the field 'word' must be one of characters, sp"),
    ([], FIELDS, "words.jsonl: the manifest is empty"),
    (["x"], FIELDS, "words.jsonl:1: an object expected, found 'x'"),
]


@pytest.mark.parametrize(("rows", "fields", "message"), WRONG)
def test_what_is_wrong(
    rows: list[Any], fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    written(tmp_path, rows)
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(KurError) as caught:
        Tokens(base=tmp_path, path="words.jsonl", fields=fields)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(message)


def test_manifests_that_cannot_be_read(tmp_path: Path) -> None:
    def said(path: str) -> str:
        with pytest.raises(KurError) as caught:
            Tokens(base=tmp_path, path=path, fields=FIELDS)
        return str(caught.value).removeprefix(f"{tmp_path}")

    assert said("none.jsonl") == "/none.jsonl: no such manifest"
    assert said(".") == ": no .jsonl manifest in this folder"
    (tmp_path / "bad.jsonl").write_bytes(b'{"word": "a"}\n{"word": "\xe9"}\n')
    assert said("bad.jsonl") == "/bad.jsonl:2: not UTF-8; save the file as UTF-8"
    (tmp_path / "bad.jsonl").write_text('\n{"word": \n')
    assert said("bad.jsonl").startswith("/bad.jsonl:2: not JSON: Expecting value")
    with pytest.raises(KurError, match="'samples' must be at least 1, found 0"):
        Tokens(base=tmp_path, path="bad.jsonl", fields=FIELDS, samples=0)


def test_a_folder_stands_for_its_first_manifest(tmp_path: Path) -> None:
    written(tmp_path, ROWS, "b.jsonl")
    written(tmp_path, [{"word": "x", "phones": "X"}], ".a.jsonl")
    text = (tmp_path / "b.jsonl").read_text()
    (tmp_path / "b.jsonl").write_text("\ufeff" + text + "\n\n", encoding="utf-8")
    assert len(Tokens(base=tmp_path, path=".", fields=FIELDS)) == 2


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, unique=True), st.data())
@settings(deadline=None)
def test_what_is_encoded_is_decoded(symbols: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary(tuple(symbols), "spaces")
    text = " ".join(data.draw(st.lists(st.sampled_from(symbols))))
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert len(vocabulary) == len(symbols)
    assert vocabulary.decode([len(symbols), -1]) == ""


def test_an_inferred_vocabulary(tmp_path: Path) -> None:
    made = load_vocabulary(None, "characters", tmp_path, ["Cab", "be"], "?")
    assert made.symbols == ("?", "a", "b", "c", "e")
    assert made.encode("aXb").tolist() == [1, 0, 2]
