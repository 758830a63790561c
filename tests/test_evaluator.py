"""Evaluation: Jinja2, then literals, until nothing changes; scopes, chained settings, refusals."""

from __future__ import annotations

import ast
import datetime
import json
import socket
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kur.errors import KurfileError
from kur.evaluate_text import TextError, TextEvaluator, literal, without_last_newline
from kur.marks import MarkedDict, MarkedList
from kur.reader import Kurfile

HERE = Path(__file__).parent / "kurfiles"
QUICK = settings(deadline=None, max_examples=60)
WRONG = {
    "undefined.yml": "undefined.yml:5: train.log: 'depht' is not defined (did you mean 'depth'?); "
    "defined: depth, filename, host, layers, oldest, parsed, raw, settings, tags, train, training",
    "undefined_inside.yml": "undefined_inside.yml:6: train.log: there is no 'kernel' in the "
    "dictionary (did you mean 'kernels'?); it has: kernels, size",
    "undefined_item.yml": "undefined_item.yml:3: settings.third: there is no item 2 in a list of 2",
    "later_section.yml": "later_section.yml:2: settings.log: the section 'train' is not evaluated "
    "before this one; the order is settings, train, validate, test, evaluate, templates, model, "
    "loss",
    "settings_circle.yml": "settings_circle.yml:2: settings.a: needs its own value: settings.a -> "
    "settings.b.c -> settings.d -> settings.a",
    "never_stops.yml": "never_stops.yml:2: settings.grow: never stops changing: after 64 rounds it "
    "is \"{{ '{{' }} raw.settings.grow {{ '}}' }}\"",
    "jinja_syntax.yml": "jinja_syntax.yml:2: settings.size: not a Jinja expression: unexpected "
    "'end of print statement'",
    "jinja_filter.yml": "jinja_filter.yml:2: settings.name: not a Jinja expression: there is no "
    "filter 'basname' (did you mean 'basename'?)",
    "jinja_type.yml": "jinja_type.yml:3: settings.sum: cannot evaluate '{{ list + 1 }}': can only "
    'concatenate list (not "int") to list',
    "python_internals.yml": "python_internals.yml:2: settings.names: refused: '__class__' reaches "
    "into Python's internals; attributes that begin with '_' and the like cannot be used",
    "python_internals_by_filter.yml": "python_internals_by_filter.yml:2: settings.names: refused: "
    "'__class__' reaches into Python's internals; attributes that begin with '_' and the like "
    "cannot be used",
    "huge_power.yml": "huge_power.yml:2: settings.size: a power too large to be worked out",
    "huge_text.yml": "huge_text.yml:2: settings.name: a repetition too long to be worked out",
    "huge_range.yml": "huge_range.yml:2: settings.sizes: cannot evaluate '{{ range(1000000000) | "
    "list }}': Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)",
    "missing_json.yml": "missing_json.yml:2: settings.vocabulary: 'nowhere.json': no such file "
    "(looked for nowhere.json)",
}
WORDS = st.from_regex(r"w_[a-z0-9]{0,5}", fullmatch=True)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Kurfile:
    folder = tmp_path_factory.mktemp("net")
    (folder / "vocabulary.json").write_text(json.dumps(["a", "b", "7"]))
    (folder / "more.yml").write_text("size: 3\nname: [x, 2e-4]\n")
    (folder / "net.yml").write_text(
        "settings:\n"
        "  size: 3\n  rate: 2e-4\n  name: net\n  debug: no\n"
        "  cnn: {kernels: 64, size: [2, 2], mark: m, items: i}\n"
        "train: {epochs: 5}\n"
        "model: [input: images]\n"
    )
    made = Kurfile(folder / "net.yml")
    made.parse()
    return made


