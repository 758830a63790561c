"""What ARCHITECTURE.md promises of the code, held by reading the code.

Imports are read with `ast`, those inside functions and under TYPE_CHECKING too. What a command
loads is asked of a fresh Python. Docstrings, sizes and names are those of every Python file here.
"""

from __future__ import annotations

import ast
import builtins
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from fakes import tone_network_folder

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
GOLDEN = ROOT / "tests" / "golden"

# Stage by stage: a module may import what stands before it; a folder stands for all in it.
# fmt: off
LAYERS = {
    "earshot": [
        "errors", "types", "fetching",
        "media", "features", "network",
        "query", "about", "numerals", "spoken", "lexicon", "letters", "units", "spellers",
        "phone_names", "ctc_models", "lanes", "index", "search", "installed", "language",
        "decoding", "rows", "fetched", "catalog", "rescue", "clipping", "outcome", "adding",
        "intake", "streaming",
        "upkeep", "example", "paging", "searching", "explaining", "snippets", "library",
        "transcript", "sources", "picture", "plotting", "picturing", "topics", "bot", "present",
        "exports", "alignments",
        "asking", "options", "progress", "topic_lines", "server", "label_cli", "topic_cli",
        "export_cli",
        "network_cli", "show_cli", "upkeep_cli", "stream_cli", "feeds_cli", "watch_cli",
        "serve_cli", "key_cli", "ask_cli", "mcp_cli", "record_cli", "video_cli", "cli",
    ],
    "kur": [
        "errors", "marks", "arguments", "yaml_marks", "json_marks", "schema", "include",
        "overrides", "scope", "evaluate_text", "devices", "reader", "entries", "plugins",
        "features", "data",
        "backend", "checkpoint", "timing", "activations", "layers",
        "graph", "names", "containers", "walk", "model",
        "metrics", "losses", "optimizers", "step", "naming", "legacy", "log",
        "assemble", "slack", "evaluate", "evaluation_hooks", "train", "hooks", "plot",
        "tensorboard", "session", "building", "transcribe", "onnx_recurrent", "export",
        "drawing", "validate",
        "api", "starter", "plugin_cli", "cli",
    ],
}
# fmt: on
EXTRAS = {
    "exports": "exports",
    "ctc_models": "transformers",
    "picture": "plot",
    "server": "serve",
    "topics": "topics",
}  # fmt: skip
# All that one package may know of the other.
ALLOWED_OF_KUR = {"kur.features", "kur.errors"}
# These work on plain arrays: beside each other's files they know these modules only.
PLAIN = {
    "index": {"earshot.errors", "earshot.lanes"},
    "search": {"earshot.errors", "earshot.types", "earshot.lanes"},
}
# Where words are printed, beside all `*_cli`. `kur.hooks` is the line of progress.
PRINTING = {"earshot.cli", "earshot.present", "kur.cli", "kur.hooks", "kur.evaluation_hooks"}

GRAB_BAGS = {"utils", "util", "common", "helpers", "helper", "misc", "shared", "tools"}
LONGEST_FILE = 500
LONGEST_FUNCTION = 60

# Loading one of these takes seconds, or a GPU.
FRAMEWORKS = {
    "torch", "keras", "jax", "tensorflow", "transformers", "onnx", "onnxruntime", "av", "ray"
}  # fmt: skip
HEAVY = FRAMEWORKS | {"numpy", "scipy", "numba", "sqlalchemy", "typer", "rich", "matplotlib"}


