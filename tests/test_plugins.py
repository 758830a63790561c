"""Plugins: a real one that trains, where they are found, and what is said of broken ones."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_kur import POINTS

from kur import cli, plugins
from kur.errors import KurError
from kur.evaluation_hooks import EVALUATION_HOOKS
from kur.hooks import HOOKS
from kur.layers import LAYERS
from kur.losses import LOSSES
from kur.optimizers import OPTIMIZERS, optimizer
from kur.reader import Kurfile

from kur.data.supplier import SUPPLIERS  # isort: skip

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/kur_plugin"
GOOD = '"""A plugin."""\n__kur__ = "says hello"\ndef setup():\n    print("hello")\n'


@pytest.fixture(autouse=True)
def registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What plugins register is gone after each test; the home folder is an empty one."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("KUR_PLUGIN", raising=False)
    every: list[dict[str, Any]] = [LAYERS, SUPPLIERS, LOSSES, HOOKS, EVALUATION_HOOKS, OPTIMIZERS]
    every += [plugins.PLUGIN_SECTIONS, plugins._loaded]
    before, modules = [dict(one) for one in every], set(sys.modules)
    yield
    for registry, kept in zip(every, before, strict=True):
        registry.clear()
        registry.update(kept)
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("kur_plugin", "one", "two", "pipped"):
            del sys.modules[name]


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, output and errors of a command line."""
    capsys.readouterr()
    status = cli.main([str(one) for one in arguments])
    return status, *capsys.readouterr()


def folder_with(tmp_path: Path, **texts: str) -> Path:
    """A folder of plugins, all of them enabled."""
    folder = tmp_path / "plugins"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "enabled").write_text("".join(f"{name}\n" for name in texts), encoding="utf-8")
    return folder


