"""Manifests to train, validate and test the acoustic network on, from folders of real speech.

    python recipes/speech_data.py --speech ../shared/data/speech --out recipes/work/speech

writes `train.jsonl`, `valid.jsonl`, `test.jsonl` (one line a clip: `audio` as an absolute path,
`duration` in seconds, `text`, `phones` separated by blanks, `spelled`: how many of its words no
dictionary holds, `speaker` or null, `corpus`), `noise.jsonl` and `noise_test.jsonl` (background
sounds to train with, and others to test with) and `rooms.jsonl` (impulse responses of rooms).

The split is by sentence *and* speaker and depends on nothing but the manifests: no speaker is on
two sides, no sentence of test or valid is anywhere else. The same input gives the same bytes.

It knows how corpora are described and split; nothing of features, networks or training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from earshot.errors import QueryError
from earshot.units import PHONES, Speller

SPEAKER_CORPORA = ("common_voice_13", "common_voice_20")  # many speakers, each with an id
CHILDREN_AND_LEARNERS = "speechocean762"
NETWORK = Path(__file__).resolve().parents[1] / "src" / "earshot" / "networks" / "english"
CORPORA = (
    *SPEAKER_CORPORA,
    "common_voice_1a",
    "common_voice_1b",
    CHILDREN_AND_LEARNERS,
    "ljspeech",
    "lj_sentences_read_again",
    "asterisk_prompts",
    "spoken_digits",
    "keywords",
)
TEST_PART = ":test"  # marks clips that their corpus keeps for testing, until they have a side
SPLITS = ("train", "valid", "test")

# Speakers are taken in the order of their hash until a side holds so many seconds: about a
# quarter and a twelfth of SPEAKER_CORPORA, and of the part that speechocean762 calls its test.
HELD_OUT = (("test", 2400.0), ("valid", 720.0))
HELD_OUT_LEARNERS = (("test", 600.0), ("valid", 180.0))
# One reader of a fifth of Common Voice would be a test of one voice: such speakers only train.
MOST_OF_ONE_HELD_OUT_SPEAKER = 300.0

LONGEST, SHORTEST = 20.0, 0.4  # seconds
FASTEST, SLOWEST = 22.0, 2.0  # phones a second
FRAME_SECONDS = 0.04  # of the network's output: CTC cannot write more than one phone a frame
WORST_CHARACTER_ERRORS = 0.5  # of another recogniser, above which clip and text hardly match

# What a text must not hold: nobody can know how "1234" or "f*%#" were read.
UNREADABLE = re.compile(r"[0-9]{2}|[0-9][a-z.]|[a-z.][0-9]|[*#_{}%/&]", re.IGNORECASE)

# Non-commercial licences stay out of what weights are trained with.
FORBIDDEN_LICENCE = re.compile(r"\bBY-NC\b|NonCommercial", re.IGNORECASE)
TEST_NOISE = re.compile(r"picovoice_kitchen|/\d+_5-")  # a kitchen, and the fifth fold of ESC-10

# Listened to by their decay, spectrum and what stands before the peak: the others are a guitar's
# body, a plate, a loudspeaker's cabinet, a gate played backwards and a chorus.
ROOMS = (
    "piper_Concrete_Room",
    "piper_Derlon_Sanctuary",
    "piper_ir_bathroom1",
    "sb_rir1",
    "sb_rir2",
    "sb_rir3",
    "sb_rir4",
    "sb_rir_multichannel",
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a corpus, with what decides where it goes."""

    audio: str  # absolute path
    duration: float  # seconds
    text: str
    speaker: str | None  # unique over all corpora
    corpus: str
    phones: str = ""
    spelled: int = 0

    @property
    def sentence(self) -> str:
        """The text as far as a listener could tell."""
        return normalised(self.text)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text sounds: `phones`, and how many of its words were not in the dictionary."""

    phones: tuple[str, ...]
    spelled: int


Reader = Callable[[str], Reading | None]


def main(arguments: list[str] | None = None) -> int:
    """Write the manifests and print what is in them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--speech", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--network",
        type=Path,
        default=NETWORK,
        help="folder that holds lexicon.txt",
    )
    options = parser.parse_args(arguments)
    speech = options.speech.resolve()
    if not speech.is_dir():
        print(f"{speech}: no such folder, expected the one that holds {CORPORA[0]}/ and others")
        return 1
    read = reader(options.network)
    drops: Counter[str] = Counter()
    split = split_clips(list(clips(speech, drops)), read, drops)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        write_lines(options.out / f"{name}.jsonl", (asdict(clip) for clip in split[name]))
    train_noise, test_noise = noises(speech)
    write_lines(options.out / "noise.jsonl", train_noise)
    write_lines(options.out / "noise_test.jsonl", test_noise)
    write_lines(options.out / "rooms.jsonl", rooms(speech))
    print(table(split))
    print("\nleft out: " + ", ".join(f"{n} {why}" for why, n in sorted(drops.items())))
    return 0


