"""What the documents say is so: commands, options, folders, links, make targets, names in Python.

Every Markdown file of the repository is read. Commands are asked of the command lines themselves.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import typer

import kur.cli
from earshot.cli import app
from earshot.search.align import Tolerance, plan, readable, scan, unpack

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`((?:earshot|kur|make) [^`]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# What docs/alignment.svg says of the prices in its example.
PRICES = (r"staying in a unit costs (\d+)", r"the gap between units (\d+)")

# What a listing of the repository leaves out: what tools make, see .gitignore.
GENERATED = {"build", "dist", "__pycache__"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line as a document shows it."""

    document: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {' '.join(self.words)}"


@cache
def documents() -> tuple[Path, ...]:
    """Every Markdown file of the repository."""
    found = (*ROOT.glob("*.md"), *(p for d in folders() for p in (ROOT / d).rglob("*.md")))
    return tuple(sorted(path for path in found if not path.is_relative_to(ROOT / "recipes/work")))


def folders() -> list[str]:
    """The repository's own folders at the top."""
    names = (path.name for path in ROOT.iterdir() if path.is_dir())
    return sorted(name for name in names if name[0] != "." and name not in GENERATED)


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every document."""
    return tuple(
        Block(document, language, text)
        for document in documents()
        for language, text in FENCE.findall(document.read_text("utf-8"))
    )


@cache
def commands() -> tuple[Command, ...]:
    """Every `earshot ...`, `kur ...` and `make ...` that a document shows."""
    return tuple(_commands())


def _commands() -> Iterator[Command]:
    for block in blocks():
        if block.language != "console":
            continue
        for line in block.text.splitlines():
            if line.startswith("$ "):
                yield from _in_line(block.document, line[2:])
    for document in documents():
        for line in INLINE.findall(FENCE.sub("", document.read_text("utf-8"))):
            yield from _in_line(document, line)


def _in_line(document: Path, line: str) -> Iterator[Command]:
    words = shlex.split(line, comments=True)
    if words and Path(words[0]).name in ("earshot", "kur", "make"):
        yield Command(document, (Path(words[0]).name, *words[1:]))


def earshot_commands() -> dict[str, set[str]]:
    """The commands of `earshot` by name, and the options of each."""
    group: Any = typer.main.get_command(app)
    return {
        name: {"-h", "--help", *(option for one in _and_inner(command) for option in one.opts)}
        for name, command in group.commands.items()
    }


def _and_inner(command: Any) -> list[Any]:
    """The parameters of a command, and of the commands in it (`earshot network add`)."""
    inner = getattr(command, "commands", {}).values()
    return [*command.params, *(one for each in inner for one in each.params)]


def kur_commands() -> dict[str, set[str]]:
    """The commands of `kur` by name, and the options of each."""
    actions = kur.cli._parser()._actions
    [found] = [one for one in actions if isinstance(one, argparse._SubParsersAction)]
    return {name: set(one._option_string_actions) for name, one in found.choices.items()}


PROGRAMS = {"earshot": earshot_commands, "kur": kur_commands}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_documented(program: str) -> None:
    shown = {one.words[1] for one in commands() if one.words[0] == program and len(one.words) > 1}
    assert set(PROGRAMS[program]()) <= shown


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_documented_command_exists(program: str) -> None:
    known = PROGRAMS[program]()
    for shown in commands():
        if shown.words[0] != program or len(shown.words) == 1:
            continue
        # `kur --plugin DIR COMMAND`
        words = shown.words[3 if shown.words[1] == "--plugin" else 1 :]
        name = words[0]
        if name in ("COMMAND", "--version", "--help"):
            continue
        assert name in known, str(shown)
        given = {word.partition("=")[0] for word in words[1:] if re.match("--?[a-z]", word)}
        assert given <= known[name], str(shown)


def test_every_documented_make_target_exists() -> None:
    for shown in commands():
        if shown.words[0] == "make":
            folder, wanted = ROOT, [word for word in shown.words[1:] if "=" not in word]
            if wanted[:1] == ["-C"]:
                folder, wanted = ROOT / wanted[1], wanted[2:]
            makefile = (folder / "Makefile").read_text("utf-8")
            assert set(wanted) <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)), str(shown)


def test_internal_links_resolve() -> None:
    for document in documents():
        for link in LINK.findall(FENCE.sub("", document.read_text("utf-8"))):
            if re.match("[a-z]+:", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (document.parent / path).resolve() if path else document
            shown = f"{document.relative_to(ROOT)}: {link}"
            assert target.exists(), shown
            assert target.is_relative_to(ROOT), shown
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), shown


@cache
def anchors(document: Path) -> frozenset[str]:
    """What links can name in a document, as GitHub makes it from the headings."""
    headings = HEADING.findall(FENCE.sub("", document.read_text("utf-8")))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in plain)


def listing(document: str) -> dict[str, str]:
    """The lines `path   what it is` of a document's text blocks."""
    found = {}
    for block in blocks():
        if block.document == ROOT / document and block.language == "text":
            for line in block.text.splitlines():
                match = re.fullmatch(r"([\w./-]+)\s{2,}(\S.*)", line)
                if match:
                    found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_what_is_listed_is_there(document: str) -> None:
    shown = listing(document)
    assert shown
    missing = [path for path in shown if not (ROOT / path).exists()]
    assert not missing
    assert all(path.endswith("/") == (ROOT / path).is_dir() for path in shown)


