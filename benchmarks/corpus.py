"""Long recordings from held-out clips, the queries to search them for, and where each was said.

Clips of the test side of `recipes/speech_data.py` (other sentences and other speakers than the
network was trained on) are joined with pauses into recordings of ten minutes, the same in three
conditions: as they were, over a telephone, and in noise. Everything follows from a seed.

It knows what was said when; nothing of how anything is searched or scored beyond `Occurrence`.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from alignment import Aligner, Word
from metrics import Occurrence
from sound import (
    SAMPLE_RATE,
    Samples,
    levelled,
    noise_track,
    read_audio,
    write_flac,
    write_telephone,
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "recipes"))
from speech_data import Clip, held_out_clips, noises, normalised

CONDITIONS = ("clean", "telephone", "noisy")
NOISE_DB = {"telephone": 20.0, "noisy": 10.0}  # speech over noise
RECORDING_SECONDS = 600.0
PAUSE_SECONDS = (0.3, 1.0)
KINDS = ("word 6-7", "word 8+", "phrase 2", "phrase 3")

# Words that say nothing of what a recording is about; a phrase needs one that is none of these.
_FUNCTION_WORDS = """
about above across after again against almost along already also although always am among
an and another any anyone anything are around as at away back be became because become been before
behind being below between both but by came can cannot come could did do does done down during each
either else enough even ever every everyone everything few for from gave get give go goes going gone
good got had has have having he her here hers him himself his how however i i'd i'll i'm i've if in
instead into is it it's its itself just know known less let like made make many may me might more
most much must my myself near never no nobody none nor not nothing now of off often on once one only
or other others our out over own perhaps quite rather really said same say see seems several shall
she should since so some someone something soon still such take than that that's the their them
themselves then there therefore these they thing things this those though three through thus to
together too took toward towards two under until up upon us used very was we well went were what
when where whether which while who whole whom whose why will with within without would yes yet you
your yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class Query:
    """A text to search for, and which row of the report it counts in."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A clip where it lies in a recording; words' times count from the recording's beginning."""

    recording: str
    audio: Path
    start: float  # seconds
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Recordings by name, in order, with the sentences said in them."""

    names: tuple[str, ...]
    seconds: tuple[float, ...]
    sentences: tuple[Sentence, ...]
    forced: float  # share of the sentences whose words were aligned rather than laid in proportion
    pauses_seed: int

    @property
    def total_seconds(self) -> float:
        """Length of one condition."""
        return sum(self.seconds)

    def occurrences(self, query: Query) -> list[Occurrence]:
        """Everywhere the words of the query are said one after the other in one sentence."""
        wanted = query.text.split()
        found = []
        for sentence in self.sentences:
            said = [word.text for word in sentence.words]
            for i in range(len(said) - len(wanted) + 1):
                if said[i : i + len(wanted)] == wanted:
                    first, last = sentence.words[i], sentence.words[i + len(wanted) - 1]
                    found.append(Occurrence(sentence.recording, first.start, last.end))
        return found


def join(
    clips: Sequence[Clip],
    minutes: float,
    aligner: Aligner,
    seed: int = 1,
    recording_seconds: float = RECORDING_SECONDS,
) -> Corpus:
    """Clips in an order drawn by `seed` until `minutes` are full, in recordings of 10 minutes.

    No clip is cut: a recording ends with the clip that fills it.
    """
    dice = random.Random(seed)
    # By a hash of each clip, so that a clip more or less does not reorder all others.
    order = sorted(clips, key=lambda clip: _lot(clip, seed))
    names: list[str] = []
    lengths: list[float] = []
    sentences: list[Sentence] = []
    forced, now, total = 0, 0.0, 0.0
    for clip in order:
        if total + now >= minutes * 60:
            break
        samples = _heard(Path(clip.audio))
        alignment = aligner.align(samples, normalised(clip.text).split())
        forced += alignment.forced
        start = now + dice.uniform(*PAUSE_SECONDS)
        name = f"recording_{len(lengths) + 1:02}"
        words = tuple(Word(w.text, w.start + start, w.end + start) for w in alignment.words)
        sentences.append(Sentence(name, Path(clip.audio), start, words))
        now = start + len(samples) / SAMPLE_RATE
        if now >= recording_seconds:
            names.append(name)
            lengths.append(now)
            total, now = total + now, 0.0
    if now:
        names.append(f"recording_{len(lengths) + 1:02}")
        lengths.append(now)
    aligner.save()
    if not sentences:
        raise ValueError("no held-out clips to join into recordings")
    share = forced / len(sentences)
    return Corpus(tuple(names), tuple(lengths), tuple(sentences), share, seed)


def write_recordings(
    corpus: Corpus, condition: str, noise: Sequence[Path], folder: Path
) -> list[Path]:
    """One file a recording in `folder`, as the condition wants them; its stem is the name."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [read_audio(path) for path in noise] if condition in NOISE_DB else []
    files = []
    for number, (name, seconds) in enumerate(zip(corpus.names, corpus.seconds, strict=True)):
        track = np.zeros(round(seconds * SAMPLE_RATE) + 1, np.float32)
        for sentence in corpus.sentences:
            if sentence.recording == name:
                heard = _heard(sentence.audio)
                first = round(sentence.start * SAMPLE_RATE)
                track[first : first + len(heard)] += heard[: len(track) - first]
        if condition in NOISE_DB:
            generator = np.random.default_rng([corpus.pauses_seed, number])
            track += noise_track(sources, len(track), NOISE_DB[condition], generator)
        if condition == "telephone":
            files.append(folder / f"{name}.wav")
            write_telephone(files[-1], track)
        else:
            files.append(folder / f"{name}.flac")
            write_flac(files[-1], track)
    return files


def choose_queries(corpus: Corpus, of_each_kind: int, seed: int = 1) -> list[Query]:
    """As many queries of each kind as are wanted or there are, drawn by `seed`."""
    pools: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for sentence in corpus.sentences:
        said = [word.text for word in sentence.words]
        for word in said:
            if len(word) >= 6 and word.isalpha() and word not in FUNCTION_WORDS:
                pools["word 6-7" if len(word) < 8 else "word 8+"].add(word)
        for size in (2, 3):
            for i in range(len(said) - size + 1):
                phrase = said[i : i + size]
                if any(len(w) >= 4 and w not in FUNCTION_WORDS for w in phrase):
                    pools[f"phrase {size}"].add(" ".join(phrase))
    dice = random.Random(seed)
    queries = []
    for kind in KINDS:
        pool = sorted(pools[kind])
        queries += [Query(q, kind) for q in sorted(dice.sample(pool, min(of_each_kind, len(pool))))]
    return queries


def speech_clips(speech: Path) -> list[Clip]:
    """The held-out clips of the corpora under `speech`."""
    return held_out_clips(speech)


def noise_files(speech: Path) -> list[Path]:
    """Background sounds that training has not heard."""
    return [Path(row["audio"]) for row in noises(speech)[1]]


def kinds(queries: Iterable[Query]) -> Counter[str]:
    """How many queries there are of each kind."""
    return Counter(query.kind for query in queries)


def _lot(clip: Clip, seed: int) -> str:
    return hashlib.sha256(f"{seed} {clip.corpus} {Path(clip.audio).name}".encode()).hexdigest()


def _heard(path: Path) -> Samples:
    return levelled(read_audio(path))
