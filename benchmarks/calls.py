"""Calls of two made from scripts: sound, labels, and which labels are wrong.

    python benchmarks/calls.py --out benchmarks/work/calls --calls 1000 --minutes 0.8 --seed 1

Two synthetic speakers on the two channels of a telephone line, with noise, echo, fillers and
interruptions, say what `call_scripts.py` wrote. It leaves in the folder

- `train/call_0001.wav` ...: as many calls as were asked for, and `held_out/call_1001.wav` ...,
  spoken by voices that speak in none of those, in other noise;
- `labels.csv`, `held_out.csv`: what `earshot label import` reads: one row a call, one column a
  label. One label in ten of labels.csv is wrong, drawn by lot in each column; none of held_out.csv;
- `truth.csv`: what is true of every call, and which columns of labels.csv are wrong;
- `said.jsonl`: the words.

Stopped and started again it goes on. The synthesizers that it uses are listed in
`recipes/voices.py`; they must be there on both sides of the split.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import multiprocessing
import os
import random
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from call_scripts import SIDES, Call, rubric, topics, write_call
from reports import ROOT
from sound import SAMPLE_RATE, Samples, levelled, noise_track, read_audio, write_telephone

sys.path.append(str(ROOT / "recipes"))
from speech_data import noises
from voices import HELD_OUT, Speaker, Voice, installed, say

WRONG_SHARE = 0.1
HELD_OUT_SHARE = 0.1  # of the calls, besides them
TEMPO, PITCH = (1.0, 1.25), (0.92, 1.1)
PAUSE_SECONDS = (0.15, 0.7)
OVERLAP_SHARE, OVERLAP_SECONDS = 0.15, (0.2, 0.8)
BACKCHANNEL_SHARE, BACKCHANNEL_FROM = 0.3, 3.0  # of turns that are longer, in seconds
LEVEL_DB = (-6.0, 3.0)
NOISES = 2  # different ones in a call
NOISE_DB = (12.0, 28.0)  # speech over noise
ECHO_SHARE, ECHO_DB, ECHO_SECONDS = 0.3, -32.0, 0.08
# Formant synthesis is heard worst, and sounds least like a person: half as often as the others.
FORMANT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What all calls of a folder have in common."""

    calls: int
    held_out: int
    minutes: float
    seed: int
    voices: tuple[str, ...]

    def numbers(self) -> range:
        """All calls, from 1; the held-out ones are last."""
        return range(1, self.calls + self.held_out + 1)

    def is_held_out(self, number: int) -> bool:
        """Whether a call is spoken by voices that are kept for testing."""
        return number > self.calls

    def path(self, number: int) -> str:
        """Where a call lies in the folder."""
        return f"{'held_out' if self.is_held_out(number) else 'train'}/call_{number:04}.wav"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is not there yet."""
    options = _options(arguments)
    held_out = options.held_out
    plan = Plan(
        options.calls,
        round(options.calls * HELD_OUT_SHARE) if held_out is None else held_out,
        options.minutes,
        options.seed,
        tuple(voice.name for voice in installed()),
    )
    problem = _problem(plan, options)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    for part in ("train", "held_out"):
        (options.out / part).mkdir(parents=True, exist_ok=True)
    (options.out / "plan.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")
    write_tables(plan, options.out)
    # One held-out call for every two others, so that whatever is there at a stop can be measured.
    order = sorted(plan.numbers(), key=lambda n: 2 * (n - plan.calls) if plan.is_held_out(n) else n)
    missing = [number for number in order if not (options.out / plan.path(number)).exists()]
    print(f"{len(order) - len(missing)} calls are there, {len(missing)} to be made")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=options.jobs, mp_context=context) as pool:
        make = functools.partial(make_call, plan, options.out, options.speech)
        for done, seconds in enumerate(pool.map(make, missing), 1):
            if done % 50 == 0 or done == len(missing):
                print(f"{done} of {len(missing)} made, the last of {seconds:.0f} s", flush=True)
    return 0


def make_call(plan: Plan, folder: Path, speech: Path, number: int) -> float:
    """Write the sound of one call; its length in seconds."""
    call = write_call(number, plan.seed, plan.minutes)
    dice = random.Random(f"{plan.seed} {number} sound")
    speakers = draw_speakers(plan, number)
    tracks = mixed(call, speakers, dice)
    around = _noises(speech, plan.is_held_out(number))
    sources = [_noise(path) for path in dice.sample(around, min(NOISES, len(around)))]
    generator = np.random.default_rng([plan.seed, number])
    heard = []
    for side, track in enumerate(tracks):
        gain = 10 ** (dice.uniform(*LEVEL_DB) / 20)
        sound = track + noise_track(sources, len(track), dice.uniform(*NOISE_DB), generator)
        if dice.random() < ECHO_SHARE:
            late = round(ECHO_SECONDS * SAMPLE_RATE)
            sound[late:] += tracks[1 - side][:-late] * np.float32(10 ** (ECHO_DB / 20))
        heard.append((sound * gain).astype(np.float32))
    target = folder / plan.path(number)
    unfinished = target.with_name(f".{target.stem}.{os.getpid()}.wav")
    write_telephone(unfinished, *heard)
    unfinished.rename(target)
    return len(heard[0]) / SAMPLE_RATE


def mixed(call: Call, speakers: Sequence[Speaker], dice: random.Random) -> list[Samples]:
    """One track a side, of the same length, at the usual level: who says what when."""
    placed: list[tuple[int, int, Samples]] = []  # side, first sample, sound
    end, last = 0.3, -1
    for turn in call.turns:
        side = SIDES.index(turn.side)
        said = levelled(say(speakers[side], turn.text))
        start = end + dice.uniform(*PAUSE_SECONDS)
        if last not in (-1, side) and dice.random() < OVERLAP_SHARE:
            start = max(0.0, end - dice.uniform(*OVERLAP_SECONDS))
        placed.append((side, round(start * SAMPLE_RATE), said))
        length = len(said) / SAMPLE_RATE
        if length > BACKCHANNEL_FROM and dice.random() < BACKCHANNEL_SHARE:
            at = start + dice.uniform(0.3, 0.9) * length
            word = levelled(say(speakers[1 - side], dice.choice(call.backchannels)))
            placed.append((1 - side, round(at * SAMPLE_RATE), word))
        end, last = max(end, start + length), side
    size = max(first + len(said) for _, first, said in placed) + SAMPLE_RATE // 2
    tracks = [np.zeros(size, np.float32) for _ in SIDES]
    for side, first, said in placed:
        tracks[side][first : first + len(said)] += said
    return tracks


def draw_speakers(plan: Plan, number: int) -> list[Speaker]:
    """Two of different voices, of the call's side of the split."""
    dice = random.Random(f"{plan.seed} {number} voices")
    voices = [v for v in installed() if (v.name in HELD_OUT) == plan.is_held_out(number)]
    first = _drawn(voices, dice)
    second = _drawn([voice for voice in voices if voice != first], dice)
    return [Speaker(v, dice.uniform(*TEMPO), dice.uniform(*PITCH)) for v in (first, second)]


