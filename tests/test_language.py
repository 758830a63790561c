"""The language model of snippets: counted by its recipe, read by what decodes with it."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from earshot.decoding import NOTHING, SENTENCE, follow
from earshot.errors import NetworkError
from earshot.language import FILE, Language
from earshot.network import SHIPPED
from earshot.units import PHONES

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import language as recipe
import language_text

UNITS = (*PHONES, "<blank>")
LEXICON = {
    "ann": "AE N",
    "cab": "K AE B",
    "can": "K AE N|K AH N",
    "cannot": "K AE N AA T",
    "i": "AY",
    "not": "N AA T",
    "tab": "T AE B",
}
TEXT = "I can not. Can Ann not? I cannot. I can tab 12 cabs.\n\nSo Ann can. Ann can not.\n"


@cache
def small() -> Path:
    """A folder with a lexicon of seven words and what a few sentences say of them."""
    folder = Path(mkdtemp())
    lines = (f"{word}\t{ways}\n" for word, ways in LEXICON.items())
    (folder / "lexicon.txt").write_text("".join(lines))
    (folder / "text").mkdir()
    (folder / "text" / "some.txt").write_text(TEXT + "I ate the cab.\n")
    row = {"corpus": "common_voice_1a", "text": "ann can not tab"}
    other = {"corpus": "keywords", "text": "cab cab cab"}  # of a licence that is not free enough
    (folder / "clips.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    (folder / "test.jsonl").write_text(json.dumps({"text": "I ate the cab."}) + "\n")
    arguments = ["--clips", str(folder / "clips.jsonl"), "--text", str(folder / "text")]
    arguments += ["--held-out", str(folder / "test.jsonl"), "--network", str(folder)]
    assert recipe.main(arguments) == 0
    return folder


def opened() -> Language:
    language = Language.open(small(), UNITS)
    assert language is not None
    return language


def given(language: Language, words: tuple[str, ...]) -> float:
    """ln probability of the last word after the others, told from the tables plainly."""
    tables = language.tables
    *before, word = (int(tables.numbers[language.line(one)]) for one in words)

    def pair(a: int, b: int) -> int | None:
        at = range(tables.first_pair[a], tables.first_pair[a + 1])
        return next((i for i in at if tables.pair_words[i] == b), None)

    left = 0.0
    if len(before) > 1 and (first := pair(*before[-2:])) is not None:
        for i in range(tables.first_triple[first], tables.first_triple[first + 1]):
            if tables.triple_words[i] == word:
                return float(tables.triple[i])
        left = float(tables.pair_left[first])
    if before:
        if (found := pair(before[-1], word)) is not None:
            return left + float(tables.pair[found])
        left += float(tables.single_left[before[-1]])
    return left + float(tables.single[word])


def test_probabilities_add_up_to_one_after_whatever_was_said() -> None:
    language = opened()
    for before in [(), *product(LEXICON, repeat=1), *product(("ann", "can", "i"), repeat=2)]:
        total = sum(np.exp(given(language, (*before, word))) for word in LEXICON)
        assert total == pytest.approx(1.0, abs=0.12)  # in steps of a twelfth of a nat


def test_what_was_said_often_is_likelier() -> None:
    language = opened()
    assert given(language, ("ann", "can")) > given(language, ("ann", "tab"))
    assert given(language, ("ann", "can", "not")) > given(language, ("ann", "can", "i"))


def test_held_out_sentences_and_other_licences_are_not_counted() -> None:
    language = opened()
    assert language.tables.numbers[language.line("cab")] == 0
    assert language.tables.numbers[language.line("tab")] > 0


def test_the_decoder_asks_the_model_what_stands_in_the_tables() -> None:
    from earshot.decoding import _given

    language = opened()
    tables = language.tables
    for words in product(LEXICON, repeat=3):
        lines = [language.line(word) for word in words]
        state = follow(tables, lines[:2])
        said = _given(tables, state, int(tables.numbers[lines[2]]))[0]
        known = list(words[:2])
        while any(not tables.numbers[language.line(word)] for word in known):
            known = known[1:]  # a word that was never met says nothing of what follows
        assert said == pytest.approx(given(language, (*known, words[2])), abs=1e-5)
    assert follow(tables, [-1]) == NOTHING and SENTENCE == 0


def test_words_are_written_as_texts_write_them() -> None:
    language = opened()
    assert language.word(language.line("ann")) == "Ann"
    assert language.word(language.line("i")) == "I"
    assert language.word(language.line("can")) == "can"
    assert language.line("xyzzy") == -1 and language.line("zzz") == -1 and language.line("") == -1


def test_the_tree_holds_every_pronunciation_once() -> None:
    tables = opened().tables
    found = []

    def walk(node: int, units: tuple[str, ...]) -> None:
        for at in range(tables.first_word[node], tables.first_word[node + 1]):
            found.append((opened().word(int(tables.words[at])).lower(), " ".join(units)))
        for child in range(tables.first_child[node], tables.first_child[node + 1]):
            assert tables.ahead[node] >= tables.ahead[child]
            walk(child, (*units, UNITS[tables.units[child]]))

    walk(0, ())
    assert sorted(found) == sorted(
        (w, way) for w, ways in LEXICON.items() for way in ways.split("|")
    )


def test_other_networks_have_no_language(tmp_path: Path) -> None:
    assert Language.open(tmp_path, UNITS) is None
    assert Language.open(small(), ("a", "b", "<blank>")) is None


def changed(folder: Path, about: dict[str, object], **tensors: np.ndarray) -> Path:
    """A copy of the small language with other metadata or tensors."""
    with safe_open(small() / FILE, framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = json.loads(file.metadata()["language"]) | about
    save_file(found | tensors, folder / FILE, {"language": json.dumps(said)})
    (folder / "lexicon.txt").write_bytes((small() / "lexicon.txt").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("about", "tensors", "reason"),
    [
        ({"format": 9}, {}, "has format 9, this version reads format 1"),
        ({"lexicon": 5}, {}, "made for a lexicon.txt of 5 words, not of 7"),
        ({}, {"words": np.array([99] * 8, np.uint32)}, "do not fit each other"),
        ({}, {"pair_counts": np.array([7], np.uint32)}, "do not fit each other"),
        ({}, {"known": np.array([70], np.uint32)}, "is damaged"),
    ],
)
def test_damage_is_told(
    tmp_path: Path, about: dict[str, object], tensors: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(NetworkError, match=reason):
        Language.open(changed(tmp_path, about, **tensors), UNITS)


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("hello")
    with pytest.raises(NetworkError, match="is damaged"):
        Language.open(tmp_path, UNITS)


def test_what_ships_fits_its_lexicon() -> None:
    language = Language.open(SHIPPED, UNITS)
    assert language is not None
    assert given(language, ("thank", "you")) > given(language, ("thank", "it"))
    assert language.word(language.line("london")) == "London"


def test_texts_come_out_of_their_archives(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "book.tgz", "w:gz") as archive:
        for name in ("package/data/one.txt", "package/data/data.txt", "package/README.md"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"Hello"))
    assert language_text.main(tmp_path) == 0
    assert [path.read_text() for path in tmp_path.glob("*.txt")] == ["Hello"]
    text = "gnu\n /noo/, n.\n\n    [common] See {gnat}.\n"
    assert language_text.jargon(text).split() == ["See", "gnat."]
    head = b"%-16s%-12s%-6s%-6s%-8s%-10d`\n"
    members = [(b"debian-binary", b"2.0\n\n"), (b"data.tar.xz", b"inside")]
    package = b"!<arch>\n"
    for name, content in members:
        package += head % (name, b"0", b"0", b"0", b"644", len(content)) + content
        package += b"\n" * (len(content) % 2)
    assert language_text.data_of(package) == b"inside"
    with pytest.raises(ValueError, match="no Debian package"):
        language_text.data_of(b"zip")