@dataclass(frozen=True)
class Module:
    """A module of one of the two packages: its dotted name, its file, what it says."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """`earshot` or `kur`."""
        return self.name.partition(".")[0]

    @property
    def layer(self) -> str:
        """The name that stands for it in LAYERS; empty for the package itself."""
        return [*self.name.split("."), ""][1]


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    of: str
    by: Module
    line: int
    inside_function: bool

    def __str__(self) -> str:
        return f"{self.by.path.relative_to(ROOT)}:{self.line}: imports {self.of}"


@cache
def modules() -> dict[str, Module]:
    """Every module under src by its dotted name."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = Module(name, path, ast.parse(path.read_text("utf-8"), str(path)))
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module, of whatever."""
    return tuple(one for module in modules().values() for one in _imports_of(module))


def _imports_of(module: Module) -> Iterator[Import]:
    inside = {
        id(node)
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}:{node.lineno}: imports are written in full"
            names = [_module_of(str(node.module), alias.name) for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, module, node.lineno, id(node) in inside)


def _module_of(source: str, name: str) -> str:
    """What `from source import name` imports: a module of that name, or else its source."""
    return f"{source}.{name}" if f"{source}.{name}" in modules() else source


def ours() -> Iterator[Import]:
    """Imports of one of our own modules."""
    return (one for one in imports() if one.of in modules())


@cache
def python_files() -> tuple[Path, ...]:
    """Every Python file that the repository carries."""
    folders = ("src", "tests", "benchmarks", "recipes", "examples", "docs")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(sorted(path for path in found if not _generated(path)))


def _generated(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    return hidden or path.is_relative_to(ROOT / "recipes" / "work")


def listed(problems: Iterator[str] | list[str]) -> None:
    """Fail with one line a problem."""
    lines = sorted(problems)
    assert not lines, "\n".join(["", *lines])


@pytest.mark.parametrize("package", LAYERS)
def test_every_module_has_a_place_in_the_order(package: str) -> None:
    there = {m.layer for m in modules().values() if m.package == package} - {""}
    assert there == set(LAYERS[package])
    assert len(LAYERS[package]) == len(set(LAYERS[package]))


def test_imports_point_one_way() -> None:
    def upward(one: Import) -> bool:
        of = modules()[one.of]
        if of.package != one.by.package or one.by.layer == "" or of.layer == one.by.layer:
            return False
        order = LAYERS[of.package]
        # The package itself stands last: it offers what all of its modules make.
        return of.layer == "" or order.index(of.layer) > order.index(one.by.layer)

    # `kur.__version__` is a text that stands in the package itself.
    listed(str(one) for one in ours() if upward(one) and one.of != "kur")


@pytest.mark.parametrize("package", LAYERS)
def test_there_are_no_cycles(package: str) -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in ours():
        if one.by.package == package and one.of != package:
            graph[one.by.name].add(one.of)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_kur_knows_nothing_of_earshot() -> None:
    listed(str(one) for one in ours() if (one.by.package, one.of[:7]) == ("kur", "earshot"))


def test_earshot_knows_the_features_of_kur_only() -> None:
    between = (one for one in ours() if one.by.package == "earshot" and one.of.startswith("kur"))
    listed(str(one) for one in between if one.of not in ALLOWED_OF_KUR)


@pytest.mark.parametrize("layer", PLAIN)
def test_works_on_plain_arrays(layer: str) -> None:
    own = f"earshot.{layer}"
    outside = (one for one in ours() if one.by.layer == layer and not one.of.startswith(own))
    listed(str(one) for one in outside if one.of not in PLAIN[layer])


def test_frameworks_are_imported_where_they_belong() -> None:
    """Earshot never trains; only its network runs one, only its media decodes.

    What makes a network of a model of the `transformers` library needs that, torch and onnx.
    """
    homes = {"onnxruntime": {"network"}, "av": {"media"}}
    listed(
        str(one)
        for one in imports()
        if one.by.package == "earshot"
        and (top := one.of.partition(".")[0]) in FRAMEWORKS
        and one.by.layer not in homes.get(top, set())
        and one.by.layer != "ctc_models"
    )


def test_function_level_imports_say_why() -> None:
    """A comment on the line or above it, once for what a file takes from one package."""
    late = [one for one in imports() if one.inside_function]
    explained = {(one.by.name, one.of.partition(".")[0]) for one in late if _has_comment(one)}
    listed(
        f"{one} inside a function without a comment that says why"
        for one in late
        if (one.by.name, one.of.partition(".")[0]) not in explained
    )


def _has_comment(one: Import) -> bool:
    lines = one.by.path.read_text("utf-8").splitlines()
    at = one.line - 1
    if "  # " in lines[at]:
        return True
    while at > 0 and re.match(r"\s+(from|import) ", lines[at - 1]):
        at -= 1
    return lines[at - 1].lstrip().startswith("# ")


def test_what_is_imported_is_declared() -> None:
    """The base install runs Earshot; the extra `train` is all that Kur needs beside it."""

    def declared(one: Import) -> bool:
        top = one.of.partition(".")[0]
        known = installed_by(_extra(one.by))
        return top in sys.stdlib_module_names | LAYERS.keys() | known

    listed(
        f"{one}, which pyproject.toml does not ask for" for one in imports() if not declared(one)
    )


def _extra(module: Module) -> str:
    """The extra whose packages a module may import."""
    if module.layer in ("sources", "bot"):
        return {"feeds": "feeds", "assistant": "mcp", "recorder": "record", "videos": "video"}.get(
            module.path.stem, ""
        )
    if module.package == "earshot":
        return EXTRAS.get(module.layer, "")
    return "" if module.name in ALLOWED_OF_KUR | {"kur"} else "train"


def test_what_tests_import_is_declared() -> None:
    own = {path.stem for path in python_files()}
    known = sys.stdlib_module_names | LAYERS.keys() | installed_by("test") | own
    listed(
        f"{path.name}: imports {name}, which the extra `test` does not ask for"
        for path in python_files()
        if path.is_relative_to(ROOT / "tests") or path.is_relative_to(ROOT / "benchmarks")
        for name in _top_level_imports(path)
        if name not in known
    )


def _top_level_imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


@cache
def installed_by(extra: str) -> frozenset[str]:
    """What pyproject.toml asks for in the base install, and in an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted, waiting = [*project["dependencies"]], [extra] if extra else []
    while waiting:
        for one in project["optional-dependencies"][waiting.pop()]:
            inner = re.match(r"earshot\[(.*)\]", one)
            if inner:
                waiting += inner[1].split(",")
            else:
                wanted.append(one)
    return frozenset(map(_requirement, wanted))


