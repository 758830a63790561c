"""The `jsonl` supplier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suppliers import everything, made, refusal


def written(folder: Path, *rows: Any) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(text, encoding="utf-8")


def test_keys_are_sources(tmp_path: Path) -> None:
    rows = [
        {"in_seq": [[0, 1], [1, 0]], "out": [0.5, 1], "n": 1, "t": "a", "free": [1] * i, "x": None}
        for i in (1, 2, 3)
    ]
    written(tmp_path, *rows)
    for given in ("a.jsonl", {"path": "a.jsonl"}, {"source": "a.jsonl"}):
        batch = everything(made("jsonl", tmp_path, given))
        assert batch["in_seq"].shape == (3, 2, 2) and batch["out"].tolist() == [[0.5, 1]] * 3
        assert batch["n"].tolist() == [1, 1, 1] and batch["t"] == ["a"] * 3
        assert batch["free"].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
        assert batch["x"] == [None] * 3 and batch["sample"][1] == f"{tmp_path}/a.jsonl:2"


def test_what_is_wrong(tmp_path: Path) -> None:
    def said(*rows: Any) -> str:
        written(tmp_path, *rows)
        return refusal("jsonl", tmp_path, "a.jsonl")

    assert said({"a": 1, "b": 2}, {"a": 1}) == (
        "a.jsonl:2: the key 'b' is missing here; all lines need the same keys"
    )
    assert said({"a": 1}, {"a": 1, "c": 3}) == (
        "a.jsonl:2: the key 'c' is not in line 1; all lines need the same keys"
    )
    assert said([1]) == "a.jsonl:1: an object expected, found '[1]'"
    assert said() == "a.jsonl: the manifest is empty"
