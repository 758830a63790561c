"""Includes: which files are meant, how they are merged, and what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kur.errors import KurfileError
from kur.include import METHODS, combine, read_tree
from kur.marks import Mark, MarkedDict, MarkedList, marked

HERE = Path(__file__).parent / "kurfiles"
QUICK = settings(deadline=None, max_examples=60)
WRONG = {
    "missing_include.yml": "missing_include.yml:2: include.0.source: 'nowhere.yml': no such file "
    "(looked for nowhere.yml)",
    "empty_glob.yml": "empty_glob.yml:1: include: 'nowhere/**/*.yml': matches no file (looked for "
    "nowhere/**/*.yml)",
    "include_method.yml": "include_method.yml:3: include.0.method: unknown method 'belnd' (did you "
    "mean 'blend'?); accepted: blend, merge, concat",
    "include_key.yml": "include_key.yml:2: include.0.sourse: unknown key 'sourse' (did you mean "
    "'source'?); accepted: source, method",
    "include_number.yml": "include_number.yml:1: include: found 3; accepted: a file name, or "
    "{source, method}",
    "include_loop.yml": "include_loop_back.yml:4: include.0: files include each other in a circle: "
    "include_loop.yml -> include_loop_back.yml -> include_loop.yml",
    "error_in_include.yml": "tab.yml:3: not YAML: a tab cannot indent YAML; use spaces",
}
NOTHING = Mark("f.yml", 1)
TREES = st.recursive(
    st.none() | st.integers(0, 9) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
DICTIONARIES = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


def plain_combine(included: Any, own: Any, method: str) -> Any:
    """The three methods again, in the words of the language's page, on plain data."""
    if isinstance(included, dict) and isinstance(own, dict):
        both = {k: plain_combine(included[k], own[k], method) for k in included if k in own}
        return {**included, **own, **both}
    if isinstance(included, list) and isinstance(own, list):
        if method == "concat":
            return included + own
        if method == "blend":
            pairs = [plain_combine(a, b, method) for a, b in zip(included, own, strict=False)]
            return pairs + included[len(own) :] + own[len(included) :]
    return own


def merge(included: Any, own: Any, method: str) -> Any:
    return combine(marked(included, NOTHING), marked(own, NOTHING), method)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "net.yml"


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_include_gives_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "wrong")
    with pytest.raises(KurfileError) as caught:
        read_tree(name)
    assert str(caught.value) == WRONG[name]


@QUICK
@given(TREES, TREES, st.sampled_from(METHODS))
def test_combine_is_what_the_page_says(included: Any, own: Any, method: str) -> None:
    assert merge(included, own, method) == plain_combine(included, own, method)


@QUICK
@given(DICTIONARIES, st.sampled_from(METHODS))
def test_nothing_to_merge_changes_nothing(tree: Any, method: str) -> None:
    assert merge({}, tree, method) == tree == merge(tree, {}, method)


@QUICK
@given(DICTIONARIES, DICTIONARIES, st.sampled_from(METHODS))
def test_the_including_file_wins(included: Any, own: Any, method: str) -> None:
    result = merge(included, own, method)
    assert set(result) == set(included) | set(own)
    for key, value in own.items():
        if not isinstance(value, dict | list):
            assert result[key] == value  # a null included


@QUICK
@given(DICTIONARIES, st.sampled_from(["blend", "merge"]))
def test_merging_with_oneself_changes_nothing(tree: Any, method: str) -> None:
    assert merge(tree, tree, method) == tree


@QUICK
@given(DICTIONARIES, DICTIONARIES, DICTIONARIES)
def test_merge_and_concat_may_be_grouped(a: Any, b: Any, c: Any) -> None:
    """Three files give the same whichever two are merged first, unless kinds of values change."""

    def kinds(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kinds(item) for key, item in value.items()}
        return type(value).__name__ if isinstance(value, list) else "value"

    if kinds(a) == kinds(b) == kinds(c):
        for method in ("merge", "concat"):
            left = plain_combine(plain_combine(a, b, method), c, method)
            assert merge(a, merge(b, c, method), method) == left
            assert merge(merge(a, b, method), c, method) == left


@QUICK
@given(st.lists(TREES, max_size=4), st.lists(TREES, max_size=4))
def test_lengths_of_merged_lists(included: list[Any], own: list[Any]) -> None:
    assert len(merge(included, own, "blend")) == max(len(included), len(own))
    assert len(merge(included, own, "concat")) == len(included) + len(own)
    assert merge(included, own, "merge") == own


