"""Synthetic speech to train an ear with: a manifest of sentences that hold as many words as can be.

    python recipes/language_text.py recipes/work/text     (or any other folder of plain text)
    python recipes/voices_data.py --sentences 10000 --out recipes/work/voices

leaves `audio/000001.opus` ... and `voices.jsonl`, whose lines are those of `speech_data.py`: to
train with both, name both manifests in the Kurfile. Sentences are chosen so that words that few of
them hold are said: one after the other, always the one that brings most. Voices that `voices.py`
holds out say nothing, nor is a sentence said that `speech_data.py` holds out. Stopped and started
again it goes on.

It knows nothing of features, networks or training.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import itertools
import json
import math
import multiprocessing
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
from speech_data import NETWORK, Clip, Reader, normalised, plausible, reader, write_lines
from voices import HELD_OUT, SAMPLE_RATE, Samples, Speaker, installed, say

WORDS = range(4, 17)  # in a sentence
TEMPO, PITCH = (0.85, 1.3), (0.88, 1.14)
PAUSE_WORDS = 3  # that take as long to say as what a clip has besides its words
BIT_RATE = 24_000
_SENTENCE = re.compile(r"[A-Z][^.!?]*[.!?]")
_PLAIN = re.compile(r"[A-Za-z ,;'’-]+[.!?]")  # no digits, brackets, abbreviations


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose sentences, say those that are not there yet, write the manifest."""
    options = _options(arguments)
    voices = [voice for voice in installed() if voice.name not in HELD_OUT]
    if not voices:
        print("no synthesizer is installed, expected some of those that voices.py names")
        return 1
    texts = sorted(options.text.glob("*.txt"))
    if not texts:
        print(f"{options.text}: no *.txt in it, expected plain texts (see language_text.py)")
        return 1
    found = sentences(texts, set(_held_out(options.held_out)))
    chosen = varied(found, options.sentences)
    held = len({word for one in chosen for word in normalised(one).split()})
    print(f"{len(chosen)} of {len(found)} sentences chosen, with {held} different words")
    (options.out / "audio").mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=options.jobs, mp_context=context) as pool:
        said = pool.map(
            functools.partial(spoken, options.out, options.seed),
            itertools.count(1),
            chosen,
            chunksize=20,
        )
        clips = []
        for number, clip in enumerate(said, 1):
            clips += [clip] if clip is not None else []
            if number % 500 == 0 or number == len(chosen):
                print(f"{number} of {len(chosen)} said", flush=True)
    write_lines(options.out / "voices.jsonl", (asdict(clip) for clip in clips))
    hours = sum(clip.duration for clip in clips) / 3600
    print(f"{len(clips)} clips, {hours:.1f} hours; {len(chosen) - len(clips)} left out")
    return 0


def sentences(texts: Iterable[Path], without: set[str]) -> list[str]:
    """Different sentences of the texts that can be read in one way only, in their order."""
    found: dict[str, str] = {}
    for path in texts:
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8", errors="replace"))
        for one in _SENTENCE.findall(text):
            key = normalised(one)
            if len(key.split()) in WORDS and _PLAIN.fullmatch(one) and key not in without:
                found.setdefault(key, one)
    return list(found.values())


def varied(found: Sequence[str], count: int) -> list[str]:
    """At most `count` sentences, each that whose words were said least by those before it.

    A word that was said n times is worth 1 / (1 + n); a sentence what its words are, by its length.
    """
    words = [normalised(one).split() for one in found]
    said: Counter[str] = Counter()

    def worth(at: int) -> float:
        return sum(1 / (1 + said[word]) for word in words[at]) / (len(words[at]) + PAUSE_WORDS)

    # What a sentence is worth only sinks, so one that is still the best when looked at again is.
    heap = [(-math.inf, at) for at in range(len(found))]
    chosen: list[str] = []
    while heap and len(chosen) < count:
        _, at = heapq.heappop(heap)
        now = -worth(at)
        if not heap or now <= heap[0][0]:
            said.update(words[at])
            chosen.append(found[at])
        else:
            heapq.heappush(heap, (now, at))
    return chosen


def spoken(folder: Path, seed: int, number: int, text: str) -> Clip | None:
    """The clip of a sentence, made if it is not there; None where it cannot be learned from."""
    reading = _reader()(text)
    dice = random.Random(f"{seed} {number} {text}")
    voice = dice.choice([voice for voice in installed() if voice.name not in HELD_OUT])
    speaker = Speaker(voice, dice.uniform(*TEMPO), dice.uniform(*PITCH))
    target = folder / "audio" / f"{number:06}.opus"
    if not target.exists():
        try:
            write_opus(target, say(speaker, text))
        except RuntimeError as error:
            print(f"{number}: {error}", file=sys.stderr)
            return None
    seconds = _length(target)
    if reading is None or not plausible(reading.phones, seconds):
        return None
    return Clip(
        audio=str(target.resolve()),
        duration=round(seconds, 3),
        text=text,
        speaker=f"voices/{voice.name}",
        corpus="voices",
        phones=" ".join(reading.phones),
        spelled=reading.spelled,
    )


def write_opus(target: Path, samples: Samples) -> None:
    """Mono Opus, as the corpora are; there whole or not at all."""
    unfinished = target.with_name(f".{target.stem}.{os.getpid()}.opus")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = BIT_RATE
        whole = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(
            format="s16", layout="mono", rate=48_000, frame_size=stream.codec_context.frame_size
        )
        for part in (frame, None):
            for piece in resampler.resample(part):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    unfinished.rename(target)


@functools.cache
def _reader() -> Reader:
    return reader(NETWORK)


def _length(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.duration or 0) / 1e6


def _held_out(manifests: Iterable[Path]) -> Iterator[str]:
    for path in manifests:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield normalised(json.loads(line)["text"])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    work = Path(__file__).resolve().parent / "work"
    parser.add_argument("--text", type=Path, default=work / "text", help="folder of *.txt")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=work / "voices")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument(
        "--held-out",
        type=Path,
        nargs="*",
        default=[one for one in (work / "speech" / f"{n}.jsonl" for n in ("valid", "test"))
                 if one.is_file()],
        help="manifests whose sentences must not be said",
    )  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
