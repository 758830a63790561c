"""The commands `earshot topic`: train, show, apply, alert, watch, ... Words only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from earshot.asking import read_queries
from earshot.errors import LibraryError, UsageError
from earshot.library import Library
from earshot.options import Json, LibraryFolder, folder_of
from earshot.present import Terminal, complain, plain_table, printable, say
from earshot.topic_lines import (
    print_alert,
    print_drift,
    print_evaluation,
    print_judgements,
    print_topic,
    rule_text,
    topic_line,
)

if TYPE_CHECKING:
    from earshot.topics.alerting import By
    from earshot.topics.evidence import Progress

topic_app = typer.Typer(help="Models that tell labels from what is heard: train, show, apply.")

TopicName = Annotated[str, typer.Argument(metavar="NAME", help="What the topic is called.")]
Where = Annotated[
    str,
    typer.Option(metavar="FILTERS", help="Only recordings that fit: 'tag:calls after:2026'."),
]


@topic_app.command(epilog="Example: earshot topic train fraud --phrases phrases.txt")
def train(
    context: typer.Context,
    name: TopicName,
    library: LibraryFolder = None,
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The label to learn (else that name).")
    ] = None,
    phrases: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Phrases that may matter, one a line ('-': input)."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A text whose words and phrases may; repeatable."),
    ] = None,
    keywords: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What a plain search would look for, to be compared: lines 'phrase' or "
            "'value: phrase'.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="META",
            help="Metadata (agent, speaker): recordings that share it are tested together.",
        ),
    ] = None,
    where: Where = "",
    only_given: Annotated[
        bool, typer.Option("--only-given", help="Learn from the phrases and texts given alone.")
    ] = False,
    no_curve: Annotated[
        bool, typer.Option("--no-curve", help="Leave out the learning curve: twice as fast.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn a label from the labelled recordings of the library."""
    from earshot.topics import Plan  # loads LLVM, as all that searches
    from earshot.topics import train as learn

    plan = Plan(
        phrases=tuple(read_queries(phrases)) if phrases else (),
        texts=tuple("\n".join(read_queries(one)) for one in text or ()),
        keywords=_keywords(keywords),
        group=group,
        where=where,
        library_phrases=not only_given,
        curve=not no_curve,
    )
    with Library(folder_of(context, library)) as opened, _progress() as progress:
        topic = learn(opened, name, label, plan, progress)
        titles = {one.id: one.title for one in opened.list()}
    if as_json:
        print(topic_line(topic))
    else:
        print_topic(Terminal(), topic, titles, phrases=8, suspects=5)


