"""Are topics learned: how many labelled calls does it take, and are wrong labels found?

    python benchmarks/topics.py [--quick] [--json] [--save] [--calls N] [--labels topic fraud ...]

Calls made from scripts (`calls.py`: two synthetic voices on a telephone line; what is missing is
made first) are added to two libraries: those to learn from, and those to judge by, whose voices
speak in no other. Labels are imported as a user would, one in ten of them wrong; `earshot.topics`
learns from the first 100 and from all, and judges the held-out calls. *accuracy* is the share of
them whose topic (of ten) it tells as it is. *wrong labels* is the share of the planted ones among
the first 15 % of the suspects, mean over the labels. Beside it, in the same run: the same trees on
the words that PocketSphinx hears (`--peer N` calls), and on those that were really said.

`--long N` makes a library of N calls of ten minutes out of the activations of all calls (calls of
one topic follow each other in one recording, on both channels) and measures what learning from it
costs. `--real` learns labels that real speech carries, each by cross-validation over speakers.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import bags
import calls
import joined
import numpy as np
import peers
import topics_elsewhere
from call_scripts import rubric
from found_rate import SPEECH_VARIABLE, versions
from reports import ROOT, conclude, head
from sound import SAMPLE_RATE

from earshot.library import Library
from earshot.topics import Plan, Topic, import_labels, judge, train
from earshot.topics.labels import Verdict
from earshot.topics.targets import target

CALLS, QUICK_CALLS = 1000, 60
FEW = 100
LOOKED_AT = 0.15  # of the suspects
BINARY = ("no", "yes")
EVERY_LABEL = ("topic", "fraud", *rubric())


@dataclass(frozen=True, slots=True)
class Corpus:
    """What `calls.py` made; all by the path of a call, in the order of the calls."""

    folder: Path
    given: dict[str, dict[str, str]]
    truth: dict[str, dict[str, str]]
    said: dict[str, list[bags.Word]]
    there: frozenset[str]  # whose sound was there when this was read: more may be made meanwhile

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        """Of a folder."""
        given = {**_rows(folder / "labels.csv"), **_rows(folder / "held_out.csv")}
        lines = (folder / "said.jsonl").read_text(encoding="utf-8").splitlines()
        turns = {row["path"]: row["turns"] for row in map(json.loads, lines)}
        said = {
            path: bags.words_of([(calls.SIDES.index(one["side"]), one["text"]) for one in each])
            for path, each in turns.items()
        }
        there = frozenset(path for path in given if (folder / path).is_file())
        return cls(folder, given, _rows(folder / "truth.csv"), said, there)

    def part(self, name: str) -> list[str]:
        """The calls of `train` or `held_out` whose sound is there."""
        return [path for path in self.given if path.startswith(f"{name}/") and path in self.there]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make calls, hear them, learn from them, and print."""
    options = _options(arguments)
    folder = options.work / ("quick" if options.quick else "calls")
    made = ["--out", str(folder), "--calls", str(options.calls), "--speech", str(options.speech)]
    if not options.as_it_is and calls.main(made):
        return 1
    report = {**head("topics", sys.argv[1:], versions()), **measure(options, folder)}
    print(as_text(report))
    conclude(report, options)
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole report, less its head."""
    corpus = Corpus.read(folder)
    libraries = folder.with_name(f"{folder.name}_heard")
    with Library(libraries / "train") as library, Library(libraries / "held_out") as held_out:
        heard = [hear(library, corpus, "train"), hear(held_out, corpus, "held_out")]
        everything = len(corpus.part("train"))
        sizes = sorted({min(FEW, everything), everything})
        rows = [
            learned(library, held_out, corpus, label, size, Plan(curve=size == sizes[-1]))
            for label in options.labels
            for size in sizes
        ]
        print(as_rows(rows), file=sys.stderr)
        topic = [row for row in rows if row["label"] == "topic"]
        largest = [row for row in rows if row["labelled"] == sizes[-1]]
        found = [row["wrong_labels_in_first_15_percent"] for row in largest]
        report: dict[str, Any] = {
            "calls": everything,
            "held_out_calls": len(corpus.part("held_out")),
            "hours": round(sum(one["hours"] for one in heard), 2),
            "accuracy": {str(row["labelled"]): row["accuracy"] for row in topic},
            "wrong_labels_in_first_15_percent": round(float(np.mean(found)), 3),
            "training_seconds": max(row["seconds"] for row in largest),
            "learning_curve": topic[-1]["curve"] if topic else [],
            "listening": heard,
            "labels": rows,
            "words_really_said": beside(corpus, corpus.said, sizes, options.labels),
        }
        if options.peer:
            report["pocketsphinx"] = peer(corpus, options)
        if options.long:
            report["ten_minutes"] = long_calls(library, corpus, options.long)
    if options.real:
        report["real_speech"] = topics_elsewhere.measure(options.speech, options.work / "real")
    return report


def hear(library: Library, corpus: Corpus, part: str) -> dict[str, Any]:
    """Add the calls that are not in the library yet."""
    paths = [corpus.folder / path for path in corpus.part(part)]
    with _timed() as taken:
        added = library.add(paths, channels="split")
    bad = [one for one in added.outcomes if one.recording is None]
    if bad:
        raise RuntimeError(f"{bad[0].path} was not added: {bad[0].note}")
    hours = sum(one.duration for one in library.list()) / 3600
    return {"part": part, "recordings": len(paths), "hours": round(hours, 3), **taken}


def learned(
    library: Library, held_out: Library, corpus: Corpus, label: str, size: int, plan: Plan
) -> dict[str, Any]:
    """Learn a label from the first calls; how well that does on held-out ones."""
    name = f"{label}-{size}"
    chosen = corpus.part("train")[:size]
    _import(library, corpus, chosen, label, name)
    with _timed() as taken:
        topic = train(library, name, plan=plan)
    by_file = {Path(one.path).name: one for one in held_out.list()}
    judged = corpus.part("held_out")
    found = judge(held_out, topic, [by_file[Path(path).name] for path in judged])
    right = [
        one.value == corpus.truth[path][label] for one, path in zip(found, judged, strict=True)
    ]
    unsaid = [
        one for one, path in zip(right, judged, strict=True)
        if corpus.truth[path]["topic_named"] == "no"
    ]  # fmt: skip
    report = topic.report
    usual = max(report.counts, key=lambda each: each[1])[0]
    return {
        "label": label,
        "labelled": size,
        "accuracy": round(float(np.mean(right)), 3),
        "accuracy_where_the_topic_is_not_named": round(float(np.mean(unsaid)), 3),
        "most_frequent": round(
            float(np.mean([corpus.truth[path][label] == usual for path in judged])), 3
        ),
        "cross_validated": {key: round(one.value, 3) for key, one in report.figures.items()},
        "keywords_cross_validated": round(report.baselines["keywords"].value, 3)
        if "keywords" in report.baselines else None,
        "wrong_labels_in_first_15_percent": round(_found(topic, corpus, chosen, label, library), 3),
        "curve": [asdict(point) for point in report.curve],
        "signs": [sign.phrase for question in topic.questions for sign in question.signs[:3]],
        **taken,
    }  # fmt: skip


def _found(
    topic: Topic, corpus: Corpus, chosen: Sequence[str], label: str, library: Library
) -> float:
    """The share of the planted wrong labels that is among the first suspects."""
    ids = {Path(one.path).name: one.id for one in library.list()}
    wrong = {
        ids[Path(path).name] for path in chosen if label in corpus.truth[path]["wrong"].split()
    }
    first = topic.suspects[: round(LOOKED_AT * len(chosen))]
    return len(wrong & {one.recording for one in first}) / max(len(wrong), 1)


def beside(
    corpus: Corpus,
    words: Mapping[str, Sequence[bags.Word]],
    sizes: Sequence[int],
    labels: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Accuracy of the same trees on words, by label and number of labelled calls."""
    numbers = bags.table_of(words)
    names = list(words)
    held_out = [at for at, name in enumerate(names) if name in set(corpus.part("held_out"))]
    labelled = [at for at, name in enumerate(names) if name in set(corpus.part("train"))]
    found: dict[str, dict[str, float]] = {}
    for label in labels:
        given = target(
            label,
            {name: Verdict(corpus.given[name][label], 1.0, ()) for name in names},
            names,
        )
        truth = [given.values.index(corpus.truth[names[at]][label]) for at in held_out]
        found[label] = {
            str(size): round(bags.accuracy(numbers, given, labelled[:size], held_out, truth), 3)
            for size in sizes
            if size <= len(labelled)
        }
    return found


