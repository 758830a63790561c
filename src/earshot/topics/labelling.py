"""Labels of a library's recordings: imported, exported, given and taken away one by one.

Joins `label_files` and `labels` with a library; it knows nothing of what is learned from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from earshot.errors import UsageError
from earshot.library import Library
from earshot.topics.label_files import LabelFile, read_labels, write_csv, write_jsonl
from earshot.topics.labels import Labels, Opinion


def import_labels(
    library: Library,
    path: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    reviewer: str = "",
    skip_unknown: bool = False,
) -> LabelFile:
    """Keep what a file of labels says, CSV or JSONL; see `earshot.topics.label_files`.

    Each opinion takes the place of its reviewer's earlier one on that recording and label. Raises
    UsageError, and keeps nothing, where the file is not right or names unknown recordings.
    """
    found = read_labels(
        Path(path), library.list(), only=only, reviewer=reviewer, skip_unknown=skip_unknown
    )
    Labels(library.path).put(found.opinions)
    return found


def export_labels(
    library: Library, label: str | None = None, form: Literal["csv", "jsonl"] = "csv"
) -> Iterator[str]:
    """The lines of a file that `import_labels` reads, of all labels or of one."""
    labels = Labels(library.path)
    opinions = labels.opinions(labels.require(label) if label is not None else None)
    recordings = {one.id: one for one in library.list()}
    write = write_csv if form == "csv" else write_jsonl
    return write(opinions, recordings)


def put_label(
    library: Library, recording: str, label: str, value: str, reviewer: str = ""
) -> Opinion:
    """Say one thing of one recording, named as in `Library.show`.

    Where nobody's name is given, it is a correction: it takes the place of all that was said of
    this label and recording. Raises UsageError for a name or a value that is empty.
    """
    label, value = label.strip(), value.strip()
    for what, text in (("label", label), ("value", value)):
        if not text or not text.isprintable():
            raise UsageError(f"a {what} is some printable characters, not '{text}'")
    one = Opinion(library.show(recording).id, label, value, reviewer)
    Labels(library.path).put([one], alone=not reviewer)
    return one