def write_tables(plan: Plan, folder: Path) -> None:
    """Labels, truth and words of all calls, which need no sound."""
    calls = {number: write_call(number, plan.seed, plan.minutes) for number in plan.numbers()}
    labels = ("topic", "fraud", *rubric())
    given = {number: dict(call.truth) for number, call in calls.items()}
    wrong: dict[int, list[str]] = {number: [] for number in calls}
    for label in labels:
        dice = random.Random(f"{plan.seed} {label} wrong")
        train = [number for number in calls if not plan.is_held_out(number)]
        for number in dice.sample(train, round(WRONG_SHARE * len(train))):
            given[number][label] = _other(label, given[number][label], dice)
            wrong[number].append(label)
    for name, is_held_out in (("labels.csv", False), ("held_out.csv", True)):
        rows = [
            [plan.path(number), *(given[number][label] for label in labels)]
            for number in calls
            if plan.is_held_out(number) == is_held_out
        ]
        _write_csv(folder / name, ["path", *labels], rows)
    told = []
    for number, call in calls.items():
        voices = "+".join(speaker.voice.name for speaker in draw_speakers(plan, number))
        facts = [call.fraud, "yes" if call.named else "no", voices, " ".join(wrong[number])]
        told.append([plan.path(number), *(call.truth[label] for label in labels), *facts])
    facts_of = ["fraud_pattern", "topic_named", "voices", "wrong"]
    _write_csv(folder / "truth.csv", ["path", *labels, *facts_of], told)
    with (folder / "said.jsonl").open("w", encoding="utf-8") as out:
        for number, call in calls.items():
            row = {"path": plan.path(number), "turns": [asdict(turn) for turn in call.turns]}
            out.write(json.dumps(row) + "\n")


def _other(label: str, value: str, dice: random.Random) -> str:
    values = topics() if label == "topic" else ("yes", "no")
    return dice.choice([one for one in values if one != value])


def _drawn(voices: Sequence[Voice], dice: random.Random) -> Voice:
    weights = [FORMANT_WEIGHT if voice.synthesizer == "espeak" else 1.0 for voice in voices]
    return dice.choices(voices, weights)[0]


@functools.cache
def _noises(speech: Path, held_out: bool) -> list[Path]:
    return [Path(row["audio"]) for row in noises(speech)[held_out]]


@functools.cache
def _noise(path: Path) -> Samples:
    return read_audio(path)


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([head, *rows])


def _problem(plan: Plan, options: argparse.Namespace) -> str:
    """Why calls cannot be made, as a sentence; or nothing."""
    for side, held_out in (("for training", False), ("held out", True)):
        there = [name for name in plan.voices if (name in HELD_OUT) == held_out]
        if len(there) < 2:
            return (
                f"{len(there)} of the voices {side} are installed, at least 2 are needed: "
                "install more of the synthesizers that recipes/voices.py names"
            )
    if not all(noises(options.speech)):
        return f"{options.speech}: no noise there, expected the folder of speech with noise/ in it"
    made = options.out / "plan.json"
    if made.is_file():
        before: dict[str, Any] = json.loads(made.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(asdict(plan)))
        other = [name for name in now if before.get(name) != now[name]]
        if other:
            return (
                f"{options.out} holds calls made with another {other[0]} "
                f"({before.get(other[0])}): give the same again, or another folder"
            )
    return ""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "work" / "calls")
    parser.add_argument("--calls", type=int, default=1000, help="labelled calls")
    parser.add_argument("--held-out", type=int, help="calls to judge by, besides (10 %%)")
    parser.add_argument("--minutes", type=float, default=0.7, help="length of a call, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    speech = os.environ.get("EARSHOT_SPEECH", ROOT.parent / "shared" / "data" / "speech")
    parser.add_argument("--speech", type=Path, default=Path(speech), help="folder with noise/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
