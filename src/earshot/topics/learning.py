"""Train a topic: labels and recordings in, a model and what is known of it out.

Joins the stages: verdicts -> what is to be learned, candidate phrases -> evidence -> numbers, then
cross-validation, the learning curve, baselines, the final trees, signs and suspects. It holds no
logic of theirs, and knows nothing of terminals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.errors import LibraryError, UsageError
from earshot.index.durable import write_atomically
from earshot.language import Language
from earshot.library import Library
from earshot.searching import Field
from earshot.topics import shelf
from earshot.topics.alerting import renewed, rule_of
from earshot.topics.baselines import baselines, keywords_of
from earshot.topics.calibrating import Curve
from earshot.topics.candidates import Candidate, Heard, distinct, given, of_library, of_text
from earshot.topics.evidence import FOLDER, HEARD, Evidence, Progress, gather
from earshot.topics.features import Table, table
from earshot.topics.labels import Labels
from earshot.topics.model import Question, Report, Topic, chosen
from earshot.topics.targets import Target, target
from earshot.topics.telling import signs, suspects
from earshot.topics.trees import grow
from earshot.topics.validation import REPEATS, Point, Tested, curve, figures, tested
from earshot.types import Recording

_CANDIDATES = "candidates.json"  # beside what was heard of them
_FORMAT = 1
_GROWN = 1.25  # a library that holds so many times more is asked anew what is said in it
_LISTENED = 2000  # recordings at most in which candidates are looked for
_SMALL = 50

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a topic is to be trained.

    phrases: the user's own candidates; texts: texts whose words and phrases are candidates too;
    keywords: by value (or under the label's name) what the plain baseline searches for; group: the
    name of metadata whose value those recordings share that must not lie on both sides of a test
    (the agent, the speaker); where: filters on recordings; library_phrases: whether candidates are
    looked for in the recordings; curve: whether the learning curve is measured; repeats: of
    cross-validation.
    """

    phrases: Sequence[str] = ()
    texts: Sequence[str] = ()
    keywords: Mapping[str, Sequence[str]] = field(default_factory=dict)
    group: str | None = None
    where: str = ""
    library_phrases: bool = True
    curve: bool = True
    repeats: int = REPEATS
    seed: int = 0