@topic_app.command(epilog="Example: earshot topic show fraud --suspects 30")
def show(
    context: typer.Context,
    name: TopicName,
    library: LibraryFolder = None,
    phrases: Annotated[int, typer.Option(min=0, help="Show so many phrases.")] = 20,
    suspects: Annotated[int, typer.Option(min=0, help="Show so many suspect labels.")] = 10,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the learning curve: a picture, .svg or .png."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a topic has learned: phrases for and against, figures, labels that look wrong."""
    from earshot.topics import load  # see `train`

    with Library(folder_of(context, library)) as opened:
        topic = load(opened.path, name)
        titles = {one.id: one.title for one in opened.list()}
    if as_json:
        print(topic_line(topic))
    else:
        print_topic(Terminal(), topic, titles, phrases=phrases, suspects=suspects)
    if plot is not None:
        from earshot.picture import write_picture  # only for a picture
        from earshot.topics.picturing import drawn

        write_picture(drawn(topic), plot)
        say(f"{plot}: the learning curve of '{topic.name}'")


@topic_app.command(epilog="Example: earshot topic apply fraud --where after:2026-06")
def apply(
    context: typer.Context,
    name: TopicName,
    recordings: Annotated[
        list[str] | None, typer.Argument(metavar="RECORDING...", help="Ids, paths or titles.")
    ] = None,
    library: LibraryFolder = None,
    where: Where = "",
    least: Annotated[
        float, typer.Option("--min-probability", min=0.0, max=1.0, help="Show those so likely.")
    ] = 0.0,
    value: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Show those that are likely this.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a topic tells of recordings (else of all), the likeliest first."""
    from earshot.topics import judge, load  # see `train`

    with Library(folder_of(context, library)) as opened, _progress() as progress:
        topic = load(opened.path, name)
        wanted = _value(topic.values, value)
        rows = [opened.show(one) for one in recordings or ()] or list(opened.list(where))
        found = [
            one
            for one in judge(opened, topic, rows, progress)
            if one.probabilities[wanted] >= least or (value is None and one.probability >= least)
        ]
    found.sort(key=lambda one: -one.probabilities[wanted])
    print_judgements(Terminal(), topic, found, wanted, as_json=as_json)


@topic_app.command(epilog="Example: earshot topic alert fraud --precision 0.9")
def alert(
    context: typer.Context,
    name: TopicName,
    library: LibraryFolder = None,
    value: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Alert on this value (else the last).")
    ] = None,
    probability: Annotated[
        float | None, typer.Option(metavar="P", help="Alert from this probability on.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(metavar="SHARE", help="So many of the alerts are to be right.")
    ] = None,
    per_day: Annotated[
        float | None, typer.Option(metavar="N", help="About so many alerts a day.")
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(metavar="COST", help="What a missed one costs, if a false alert costs 1."),
    ] = None,
    retroactive: Annotated[
        bool, typer.Option("--retroactive", help="Alert on what is there already, too.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="Alert no more.")] = False,
    as_json: Json = False,
) -> None:
    """Show, set or take away the rule by which a topic alerts."""
    from earshot.topics import load, rule_of, set_rule, without_rule  # see `train`

    wanted: dict[By, float | None]
    wanted = {"probability": probability, "precision": precision, "per-day": per_day, "cost": cost}
    given = [(by, number) for by, number in wanted.items() if number is not None]
    if len(given) + off > 1:
        raise UsageError("give one of --probability, --precision, --per-day, --cost and --off")
    with Library(folder_of(context, library)) as opened:
        topic = load(opened.path, name)
        if off:
            without_rule(opened, topic)
            say(f"{name} alerts no more")
            return
        rule = rule_of(topic)
        for by, number in given:
            chosen = topic.values[_value(topic.values, value)]
            rule = set_rule(opened, topic, chosen, by, number, retroactive=retroactive)
    if as_json:
        print(json.dumps(asdict(rule) if rule else None))
    else:
        say(rule_text(topic, rule))


@topic_app.command(epilog="Example: earshot topic watch --mail-folder outbox --to me@example.org")
def watch(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Topics (else all with a rule).")
    ] = None,
    library: LibraryFolder = None,
    mail_folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Drop each alert there as the file of an e-mail."),
    ] = None,
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS")] = "earshot@localhost",
    to: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Whom it is to; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Alert on recordings that came since the last time; run it after adding, or every minute."""
    from earshot.topics import alerts, load, write_mail  # see `train`
    from earshot.topics import names as all_names

    with Library(folder_of(context, library)) as opened, _progress() as progress:
        topics = [load(opened.path, one) for one in names or all_names(opened.path)]
        count = 0
        for topic in topics if names else [one for one in topics if one.rule is not None]:
            found, delivered = alerts(opened, topic, progress)
            for one in found:
                if mail_folder is not None:
                    write_mail(mail_folder, one, sender, to or ["postmaster@localhost"])
                print_alert(one, as_json=as_json)
            delivered()
            count += len(found)
    if not as_json:
        say(f"{count} alerts")


@topic_app.command(epilog="Example: earshot topic drift fraud --where after:2026-06")
def drift(
    context: typer.Context,
    name: TopicName,
    library: LibraryFolder = None,
    where: Where = "",
    as_json: Json = False,
) -> None:
    """Tell whether recordings sound otherwise than those that a topic learned from."""
    from earshot.topics import drift as compare  # see `train`
    from earshot.topics import load

    with Library(folder_of(context, library)) as opened, _progress() as progress:
        topic = load(opened.path, name)
        found = compare(opened, topic, opened.list(where), progress)
    if as_json:
        print(json.dumps(asdict(found) | {"drifts": found.drifts}))
    else:
        print_drift(Terminal(), topic, found)


@topic_app.command(epilog="Example: earshot topic evaluate fraud --label audited")
def evaluate(
    context: typer.Context,
    name: TopicName,
    library: LibraryFolder = None,
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Compare with this label (else its own).")
    ] = None,
    where: Where = "",
    as_json: Json = False,
) -> None:
    """Compare a topic with labelled recordings that it has not learned from."""
    from earshot.topics import evaluate as compare  # see `train`
    from earshot.topics import load

    with Library(folder_of(context, library)) as opened, _progress() as progress:
        topic = load(opened.path, name)
        found = compare(opened, topic, label, where, progress)
    if as_json:
        confused = [[*pair, count] for pair, count in found.confused.items()]
        figures = {name: asdict(one) for name, one in found.figures.items()}
        print(
            json.dumps({"recordings": found.recordings, "figures": figures, "confused": confused})
        )
    else:
        print_evaluation(Terminal(), topic, found)


@topic_app.command("list", epilog="Example: earshot topic list --json")
def list_(context: typer.Context, library: LibraryFolder = None, as_json: Json = False) -> None:
    """List the topics of the library."""
    from earshot.topics import load, names  # see `train`

    with Library(folder_of(context, library)) as opened:
        topics = []
        for name in names(opened.path):
            try:
                topics.append(load(opened.path, name))
            except LibraryError as error:
                complain(str(error))  # the others are there all the same
    if as_json:
        for one in topics:
            print(topic_line(one))
        return
    if not topics:
        say("There are no topics yet: earshot topic train NAME")
        return
    shown = plain_table("Topic", "Label", "Values", "Recordings", "Accuracy", "Trained")
    for one in topics:
        accuracy = one.report.figures["accuracy"]
        shown.add_row(
            one.name, Text(printable(one.label)), Text(printable(", ".join(one.values[:6]))),
            str(len(one.recordings)), f"{accuracy.value:.0%}", one.trained[:10],
        )  # fmt: skip
    Terminal().print(shown)


@topic_app.command(epilog="Example: earshot topic remove fraud")
def remove(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of topics.")],
    library: LibraryFolder = None,
) -> None:
    """Remove topics; labels stay."""
    from earshot.topics import remove as forget  # see `train`

    with Library(folder_of(context, library)) as opened:
        for name in names:
            forget(opened.path, name)
            say(f"removed {name}")


def _keywords(path: Path | None) -> dict[str, tuple[str, ...]]:
    """Lines `phrase` (under the empty name) and `value: phrase` by value."""
    found: dict[str, tuple[str, ...]] = {}
    for line in read_queries(path) if path else ():
        value, colon, phrase = line.rpartition(":")
        key = value.strip() if colon else ""
        found[key] = (*found.get(key, ()), phrase.strip())
    return found


def _value(values: tuple[str, ...], wanted: str | None) -> int:
    """The index of a value: the last, unless another is wanted."""
    if wanted is None:
        return len(values) - 1
    for at, value in enumerate(values):
        if value.casefold() == wanted.casefold():
            return at
    raise UsageError(f"the topic knows no value '{wanted}': it knows {', '.join(values)}")


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """What is being done, on standard error, where a person sees it."""
    terminal = Terminal(stderr=True)
    if not terminal.is_terminal:
        yield None
        return
    with terminal.status("") as status:
        yield lambda what, done: status.update(f"{what}: {done:.0%}")
