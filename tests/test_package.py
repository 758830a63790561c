"""Packages: where they come from, when they are used again, and what their checksum refuses."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kur.arguments import ArgumentError
from kur.data import package as module
from kur.data.package import Package, file_name, installed, package_of, unpacked
from kur.errors import KurError

URL = "http://example.org/sets/a%20b.csv?raw=1"
CONTENT = b"1,2\n"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What was downloaded; the network itself is the affair of test_download."""
    calls: list[tuple[str, Path]] = []

    def fake(url: str, to: Path) -> None:
        calls.append((url, to))
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(CONTENT)

    monkeypatch.setattr(module, "download", fake)
    monkeypatch.setenv(module.CACHE, str(tmp_path / "cache"))
    return calls


def test_a_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    for path in ("a.csv", "~/a.csv", str(tmp_path / "a.csv"), "$PLACE/a.csv"):
        assert installed(Package(path=path), tmp_path) == tmp_path / "a.csv"
    for checksum in (sha(CONTENT), sha(CONTENT).upper(), f" {sha(CONTENT)}\n"):
        assert installed(Package(path="a.csv", checksum=checksum), tmp_path).is_file()
    assert installed(Package(path="."), tmp_path) == tmp_path
    with pytest.raises(ArgumentError, match=r"a\.csv: its SHA-256 is .*, 'checksum' says 000") as e:
        installed(Package(path="a.csv", checksum="0" * 64), tmp_path)
    assert e.value.key == "checksum"
    with pytest.raises(ArgumentError, match="b: no such file or folder; 'url' would download it"):
        installed(Package(path="b"), tmp_path)


def test_a_url_alone_is_kept_in_the_cache(tmp_path: Path, fetched: list[tuple[str, Path]]) -> None:
    found = installed(Package(url=URL), tmp_path)
    assert found.read_bytes() == CONTENT and found.name == "a b.csv"
    assert found.is_relative_to(tmp_path / "cache")
    assert installed(Package(url=URL), tmp_path) == found and len(fetched) == 1
    # Another address with the same name is another file.
    assert installed(Package(url=URL.replace("sets", "more")), tmp_path) != found


def test_a_url_with_a_path(tmp_path: Path, fetched: list[tuple[str, Path]]) -> None:
    good = Package(url=URL, path="data/in", checksum=sha(CONTENT))
    found = installed(good, tmp_path)
    assert found == tmp_path / "data/in/a b.csv" and found.read_bytes() == CONTENT
    installed(good, tmp_path)
    assert len(fetched) == 1
    found.write_bytes(b"changed")
    assert installed(good, tmp_path).read_bytes() == CONTENT and len(fetched) == 2
    found.write_bytes(b"changed")  # nobody says what it should be
    installed(Package(url=URL, path="data/in"), tmp_path)
    assert len(fetched) == 2
    # A path that is a file is that file.
    (tmp_path / "own.csv").write_bytes(b"old")
    own = Package(url=URL, path="own.csv", checksum=sha(CONTENT))
    assert installed(own, tmp_path) == tmp_path / "own.csv" and fetched[-1][1] == own_file(tmp_path)


def own_file(folder: Path) -> Path:
    return folder / "own.csv"


def test_what_came_is_not_what_was_promised(
    tmp_path: Path, fetched: list[tuple[str, Path]]
) -> None:
    with pytest.raises(KurError) as caught:
        installed(Package(url=URL, path="in", checksum="0" * 64), tmp_path)
    wanted = f"{URL}: its SHA-256 is {sha(CONTENT)}, 'checksum' says {'0' * 64}; it was not kept"
    assert str(caught.value) == wanted
    assert list((tmp_path / "in").iterdir()) == []


WRONG: list[tuple[Any, str, str]] = [
    ({}, "images", "'path' or 'url' must say where the data is"),
    ({"path": 3}, "images.path", "'path' of 'images' must be a text or nothing, found 3"),
    ({"sum": "a"}, "images.sum", "'images' has no argument 'sum'; accepted"),
    ({"path": "a", "checksum": "12"}, "images.checksum", "'checksum' must be a SHA-256: 64 hex"),
    ({"url": "ftp://a/b"}, "images.url", "'ftp://a/b' is no address to download from"),
]


@pytest.mark.parametrize(("given", "key", "message"), WRONG)
def test_what_is_wrong(given: Any, key: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        package_of(given, "images")
    assert str(caught.value).startswith(message) and caught.value.key == key


def test_names_of_urls() -> None:
    names = {
        "http://a/b/c.tar.gz?x=/d#e": "c.tar.gz",
        "http://a/b/": "b",
        "http://a": "download",
        "http://a/..": "download",
        "http://a/.hidden": "hidden",
        "http://a/x%2F..%2Fy": "x_.._y"[5:],
        "http://a/x%00%5Cy": "x__y",
        "http://a/" + "x" * 999: "x" * 200,
    }
    for url, name in names.items():
        assert file_name(url) == name, url


def zipped(path: Path, **files: str) -> None:
    with zipfile.ZipFile(path, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, one="1")
    folder = unpacked(path)
    assert folder == tmp_path / "a.zip.unpacked" and (folder / "one").read_text() == "1"
    (folder / "one").write_text("mine")
    assert unpacked(path) == folder and (folder / "one").read_text() == "mine"
    zipped(path, two="2")
    os.utime(path, (1, 1))
    assert unpacked(path) == folder
    assert [one.name for one in folder.iterdir() if not one.name.startswith(".")] == ["two"]
    # A folder, or a file that is no archive, is taken as it is.
    assert unpacked(folder) == folder and unpacked(folder / "two") == folder / "two"


def test_a_folder_of_the_user_is_not_touched(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", one="1")
    (tmp_path / "a.zip.unpacked").mkdir()
    with pytest.raises(KurError, match=r"in the way of unpacking a\.zip, and was not made by kur"):
        unpacked(tmp_path / "a.zip")


def test_beside_an_archive_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(module.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    zipped(tmp_path / "a.zip", one="1")
    folder = unpacked(tmp_path / "a.zip")
    assert folder.is_relative_to(tmp_path / "cache") and (folder / "one").read_text() == "1"
    assert unpacked(tmp_path / "a.zip") == folder