def evaluated(folder: Path, text: str) -> Any:
    path = folder / "net.yml"
    path.write_text(f"settings:\n{text}\nmodel: [input: images]\n")
    made = Kurfile(path)
    made.parse()
    return made.section("settings")


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_expression_gives_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "wrong")
    with pytest.raises(KurfileError) as caught:
        Kurfile(name).parse()
    assert str(caught.value) == WRONG[name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 0.0002),
        ("None", None),
        ("True", True),
        ("[1, 2]", [1, 2]),
        ("(3,)", (3,)),
        ("1, 2", (1, 2)),
        ("{'a': 1}", {"a": 1}),
        ("0x10", 16),
        ("'3'", 3),
        ("\"'3'\"", 3),
        ("b'x'", b"x"),
        ("['2e-4', \"'x'\"]", [0.0002, "x"]),
        ("007", "007"),
        ("10-20%", "10-20%"),
        ("10-20", "10-20"),
        ("yes", "yes"),
        ("null", "null"),
        ("nan", "nan"),
        ("9**9**9", "9**9**9"),
        ("...", "..."),
        ("set()", "set()"),
        (" 3", " 3"),
        ("", ""),
        ("[1", "[1"),
        ("{[]: 1}", "{[]: 1}"),
        ("a\n", "a"),
        ("a\r\nb\n", "a\nb"),
        ("~/kur", "~/kur"),
        ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300),
        ("-" * 100_000 + "1", "-" * 100_000 + "1"),
    ],
)
def test_texts_without_templates(net: Kurfile, text: str, value: object) -> None:
    result = net.evaluate(text)
    assert result == value
    assert isinstance(result, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ size }}", 3),
        ("{{ settings.size + 1 }}", 4),
        ("{{ rate * 2 }}", 0.0004),
        ("{{ name }}-{{ size }}", "net-3"),
        ("{{ cnn.size }}", [2, 2]),
        ("{{ cnn['size'][0] }}", 2),
        ("{{ cnn.mark }}", "m"),
        ("{{ cnn }}", {"kernels": 64, "size": [2, 2], "mark": "m", "items": "i"}),
        ("{{ train.epochs + training.epochs }}", 10),
        ("{{ raw.settings.rate }}", 0.0002),
        ("{{ parsed.settings.size }}", 3),
        ("{{ filename | basename }}", "net.yml"),
        ("{{ 'a/b.txt' | dirname }}", "a"),
        ("{{ 'a/b.txt' | splitext }}", ("a/b", ".txt")),
        (
            "{{ cnn | combine({'kernels': 1}) }}",
            {"kernels": 1, "size": [2, 2], "mark": "m", "items": "i"},
        ),
        ("{{ size | as_dict('n') }}", {"n": 3}),
        ("{{ debug | ternary('a', 'b') }}", "b"),
        ("{{ load_json('vocabulary.json') }}", ["a", "b", 7]),
        ("{{ load_json('vocabulary.json') | length }}", 3),
        ("{{ load_yaml('more.yml').name }}", ["x", 0.0002]),
        ("{{ gpu_count() >= 0 }}", True),
        ("{{ host }}", socket.gethostname()),
        ("{% for i in range(size) %}{{ i }},{% endfor %}", (0, 1, 2)),
        ("{% if debug %}a{% else %}b{% endif %}", "b"),
        ("{{ nothing | default(4) }}", 4),
        ("{{ nothing is defined }}", False),
        ("{% raw %}{{ size }}{% endraw %}", 3),
        ("{{ '{{ size }}' }}", 3),
        ("{# only a comment #}", ""),
        ("{{ tags }}", {}),
    ],
)
def test_templates(net: Kurfile, text: str, value: object) -> None:
    assert net.evaluate(text) == value


def test_values_that_are_no_texts_stay(net: Kurfile) -> None:
    day = datetime.date(2017, 1, 2)
    value = {"a": [1, None, 2.5, True, day], 3: ("{{ size }}", "x")}
    assert net.evaluate(value) == {"a": [1, None, 2.5, True, day], 3: (3, "x")}


def test_keys_are_not_evaluated(net: Kurfile) -> None:
    assert net.evaluate({"{{ size }}": "{{ size }}"}) == {"{{ size }}": 3}


def test_scopes_win_over_settings(net: Kurfile) -> None:
    assert net.evaluate("{{ size }}", {"size": 9}) == 9
    assert net.evaluate("{{ settings.size }}", {"size": 9}) == 3
    assert net.evaluate(["{{ item.a }}"], {"item": {"a": "x"}}) == ["x"]


def test_marks_are_kept(net: Kurfile) -> None:
    model = MarkedDict(net.raw)
    result = net.evaluate(net.raw, {"size": 3})
    assert isinstance(result, MarkedDict) and result == {**model, "settings": result["settings"]}
    assert result.marks == net.raw.marks
    assert result["settings"]["cnn"].at("kernels").line == 6
    listed = net.evaluate("[1, [2]]", path=("settings", "name"))
    assert isinstance(listed, MarkedList) and listed[1].mark.line == 4


def test_errors_name_the_line_of_the_path(net: Kurfile) -> None:
    with pytest.raises(KurfileError) as caught:
        net.evaluate({"a": ["{{ x }}"]}, path=("train", "epochs"))
    assert str(caught.value).startswith(f"{net.path}:7: train.epochs.a.0: 'x' is not defined; ")