def peer(corpus: Corpus, options: argparse.Namespace) -> dict[str, Any]:
    """The same trees on what PocketSphinx hears of the first calls; kept, since it takes long."""
    paths = [*corpus.part("train")[: options.peer], *corpus.part("held_out")]
    folder = corpus.folder / "transcripts"
    folder.mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=options.jobs, mp_context=context) as pool:
        each = list(pool.map(transcribed, [corpus.folder / path for path in paths],
                             [folder / f"{Path(path).stem}.json" for path in paths]))  # fmt: skip
    words = {path: said for path, (said, _) in zip(paths, each, strict=True)}
    seconds = sum(taken for _, taken in each)
    size = len(paths) - len(corpus.part("held_out"))
    found = beside(corpus, words, [size], options.labels)
    return {"labelled": size, "processor_seconds": round(seconds, 1), "accuracy": found}


def transcribed(audio: Path, kept: Path) -> tuple[list[bags.Word], float]:
    """What PocketSphinx hears on both sides of a call, and the processor seconds it took."""
    if not kept.is_file():
        begun = time.process_time()
        words = [
            (one.text, side, one.start, one.end, one.confidence)
            for side, samples in enumerate(sides(audio))
            for one in peers.transcribe_samples(samples)
        ]
        taken = time.process_time() - begun
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps({"words": words, "seconds": taken}), encoding="utf-8")
        unfinished.rename(kept)
    content = json.loads(kept.read_text(encoding="utf-8"))
    return [bags.Word(*word) for word in content["words"]], float(content["seconds"])