def test_the_example_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its layer, supplier, loss and hook together learn which spiral a point is on."""
    file = tmp_path / "spirals.yml"
    file.write_text((EXAMPLE / "spirals.yml").read_text("utf-8"), encoding="utf-8")
    status, _, errors = said(capsys, "--plugin", EXAMPLE, "train", file)
    assert status == 0, errors
    rows = list(csv.DictReader((tmp_path / "epochs.csv").open(encoding="utf-8")))
    assert [row["epoch"] for row in rows] == [str(i + 1) for i in range(8)]
    assert float(rows[-1]["validation accuracy"]) > 0.95
    assert float(rows[-1]["training loss"]) < float(rows[0]["training loss"]) / 2
    assert said(capsys, "--plugin", EXAMPLE, "validate", EXAMPLE / "spirals.yml")[0] == 0


def test_the_example_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "k.yml"
    text = (EXAMPLE / "spirals.yml").read_text("utf-8")
    file.write_text(text.replace("pieces: 3", "pieces: 1"), encoding="utf-8")
    _, _, errors = said(capsys, "--plugin", EXAMPLE, "build", file)
    assert errors == f"kur: {file}:5: model.2.maxout.pieces: 'pieces' must be at least 2, found 1\n"
    file.write_text(text.replace("activation: softmax", "activation: relu"), encoding="utf-8")
    _, _, errors = said(capsys, "--plugin", EXAMPLE, "build", file)
    assert errors == f"kur: {file}:11: loss.0: focal needs 'activation: softmax' at 'arm'\n"


def test_without_the_plugin_its_layer_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = said(capsys, "validate", EXAMPLE / "spirals.yml")
    assert status == 1 and "'maxout'" in output and "unknown supplier 'spirals'" in output


def test_the_document_shows_the_example() -> None:
    text = (ROOT / "docs/kur/extending.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = [path.read_text("utf-8") for path in EXAMPLE.glob("*.py")]
    shown = [block for block in blocks if any(block.rstrip() in one for one in code)]
    assert len(shown) == len(code) == len(blocks) - 1  # the last is a program


def test_install_enable_list_disable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home/.kur/plugins"
    assert said(capsys, "plugin", "list") == (0, "", f"kur: no plugins in {home}\n"[5:])
    status, output, _ = said(capsys, "plugin", "install", EXAMPLE)
    assert status == 0 and output.splitlines()[0] == f"installed: {home}/kur_plugin/__init__.py"
    assert "kur_plugin" not in sys.modules and "maxout" not in LAYERS  # nothing has run
    assert said(capsys, "plugin", "list")[1].split()[:2] == ["kur_plugin", "disabled"]
    assert said(capsys, "plugin", "enable", "kur_plugin")[:2] == (0, "enabled: kur_plugin\n")
    assert (home / "enabled").read_text() == "kur_plugin\n" and "maxout" in LAYERS
    assert said(capsys, "validate", home / "kur_plugin/spirals.yml")[0] == 0
    assert said(capsys, "plugin", "list")[1].split()[:2] == ["kur_plugin", "enabled"]
    assert said(capsys, "plugin", "disable", "kur_plugin")[:2] == (0, "disabled: kur_plugin\n")
    assert (home / "enabled").read_text() == ""
    _, _, errors = said(capsys, "plugin", "disable", "kur_plugin")
    assert errors == "kur: the plugin 'kur_plugin' is not enabled; enabled: none\n"


def test_installing_again_replaces_and_leaves_links_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home/.kur/plugins"
    source = tmp_path / "one.py"
    source.write_text(GOOD, encoding="utf-8")
    assert said(capsys, "plugin", "install", source)[0] == 0
    package = tmp_path / "one"
    package.mkdir()
    (package / "__init__.py").write_text(GOOD.replace("hello", "bye"), encoding="utf-8")
    (package / "link.py").symlink_to("/etc/passwd")
    (package / ".git").mkdir()
    assert said(capsys, "plugin", "install", package)[0] == 0
    assert [path.name for path in home.iterdir()] == ["one"]
    assert [path.name for path in (home / "one").iterdir()] == ["__init__.py"]
    assert "says bye" in said(capsys, "plugin", "list")[1]
    errors = said(capsys, "plugin", "install", home / "one")[2]
    assert errors == f"kur: {home}/one: is installed there already\n"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("--index-url=http://x", None),
        ("a b", "a folder, a file or a package's name is expected"),
        ("./none", "no such file; a plugin is a module of Python"),
        ("none.py", "no such file; a plugin is a module of Python"),
    ],
)
def test_what_cannot_be_installed(
    name: str,
    wanted: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    if wanted is None:
        with pytest.raises(SystemExit):
            cli.main(["plugin", "install", name])
        return
    status, _, errors = said(capsys, "plugin", "install", name)
    assert status == 1 and wanted in errors and errors.count("\n") == 1


def test_installing_by_pip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip is asked with the name as one argument; its module must be a plugin."""
    site, asked = tmp_path / "site", []
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command[1:])
        if "missing" in command[-1]:
            return subprocess.CompletedProcess(command, 1, "", "...\nERROR: No matching one\n")
        (site / "pipped.py").write_text(GOOD, encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert said(capsys, "plugin", "install", "pipped>=1.0")[:2] == (
        0,
        "installed: pipped\n'kur plugin enable pipped' turns it on\n",
    )
    assert asked == [["-m", "pip", "install", "pipped>=1.0"]]
    assert said(capsys, "plugin", "enable", "pipped")[1] == "hello\nenabled: pipped\n"
    _, _, errors = said(capsys, "plugin", "install", "missing")
    assert errors == "kur: pip could not install 'missing': ERROR: No matching one\n"
    _, _, errors = said(capsys, "plugin", "install", "numpy")
    assert errors == "kur: pip installed 'numpy', which has no module 'numpy' with '__kur__'\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("__kur__ = 'x'\ndef setup():\n    1 / 0\n", "one.py:3: ZeroDivisionError: division by"),
        ("__kur__ = 'x'\nimport nothing_of_that_name\n", "one.py:2: ModuleNotFoundError: No mod"),
        ("__kur__ = 'x'\ndef setup(:\n", "one.py:2: invalid syntax"),
        ("__kur__ = 'x'\nraise SystemExit(3)\n", "one.py:2: SystemExit: 3"),
        ("def setup(): pass\n", "a plugin has '__kur__' (a text: what it is) and a function"),
        ("__kur__ = 'x'\n", "a plugin has '__kur__' (a text: what it is) and a function"),
    ],
)
def test_a_broken_plugin(
    text: str, wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_with(tmp_path, one=text)
    status, _, errors = said(capsys, "--plugin", folder, "validate", EXAMPLE / "spirals.yml")
    assert status == 1 and errors.count("\n") == 1
    assert errors.startswith("kur: the plugin 'one' is broken: ") and wanted in errors
    assert errors.endswith("; 'kur plugin disable one' goes on without it\n")
    assert "one" not in sys.modules
    (folder / "enabled").write_text("", encoding="utf-8")
    assert said(capsys, "--plugin", folder, "plugin", "enable", "one")[0] == 1
    assert plugins.enabled(folder) == ()  # a broken one is not enabled


def test_wrong_folders_and_lists(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, one=GOOD)
    for name, wanted in (
        ("absent", r"the plugin 'absent' is not installed, neither in .*plugins nor by pip"),
        ("json", r"the plugin 'json' is broken: a plugin has '__kur__'"),
        ("sys", r"the plugin 'sys' is not installed"),
        ("../one", r"enabled: '../one' is no name of a plugin; one name a line"),
        ("__main__", r"enabled: '__main__' is no name of a plugin"),
    ):
        (folder / "enabled").write_text(f"# used\n\n{name}\n", encoding="utf-8")
        with pytest.raises(KurError, match=wanted):
            plugins.load_plugins(folder)
    (folder / "numpy.py").write_text(GOOD, encoding="utf-8")
    (folder / "enabled").write_text("numpy\n", encoding="utf-8")
    with pytest.raises(KurError, match=r"'numpy' .* has the name of another module; rename it"):
        plugins.load_plugins(folder)
    with pytest.raises(KurError, match="nowhere: no such folder of plugins; 'none' means"):
        plugins.load_plugins(tmp_path / "nowhere")
    with pytest.raises(KurError, match="is one plugin; the folder of several is expected"):
        plugins.folder_of(EXAMPLE)


def test_the_environment_names_plugins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k.yml").write_text(POINTS, encoding="utf-8")
    monkeypatch.setenv("KUR_PLUGIN", str(folder_with(tmp_path, one=GOOD)))
    assert said(capsys, "--plugin", "none", "validate", tmp_path / "k.yml")[1].endswith("yml: OK\n")
    assert said(capsys, "validate", tmp_path / "k.yml")[1].startswith("hello\n")
    assert not said(capsys, "validate", tmp_path / "k.yml")[1].startswith("hello\n")  # once


SECTION = """
import kur
__kur__ = "a section"
seen = []
def setup():
    @kur.section("report")
    def report(value, kurfile):
        if not isinstance(value, dict):
            raise kur.KurError(f"found {value!r}; accepted: a dictionary")
        seen.append((value, kurfile.section("settings")["depth"]))
"""


def test_a_section_of_a_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = folder_with(tmp_path, two=SECTION), tmp_path / "k.yml"
    text = POINTS.replace("{seed: 3}", "{seed: 3, depth: 4}")
    file.write_text(text + "report: {size: '{{ depth * 2 }}'}\n", encoding="utf-8")
    assert said(capsys, "--plugin", "none", "validate", file)[1].count("unknown section") == 1
    assert said(capsys, "--plugin", folder, "validate", file)[1] == f"{file}: OK\n"
    assert sys.modules["two"].seen == [({"size": 8}, 4)]
    line = len(text.splitlines()) + 1
    file.write_text(text + "report: 3\n", encoding="utf-8")
    assert said(capsys, "--plugin", folder, "validate", file)[1] == (
        f"{file}:{line}: report: found 3; accepted: a dictionary\n"
    )
    assert said(capsys, "--plugin", folder, "dump", file)[2].startswith(f"kur: {file}:{line}: ")
    with pytest.raises(ValueError, match="'training' is a section of Kur itself"):
        plugins.section("training")


def test_an_optimizer_needs_a_rate() -> None:
    @optimizer("mine")
    def mine(*, learning_rate: float = 0.1) -> Any:
        return None

    assert OPTIMIZERS["mine"] is mine
    with pytest.raises(TypeError, match="the optimizer 'other' takes no keyword argument"):
        optimizer("other")(lambda: None)
    assert Kurfile is not plugins.PluggedKurfile
