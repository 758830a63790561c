"""OPML: the list of feeds that podcast programs give each other, read and written.

The standard library's expat reads it, with entities refused: they are of no use in a list and can
be made to grow without end. This module fetches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from earshot.errors import UsageError
from earshot.index.durable import write_atomically

MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Outline:
    """A feed of a list: its address, and what it is called."""

    address: str
    title: str


def read_outlines(path: Path) -> tuple[Outline, ...]:
    """The feeds of an OPML file, each address once, in their order, folders flattened.

    Raises UsageError for a file that cannot be read, is no OPML, or names no feed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} has more than {MOST_BYTES >> 20} MB, which no list of feeds has")
    found: dict[str, Outline] = {}
    names: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        names.append(tag)
        given = {name.lower(): value.strip() for name, value in attributes.items()}
        address = given.get("xmlurl", "")
        if tag.lower() == "outline" and address.lower().startswith(("http://", "https://")):
            title = given.get("title") or given.get("text") or address
            found.setdefault(address, Outline(address, " ".join(title.split())))

    def entity(name: str, *_: object) -> None:
        raise UsageError(f"{path} defines the entity '{name}', which no list of feeds needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise UsageError(f"{path}:{error.lineno} is not XML: {reason}") from error
    if not names or names[0].lower() != "opml":
        raise UsageError(f"{path} is no list of feeds (OPML): it begins with <{names[0]}>")
    if not found:
        raise UsageError(f"{path} names no feed: no <outline> has an xmlUrl of http or https")
    return tuple(found.values())


def write_outlines(path: Path, feeds: Iterable[Outline]) -> None:
    """Write feeds as OPML 2.0; raises LibraryError when the file cannot be written."""
    root = ElementTree.Element("opml", version="2.0")
    head = ElementTree.SubElement(root, "head")
    ElementTree.SubElement(head, "title").text = "Feeds that Earshot follows"
    body = ElementTree.SubElement(root, "body")
    for one in feeds:
        ElementTree.SubElement(
            body, "outline", type="rss", text=one.title, title=one.title, xmlUrl=one.address
        )
    ElementTree.indent(root)
    write_atomically(path, ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n")
