"""What helps the ear? One small network, trained in several ways, each measured by what is found.

    python recipes/speech_data.py --speech FOLDER --out recipes/work/speech
    python recipes/levers.py --speech FOLDER [--only usual pinned ...] [--minutes 20]

Each way is a training of `levers.yml` (four epochs of seven hours) that differs from `usual` in
one thing; each is exported as the network that ships is, and searched by `benchmarks/found_rate.py`
in clean, telephone and noisy speech. Every step goes on where it was stopped; what is done is not
done again. Confidences are those of the network that ships for all ways: MTWV compares ways only.

It needs the extras [train] and [benchmark]. What came of it stands in docs/experiments.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from heads_data import letters_of
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from speech_data import write_lines

from earshot.media import blocks
from earshot.network import SHIPPED, Network
from kur.metrics import greedy

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
PINNED_REACH = 3  # steps that a phone may last to each side of where the network wrote it
SHARE = 0.4  # of the clips, which every way is trained on
LABELLED = 0.25  # of those: the share whose texts are known, where most are not
AVERAGED = 2  # the last epochs whose weights are averaged

Row = dict[str, Any]
Change = Callable[[list[Row], Network], Iterator[Row]]


@dataclass(frozen=True)
class Way:
    """A way to train: what is changed in the data, in the Kurfile, and what comes before it.

    `first` is a Kurfile or another way whose weights are trained on from.
    """

    about: str
    kurfile: str = "levers.yml"
    settings: tuple[str, ...] = ()
    change: Change | None = None
    first: str | None = None
    extra: str | None = None
    options: tuple[str, ...] = field(default=("--int8",))


def with_letters(rows: list[Row], _: Network) -> Iterator[Row]:
    """Each clip with the letters of its text."""
    for row in rows:
        yield {**row, "characters": letters_of(row["text"]) or " "}


def with_steps(rows: list[Row], network: Network) -> Iterator[Row]:
    """Each clip with a phone for each step of 40 ms, as the network aligns its transcript."""
    number = {unit: index for index, unit in enumerate(network.units)}
    for row in rows:
        heard = listened(row, network)
        phones = np.array([number[one] for one in row["phones"].split()])
        steps = pinned(heard, phones, network.blank)
        steps = np.pad(steps, (0, -len(steps) % 4), constant_values=network.blank)
        yield {**row, "steps": " ".join([*network.units[:-1], "-"][one] for one in steps)}


def listened(row: Row, network: Network) -> NDArray[np.float32]:
    """What a network says of a clip: log-posteriors (frames, units)."""
    sound = (block[0] for block in blocks(Path(row["audio"]), channels="mix"))
    return np.concatenate(list(network.listen(sound)))


def pinned(heard: NDArray[np.float32], phones: NDArray[np.int64], blank: int) -> NDArray[np.int64]:
    """A unit for each frame of log-posteriors (frames, units): the phones of a transcript, each
    around where the best CTC alignment has it, silence elsewhere.

    Of the best alignment (Viterbi over blank, phone, blank, ...; Graves et al., 2006) the first
    frame of each phone counts; phones meet half-way, and reach PINNED_REACH frames at most.
    """
    states = np.full(2 * len(phones) + 1, blank)
    states[1::2] = phones
    skips = np.zeros(len(states), bool)
    skips[3::2] = phones[1:] != phones[:-1]
    score = np.full(len(states), -np.inf)
    score[:2] = heard[0, states[:2]]
    came = np.zeros((len(heard), len(states)), np.int8)
    for frame in range(1, len(heard)):
        before = np.stack(
            (
                score,
                np.r_[-np.inf, score[:-1]],
                np.where(skips, np.r_[-np.inf, -np.inf, score[:-2]], -np.inf),
            )
        )
        came[frame] = before.argmax(axis=0)
        score = before.max(axis=0) + heard[frame, states]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    first = np.zeros(len(phones), np.int64)
    for frame in range(len(heard) - 1, -1, -1):
        if state % 2:
            first[state // 2] = frame
        state -= int(came[frame, state])
    frames = np.arange(len(heard))
    nearest = np.abs(frames[:, None] - first[None, :]).argmin(axis=1)
    near = np.abs(frames - first[nearest]) <= PINNED_REACH
    return np.where(near, phones[nearest], blank)


def a_part(rows: list[Row], _: Network) -> Iterator[Row]:
    """The clips whose texts are said to be known."""
    yield from rows[: int(len(rows) * LABELLED)]


def self_taught(rows: list[Row], network: Network) -> Iterator[Row]:
    """The clips whose texts are known, and of the others what the network `quarter` hears."""
    known = int(len(rows) * LABELLED)
    yield from rows[:known]
    for row in rows[known:]:
        phones = [network.units[one] for one in greedy(listened(row, network), network.blank)]
        if phones:
            yield {**row, "phones": " ".join(phones)}


WAYS = {
    "usual": Way("CTC, all augmentation, six blocks of depthwise convolutions, a step every 40 ms"),
    "pinned": Way(
        "pinned to a forced alignment for an epoch first",
        change=with_steps,
        first="levers_pinned.yml",
    ),
    "letters": Way("a second head for letters", "levers_heads.yml", change=with_letters),
    "stride": Way("a step every 30 ms", settings=("settings.strides=[3, 1]",)),
    "attention": Way(
        "two of six blocks attention of four heads",
        settings=("settings.mixers.convolution=4", "settings.mixers.attention=2"),
    ),
    "voices": Way("synthetic voices beside people", extra="voices"),
    "quarter": Way("texts of a quarter of the clips only", change=a_part),
    "self": Way(
        "the quarter, and the rest as `quarter` hears it", change=self_taught, first="quarter"
    ),
    "averaged": Way("weights of the last epochs of `usual`, averaged", first="usual"),
    "float": Way("`usual` in 32 bits", first="usual", options=()),
}


def main() -> int:
    """Train and measure what is asked for; print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--speech", type=Path, default=HERE / "../../shared/data/speech")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--minutes", type=float, default=20.0, help="of held-out speech, searched")
    parser.add_argument("--out", type=Path, default=WORK / "levers")
    options = parser.parse_args()
    for name in options.only:
        folder = options.out / name
        if not (folder / "report.json").exists():
            prepare(name, options.out)
            train(name, options.out)
            measure(folder, options.speech, options.minutes)
        print(line(name, json.loads((folder / "report.json").read_text("utf-8"))), flush=True)
    return 0