def test_the_readme_lists_every_folder() -> None:
    shown = {path.partition("/")[0] for path in listing("README.md")}
    assert shown == set(folders())


def test_the_architecture_lists_every_module() -> None:
    shown = listing("ARCHITECTURE.md")
    packages = [SRC / "earshot", SRC / "kur"]
    for package in packages:
        for path in sorted(package.iterdir()):
            if path.name.startswith((".", "__")) or path.name == "py.typed":
                continue
            name = str(path.relative_to(ROOT)) + ("/" if path.is_dir() else "")
            assert name in shown, f"ARCHITECTURE.md does not list {name}"
    assert {path for path in shown if path.endswith("/") and path.count("/") == 1} == {
        f"{name}/" for name in folders() if name != "src"
    }


def test_python_in_documents_uses_names_that_exist() -> None:
    for block in blocks():
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text, str(block.document))):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{block.document}: {alias.name}"


def test_code_named_in_documents_exists() -> None:
    """`earshot.media.sides` and `kur.features`: a module, or a name in one."""
    for document in documents():
        text = FENCE.sub("", document.read_text("utf-8"))
        for name in re.findall(r"`((?:earshot|kur)(?:\.\w+)+)`", text):
            assert _exists(name), f"{document.relative_to(ROOT)}: {name}"


def _exists(name: str) -> bool:
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        path = SRC.joinpath(*parts[:size])
        if path.is_dir() or path.with_suffix(".py").exists():
            value: object = importlib.import_module(".".join(parts[:size]))
            for attribute in parts[size:]:
                if not hasattr(value, attribute):
                    return False
                value = getattr(value, attribute)
            return True
    return False


def test_files_named_in_documents_exist() -> None:
    """`recipes/acoustic.yml`, `tests/golden`: anything below one of the repository's folders."""
    pattern = re.compile(rf"`((?:{'|'.join(folders())})/[\w./-]*)`")
    for document in documents():
        for name in pattern.findall(FENCE.sub("", document.read_text("utf-8"))):
            assert (ROOT / name).exists(), f"{document.relative_to(ROOT)}: {name}"


def test_the_picture_of_an_alignment_shows_what_the_kernel_finds() -> None:
    tree = ElementTree.parse(ROOT / "docs/alignment.svg")
    texts = [(one.get("class"), one.text or "") for one in tree.iter() if one.tag.endswith("text")]
    numbers = [int(text) for kind, text in texts if kind == "cost"]
    paid = [sum(map(int, text.split("+"))) for kind, text in texts if kind == "sum"]
    stay, gap = (int(next(filter(None, (re.search(p, t) for _, t in texts)))[1]) for p in PRICES)
    costs = readable(np.array(numbers, np.uint8).reshape(5, -1).T)
    cat = plan([0, 1, 2], [0], blank=4, tolerance=Tolerance(stay=stay, gap=gap))
    cost, length = (found.tolist() for found in unpack(scan(costs, cat)))
    end = int(np.argmin(cost))
    assert (end, cost[end], length[end]) == (7, sum(paid), len(paid)) == (7, 26, 6)


def test_the_reference_of_kur_is_what_the_code_says() -> None:
    path = ROOT / "docs" / "kur" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.OUT.read_text("utf-8") == module.reference(), f"run: python {path}"