@QUICK
@given(TREES, TREES, st.sampled_from(METHODS))
def test_marks_stay_beside_their_values(included: Any, own: Any, method: str) -> None:
    first, second = Mark("included.yml", 1), Mark("own.yml", 2)
    result = combine(marked(included, first), marked(own, second), method)

    def check(value: Any) -> None:
        if isinstance(value, MarkedList):
            assert len(value.marks) == len(value)
        elif isinstance(value, MarkedDict):
            assert set(value.marks) == set(value)
        else:
            return
        for item in value.values() if isinstance(value, dict) else value:
            check(item)

    check(result)


def test_methods_of_files(tmp_path: Path) -> None:
    base = "settings: {a: 1, b: {c: 2, d: 3}, e: [1, 2, 3], f: 4}"
    own = "settings: {b: {c: 5}, e: [9, {x: 1}], f: null}"
    lists = {"blend": [9, {"x": 1}, 3], "merge": [9, {"x": 1}], "concat": [1, 2, 3, 9, {"x": 1}]}
    for method, expected in lists.items():
        include = f"include: [{{source: base.yml, method: {method}}}]\n"
        path = write(tmp_path, net=include + own, base=base)
        assert read_tree(path) == {
            "settings": {"a": 1, "b": {"c": 5, "d": 3}, "e": expected, "f": None}
        }


@pytest.mark.parametrize(
    "include",
    [
        "sub/base.yml",
        "[sub/base.yml]",
        "{source: sub/base.yml}",
        "[{source: [sub/base.yml]}]",
        "'sub/*.yml'",
        "'**/base.yml'",
        "$WHERE/base.yml",
        "~/sub/base.yml",
    ],
)
def test_ways_to_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, include: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", str(tmp_path / "sub"))
    path = write(
        tmp_path, net=f"include: {include}\ntrain: {{epochs: 1}}", sub__base="test: {x: 1}"
    )
    assert read_tree(path) == {"train": {"epochs": 1}, "test": {"x": 1}}


def test_an_empty_include_includes_nothing(tmp_path: Path) -> None:
    assert read_tree(write(tmp_path, net="include:\ntest: {x: 1}")) == {"test": {"x": 1}}
    path = write(tmp_path, net="include: base.yml\ntest: {x: 1}", base="# nothing here\n")
    assert read_tree(path) == {"test": {"x": 1}}


def test_paths_start_at_the_including_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    path = write(
        tmp_path,
        net="include: one/a.yml",
        one__a="include: [../two/b.yml, c.yml]",
        two__b="test: {b: 1}",
        one__c="test: {c: 2}",
    )
    assert read_tree(path) == {"test": {"b": 1, "c": 2}}


def test_of_two_includes_the_first_wins(tmp_path: Path) -> None:
    path = write(tmp_path, net="include: [a.yml, b.yml]", a="test: {x: 1}", b="test: {x: 2, y: 3}")
    assert read_tree(path) == {"test": {"x": 1, "y": 3}}


def test_a_file_that_two_include_counts_once(tmp_path: Path) -> None:
    both = "include: {source: base.yml, method: concat}\n"
    path = write(
        tmp_path,
        net="include: [{source: a.yml, method: concat}, {source: b.yml, method: concat}]",
        a=both + "loss: [a]",
        b=both + "loss: [b]",
        base="loss: [base]",
    )
    assert read_tree(path) == {"loss": ["b", "base", "a"]}


def test_a_glob_that_matches_the_file_itself(tmp_path: Path) -> None:
    path = write(tmp_path, net="include: '*.yml'\ntest: {x: 1}", other="test: {y: 2}")
    assert read_tree(path) == {"test": {"x": 1, "y": 2}}


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    path = write(tmp_path, net="include: ./net.yml")
    with pytest.raises(KurfileError, match=r"net\.yml:1: include: files include each other in a"):
        read_tree(path)


def test_brackets_in_the_folder_are_no_glob(tmp_path: Path) -> None:
    path = write(tmp_path / "[old] nets", net="include: 'b*.yml'", base="test: {x: 1}")
    assert read_tree(path) == {"test": {"x": 1}}


def test_aliases_meet_across_files(tmp_path: Path) -> None:
    path = write(
        tmp_path, net="include: base.yml\ntrain: {epochs: 3}", base="training: {epochs: 1, log: x}"
    )
    assert read_tree(path) == {"train": {"epochs": 3, "log": "x"}}


def test_json_and_yaml_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"test": {"rate": 1e-4, "text": "1e-4"}}')
    path = write(tmp_path, net="include: base.json\ntest: {x: 1}")
    assert read_tree(path) == {"test": {"rate": 0.0001, "text": "1e-4", "x": 1}}


def test_marks_name_the_file_that_says_it(tmp_path: Path) -> None:
    path = write(
        tmp_path, net="include: base.yml\n\ntrain:\n  epochs: 3\n", base="train:\n\n  log: x\n"
    )
    train = read_tree(path)["train"]
    assert train.at("epochs") == Mark(str(path), 4)
    assert train.at("log") == Mark(str(tmp_path / "base.yml"), 3)
