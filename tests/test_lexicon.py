"""The mapped lexicon against a dictionary parsed line by line, and damaged files."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.errors import NetworkError
from earshot.lexicon import Lexicon

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src/earshot/networks/english/lexicon.txt"
PHONES = {
    phone
    for line in SHIPPED.read_text("ascii").splitlines()[::50]
    for phone in line.partition("\t")[2].replace("|", " ").split()
}

words = st.text("abcd'.-", min_size=1, max_size=5)
pronunciations = st.lists(
    st.lists(st.sampled_from(sorted(PHONES)), min_size=1, max_size=4).map(" ".join),
    min_size=1,
    max_size=3,
)


def parsed(path: Path) -> dict[str, list[tuple[str, ...]]]:
    """The plain reference: every line, split."""
    entries = {}
    for line in path.read_text("ascii").splitlines():
        word, _, rest = line.partition("\t")
        entries[word] = [tuple(one.split()) for one in rest.split("|")]
    return entries


def write(path: Path, entries: dict[str, list[str]]) -> Path:
    lines = sorted(f"{word}\t{'|'.join(spoken)}\n" for word, spoken in entries.items())
    path.write_text("".join(lines), "ascii")
    return path


@given(
    entries=st.dictionaries(words, pronunciations, min_size=1, max_size=40),
    others=st.lists(st.one_of(words, st.text(max_size=5)), max_size=10),
)
def test_every_lookup_equals_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, list[str]], others: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("lexicon") / "lexicon.txt", entries)
    reference = parsed(path)
    lexicon = Lexicon.open(path)
    for word in [*entries, *others]:
        assert lexicon.pronunciations(word) == reference.get(word, [])
        assert (word in lexicon) == (word in reference)
    assert list(lexicon.words()) == sorted(reference)
    lexicon.close()


def test_the_shipped_lexicon_is_sorted_and_holds_only_phones() -> None:
    content = SHIPPED.read_bytes()
    lines = content.splitlines()
    assert len(PHONES) == 39
    assert lines == sorted(lines)
    reference = parsed(SHIPPED)
    assert len(reference) == len(lines) > 120_000
    for word, spoken in reference.items():
        assert word == word.lower()
        assert len(set(spoken)) == len(spoken)
        assert all(one and PHONES.issuperset(one) for one in spoken), word


def test_the_shipped_lexicon_is_found_word_by_word() -> None:
    reference = parsed(SHIPPED)
    lexicon = Lexicon.open(SHIPPED)
    for word in [*list(reference)[::997], min(reference), max(reference)]:
        assert lexicon.pronunciations(word) == reference[word]
    assert lexicon.pronunciations("tomato") == [
        ("T", "AH", "M", "EY", "T", "OW"),
        ("T", "AH", "M", "AA", "T", "OW"),
    ]
    for unknown in ["", "zzzzzz", "!", "tomat", "tomatoo", "Tomato", "caf\u00e9", "\ud800"]:
        assert unknown not in lexicon
        assert lexicon.pronunciations(unknown) == []
    assert 5 not in lexicon


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"word\tW ER D", "cut off"),
        (b"no tab here\n", "damaged at byte 0"),
        (b"word\t \n", "damaged at byte 0"),
        (b"\n", "damaged at byte 0"),
        (b"w\xffrd\tW ER D\n", "damaged at byte 0"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=reason) as caught:
        Lexicon.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_line_is_reported_when_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(b"a\tAH\nb\nc\tS IY\n")
    lexicon = Lexicon.open(path)
    with pytest.raises(NetworkError, match="damaged at byte 5"):
        lexicon.pronunciations("b")
    with pytest.raises(NetworkError, match="damaged at byte 5"):
        list(lexicon.words())


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="missing"):
        Lexicon.open(tmp_path / "lexicon.txt")
    with pytest.raises(NetworkError, match="cannot be read"):
        Lexicon.open(tmp_path)


def test_the_recipe_reads_the_dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "cmudict.dict"
    source.write_text(
        ";;; a comment\n"
        "!exclamation-point EH2 K S K L AH0 M EY1 SH AH0 N P OY2 N T\n"
        "read R EH1 D\n"
        "read(2) R IY1 D\n"
        "record R AH0 K AO1 R D\n"
        "record(2) R AH2 K AO0 R D\n"
        "Aalborg AO1 L B AO0 R G # place, danish\n"
        "'em AH0 M\n"
        "broken\n"
    )
    target = tmp_path / "english/lexicon.txt"
    arguments = ["lexicon.py", "--source", str(source), "--target", str(target)]
    monkeypatch.setattr("sys.argv", arguments)
    runpy.run_path(str(ROOT / "recipes/lexicon.py"), run_name="__main__")
    assert parsed(target) == {
        "'em": [("AH", "M")],
        "aalborg": [("AO", "L", "B", "AO", "R", "G")],
        "read": [("R", "EH", "D"), ("R", "IY", "D")],
        "record": [("R", "AH", "K", "AO", "R", "D")],
    }