@pytest.mark.parametrize(
    "text",
    [
        "{{ settings.__class__ }}",
        "{{ settings['__class__'] }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ settings | attr('_x') }}",
        "{{ range.__globals__ }}",
        "{{ load_json.__globals__ }}",
        "{{ '{0.__class__}'.format(size) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ lipsum() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ 'x' * 99999999999 }}",
        "{{ [1] * 99999999999 }}",
        "{{ '%99999999999d' % 1 }}",
        "{{ '%*d' % (99999999999, 1) }}",
        "{{ 2 ** 99999999999 }}",
        "{{ (9 ** 400) ** 400 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ load_json('/nowhere/x.json') }}",
        "{{ 1 / 0 }}",
        "{{ size.x }}",
        "{{ size() }}",
        "{{ size | nofilter }}",
        "{{ size is notest }}",
        "{{",
        "{% if %}",
        "{% for i in range(99999) %}{{ 'x' * 100 }}{% endfor %}",
    ],
)
def test_refused_templates(net: Kurfile, text: str) -> None:
    with pytest.raises(KurfileError) as caught:
        net.evaluate(text, path=("model", 0))
    assert str(caught.value).startswith(f"{net.path}:8: model.0: ")
    assert "\n" not in str(caught.value)


def test_a_broken_file_that_is_loaded_names_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[1,\n 2 3]")
    with pytest.raises(KurfileError) as caught:
        evaluated(tmp_path, "  a: \"{{ load_json('bad.json') }}\"")
    assert str(caught.value) == f"{tmp_path / 'bad.json'}:2: not JSON: expected ',' or ']'"


def test_settings_chain_in_any_order(tmp_path: Path) -> None:
    result = evaluated(
        tmp_path,
        "  a: '{{ b + 1 }}'\n"
        "  b: '{{ settings.c.d * 2 }}'\n"
        "  c: {d: '{{ e[1] }}', f: '{{ c.d }}'}\n"
        "  e: [1, '{{ 5 + 5 }}']\n"
        "  g: '{{ e + [a] }}'\n"
        "  h: '{{ c }}'\n",
    )
    assert result == {
        "a": 21,
        "b": 20,
        "c": {"d": 10, "f": 10},
        "e": [1, 10],
        "g": [1, 10, 21],
        "h": {"d": 10, "f": 10},
    }


def test_numbers_print_as_they_are_written_inside_their_section(tmp_path: Path) -> None:
    result = evaluated(
        tmp_path,
        "  version: '1.10'\n  rate: 2e-4\n  again: '{{ version }}'\n"
        "  path: 'net-{{ version }}-{{ rate }}-{{ again }}'\n"
        "  double: '{{ rate * 2 }}'\n  list: '{{ [rate, version] }}'\n",
    )
    assert result["path"] == "net-1.10-2e-4-1.10"
    assert (result["double"], result["list"]) == (0.0004, [0.0002, 1.1])
    assert type(result["version"]) is float and type(result["again"]) is float


def test_numbers_written_as_texts_are_texts_inside_their_section(tmp_path: Path) -> None:
    result = evaluated(
        tmp_path,
        "  v: '1.10'\n  year: '2017'\n"
        "  a: '{{ v + \"-x\" }}'\n  b: '{{ \"x-\" + v }}'\n  c: '{{ v == \"1.10\" }}'\n"
        "  d: '{{ v != \"1.10\" or v == 1.1 }}'\n  e: '{{ v.split(\".\") }}'\n"
        "  f: '{{ v|length + year|length }}'\n  g: '{{ v[0] ~ (\".\" in v) }}'\n"
        "  h: '{{ v + 1 }}'\n  i: '{{ year|basename }}'\n  j: '{{ {1.1: 2}[v] }}'\n",
    )
    del result["v"], result["year"]
    assert result == {
        "a": "1.10-x",
        "b": "x-1.10",
        "c": True,
        "d": True,
        "e": [1, 10],
        "f": 8,
        "g": "1True",
        "h": 2.1,
        "i": 2017,
        "j": 2,
    }


def test_a_section_sees_itself_and_those_before(tmp_path: Path) -> None:
    path = tmp_path / "net.yml"
    path.write_text(
        "settings: {n: 3}\n"
        "training: {epochs: '{{ train.other + n }}', other: '{{ training.third }}', third: 1}\n"
        "test: {weights: '{{ train.epochs }}-{{ training.other }}'}\n"
        "model: [input: i]\n"
    )
    made = Kurfile(path)
    made.parse()
    assert made.section("train") == {"epochs": 4, "other": 1, "third": 1}
    assert made.section("test") == {"weights": "4-1"}


