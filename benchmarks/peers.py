"""PocketSphinx as a user would search with it: transcripts searched as text, and key phrases.

Both use the package and the model that PyPI gives, cut recordings into utterances with its own
voice activity detector, and normalise each utterance by its own mean (`cmn="batch"`, which heard
more words right than its live mode, its stricter detectors and blocks of fixed length).

*Transcripts*: decoded once, written with times and confidences; a query is found where its words
stand one after the other. *Key phrases*: the audio is decoded again for a list of phrases, each
with a threshold that shrinks with its length, as PocketSphinx' documentation asks; a phrase with a
word that its dictionary lacks cannot be asked for.

It knows nothing of Earshot.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from metrics import Finding, SystemResult
from pocketsphinx import Decoder, Segmenter
from sound import SAMPLE_RATE, Samples, integers, read_audio

FRAMES_PER_SECOND = 100
BYTES_PER_SECOND = 2 * SAMPLE_RATE

# The exponent of a key phrase's threshold for each of its phones: 1e-36 for a word of six. Of 2, 4
# and 6 this found the most queries among the first three; smaller ones shut true mentions out.
THRESHOLD_EXPONENT_PER_PHONE = 6.0


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of a transcript; `confidence` is its posterior probability in the word lattice."""

    text: str
    start: float
    end: float
    confidence: float


def transcripts(files: Sequence[Path], queries: Sequence[str], jobs: int) -> SystemResult:
    """Transcribe every file once, then search the text."""
    begun = time.perf_counter()
    heard, cpu = _each(files, transcribe, jobs)
    wall = time.perf_counter() - begun
    texts = dict(zip((file.stem for file in files), heard, strict=True))
    begun = time.perf_counter()
    findings = {query: search_text(texts, query) for query in queries}
    searching = time.perf_counter() - begun
    size = sum(len(as_lines(words).encode()) for words in texts.values())
    return SystemResult("transcripts", findings, findings, wall, cpu, searching, size, refused=0)


def keyphrases(
    files: Sequence[Path],
    queries: Sequence[str],
    jobs: int,
    exponent: float = THRESHOLD_EXPONENT_PER_PHONE,
) -> SystemResult:
    """Listen to every file for all queries at once. There is no index: new queries, new pass."""
    known = [query for query in queries if phones_of(query) is not None]
    lines = "".join(f"{query} /1e-{threshold(query, exponent)}/\n" for query in known)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        phrases = Path(folder) / "phrases.list"
        phrases.write_text(lines, encoding="utf-8")
        spotted, cpu = _each(files, partial(spot, phrases=phrases), jobs)
    wall = time.perf_counter() - begun
    findings: dict[str, list[Finding]] = {query: [] for query in queries}
    for file, words in zip(files, spotted, strict=True):
        for word in words:
            # By phone, so that one threshold can serve short and long phrases.
            score = word.confidence / (phones_of(word.text) or 1)
            findings[word.text].append(Finding(file.stem, word.start, word.end, score))
    refused = len(queries) - len(known)
    return SystemResult("keyphrases", findings, findings, wall, cpu, None, 0, refused)


def transcribe(file: Path) -> list[TimedWord]:
    """The words PocketSphinx hears in a file, with times."""
    return transcribe_samples(read_audio(file))


def transcribe_samples(samples: Samples) -> list[TimedWord]:
    """The words PocketSphinx hears in (samples,) at 16 kHz, with times."""
    return list(_decoded(Decoder(loglevel="FATAL", cmn="batch"), samples))


def spot(file: Path, phrases: Path) -> list[TimedWord]:
    """The key phrases PocketSphinx hears in a file; `confidence` is a log-likelihood ratio."""
    decoder = Decoder(lm=None, loglevel="FATAL", cmn="batch")
    decoder.add_kws("phrases", str(phrases))
    decoder.activate_search("phrases")
    return list(_decoded(decoder, read_audio(file), logarithm=True))


def search_text(texts: dict[str, list[TimedWord]], query: str) -> list[Finding]:
    """Where the words of the query stand one after the other; the surest first, then by time."""
    wanted = query.split()
    found = []
    for name, words in texts.items():
        for i in range(len(words) - len(wanted) + 1):
            here = words[i : i + len(wanted)]
            if [word.text for word in here] == wanted:
                sure = min(word.confidence for word in here)
                found.append(Finding(name, here[0].start, here[-1].end, sure))
    return sorted(found, key=lambda finding: -finding.score)


def as_lines(words: Sequence[TimedWord]) -> str:
    """A transcript as a file: one word a line, with start, end and confidence."""
    return "".join(f"{w.start:.2f} {w.end:.2f} {w.confidence:.2f} {w.text}\n" for w in words)


def threshold(query: str, exponent: float = THRESHOLD_EXPONENT_PER_PHONE) -> int:
    """`n` of the threshold 1e-n of a key phrase."""
    return min(300, round(exponent * (phones_of(query) or 0)))


_dictionary: list[Decoder] = []


def phones_of(query: str) -> int | None:
    """How many phones PocketSphinx' dictionary gives the query; None if it lacks a word."""
    if not _dictionary:  # reading it takes half a second
        _dictionary.append(Decoder(lm=None, loglevel="FATAL"))
    spelled = [_dictionary[0].lookup_word(word) for word in query.split()]
    return None if None in spelled else sum(len(word.split()) for word in spelled)


def utterances(pcm: bytes) -> Iterator[tuple[float, bytes]]:
    """Start in seconds and 16-bit PCM of each stretch of speech."""
    for segment in Segmenter().segment(io.BytesIO(pcm)):
        yield segment.start_time, segment.pcm


def _decoded(decoder: Decoder, samples: Samples, logarithm: bool = False) -> Iterator[TimedWord]:
    for start, pcm in utterances(integers(samples)):
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        for segment in decoder.seg() or ():
            if segment.word.startswith(("<", "[")):  # silence, noise
                continue
            # PocketSphinx' fixed-point logarithms give a little more than 1 for what is certain.
            sure = min(segment.prob, 1.0)
            yield TimedWord(
                text=re.sub(r"\(\d+\)$", "", segment.word.strip()),  # "the(2)": said otherwise
                start=start + segment.start_frame / FRAMES_PER_SECOND,
                end=start + (segment.end_frame + 1) / FRAMES_PER_SECOND,
                confidence=math.log(max(sure, 1e-300)) if logarithm else sure,
            )


def _each(
    files: Sequence[Path], listen: Callable[[Path], list[TimedWord]], jobs: int
) -> tuple[list[list[TimedWord]], float]:
    """What `listen` hears in each file, in `jobs` processes, and their processor time."""
    # Fresh processes: the libraries under test may hold threads that a fork would break.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context) as pool:
        timed = list(pool.map(partial(_timed, listen), files))
    return [words for words, _ in timed], sum(cpu for _, cpu in timed)


def _timed(listen: Callable[[Path], list[TimedWord]], file: Path) -> tuple[list[TimedWord], float]:
    begun = time.process_time()
    words = listen(file)
    return words, time.process_time() - begun