def reader(network: Path) -> Reader:
    """The pronunciations that search uses too, as a function of a text."""
    speller = Speller.open(network, PHONES)

    def read(text: str) -> Reading | None:
        try:
            best = speller.transcript(text)
        except QueryError:  # nothing to say, or in other than Latin letters
            return None
        return Reading(best.units, sum(best.spelled))

    return read


def normalised(text: str) -> str:
    """Lower case, no accents, words of letters, digits and inner apostrophes, single blanks.

    >>> normalised("It’s “Café” - well-known!")
    "it's cafe well known"
    """
    plain = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'"))
    letters = "".join(c for c in plain if not unicodedata.combining(c)).lower()
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", letters)
    return " ".join(words)


def clips(speech: Path, drops: Counter[str]) -> Iterator[Clip]:
    """All clips of the corpora that are there, less those whose row says that they are bad."""
    for corpus in CORPORA:
        for row in rows(speech / corpus):
            reason = fault(row)
            if reason:
                drops[reason] += 1
                continue
            speaker = row.get("speaker")
            # The Common Voice folders draw from one set of speakers.
            owner = "common_voice" if corpus in SPEAKER_CORPORA else corpus
            yield Clip(
                audio=str(speech / corpus / row["audio"]),
                duration=float(row["duration"]),
                text=row["text"],
                speaker=f"{owner}/{speaker}" if speaker else None,
                corpus=corpus + (TEST_PART if row.get("split") == "test" else ""),
            )


def fault(row: dict[str, Any]) -> str | None:
    """Why the row of a manifest cannot be used, or None."""
    if row.get("down_votes", 0) >= row.get("up_votes", 1):
        return "voted down"
    if row.get("ref_asr_cer", 0.0) > WORST_CHARACTER_ERRORS:
        return "another recogniser heard something else"
    if UNREADABLE.search(row["text"]):
        return "text that could be read in several ways"
    if not normalised(row["text"]):
        return "no words"
    if not SHORTEST <= row["duration"] <= LONGEST:
        return "too long or short"
    return None


def split_clips(all_clips: list[Clip], read: Reader, drops: Counter[str]) -> dict[str, list[Clip]]:
    """Clips by split, with phones; sentences and speakers of one split are in no other."""
    sides = sides_of_speakers(all_clips)
    split: dict[str, list[Clip]] = {name: [] for name in SPLITS}
    for clip in all_clips:
        side = sides.get(clip.speaker, "train") if clip.speaker else "train"
        split[side].append(clip)
    # Test keeps its sentences, valid gives way to it, train to both. Before phones are known, so
    # that a better dictionary never moves a clip from one side to another.
    taken: set[str] = set()
    for name in reversed(SPLITS):
        kept = [clip for clip in split[name] if clip.sentence not in taken]
        drops[f"{name} sentences that are held out"] += len(split[name]) - len(kept)
        taken |= {clip.sentence for clip in kept}
        split[name] = list(with_phones(kept, read, drops))
    return split


def held_out_clips(speech: Path, network: Path = NETWORK) -> list[Clip]:
    """The test side alone, as benchmarks need it."""
    all_clips = list(clips(speech, Counter()))
    sides = sides_of_speakers(all_clips)
    test = [clip for clip in all_clips if clip.speaker and sides.get(clip.speaker) == "test"]
    return list(with_phones(test, reader(network), Counter()))