def test_what_templates_can_do_with_a_section_being_evaluated(tmp_path: Path) -> None:
    result = evaluated(
        tmp_path,
        "  d: {a: '{{ one }}', b: '2'}\n"
        "  l: ['{{ one }}', '2']\n"
        "  one: 1\n"
        "  keys: '{{ d | list }}'\n"
        "  values: '{{ d.values() | list }}'\n"
        "  items: '{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}'\n"
        "  got: \"{{ [d.get('a'), d.get('x', 9), d['b'], d.copy().b] }}\"\n"
        "  joined: \"{{ l | join('+') }}\"\n"
        "  total: '{{ l | sum + d.a }}'\n"
        "  last: '{{ l[-1] }}'\n"
        "  part: '{{ l[1:] }}'\n"
        "  has: '{{ [1 in l, 2 in l, 3 in l, \"a\" in d] }}'\n"
        '  same: \'{{ [l == [1, 2], d == {"a": 1, "b": 2}, l != [1]] }}\'\n'
        "  turned: '{{ l | reverse | list }}'\n"
        "  more: '{{ [0] + l + [3] }}'\n"
        "  often: '{{ l * 2 }}'\n"
        "  where: '{{ [l.index(2), l.count(1), l | length, d | length] }}'\n"
        "  merged: \"{{ d | combine({'b': l[0]}) }}\"\n"
        "  json: '{{ d | tojson }}'\n",
    )
    assert {key: result[key] for key in list(result)[3:]} == {
        "keys": ["a", "b"],
        "values": [1, 2],
        "items": "a=1 b=2 ",
        "got": [1, 9, 2, 2],
        "joined": "1+2",
        "total": 4,
        "last": 2,
        "part": [2],
        "has": [True, True, False, True],
        "same": [True, True, True],
        "turned": [2, 1],
        "more": [0, 1, 2, 3],
        "often": [1, 2, 1, 2],
        "where": [1, 1, 2, 2],
        "merged": {"a": 1, "b": 1},
        "json": {"a": 1, "b": 2},
    }


@QUICK
@given(st.data())
def test_chained_settings_in_any_order(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A setting is a number, or refers to an earlier one; written in any order they agree."""
    count = data.draw(st.integers(1, 7))
    values: list[int] = []
    texts: list[str] = []
    for i in range(count):
        before = data.draw(st.none() | st.integers(0, i - 1)) if i else None
        if before is None:
            values.append(data.draw(st.integers(-9, 9)))
            texts.append(str(values[-1]))
        else:
            prefix = data.draw(st.sampled_from(["", "settings."]))
            values.append(values[before] + i)
            texts.append(f"'{{{{ {prefix}s{before} + {i} }}}}'")
    order = data.draw(st.permutations(range(count)))
    text = "\n".join(f"  s{i}: {texts[i]}" for i in order)
    result = evaluated(tmp_path_factory.mktemp("chain"), text)
    assert result == {f"s{i}": value for i, value in enumerate(values)}


@QUICK
@given(VALUES)
def test_literals_round_trip(net: Kurfile, value: Any) -> None:
    assert net.evaluate(repr(value)) == value
    assert net.evaluate(value) == value


@QUICK
@given(st.text(alphabet="ab 017.-+e'\"[](){},:#\\\n\t%*_rbuNT", max_size=30))
def test_evaluation_is_idempotent(net: Kurfile, text: str) -> None:
    try:
        once = net.evaluate(text)
    except KurfileError:
        return
    assert net.evaluate(once) == once


@QUICK
@given(
    st.recursive(
        WORDS | st.sampled_from(["{{ size }}", "{{ cnn }}", "2e-4", "'[1]'"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    )
)
def test_evaluation_of_trees_is_idempotent(net: Kurfile, tree: Any) -> None:
    once = net.evaluate(tree)
    assert net.evaluate(once) == once


def plain_literal(text: str) -> Any:
    """What is a literal, without the short cuts."""
    if text.startswith((" ", "\t")) or text.strip() in ("...", "set()"):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@QUICK
@given(
    st.text(max_size=20)
    | st.text(alphabet="abBrRuUfFNTone10.xjJe+-'\"()[]{},: \n\\#_set", max_size=12)
)
def test_short_cuts_to_literals_change_nothing(text: str) -> None:
    fast, plain = literal(text), plain_literal(text)
    assert repr(fast) == repr(plain)


@QUICK
@given(
    st.text(alphabet="a{ }\r\n#%\t", max_size=20).filter(
        lambda text: not any(sign in text for sign in ("{{", "{%", "{#"))
    )
)
def test_texts_without_templates_are_what_jinja_makes_of_them(text: str) -> None:
    assert without_last_newline(text) == jinja2.Environment().from_string(text).render()


def test_text_that_grows_without_end_is_stopped() -> None:
    evaluator = TextEvaluator()
    with pytest.raises(TextError, match="a template of 28672 characters; accepted"):
        evaluator.value("{{ x }}", {"x": "{{ x }}{{ x }}"})
