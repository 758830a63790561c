"""Files of labels, right and wrong: all of a file counts, or nothing and a sentence says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.errors import UsageError
from earshot.topics.label_files import read_labels, write_csv, write_jsonl
from earshot.topics.labels import Opinion
from earshot.types import Recording


def recording(number: int, title: str) -> Recording:
    """A row of a catalogue."""
    name = f"{number:012x}"
    return Recording(name, f"/calls/{title}.wav", title, 60.0, 1, name * 5, 1, "2026-01-01")


ROWS = [recording(1, "first"), recording(2, "second"), recording(3, "third")]
BY_ID = {one.id: one for one in ROWS}


def said(path: Path, **options: object) -> dict[tuple[str, str, str], str]:
    """What a file says: by title, label and reviewer."""
    found = read_labels(path, ROWS, **options)  # type: ignore[arg-type]
    return {
        (BY_ID[one.recording].title, one.label, one.reviewer): one.value for one in found.opinions
    }


def file(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    """A file of labels."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "recording,fraud,topic\nfirst,yes,billing\n/calls/second.wav,no,\n",
        "topic;File;fraud\r\nbilling;first.wav;yes\r\n;000000000002;no\r\n",
        "name\tfraud\ttopic\nfirst\tyes\tbilling\n\n00000000002\t\t\nSECOND\tno\t\n",
    ],
)
def test_recordings_go_by_many_names(tmp_path: Path, text: str) -> None:
    wanted = {("first", "fraud", ""): "yes", ("first", "topic", ""): "billing",
              ("second", "fraud", ""): "no"}  # fmt: skip
    if "00000000002\t" in text:  # the beginning of an id fits another, without a value
        text = text.replace("00000000002\t\t\n", "")
    assert said(file(tmp_path, text)) == wanted
    for coding in ("utf-8-sig", "utf-16"):
        assert said(file(tmp_path, text.encode(coding))) == wanted


def test_reviewers_have_a_column_or_a_name_for_all(tmp_path: Path) -> None:
    path = file(tmp_path, "recording,reviewer,fraud\nfirst,anna,yes\nfirst,bob,no\nsecond,,no\n")
    assert said(path, reviewer="carl") == {
        ("first", "fraud", "anna"): "yes",
        ("first", "fraud", "bob"): "no",
        ("second", "fraud", "carl"): "no",
    }


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"recording": "first", "label": "fraud", "value": True, "reviewer": "anna"},
        {"title": "second", "labels": {"fraud": "no", "grade": 4}},
        {"path": "/calls/third.wav", "fraud": False, "grade": None},
    ]
    path = file(tmp_path, "\n".join(map(json.dumps, lines)), "labels.jsonl")
    assert said(path) == {
        ("first", "fraud", "anna"): "yes",
        ("second", "fraud", ""): "no",
        ("second", "grade", ""): "4",
        ("third", "fraud", ""): "no",
    }


WRONG = {
    "": "is empty: expected a heading",
    "recording\nfirst\n": "has no column of a label beside 'recording'",
    "recording,a,a\nfirst,1,2\n": "the heading has the column 'a' twice",
    "recording,a,\nfirst,1,2\n": "column 3 has no name",
    "recording,fraud\nfirst,yes,no\n": "labels.csv:2: has 3 cells, the heading 2",
    "recording,fraud\n,yes\n": "labels.csv:2: names no recording",
    "recording,fraud\nfirst,\n": "has no labels",
    'recording,fraud\n"first"x,yes\n': "labels.csv:2: is not CSV",
    "recording,fraud\nfirst,yes\nsecond,no\nfirst,no\n": (
        "labels.csv:4: says 'fraud' of 'first' is 'no', line 2 says 'yes'"
    ),
    "recording,fraud\nnobody,yes\nfirst,no\n": (
        r"a row names a recording that is not in the library \('nobody' in line 2\): nothing was"
    ),
    "recording,fraud\nfirst,a\x07b\n": "is no name or value of a label",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_files_are_told_by_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=WRONG[text]) as error:
        said(file(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "labels.jsonl:1: is not JSON"),
        ("[1]", "is not an object"),
        ('{"label": "fraud"}', "names no recording"),
        ('{"recording": "first", "label": "fraud"}', "has a 'label' but no 'value'"),
        ('{"recording": "first", "fraud": ["yes"]}', "is neither text, number nor yes/no"),
        ("[" * 100_000, "labels.jsonl:1: is not JSON"),
    ],
)
def test_wrong_lines_of_json(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        said(file(tmp_path, line, "labels.jsonl"))


def test_what_is_no_utf8_says_where(tmp_path: Path) -> None:
    path = file(tmp_path, b"recording,fraud\nfirst,yes\nM\xfcller,no\n")
    with pytest.raises(UsageError, match=r"labels\.csv:3: is not text in UTF-8 \(byte 27\)"):
        said(path)
    with pytest.raises(UsageError, match=r"cannot be read: No such file"):
        said(tmp_path / "nothing.csv")


def test_a_thousand_columns_are_something_else(tmp_path: Path) -> None:
    names = [f"label {number}" for number in range(1000)]
    path = file(tmp_path, f"recording,{','.join(names)}\nfirst,{','.join(['1'] * 1000)}\n")
    with pytest.raises(UsageError, match="has 1000 columns of labels, expected up to 100"):
        said(path)
    assert said(path, only=["label 7"]) == {("first", "label 7", ""): "1"}
    with pytest.raises(UsageError, match="says nothing of the label 'other'"):
        said(path, only=["other"])


def test_unknown_recordings_can_be_left_out(tmp_path: Path) -> None:
    path = file(tmp_path, "recording,fraud\nnobody,yes\nfirst,no\nnothing,no\n")
    with pytest.raises(UsageError, match="2 of 3 rows name"):
        said(path)
    found = read_labels(path, ROWS, skip_unknown=True)
    assert found.unknown == ((2, "nobody"), (4, "nothing"))
    assert len(found.opinions) == 1


def test_a_name_of_several_recordings_is_refused(tmp_path: Path) -> None:
    rows = [recording(1, "call"), recording(2, "call")]
    path = file(tmp_path, "recording,fraud\ncall,yes\n")
    with pytest.raises(UsageError, match=r"labels\.csv:2: 'call' fits 2 recordings, give an id"):
        read_labels(path, rows)


TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1)
NAMES = TEXT.filter(lambda name: name.casefold() not in
                    ("recording", "id", "path", "file", "filename", "title", "reviewer", "labels",
                     "label", "value", "at"))  # fmt: skip


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([one.id for one in ROWS]), NAMES, st.just("") | TEXT),
        TEXT,
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[tuple[str, str, str], str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    opinions = [Opinion(who, label, value, by) for (who, label, by), value in wanted.items()]
    for ending, write in ((".csv", write_csv), (".jsonl", write_jsonl)):
        path = file(folder, "\n".join([*write(opinions, BY_ID), ""]), f"labels{ending}")
        found = read_labels(path, ROWS)
        read = {(one.recording, one.label, one.reviewer): one.value for one in found.opinions}
        assert read == wanted
