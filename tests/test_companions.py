"""What CSV and JSON beside the audio say, as phone systems write them, and as nobody should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.about import NOTHING
from earshot.sources.companions import Companions, Told, moment


def told(folder: Path, name: str = "call-17.wav") -> Told:
    return Companions().of(folder / name)


def test_json_of_the_same_name(tmp_path: Path) -> None:
    data = {
        "Agent": "Bob", "customer.id": 4711, "start_time": "2026-11-24T10:15:00+01:00",
        "queue": "billing", "tags": ["calls", "vip"], "ok": True, "none": None,
        "lead": {"Source": "web"}, "title": "Refund",
    }  # fmt: skip
    (tmp_path / "call-17.json").write_text(json.dumps(data))
    found = told(tmp_path).about
    assert (found.title, found.recorded, found.tags) == ("Refund", "2026-11-24", ("calls", "vip"))
    assert dict(found.meta) == {
        "agent": "Bob", "customer_id": "4711", "queue": "billing", "ok": "yes",
        "lead_source": "web", "time": "10:15:00",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["call-17.wav.json", "CALL-17.JSON"])
def test_other_names_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"agent": "Ann"}')
    assert dict(told(tmp_path).about.meta) == {"agent": "Ann"}
    assert told(tmp_path, "call-18.wav").about == NOTHING


@pytest.mark.parametrize("comma", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_of_a_folder(tmp_path: Path, comma: str, encoding: str) -> None:
    rows = [
        ["File Name", "Agent", "Call Date"], ["C:\\rec\\call-17.WAV", "Jörg", "24.11.2026 9:05"],
        ["call-18", "Ann", "1795514700"], ["", "", ""],
    ]  # fmt: skip
    text = "\r\n".join(comma.join(row) for row in rows)
    (tmp_path / "calls.csv").write_bytes(text.encode(encoding))
    one, two = told(tmp_path).about, told(tmp_path, "call-18.gsm").about
    assert (one.recorded, dict(one.meta)) == ("2026-11-24", {"agent": "Jörg", "time": "09:05:00"})
    assert (two.recorded, dict(two.meta)) == ("2026-11-24", {"agent": "Ann", "time": "10:05:00"})


def test_its_own_file_counts_more_than_the_table(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text('[{"file": "call-17.wav", "agent": "Bob", "queue": "q"}]')
    (tmp_path / "call-17.csv").write_text("agent\nAnn\n")
    assert dict(told(tmp_path).about.meta) == {"agent": "Ann", "queue": "q"}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1, 2]", b"3", b"[" * 100_000, b'{"a": ', b"\xff\xfe{", bytes(100), b'"x"'],
)
def test_what_makes_no_sense_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "call-17.json").write_bytes(data)
    found = told(tmp_path)
    assert found.about == NOTHING and len(found.problems) == 1
    assert "call-17.json tells nothing: " in found.problems[0] and "\n" not in found.problems[0]
    assert told(tmp_path, "other.wav") == Told()


def test_values_that_metadata_cannot_have(tmp_path: Path) -> None:
    data = {"a b:c": "x", "": "y", "long": "z" * 5000, "..": "dots", "date": "never", "e": " "}
    (tmp_path / "call-17.json").write_text(json.dumps(data))
    found = told(tmp_path)
    assert found.problems == () and found.about.recorded is None
    assert dict(found.about.meta) == {"a_b_c": "x", "long": "z" * 1000, "date": "never"}


@pytest.mark.parametrize(
    "text, found",
    [
        ("2026-11-24", ("2026-11-24", "")), ("20261124", ("2026-11-24", "")),
        ("20261124T101500", ("2026-11-24", "10:15:00")), ("2026-11", ("2026-11", "")),
        ("2026-11-24 10:15", ("2026-11-24", "10:15:00")), ("2026", ("2026", "")),
        ("1795515300.5", ("2026-11-24", "10:15:00")), ("1795515300000", ("2026-11-24", "10:15:00")),
        ("Tue, 24 Nov 2026 10:15:00 +0100", ("2026-11-24", "10:15:00")),
        ("24.11.2026", ("2026-11-24", "")), ("11/24/2026", None), ("0000", None), ("", None),
        ("31.02.2026", None), ("9999999999999", None), ("soon", None), ("12", None),
    ],
)  # fmt: skip
def test_moments(text: str, found: tuple[str, str] | None) -> None:
    assert moment(text) == found


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["json", "csv"]))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    folder = tmp_path_factory.mktemp("beside")
    (folder / f"call-17.{kind}").write_bytes(data)
    assert all("\n" not in problem for problem in told(folder).problems)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_any_object_is_metadata(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "call-17.json").write_text(json.dumps(data))
    assert told(folder).problems == ()