def sides(audio: Path) -> list[calls.Samples]:
    """Both channels of a call at 16 kHz."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    with av.open(str(audio)) as container:
        frames = [*container.decode(audio=0), None]
        pieces = [piece.to_ndarray() for frame in frames for piece in resampler.resample(frame)]
    return list(np.concatenate(pieces, axis=1).astype(np.float32))


def long_calls(library: Library, corpus: Corpus, count: int) -> dict[str, Any]:
    """What learning a topic costs where each of so many calls is ten minutes long."""
    by_file = {one.id: f"train/{Path(one.path).name}" for one in library.list()}
    topics = {id: corpus.truth[path]["topic"] for id, path in by_file.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        rows = joined.make(library, topics, folder, count)
        labels = Path(name) / "labels.csv"
        lines = ["path,long,long billing"]
        lines += [f"{id},{topic},{BINARY[topic == 'billing_dispute']}" for id, topic in rows]
        labels.write_text("\n".join(lines), encoding="utf-8")
        with Library(folder) as long:
            import_labels(long, labels)
            seconds: dict[str, dict[str, float]] = {}
            # The first learning of a library also searches for all phrases; that is part of it.
            for label in ("long billing", "long"):
                with _timed() as taken:
                    train(long, label.replace(" ", "-"), label)
                seconds["yes or no" if label == "long billing" else "ten topics"] = taken
            hours = sum(one.duration for one in long.list()) / 3600
    return {"calls": count, "hours": round(hours, 1), **seconds}


def as_text(report: Mapping[str, Any]) -> str:
    """What a person reads."""
    lines = [
        f"{report['calls']} labelled calls, {report['held_out_calls']} held out, "
        f"{report['hours']} hours; one label in ten is wrong",
        as_rows(report["labels"]),
        f"planted wrong labels among the first 15 % of suspects: "
        f"{report['wrong_labels_in_first_15_percent']:.0%}",
    ]
    for name in ("words_really_said", "pocketsphinx"):
        found = report.get(name, {})
        for label, row in found.get("accuracy", found).items():
            told = ", ".join(f"{value:.1%} after {size}" for size, value in row.items())
            lines.append(f"{name.replace('_', ' ')}, the same trees: {label} {told}")
    for one in report.get("real_speech", []):
        lines.append(
            f"{one['label']} ({one['recordings']} recordings): {one['accuracy']:.1%}, "
            f"most frequent {one['most_frequent']:.1%}"
        )
    if "ten_minutes" in report:
        lines.append(f"ten-minute calls: {json.dumps(report['ten_minutes'])}")
    return "\n".join(lines)


def as_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line a label and size."""
    return "\n".join(
        f"{row['label']:20} after {row['labelled']:5}: {row['accuracy']:6.1%} "
        f"(most frequent {row['most_frequent']:.1%}), wrong labels found "
        f"{row['wrong_labels_in_first_15_percent']:.0%}, {row['seconds']:.0f} s"
        for row in rows
    )


def _import(library: Library, corpus: Corpus, chosen: Sequence[str], label: str, name: str) -> None:
    """The labels of some calls, as a user brings them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["path", name])
            writer.writerows([corpus.folder / one, corpus.given[one][label]] for one in chosen)
        import_labels(library, path)


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """`seconds` by the clock and `processor_seconds`, of this process and those it ends."""
    taken: dict[str, float] = {}
    wall, processor = time.perf_counter(), _processor()
    yield taken
    taken["seconds"] = round(time.perf_counter() - wall, 1)
    taken["processor_seconds"] = round(_processor() - processor, 1)


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["path"]: row for row in csv.DictReader(lines)}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 calls, the labels topic and fraud")
    parser.add_argument("--json", action="store_true", help="the report as the last line")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    parser.add_argument("--calls", type=int, help="labelled calls (1000)")
    parser.add_argument("--labels", nargs="+", choices=EVERY_LABEL, help="(default: all)")
    parser.add_argument(
        "--as-it-is", action="store_true", help="make no calls, take those that are there"
    )
    parser.add_argument("--peer", type=int, default=0, help="labelled calls for PocketSphinx too")
    parser.add_argument("--long", type=int, default=0, help="calls of ten minutes to learn from")
    parser.add_argument("--real", action="store_true", help="labels of real speech too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes of the peer")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks" / "work")
    named = os.environ.get(SPEECH_VARIABLE)
    speech = Path(named) if named else ROOT.parent / "shared" / "data" / "speech"
    parser.add_argument("--speech", type=Path, default=speech)
    options = parser.parse_args(arguments)
    options.calls = options.calls or (QUICK_CALLS if options.quick else CALLS)
    options.labels = options.labels or (EVERY_LABEL[:2] if options.quick else EVERY_LABEL)
    return options


if __name__ == "__main__":
    sys.exit(main())
