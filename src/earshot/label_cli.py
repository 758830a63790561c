"""The commands `earshot label`: import, list, export, set, remove. Words only."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from earshot.errors import UsageError
from earshot.library import Library
from earshot.options import Json, LibraryFolder, Name, folder_of
from earshot.present import Terminal, plain_table, printable, say
from earshot.topics import Labels, export_labels, import_labels, put_label

label_app = typer.Typer(help="What people say of recordings: import labels, list, export, correct.")

Reviewer = Annotated[str, typer.Option(metavar="NAME", help="Whose opinion it is.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="LABEL", help="Only this label; may be given again."),
]
_LabelName = Annotated[str, typer.Argument(metavar="LABEL", help="Name of a label.")]


@label_app.command("import", epilog="Example: earshot label import labels.csv --reviewer anna")
def import_(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV (a column that names the recording by id, path or title, perhaps 'reviewer', "
            "and one column a label) or JSONL.",
        ),
    ],
    library: LibraryFolder = None,
    label: Only = None,
    reviewer: Reviewer = "",
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out recordings that are not there.")
    ] = False,
) -> None:
    """Keep the labels in a file: all that it says, or nothing if it is not right."""
    with Library(folder_of(context, library)) as opened:
        found = import_labels(
            opened, file, only=label or (), reviewer=reviewer, skip_unknown=skip_unknown
        )
    labels = sorted({one.label for one in found.opinions})
    recordings = len({one.recording for one in found.opinions})
    for line, name in found.unknown:
        say(f"left out  {file}:{line}: the library has no recording '{name}'")
    shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
    say(f"{len(found.opinions)} opinions on {recordings} recordings, labels: {shown}")


@label_app.command("list", epilog="Example: earshot label list --json")
def list_(
    context: typer.Context,
    label: Annotated[
        str | None, typer.Argument(metavar="LABEL", help="Show its recordings one by one.")
    ] = None,
    library: LibraryFolder = None,
    as_json: Json = False,
) -> None:
    """List the labels there are, or what is said of each recording."""
    with Library(folder_of(context, library)) as opened:
        labels = Labels(opened.path)
        if label is not None:
            _list_one(opened, labels, labels.require(label), as_json)
            return
        found = labels.summaries()
    if as_json:
        for one in found:
            print(json.dumps(asdict(one) | {"values": dict(one.values)}))
        return
    if not found:
        say("There are no labels yet: earshot label import FILE")
        return
    shown = plain_table("Label", "Recordings", "Values", "Disputed", "Undecided")
    for one in found:
        values = ", ".join(f"{value} {count}" for value, count in one.values[:6])
        shown.add_row(
            Text(printable(one.label)), str(one.recordings), Text(printable(values)),
            str(one.disputed), str(one.undecided),
        )  # fmt: skip
    Terminal().print(shown)


@label_app.command(epilog="Example: earshot label export labels.csv --label fraud")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to (else standard output).")
    ] = None,
    library: LibraryFolder = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="Only this label.")] = None,
    form: Annotated[
        Literal["csv", "jsonl"] | None,
        typer.Option("--format", help="Of the file (else after its ending, else CSV)."),
    ] = None,
) -> None:
    """Write labels as a file that `earshot label import` reads."""
    if form is None:
        form = "jsonl" if file is not None and file.suffix.lower() == ".jsonl" else "csv"
    with Library(folder_of(context, library)) as opened:
        lines = list(export_labels(opened, label, form))
    if file is None:
        for line in lines:
            print(line)
        return
    try:
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    say(f"{file}: {len(lines) - (form == 'csv')} rows")


@label_app.command("set", epilog="Example: earshot label set 3f2a1b fraud no")
def set_(
    context: typer.Context,
    recording: Name,
    label: _LabelName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What is so: yes, no, 3, ...")],
    library: LibraryFolder = None,
    reviewer: Reviewer = "",
) -> None:
    """Label one recording; without a reviewer it is a correction of all that was said before."""
    with Library(folder_of(context, library)) as opened:
        one = put_label(opened, recording, label, value, reviewer)
    say(f"{one.recording}  {one.label}: {one.value}")


@label_app.command(epilog="Example: earshot label remove fraud")
def remove(context: typer.Context, label: _LabelName, library: LibraryFolder = None) -> None:
    """Forget a label, whoever gave it; topics that learned from it stay."""
    with Library(folder_of(context, library)) as opened:
        count = Labels(opened.path).remove(label)
    say(f"removed {label} ({count} opinions)")


def _list_one(opened: Library, labels: Labels, label: str, as_json: bool) -> None:
    rows = {one.id: one for one in opened.list()}
    shown = plain_table("Id", "Recording", label, "Agreement", "Said")
    for name, one in labels.verdicts(label).items():
        row = rows.get(name)
        said = [(opinion.reviewer, opinion.value) for opinion in one.opinions]
        if as_json:
            fields = {"recording": name, "title": row.title if row else None, "value": one.value}
            print(json.dumps(fields | {"agreement": round(one.agreement, 3), "opinions": said}))
            continue
        each = ", ".join(f"{who}: {value}" if who else value for who, value in said)
        title = row.title if row else "(not in the library)"
        shown.add_row(
            name, Text(printable(title)), Text(printable(one.value or "?")),
            f"{one.agreement:.0%}", Text(printable(each)),
        )  # fmt: skip
    if not as_json:
        Terminal().print(shown)