def _requirement(text: str) -> str:
    """The module that a requirement installs."""
    name = re.split(r"[^\w-]", text)[0].lower().replace("-", "_")
    return {"pyyaml": "yaml", "scikit_learn": "sklearn", "webvtt_py": "webvtt"}.get(name, name)


def test_the_base_install_says_what_training_needs() -> None:
    extra = set(installed_by("train") - installed_by(""))
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extra!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import earshot.cli
import kur.cli
assert kur.cli.main(["train", {str(ROOT / "recipes/acoustic.yml")!r}]) == 1
"""
    done = fresh_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "pip install 'earshot[train]'" in done.stderr


def test_nothing_is_called_a_grab_bag() -> None:
    parts = {(path, part) for path in python_files() for part in path.relative_to(ROOT).parts}
    listed(f"{path}: {part}" for path, part in parts if part.removesuffix(".py") in GRAB_BAGS)


def test_every_module_says_what_it_does() -> None:
    listed(
        f"{path.relative_to(ROOT)} has no docstring"
        for path in python_files()
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    )


def test_files_and_functions_are_short() -> None:
    problems = []
    for path in python_files():
        text = path.read_text("utf-8")
        shown = path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > LONGEST_FILE:
            problems.append(f"{shown} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = int(node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    problems.append(f"{shown}:{node.lineno}: {node.name} has {lines} lines")
    listed(problems)


def test_what_is_public_is_documented() -> None:
    listed(
        f"{module.path.relative_to(ROOT)}:{node.lineno}: {node.name} has no docstring"
        for module in modules().values()
        for node in _public(module.tree)
        if not ast.get_docstring(node) and not _left_out(node)
    )


def _public(
    scope: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Public functions and classes of a module, and the public methods of those classes."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                inherited = _methods_of_builtins(node)
                yield from (one for one in _public(node) if one.name not in inherited)


def _methods_of_builtins(node: ast.ClassDef) -> set[str]:
    """What a class made of `dict` or `list` has from there, documentation included."""
    bases = (ast.unparse(base).partition("[")[0] for base in node.bases)
    return {name for base in bases for name in dir(getattr(builtins, base, object))}


def _left_out(node: ast.AST) -> bool:
    """A field of a protocol, which the docstring of its class explains."""
    if not isinstance(node, ast.FunctionDef):
        return False
    named = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
    return "property" in named and ast.unparse(node.body[0]) == "..."


def test_only_the_surface_prints() -> None:
    listed(
        f"{module.path.relative_to(ROOT)}:{node.lineno}: prints"
        for module in modules().values()
        if module.name not in PRINTING and not module.name.endswith("_cli")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo")
    )


def fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after `code`."""
    code += "\nimport sys\nprint('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = fresh_python(code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("package", LAYERS)
def test_importing_a_package_loads_nothing(package: str) -> None:
    assert not loaded_by(f"import {package}") & HEAVY


def test_the_command_line_loads_no_framework() -> None:
    """`earshot --help`, `earshot list` and errors come at once."""
    assert not loaded_by("import earshot.cli") & (FRAMEWORKS | {"numba", "scipy"})


def test_a_search_loads_no_framework(tmp_path: Path) -> None:
    """The command as it is, on a golden library and a folder of the network that made it."""
    # Copied, because SQLite puts files for its readers beside the catalogue.
    shutil.copytree(sorted(GOLDEN.glob("format-*"))[-1] / "library", tmp_path / "library")
    network = tone_network_folder(tmp_path / "network")
    code = f"""
import sys
from earshot import Library, cli
from earshot.network import Network
cli.Library = lambda path: Library(path, Network.open({str(network)!r}))
sys.argv = ["earshot", "search", "harbour", "--library", {str(tmp_path / "library")!r}, "--json"]
try:
    cli.main()
except SystemExit as done:
    assert done.code == 0, done.code
"""
    loaded_by(code)  # where nobody has searched yet, Numba compiles
    loaded = loaded_by(code)
    assert {"numpy", "llvmlite", "sqlite3"} <= loaded  # it has searched
    assert not loaded & (FRAMEWORKS | {"sqlalchemy", "scipy"})


def test_checking_a_kurfile_loads_no_framework() -> None:
    loaded = loaded_by(f"import kur.cli; kur.cli.main(['dump', '{ROOT / 'recipes/acoustic.yml'}'])")
    assert not loaded & FRAMEWORKS