def train(
    library: Library,
    name: str,
    label: str | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> Topic:
    """Learn a label (default: the one of the topic's name) and keep the topic in the library.

    ```python
    with Library("calls") as library:
        topic = train(library, "fraud")
        print(topic.report.figures["accuracy"], topic.questions[0].signs[:10])
    ```

    Equal calls on equal libraries give equal topics. A topic of this name is replaced, its alert
    rule kept. Raises UsageError where there is too little to learn from, MissingExtra where the
    extra `topics` is not installed, QueryError for a phrase that cannot be searched for.
    """
    plan = plan or Plan()
    shelf.path_of(library.path, name)
    labels = Labels(library.path)
    label = labels.require(label or name)
    recordings = {one.id: one for one in library.list(plan.where)}
    asked = target(label, labels.verdicts(label), list(recordings))
    groups = _groups(asked, recordings, plan.group)
    keywords = keywords_of(asked, plan.keywords, library)
    evidence, own = _searched(library, asked, plan, keywords, progress)
    numbers = table(evidence)

    def told(what: str) -> Callable[[float], None] | None:
        return None if progress is None else lambda done: progress(what, done)

    found = tested(
        numbers, asked, groups, repeats=plan.repeats, seed=plan.seed, progress=told("testing")
    )
    points: tuple[Point, ...] = ()
    if plan.curve:
        points = curve(numbers, asked, groups, seed=plan.seed, progress=told("learning curve"))
    beside = baselines(asked, groups, plan.seed, numbers, own)
    measured = figures(found.probabilities, asked.truth, groups, asked.kind, found.scores)
    notes = (*asked.left_out, *_notes(asked))
    counts = np.bincount(asked.truth, minlength=len(asked.values)).tolist()
    report = Report(measured, beside, points, tuple(zip(asked.values, counts, strict=True)), notes)
    made = _final(library, name, asked, groups, plan, evidence, numbers, found, report)
    with suppress(LibraryError, UsageError):  # there is none yet, or a damaged one: it is replaced
        if rule := rule_of(shelf.load(library.path, name)):
            made = renewed(made, rule)
    shelf.save(library.path, made)
    return made


def _final(
    library: Library, name: str, asked: Target, groups: Ints, plan: Plan, evidence: Evidence,
    numbers: Table, found: Tested, report: Report,
) -> Topic:  # fmt: skip
    """The topic whose trees have learned from all."""
    every = [
        grow(numbers, asked.answers(at), groups, plan.seed) for at in range(len(asked.questions))
    ]
    used, renumbered = chosen(evidence.phrases, every)
    answered = []
    for at, (asks, grown) in enumerate(zip(asked.questions, every, strict=True)):
        truth = asked.answers(at)
        shown = signs(evidence, numbers, grown, truth, grown.phrases)
        way = Curve.of(found.scores[:, at], truth)
        answered.append(Question(asks, renumbered[at], way, shown))
    best = numbers.values[:, used, 0]
    usual = np.column_stack((best.mean(axis=0), best.std(axis=0))).round(4).tolist()
    return Topic(
        name,
        asked.label,
        asked.kind,
        asked.values,
        library.field().snapshot.manifest.network.fingerprint,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(evidence.phrases[at] for at in used),
        tuple(answered),
        asked.recordings,
        tuple((mean, spread) for mean, spread in usual),
        tuple(tuple(round(one, 5) for one in each) for each in found.yes.T.tolist()),
        report,
        tuple(suspects(evidence, numbers, asked, found)),
    )


def _searched(
    library: Library,
    asked: Target,
    plan: Plan,
    keywords: Mapping[int, Sequence[Candidate]],
    progress: Progress | None,
) -> tuple[Evidence, dict[int, list[int]]]:
    """All candidates searched for in the labelled recordings, and which are whose keywords.

    Each kind is searched, and kept, by itself: what one more phrase costs is that phrase.
    """
    field_ = library.field()
    keys = [one for each in keywords.values() for one in each]
    texts = [one for text in plan.texts for one in of_text(text, library)]
    sets = [given(plan.phrases, library), keys, distinct(texts)]
    if plan.library_phrases:
        sets.append(candidates(library, field_, progress))
    if not any(sets):
        raise UsageError("there is no phrase to learn from: give some with --phrases FILE")
    together = _joined(
        [gather(field_, library.path, one, asked.recordings, progress) for one in sets if one]
    )
    sounds = {one.ways[0].units: at for at, one in reversed(list(enumerate(together.phrases)))}
    own = {value: [sounds[one.ways[0].units] for one in those] for value, those in keywords.items()}
    return together, own


def candidates(
    library: Library, field_: Field, progress: Progress | None = None
) -> list[Candidate]:
    """The phrases that the library's own recordings suggest, as long as it has not grown much."""
    network = field_.snapshot.manifest.network
    path = library.path / FOLDER / HEARD / _CANDIDATES
    there = list(dict.fromkeys(track.recording for track in field_.tracks.tracks))
    kept = _kept(path, network.fingerprint, len(there))
    if kept is not None:
        return kept
    if progress is not None:
        progress("looking for phrases", 0.0)
    some = set(there)
    if len(there) > _LISTENED:
        random = np.random.default_rng(0)
        some = set(random.permutation(there)[:_LISTENED].tolist())
    tracks = [(one.recording, one.heard) for one in field_.tracks.tracks if one.recording in some]
    heard = Heard(tracks, network.units, network.blank)
    language = Language.open(library.network_folder(), network.units)
    found = of_library(heard, language)
    content = {
        "format": _FORMAT,
        "network": network.fingerprint,
        "recordings": len(there),
        "phrases": [asdict(one) for one in found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content).encode())
    return found


def _kept(path: Path, network: str, recordings: int) -> list[Candidate] | None:
    """Candidates that were found before; None where they are missing, damaged or out of date."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        then = int(content["recordings"])
        fits = content["format"] == _FORMAT and content["network"] == network
        if not fits or not recordings / _GROWN <= then <= recordings * _GROWN:
            return None
        return [shelf.candidate(one) for one in content["phrases"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _joined(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several lists of phrases, without phrases that sound like an earlier one."""
    phrases = [one for part in parts for one in part.phrases]
    whole = Evidence(
        parts[0].recordings,
        tuple(phrases),
        parts[0].seconds,
        parts[0].recording,
        parts[0].channel,
        np.concatenate([part.strength for part in parts], axis=1),
        np.concatenate([part.second for part in parts], axis=1),
        np.concatenate([part.count for part in parts], axis=1),
    )
    kept = {id(one) for one in distinct(phrases)}
    return whole.only([at for at, one in enumerate(phrases) if id(one) in kept])


def _groups(asked: Target, recordings: Mapping[str, Recording], group: str | None) -> Ints:
    """By recording the number of its group."""
    names: dict[tuple[bool, str], int] = {}
    found = []
    for name in asked.recordings:
        meta = dict(recordings[name].meta)
        key = (True, meta[group]) if group is not None and group in meta else (False, name)
        found.append(names.setdefault(key, len(names)))
    if group is not None and not any(of_group for of_group, _ in names):
        raise UsageError(
            f"no labelled recording has the metadata '{group}': earshot edit RECORDING --meta "
            f"{group}=VALUE gives it"
        )
    if len(names) < 2:
        raise UsageError(f"all labelled recordings share the same '{group}': nothing can be tested")
    return np.array(found, np.int64)


def _notes(asked: Target) -> list[str]:
    count = len(asked.truth)
    if count < _SMALL:
        return [f"{count} labelled recordings are few: see how wide the intervals are"]
    return []
