"""Queries in any network's units: letters, a lexicon of one's own, English; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earshot.errors import NetworkError, QueryError
from earshot.network import SHIPPED
from earshot.spellers import PlainSpeller, open_speller
from earshot.units import Speller

LETTERS = ["<pad>", "<s>", "|", "'", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def folder(path: Path, units: list[str], speller: Any = None, lexicon: str = "") -> Path:
    head = {"output": "scores", "units": units, "blank": 0, "frame_seconds": 0.02}
    described = {"format": 2, "heads": {"units": head}}
    if speller is not None:
        described["speller"] = speller
    (path / "network.json").write_text(json.dumps(described))
    if lexicon:
        (path / "lexicon.txt").write_text(lexicon, "utf-8")
    return path


def said(path: Path, text: str) -> list[str]:
    return [" ".join(one.units) for one in open_speller(path).pronunciations(text)]


def test_letters_with_the_delimiter_and_without(tmp_path: Path) -> None:
    folder(tmp_path, LETTERS)
    assert said(tmp_path, "Don't café!") == ["D O N ' T | C A F E", "D O N ' T C A F E"]
    (one,) = open_speller(tmp_path).pronunciations("tree")
    assert (one.units, one.words, one.rank, one.log_probability) == (tuple("TREE"), (0,), 0, 0.0)
    two = open_speller(tmp_path).pronunciations("x-ray film")
    assert two[0].words == (0, 2, 6) and two[1].words == (0, 1, 4)


def test_numbers_are_read_where_that_was_said(tmp_path: Path) -> None:
    folder(tmp_path, LETTERS)
    with pytest.raises(QueryError, match="has the digit '5'"):
        said(tmp_path, "5 dollars")
    speller = {"reading": "plain", "delimiter": "|", "case": "upper", "numbers": "english"}
    folder(tmp_path, LETTERS, speller)
    assert said(tmp_path, "$5")[0] == "F I V E | D O L L A R S"


def test_other_scripts_and_long_units(tmp_path: Path) -> None:
    folder(tmp_path, ["<pad>", "κ", "α", "λ", "η", "μ", "ε", "ρ", "tsch", "t", "s"])
    assert said(tmp_path, "Καλημέρα") == ["κ α λ η μ ε ρ α"]
    assert said(tmp_path, "tschts") == ["tsch t s"]
    with pytest.raises(QueryError, match="letter 'x'"):
        said(tmp_path, "xx")


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    lexicon = "casa\tk a s a|k a z a\nniño\tn i ɲ o\nsub-niño\ts n i ɲ o\n"
    folder(tmp_path, ["_", "k", "a", "s", "z", "n", "i", "ɲ", "o"], lexicon=lexicon)
    assert isinstance(open_speller(tmp_path), PlainSpeller)
    assert said(tmp_path, "¿Casa?") == ["k a s a", "k a z a"]
    assert said(tmp_path, "NIÑO sub-niño") == ["n i ɲ o s n i ɲ o"]
    assert said(tmp_path, "/k ɲ/ casa") == ["k ɲ k a s a", "k ɲ k a z a"]
    with pytest.raises(QueryError, match="'q' between slashes is no unit of this network"):
        said(tmp_path, "/q/ casa")
    with pytest.raises(QueryError, match="the lexicon of the network has no word 'perro'"):
        said(tmp_path, "perro")
    folder(tmp_path, ["_", "k", "a"])
    with pytest.raises(NetworkError, match=r"lexicon\.txt: it has 's', which is no unit"):
        said(tmp_path, "casa")


def test_english_where_the_network_is_english(tmp_path: Path) -> None:
    assert isinstance(open_speller(SHIPPED), Speller)
    assert said(SHIPPED, "hello")[0] == "HH AH L OW"


@pytest.mark.parametrize("text", ["", "  ", "!?", "a" * 300, "a", "a" * 61, "//", "/ /"])
def test_what_cannot_be_searched_for(text: str, tmp_path: Path) -> None:
    with pytest.raises(QueryError) as caught:
        said(folder(tmp_path, LETTERS), text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "speller",
    [3, {}, {"reading": "klingon"}, {"reading": "plain", "delimiter": "#"},
     {"reading": "plain", "case": "title"}, {"reading": "plain", "joined": 3}],
)  # fmt: skip
def test_damaged_descriptions(speller: Any, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"network\.json: what it says of units and speller"):
        open_speller(folder(tmp_path, LETTERS, speller))