def sides_of_speakers(all_clips: list[Clip]) -> dict[str, str]:
    """Split by speaker; speakers that are not named are trained with."""
    seconds: dict[str, float] = {}
    many, learners = set(), set()
    for clip in all_clips:
        if clip.speaker is None:
            continue
        seconds[clip.speaker] = seconds.get(clip.speaker, 0.0) + clip.duration
        if clip.corpus in SPEAKER_CORPORA:
            many.add(clip.speaker)
        if clip.corpus == CHILDREN_AND_LEARNERS + TEST_PART:
            learners.add(clip.speaker)
    sides: dict[str, str] = {}
    for speakers, wanted in ((many, HELD_OUT), (learners, HELD_OUT_LEARNERS)):
        modest = (s for s in by_hash(speakers) if seconds[s] <= MOST_OF_ONE_HELD_OUT_SPEAKER)
        for side, enough in wanted:
            so_far = 0.0
            while so_far < enough and (speaker := next(modest, None)):
                sides[speaker] = side
                so_far += seconds[speaker]
    return sides


def by_hash(names: Iterable[str]) -> list[str]:
    """The names in an order that means nothing and is always the same."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def with_phones(kept: Iterable[Clip], read: Reader, drops: Counter[str]) -> Iterator[Clip]:
    """The clips with their phones, less those that cannot have been said in their time."""
    for clip in kept:
        reading = read(clip.text)
        if reading is None:
            drops["words without a pronunciation"] += 1
        elif not plausible(reading.phones, clip.duration):
            drops["impossible rate of speech"] += 1
        else:
            yield replace(
                clip,
                corpus=clip.corpus.removesuffix(TEST_PART),
                phones=" ".join(reading.phones),
                spelled=reading.spelled,
            )


def plausible(phones: tuple[str, ...], duration: float) -> bool:
    """Whether a person can say the phones in `duration` seconds, and CTC write them."""
    if not SLOWEST <= len(phones) / duration <= FASTEST:
        return False
    # CTC puts a blank between two equal phones.
    needed = len(phones) + sum(a == b for a, b in pairwise(phones))
    return needed <= int(duration / FRAME_SECONDS)


def noises(speech: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Background sounds to train with, and others to test with."""
    found = []
    for corpus in ("noise", "noise_environment"):
        for row in rows(speech / corpus):
            if FORBIDDEN_LICENCE.search(row["licence"]):
                continue
            found.append(
                {
                    "audio": str(speech / corpus / row["audio"]),
                    "duration": row["duration"],
                    "noise_class": row["noise_class"],
                }
            )
    test = [row for row in found if TEST_NOISE.search(row["audio"])]
    return [row for row in found if row not in test], test


def rooms(speech: Path) -> list[dict[str, Any]]:
    """Impulse responses that are rooms."""
    folder = speech / "impulse_responses"
    return [
        {"audio": str(folder / row["audio"]), "duration": row["duration"]}
        for row in rows(folder)
        if Path(row["audio"]).stem in ROOMS
    ]


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a corpus' manifest; none where the corpus is absent."""
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        print(f"{manifest}: not there, going on without it", file=sys.stderr)
        return
    with manifest.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def write_lines(target: Path, objects: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line."""
    with target.open("w", encoding="utf-8") as out:
        for item in objects:
            out.write(json.dumps(item, ensure_ascii=False) + "\n")


def table(split: dict[str, list[Clip]]) -> str:
    """Hours, clips, speakers and sentences by split and corpus, as text."""
    lines = [
        f"{'split':<6} {'corpus':<24} {'hours':>6} {'clips':>6} {'speakers':>8} {'sentences':>9}"
    ]
    for name in SPLITS:
        for corpus in (*CORPORA, "all"):
            of = [clip for clip in split[name] if corpus in ("all", clip.corpus)]
            if not of:
                continue
            hours = sum(clip.duration for clip in of) / 3600
            speakers = len({clip.speaker for clip in of if clip.speaker})
            sentences = len({clip.sentence for clip in of})
            lines.append(
                f"{name:<6} {corpus:<24} {hours:6.2f} {len(of):6} {speakers:8} {sentences:9}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
