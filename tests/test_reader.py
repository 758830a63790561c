"""Reading: YAML and JSON with marks, sections, overrides, dumps, and one clear line for errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kur import json_marks, yaml_marks
from kur.errors import KurError, KurfileError, nearest
from kur.marks import Mark, MarkedDict, MarkedList, expanded_size, mark_at
from kur.reader import Kurfile, read

HERE = Path(__file__).parent / "kurfiles"
QUICK = settings(deadline=None, max_examples=60)
SECTIONS = "settings, train, validate, test, evaluate, templates, model, loss"
KNOWN = (
    "settings, train, training, validate, validation, test, testing, evaluate, evaluation, "
    "templates, model, loss, include"
)
WRONG = {
    "anchor_in_itself.yml": "anchor_in_itself.yml:1: an anchor that holds itself",
    "anchors_multiply.yml": "anchors_multiply.yml:1: anchors multiply this file to more than "
    "200000 values",
    "bad_date.yml": "bad_date.yml:2: '2017-02-31' is not a valid timestamp",
    "bad_merge.yml": "bad_merge.yml:4: '<<' takes a dictionary or a list of dictionaries",
    "bare_jinja.yml": 'bare_jinja.yml:5: a Jinja expression must stand in quotes: "{{ ... }}"',
    "both_aliases.yml": "both_aliases.yml:5: training: 'training' is another name of 'train', "
    "which stands on line 1; keep one of them",
    "control.yml": "control.yml:2: the character '\\x01' cannot stand in a YAML file",
    "custom_tag.yml": "custom_tag.yml:2: the tag '!images' is not accepted; a Kurfile holds plain "
    "data, no tags",
    "deep.yml": "deep.yml:3: nested more than 100 deep",
    "duplicate_key.json": "duplicate_key.json:3: 'size' is written twice; it already stands on "
    "line 2",
    "duplicate_key.yml": "duplicate_key.yml:8: 'epochs' is written twice; it already stands on "
    "line 6",
    "duplicate_section.yml": "duplicate_section.yml:3: 'model' is written twice; it already stands "
    "on line 1",
    "empty.yml": "empty.yml:1: model: no layers; a Kurfile needs a 'model' section, a list of "
    "layers",
    "half.json": "half.json:4: not JSON: expecting value",
    "key_among_items.yml": "key_among_items.yml:3: not YAML: a key among '-' items, or a line "
    "indented differently from the lines before it (what it belongs to began on line 2)",
    "latin1.yml": "latin1.yml:2: the byte 0xe9 is not UTF-8; save the file as UTF-8",
    "list_at_top.yml": f"list_at_top.yml:1: found a list; accepted: a dictionary of sections "
    f"({SECTIONS})",
    "loss_not_a_list.yml": "loss_not_a_list.yml:3: loss: found a dictionary; accepted: a list of "
    "losses, each begun by '-'",
    "misindented_item.yml": "misindented_item.yml:4: not YAML: a '-' that is indented differently "
    "from the lines before it (what it belongs to began on line 2)",
    "misindented_key.yml": "misindented_key.yml:3: not YAML: a ':' where no key can stand; check "
    "the indentation and the line above, or quote it",
    "model_not_a_list.yml": "model_not_a_list.yml:3: model: found a dictionary; accepted: a list "
    "of layers, each begun by '-'",
    "no_colon.yml": "no_colon.yml:3: not YAML: a ':' where no key can stand; check the "
    "indentation and the line above, or quote it",
    "no_model.yml": "no_model.yml:1: model: no layers; a Kurfile needs a 'model' section, a list "
    "of layers",
    "open_bracket.yml": "open_bracket.yml:2: not YAML: a '[' that is not closed; expected ',' or "
    "']'",
    "open_quote.yml": "open_quote.yml:2: not YAML: a quote that is opened and never closed",
    "python_tag.yml": "python_tag.yml:2: the tag '!!python/object/apply:os.system' is not "
    "accepted; a Kurfile holds plain data, no tags",
    "settings_of_text.yml": "settings_of_text.yml:1: settings: found 'text'; accepted: a "
    "dictionary, 'key: value'",
    "tab.yml": "tab.yml:3: not YAML: a tab cannot indent YAML; use spaces",
    "train_not_a_dictionary.yml": "train_not_a_dictionary.yml:1: train: found a list; accepted: a "
    "dictionary, 'key: value'",
    "two_colons.yml": "two_colons.yml:2: not YAML: a ':' where no key can stand; check the "
    "indentation and the line above, or quote it",
    "two_documents.yml": "two_documents.yml:3: not YAML: a second document begins ('---'); a file "
    "holds one (what it belongs to began on line 1)",
    "unknown_alias.yml": "unknown_alias.yml:2: not YAML: an alias (*name) of an anchor (&name) "
    "that is not defined above",
    "unknown_section.yml": "unknown_section.yml:1: setting: unknown section 'setting' (did you "
    f"mean 'settings'?); accepted: {KNOWN}",
    "wrong_json.json": "wrong_json.json:4: not JSON: expected ',' or ']'",
}


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "wrong")


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_kurfile_gives_one_line(name: str) -> None:
    with pytest.raises(KurfileError) as caught:
        Kurfile(name).parse()
    assert str(caught.value) == WRONG[name]
    assert "\n" not in str(caught.value)


def kurfile(folder: Path, text: str, **options: Any) -> Kurfile:
    path = folder / "net.yml"
    path.write_text(text)
    made = Kurfile(path, **options)
    made.parse()
    return made


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(KurfileError, match=r"none\.yml: no such file; expected a Kurfile"):
        Kurfile(tmp_path / "none.yml").parse()
    with pytest.raises(KurfileError, match=r"is a folder; expected a Kurfile"):
        Kurfile(tmp_path).parse()


def test_home_and_variables_in_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.yml").write_text("model: [{input: images}]")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHICH", "net")
    made = Kurfile("~/$WHICH.yml")
    made.parse()
    assert made.path == tmp_path / "net.yml"
    assert made.model == [{"input": "images"}]


def test_yaml_1_1_booleans_anchors_and_merge_keys() -> None:
    data = yaml_marks.load(
        "a: &a {x: yes, y: off, z: 010}\n"
        "b: &b {y: 2, w: 3}\n"
        "c:\n  <<: [*a, *b]\n  x: 1\n"
        "d:\n  <<: *a\n  <<: *b\n"
        "e: 2e-4\nf: 1_000\ng: ~\nh: 12:30\ni: =\n",
        "f.yml",
    )
    assert data["a"] == {"x": True, "y": False, "z": 8}
    assert data["c"] == {"x": 1, "y": False, "z": 8, "w": 3}
    assert data["d"] == {"x": True, "y": 2, "z": 8, "w": 3}
    assert (data["e"], data["f"], data["g"], data["h"]) == ("2e-4", 1000, None, 750)
    assert data["i"] == "="


def test_marks_of_keys_and_items() -> None:
    data = yaml_marks.load("# note\na:\n  - 1\n\n  - b: 2\n    c: 3\nd: {e: 4,\n  f: 5}\n", "f.yml")
    assert data.mark == Mark("f.yml", 2)
    assert data.marks == {"a": Mark("f.yml", 2), "d": Mark("f.yml", 7)}
    assert [mark.line for mark in data["a"].marks] == [3, 5]
    assert {key: mark.line for key, mark in data["a"][1].marks.items()} == {"b": 5, "c": 6}
    assert {key: mark.line for key, mark in data["d"].marks.items()} == {"e": 7, "f": 8}
    assert mark_at(data, ("a", 1, "c")).line == 6
    assert mark_at(data, ("a", 1, "c", "deeper")).line == 6
    assert mark_at(data, ("a", 9)).line == 3


def test_json_means_what_json_says() -> None:
    text = '{"a": [1e-4, "\\ud83d\\ude00 yes", true,\n\tnull],\n "b": {}, "c": []}'
    data = json_marks.load(text, "f.json")
    assert data == json.loads(text)
    assert [mark.line for mark in data["a"].marks] == [1, 1, 1, 2]
    assert data.marks["b"].line == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{1: 2}", "f.json:1: not JSON: expected a key in double quotes"),
        ('{"a" 1}', "f.json:1: not JSON: expected ':' after the key 'a'"),
        ('{"a": 1,}', "f.json:1: not JSON: expected a key in double quotes"),
        ('{"a": 1}\n{}', "f.json:2: not JSON: more text follows the end of the document"),
        ('["a\n"]', "f.json:1: not JSON: invalid control character at"),
        ('["a]', "f.json:1: not JSON: unterminated string starting at"),
        ("", "f.json:1: not JSON: expecting value"),
        ("[" * 300, "f.json:1: not JSON: nested more than 100 deep"),
    ],
)
def test_wrong_json(text: str, message: str) -> None:
    with pytest.raises(KurfileError) as caught:
        json_marks.load(text, "f.json")
    assert str(caught.value) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@QUICK
@given(JSON, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_json_agrees_with_the_standard_library(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json_marks.load(text, "f.json") == value


@QUICK
@given(JSON)
def test_yaml_agrees_with_pyyaml(value: Any) -> None:
    text = yaml.safe_dump(value)
    assert yaml_marks.load(text, "f.yml") == yaml.safe_load(text)


@QUICK
@given(st.text(alphabet="ab1:-&*<!'\"[]{},#|> \n\t%@?~", max_size=40))
def test_any_text_is_read_like_pyyaml_or_refused_in_one_line(text: str) -> None:
    try:
        value = yaml_marks.load(text, "f.yml")
    except KurfileError as error:
        assert str(error).startswith("f.yml:")
        assert "\n" not in str(error)
    else:
        assert value == yaml.safe_load(text)


@QUICK
@given(st.text(max_size=60), st.sampled_from([".yml", ".json"]))
def test_any_file_is_read_or_refused(tmp_path_factory: Any, text: str, suffix: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"f{suffix}"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        Kurfile(path).parse()
    except KurError as error:
        assert "\n" not in str(error)


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(KurfileError, match=r"f\.yml:1: nested more than 100 deep"):
        yaml_marks.load("[" * 600 + "]" * 600, "f.yml")


def test_what_is_nested_deeply_can_be_used(tmp_path: Path) -> None:
    deep = "[" * 95 + "]" * 95
    made = kurfile(
        tmp_path, f"settings: {{a: {deep}, b: '{deep}', c: '{{{{ a }}}}'}}\nmodel: [i]\n"
    )
    found = made.section("settings")
    assert found["a"] == found["b"] == found["c"] == json.loads(deep)
    assert json.loads(made.dump())["settings"]["a"] == json.loads(deep)


def test_expanded_size_counts_what_is_shared_again() -> None:
    shared = MarkedList([1, 2])
    assert expanded_size(MarkedDict({"a": shared, "b": shared})) == 7


def test_read_evaluates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.yml"
    path.write_text("settings: {a: '{{ b }}', c: 2e-4}")
    assert read(path) == {"settings": {"a": "{{ b }}", "c": "2e-4"}}


def test_both_names_of_an_alias_are_in_data(tmp_path: Path) -> None:
    made = kurfile(
        tmp_path,
        "training: {epochs: '3'}\nvalidate: {weights: w}\nmodel: [input: images]\n",
    )
    assert made.data["train"] == made.data["training"] == {"epochs": 3}
    assert made.data["validate"] == made.data["validation"] == {"weights": "w"}
    assert "test" not in made.data and "testing" not in made.data
    assert made.section("train") == made.section("training") == {"epochs": 3}
    assert made.section("test") == {} and made.section("loss") == []
    assert "train" not in made.raw


def test_dump(tmp_path: Path) -> None:
    text = (
        "settings: {b: '{{ a }}', a: '(3,)', when: 2017-01-02, 5: x, yes: y}\n"
        "test:\n"
        "model: [{input: '{{ b }}'}]\n"
    )
    made = kurfile(tmp_path, text)
    assert json.loads(made.dump()) == {
        "settings": {"a": [3], "b": [3], "when": "2017-01-02", "5": "x", "true": "y"},
        "test": None,
        "testing": None,
        "model": [{"input": "{{ b }}"}],
    }
    assert json.loads(made.dump(pre_parse=True))["settings"]["a"] == "(3,)"
    again = json.dumps(json.loads(made.dump()), sort_keys=True, indent=4)
    assert made.dump() == again


def test_dump_of_what_json_has_no_words_for(tmp_path: Path) -> None:
    made = kurfile(tmp_path, "settings: {a: '{1, 2}', b: \"b'x'\", c: 1+2j}\nmodel: [input: i]\n")
    assert json.loads(made.dump())["settings"] == {"a": [1, 2], "b": "b'x'", "c": "(1+2j)"}


@pytest.mark.parametrize("name", ["speech", "scopes"])
def test_dump_is_what_kur_printed_in_2017(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "golden")
    made = Kurfile(f"{name}.yml")
    made.parse()
    assert made.dump() + "\n" == Path(f"{name}.json").read_text("utf-8")


def test_dump_sorts_keys_as_what_they_are(tmp_path: Path) -> None:
    text = "settings: {a: {10: x, 9: y}, b: {1.5: x, .inf: y}, c: {10: x, b: y, no: z}}\nmodel: [i]"
    settings = json.loads(kurfile(tmp_path, text).dump())["settings"]
    keys = [list(settings[name]) for name in "abc"]
    assert keys == [["9", "10"], ["1.5", "Infinity"], ["10", "b", "false"]]


def test_the_filename_is_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yml").write_text("settings: {a: '{{ filename|dirname }}'}\nmodel: [i]\n")
    made = Kurfile("./net.yml")
    made.parse()
    assert made.section("settings") == {"a": "."}


def test_with_a_list_for_errors_all_are_found(tmp_path: Path) -> None:
    path = tmp_path / "net.yml"
    path.write_text(
        "include: [none.yml, {source: base.yml, method: blent}]\n"
        "settings: {a: '{{ x }}', b: ['{{ a }}', 3, '{{ 1 + }}']}\n"
        "train: [1]\n"
        "trian: {}\n"
        "evaluation: {c: '{{ 5 }}', d: '{{ settings.b[1] }}', e: '{{ a }}'}\n"
        "model: [input: i]\n"
    )
    (tmp_path / "base.yml").write_text("settings: {a: 3, c: 4}\n")
    made = Kurfile(path)
    errors: list[KurfileError] = []
    made.parse(errors)
    assert [error.line for error in errors] == [1, 1, 4, 3, 2, 2]
    assert made.section("settings") == {"a": "{{ x }}", "b": ["{{ a }}", 3, "{{ 1 + }}"], "c": 4}
    assert (
        made.section("evaluate") == {"c": 5, "d": 3, "e": "{{ a }}"} and made.section("train") == {}
    )
    assert {".".join(map(str, path)): error.line for path, error in made.unevaluated.items()} == {
        "settings.a": 2,
        "settings.b.0": 2,
        "settings.b.2": 2,
        "evaluate.e": 2,  # where the reason stands
    }


def test_overrides(tmp_path: Path) -> None:
    made = kurfile(
        tmp_path,
        "settings: {size: 3, on: &v {x: 1}, again: *v}\n"
        "training: {optimizer: {name: adam}, data: [{csv: a.csv}, {csv: b.csv}]}\n"
        "model: [input: images]\n",
        overrides={
            "train.optimizer.learning_rate": "1e-4",
            "train.data.1.csv": "c.csv",
            "train.epochs": "{{ size * 2 }}",
            "training.log": "null",
            "validate.provider.batch_size": "8",
            "settings.again.x": "[1, 2]",
            "settings.flag": "yes",
        },
    )
    assert made.section("train") == {
        "optimizer": {"name": "adam", "learning_rate": 0.0001},
        "data": [{"csv": "a.csv"}, {"csv": "c.csv"}],
        "epochs": 6,
        "log": None,
    }
    assert made.section("validation") == {"provider": {"batch_size": 8}}
    assert made.section("settings")["again"] == {"x": [1, 2]}
    assert made.section("settings")[True] == {"x": 1}
    assert made.section("settings")["flag"] is True


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("trian.epochs", "-s trian.epochs=3: unknown section 'trian' (did you mean 'train'?); "),
        ("train.epochs.number", "-s train.epochs.number=3: train.epochs is 5, not a dictionary "),
        ("model.7.input", "-s model.7.input=3: model is a list; expected a number from 0 to 0"),
        ("train..epochs", "-s train..epochs=3: expected section.key=value"),
    ],
)
def test_wrong_overrides(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "net.yml").write_text("train: {epochs: 5}\nmodel: [input: images]\n")
    with pytest.raises(KurfileError) as caught:
        read(tmp_path / "net.yml", {path: "3"})
    assert str(caught.value).startswith(message)


def test_undefined_name_in_an_override_names_the_override(tmp_path: Path) -> None:
    with pytest.raises(KurfileError) as caught:
        kurfile(tmp_path, "model: [input: i]\n", overrides={"train.epochs": "{{ n }}"})
    assert str(caught.value).startswith(
        "-s train.epochs={{ n }}: train.epochs: 'n' is not defined; defined: filename, "
    )


def test_error_finds_the_line_of_its_path(tmp_path: Path) -> None:
    made = kurfile(
        tmp_path,
        "training:\n  log: x\nmodel:\n  - input: images\n  - dense:\n      size: 10\n",
    )
    place = f"{tmp_path / 'net.yml'}"
    node = made.model[1]
    assert str(made.error(node, ("model", 1, "dense", "size"), "m")) == (
        f"{place}:6: model.1.dense.size: m"
    )
    assert made.error(node, ("model", 1, "dense", "sise"), "m").line == 6
    assert made.error(node, ("model", 1, "name"), "m").line == 5
    assert made.error(None, ("train", "log"), "m").line == 2
    assert made.error(node, (), "m").line == 5
    assert made.error(Mark("other.yml", 7), ("model",), "m").file == "other.yml"
    assert str(made.error(None, ("nowhere",), "two\nlines")) == f"{place}:1: nowhere: two lines"


def test_loss_may_speak_of_the_model_once_it_is_built(tmp_path: Path) -> None:
    made = kurfile(
        tmp_path,
        "model: [input: images]\nloss: [{target: '{{ layers[-1] }}', name: '{{ tags.x }}'}]\n",
    )
    assert made.section("train") == {}
    assert made.data["loss"][0]["target"] == "{{ layers[-1] }}"
    made.state["layers"].extend(["images", "labels"])
    made.state["tags"]["x"] = "ctc"
    assert made.section("loss") == made.data["loss"] == [{"target": "labels", "name": "ctc"}]


def test_settings_win_over_the_names_of_the_model(tmp_path: Path) -> None:
    made = kurfile(tmp_path, "settings: {layers: 3}\nmodel: [input: i]\nloss: ['{{ layers }}']\n")
    assert made.section("loss") == [3]
    made.state["layers"].append("i")
    assert made.evaluate("{{ layers }}") == 3
    assert made.evaluate("{{ layers }}", {"layers": "mine"}) == "mine"


def test_plugin_sections(tmp_path: Path) -> None:
    text = "settings: {n: 3}\nmodel: [input: i]\nserve: {port: '{{ n }}'}\n"
    assert kurfile(tmp_path, text, plugins=["serve"]).section("serve") == {"port": 3}
    with pytest.raises(KurfileError, match="unknown section 'serve'"):
        kurfile(tmp_path, text)


def test_old_style_kurfile_of_2017(tmp_path: Path) -> None:
    """Anchors, merge keys, Jinja2 in every section: a Kurfile as people wrote them."""
    (tmp_path / "speech.yml").write_bytes((HERE / "speech.yml").read_bytes())
    made = Kurfile(tmp_path / "speech.yml")
    made.parse()
    train = made.section("train")
    assert train["data"][0]["speech_recognition"]["path"] == "~/kur"
    assert train["data"][0]["speech_recognition"]["checksum"].startswith("fc41")
    assert train["optimizer"]["learning_rate"] == 2e-4
    assert train["provider"] == {
        "batch_size": 16,
        "force_batch_size": True,
        "sortagrad": "duration",
    }
    assert made.section("test") == made.section("validate")
    assert made.evaluate(made.model[1], path=("model", 1)) == {
        "convolution": {"kernels": 1000, "size": 11, "strides": 2, "border": "valid"}
    }
    assert made.evaluate("{{ vocab.size + 1 }}", path=("model", 5)) == 29
    assert math.isclose(made.evaluate("{{ train.optimizer.learning_rate * 2 }}"), 4e-4)


@pytest.mark.parametrize(
    ("name", "accepted", "expected"),
    [
        ("sise", ["size", "strides"], " (did you mean 'size'?)"),
        ("Dense", ["dense"], " (did you mean 'dense'?)"),
        ("conv", ["dense", "convolution"], " (did you mean 'convolution'?)"),
        ("batchnorm", ["batch_normalization"], " (did you mean 'batch_normalization'?)"),
        ("xyz", ["size"], ""),
        (3, ["size"], ""),
        ("size", [3, None], ""),
    ],
)
def test_nearest(name: object, accepted: list[object], expected: str) -> None:
    assert nearest(name, accepted) == expected