def prepare(name: str, out: Path) -> None:
    """The manifests that a way is trained on, in its own folder of work."""
    way, folder = WAYS[name], out / name
    (folder / "speech").mkdir(parents=True, exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(WORK / "cache")
    network = Network.open(out / "quarter" / "network" if name == "self" else SHIPPED)
    for source in sorted((WORK / "speech").glob("*.jsonl")):
        target = folder / "speech" / source.name
        if target.exists():
            continue
        rows = [json.loads(one) for one in source.read_text("utf-8").splitlines()]
        if source.stem == "train":
            rows = sorted(rows, key=lottery)[: int(len(rows) * SHARE)]
        taught = source.stem == "train" or way.change in (with_letters, with_steps)
        if way.change and taught and "phones" in rows[0]:
            rows = list(way.change(rows, network))
        if way.extra and source.stem == "train":
            more = WORK / way.extra / "voices.jsonl"
            rows += [json.loads(one) for one in more.read_text("utf-8").splitlines()]
        write_lines(target.with_suffix(".part"), iter(rows))
        target.with_suffix(".part").rename(target)


def lottery(row: Row) -> str:
    """An order of clips that means nothing and is always the same."""
    return hashlib.sha256(Path(row["audio"]).name.encode()).hexdigest()


def train(name: str, out: Path) -> None:
    """Weights and an exported network."""
    way, folder = WAYS[name], out / name
    trained = folder / "acoustic"
    if way.first in WAYS and way.change is None:
        trained.mkdir(exist_ok=True)
        last = sorted((out / str(way.first) / "acoustic").glob("epoch-*.safetensors"))
        average(last[-AVERAGED:] if name == "averaged" else last[-1:], trained / "last.safetensors")
    else:
        if way.first in WAYS:
            last = sorted((out / str(way.first) / "acoustic").glob("epoch-*.safetensors"))
            shutil.copyfile(last[-1], folder / "start.safetensors")
        elif way.first and not (folder / "start.safetensors").exists():
            kur("train", HERE / way.first, name, out)
            last = sorted(trained.glob("epoch-*.safetensors"))
            shutil.copyfile(last[-1], folder / "start.safetensors")
            shutil.rmtree(trained)
        kur("train", HERE / way.kurfile, name, out)
        last = sorted(trained.glob("epoch-*.safetensors"))
        shutil.copyfile(last[-1], trained / "last.safetensors")
    network = folder / "network"
    if not network.exists():
        shutil.copytree(SHIPPED, network)
    target = ("--out", str(network / "network.onnx"), "--head", "phones=transcript")
    weights = ("--weights", str(trained / "last.safetensors"))
    kur("export", HERE / way.kurfile, name, out, *target, *weights, *way.options)


def average(files: Sequence[Path], target: Path) -> None:
    """The mean of weights (Polyak and Juditsky, 1992)."""
    each = [load_file(one) for one in files]
    mean = {
        name: np.mean([one[name] for one in each], axis=0, dtype=np.float64) for name in each[0]
    }
    save_file(
        {name: array.astype(each[0][name].dtype) for name, array in mean.items()},
        target,
        {"format": "1", "kur": json.dumps({"kind": "weights"})},
    )


def kur(command: str, kurfile: Path, name: str, out: Path, *more: str) -> None:
    """Run a command of Kur on a Kurfile for a way; what it prints goes into a file."""
    settings = [f"settings.work={out.resolve() / name}", *WAYS[name].settings]
    command_line = [sys.executable, "-m", "kur.cli", command, str(kurfile)]
    command_line += [part for one in settings for part in ("-s", one)]
    with (out / name / f"{command}.out").open("ab") as told:
        subprocess.run([*command_line, *more], check=True, stdout=told, stderr=told)


def measure(folder: Path, speech: Path, minutes: float) -> None:
    """Search with the network of a way; keep the report of found_rate.py."""
    benchmark = HERE.parent / "benchmarks" / "found_rate.py"
    given = [
        "--speech",
        str(speech),
        "--minutes",
        str(minutes),
        "--network",
        str(folder / "network"),
    ]
    command_line = [sys.executable, str(benchmark), "--no-peers", "--json", *given]
    told = subprocess.run(command_line, check=True, capture_output=True, text=True)
    (folder / "report.json").write_text(told.stdout.splitlines()[-1], encoding="utf-8")


def line(name: str, report: Row) -> str:
    """found@3 and MTWV in clean, telephone and noise."""
    rows = [one for one in report["rows"] if one["kind"] == "all"]
    found = " ".join(f"{one['found_at_3']:.3f}" for one in rows)
    values = " ".join(f"{one['mtwv']:.3f}" for one in rows)
    return f"{name:<10} found@3 {found}  MTWV {values}  {WAYS[name].about}"


if __name__ == "__main__":
    sys.exit(main())
