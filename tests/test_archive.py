"""Archives: what is in them comes out below the folder, and what is not to be trusted stays in."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kur.data import archive
from kur.data.archive import is_archive, unpack
from kur.errors import KurError

FILES = {"data/a.txt": b"one", "data/deep/b.bin": bytes(range(256)), "c": b""}


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as out:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    files = (one for one in folder.rglob("*") if one.is_file())
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_what_is_in_comes_out(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "zip":
        zipped(path, {"data/": b"", **FILES})
    else:
        folder = (named("data", tarfile.DIRTYPE), b"")
        files = [(named(f"./{name}"), content) for name, content in FILES.items()]
        tar(path, folder, *files, mode=f"w:{ending[4:]}")
    assert is_archive(path)
    unpack(path, tmp_path / "out" / "here", {".note": "done"})
    assert everything(tmp_path / "out") == {
        **{f"here/{name}": content for name, content in FILES.items()},
        "here/.note": b"done",
    }


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\..\\out", ".."])
@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_no_path_leads_out(name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "zip":
        zipped(path, {"good": b"1", name: b"2"})
    else:
        tar(path, (named("good"), b"1"), (named(name), b"2"))
    with pytest.raises(KurError, match=r"in it leads out of the folder; nothing was unpacked"):
        unpack(path, tmp_path / "in" / "out")
    assert everything(tmp_path) == {path.name: path.read_bytes()}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "neither a file nor a folder"),
        (tarfile.FIFOTYPE, "neither a file nor a folder"),
    ],
)
def test_only_files_and_folders(kind: bytes, what: str, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", (named("good"), b"1"), (named("bad", kind, "/etc"), b""))
    with pytest.raises(KurError, match=f"a.tar: 'bad' in it is {what}, which is not unpacked"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        info = zipfile.ZipInfo("bad")
        info.external_attr = 0o120777 << 16
        out.writestr(info, "/etc/passwd")
    with pytest.raises(KurError, match="'bad' in it is neither a file nor a folder"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("ending", ["tar.gz", "zip"])
def test_bombs(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, zeros = tmp_path / f"a.{ending}", bytes(3_000_000)
    if ending == "zip":
        zipped(path, {"zeros": zeros})
    else:
        tar(path, (named("zeros"), zeros), mode="w:gz")
    unpack(path, tmp_path / "small enough")
    monkeypatch.setattr(archive, "_ALWAYS", 1_000_000)
    with pytest.raises(KurError, match="far larger unpacked than packed, and was not unpacked"):
        unpack(path, tmp_path / "out")
    monkeypatch.setattr(archive, "_ALWAYS", 1 << 30)
    monkeypatch.setattr(archive, "_MOST_FILES", 0)
    with pytest.raises(KurError, match="far larger"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.integers(0, 10**6), st.sampled_from(["tar", "tar.gz", "tar.xz", "zip"]), st.binary())
@settings(deadline=None, max_examples=60)
def test_damaged_archives_give_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, at: int, ending: str, put: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"a.{ending}"
    if ending == "zip":
        zipped(path, FILES)
    else:
        tar(path, *((named(name), it) for name, it in FILES.items()), mode=f"w:{ending[4:]}")
    whole = path.read_bytes()
    at %= len(whole)
    path.write_bytes(whole[:at] + put + (whole[at + len(put) :] if len(put) % 2 else b""))
    try:
        unpack(path, folder / "out")
    except KurError as error:
        assert str(path) in str(error)
        assert not (folder / "out").exists()
    assert not [one for one in folder.iterdir() if one.name.startswith(".")]


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a text")
    assert not is_archive(tmp_path / "a") and not is_archive(tmp_path)
    with pytest.raises(KurError, match="a: damaged, or no archive that can be read: file could"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_a_file_twice_or_in_the_way(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", (named("x"), b"1"), (named("x/y"), b"2"))
    with pytest.raises(KurError, match=r"a\.tar: cannot be unpacked: "):
        unpack(path, tmp_path / "out")
