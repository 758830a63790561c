"""The sample recordings: texts in `texts/`, read by free speech synthesizers, as Opus files.

    python examples/make_samples.py

needs the Debian packages flite, festival, festvox-us-slt-hts and espeak-ng, and writes
`recordings/*.opus` and `recordings/sentences.jsonl`, which says when each sentence is read. Rooms,
noise and the telephone line are computed here; nothing in the recordings comes from elsewhere.

A text begins with its title, voices (`name = synthesizer:voice x pitch`) and room; two `channels`
put each voice on its own, as telephone systems record calls. Then every line is `name: sentence`.

It knows nothing of Earshot.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (samples,), in [-1, 1]

FOLDER = Path(__file__).resolve().parent
RATE = 16_000
LINE_RATE = 8_000
LINE_BAND = (300.0, 3400.0)  # Hz
MU = 255.0  # of the telephone's mu-law
BIT_RATES = {1: 18_000, 2: 24_000}  # by number of channels
LEVEL = 10 ** (-24 / 20)  # root mean square of each sentence
PAUSE_SECONDS = (0.4, 0.9)
SEED = 1


@dataclass(frozen=True, slots=True)
class Room:
    """How a place sounds: seconds until echoes are 60 dB down; levels of echoes and noise in dB."""

    echo_seconds: float
    echo_db: float
    noise_db: float


ROOMS = {
    "studio": Room(0.12, -26.0, -62.0),
    "kitchen": Room(0.35, -16.0, -50.0),
    "hall": Room(0.9, -13.0, -52.0),
    "telephone": Room(0.15, -24.0, -48.0),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of a synthesizer; `pitch` under 1 makes a larger, deeper speaker of it."""

    synthesizer: str
    name: str
    pitch: float


@dataclass(frozen=True, slots=True)
class Script:
    """A text to read: `lines` are (speaker, sentence)."""

    name: str
    title: str
    voices: dict[str, Voice]
    room: str
    channels: tuple[str, ...]  # speakers by channel; none where all share one
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """When a sentence is read, in seconds."""

    recording: str
    channel: int
    start: float
    end: float
    text: str


def main() -> int:
    """Make every recording anew."""
    target = FOLDER / "recordings"
    target.mkdir(exist_ok=True)
    sentences: list[Sentence] = []
    for path in sorted((FOLDER / "texts").glob("*.txt")):
        script = parse(path)
        audio, read = perform(script)
        file = target / f"{script.name}.opus"
        write_opus(file, audio, script.title)
        sentences += read
        print(f"{file.name:<20} {audio.shape[1] / RATE:6.1f} s {file.stat().st_size:7} bytes")
    with (target / "sentences.jsonl").open("w", encoding="utf-8") as out:
        for one in sentences:
            row = {
                "recording": one.recording,
                "channel": one.channel,
                "start": round(one.start, 2),
                "end": round(one.end, 2),
                "text": one.text,
            }
            out.write(json.dumps(row) + "\n")
    return 0


def parse(path: Path) -> Script:
    """Read a text; raises ValueError with file and line where it cannot be understood."""
    title, room = path.stem, "studio"
    voices: dict[str, Voice] = {}
    channels: tuple[str, ...] = ()
    lines: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        key, colon, text = (part.strip() for part in line.partition(":"))
        if "=" in key:
            key, _, value = (part.strip() for part in line.partition("="))
            if key == "room" and value in ROOMS:
                room = value
            elif key == "channels":
                channels = tuple(name.strip() for name in value.split(","))
            elif ":" in value:
                synthesizer, _, rest = value.partition(":")
                name, _, pitch = rest.partition(" x ")
                voices[key] = Voice(synthesizer, name, float(pitch or 1.0))
            else:
                raise ValueError(f"{path}:{number}: {line!r} names no room, channels or voice")
        elif "=" in line and not colon:
            raise ValueError(f"{path}:{number}: {line!r} is neither a setting nor a sentence")
        elif key == "title":
            title = text
        elif key in voices and text:
            lines.append((key, text))
        else:
            raise ValueError(f"{path}:{number}: {key!r} is none of {', '.join(voices)}")
    return Script(path.stem, title, voices, room, channels, tuple(lines))


def perform(script: Script) -> tuple[Samples, list[Sentence]]:
    """The recording as (channels, samples) at 16 kHz, and when each sentence is read."""
    dice = random.Random(f"{SEED} {script.name}")
    noise = np.random.default_rng([SEED, len(script.lines)])
    room = ROOMS[script.room]
    read: list[tuple[int, int, Samples]] = []  # channel, first sample, what is said
    sentences = []
    now = dice.uniform(*PAUSE_SECONDS)
    for speaker, text in script.lines:
        said = say(script.voices[speaker], text)
        channel = script.channels.index(speaker) if script.channels else 0
        first = round(now * RATE)
        read.append((channel, first, said))
        end = (first + len(said)) / RATE
        sentences.append(Sentence(script.name, channel, now, end, text))
        now = end + dice.uniform(*PAUSE_SECONDS)
    audio = np.zeros((max(1, len(script.channels)), round(now * RATE)), np.float32)
    for channel, first, said in read:
        audio[channel, first : first + len(said)] = said
    heard = [in_room(channel, room, noise) for channel in audio]
    if script.room == "telephone":
        heard = [over_telephone(channel) for channel in heard]
    return np.stack(heard).astype(np.float32), sentences


def say(voice: Voice, text: str) -> Samples:
    """The text read by a voice, without the silence around it, at LEVEL."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "said.wav"
        subprocess.run(
            command(voice, text, wav), check=True, input=text.encode(), capture_output=True
        )
        samples = read_audio(wav, round(RATE / voice.pitch))
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[max(0, loud[0] - RATE // 50) : loud[-1] + RATE // 20]
    gain = LEVEL / float(np.sqrt(np.mean(samples**2)))
    levelled: Samples = np.clip(samples * gain, -0.95, 0.95).astype(np.float32)
    return levelled


def command(voice: Voice, text: str, wav: Path) -> list[str]:
    """What makes the voice read the text (which festival takes from its input) into a file.

    Samples are later played `pitch` times as fast, so speech is made that much slower here.
    """
    match voice.synthesizer:
        case "flite":
            pace = f"duration_stretch={voice.pitch}"
            return ["flite", "-voice", voice.name, "--setf", pace, "-t", text, "-o", str(wav)]
        case "festival":
            return ["text2wave", "-eval", f"(voice_{voice.name})", "-o", str(wav)]
        case "espeak-ng":
            pace = str(round(155 / voice.pitch))
            return ["espeak-ng", "-v", voice.name, "-s", pace, "-w", str(wav), text]
    raise ValueError(f"{voice.synthesizer!r} is none of flite, festival, espeak-ng")


def in_room(samples: Samples, room: Room, generator: np.random.Generator) -> Samples:
    """The samples with decaying echoes and a soft noise that falls with frequency."""
    length = round(room.echo_seconds * RATE)
    decay = 10 ** (-3 * np.arange(length) / length)
    echo = generator.standard_normal(length) * decay
    echo[: RATE // 200] = 0.0  # nothing comes back within 5 ms
    echo *= 10 ** (room.echo_db / 20) / np.sqrt((echo**2).sum())
    size = len(samples) + length
    spectrum = np.fft.rfft(samples, size)
    wet = np.fft.irfft(spectrum * np.fft.rfft(echo, size), size)[: len(samples)]
    hiss = np.fft.rfft(generator.standard_normal(len(samples)))
    hiss /= np.sqrt(np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 50.0))
    soft = np.fft.irfft(hiss, len(samples))
    soft *= 10 ** (room.noise_db / 20) / np.sqrt(np.mean(soft**2))
    return np.clip(samples + wet + soft, -0.99, 0.99).astype(np.float32)


def over_telephone(samples: Samples) -> Samples:
    """300 to 3400 Hz at 8 kHz with the 8 bits of mu-law, back at 16 kHz."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    passed = np.clip((hertz - LINE_BAND[0]) / 100 + 0.5, 0, 1)
    passed *= np.clip((LINE_BAND[1] - hertz) / 100 + 0.5, 0, 1)
    narrow = np.fft.irfft(spectrum * passed, len(samples)).astype(np.float32)
    line = resampled(narrow, RATE, LINE_RATE)
    bent = np.sign(line) * np.log1p(MU * np.abs(line)) / np.log1p(MU)
    bent = np.round(bent * 127) / 127
    line = np.sign(bent) * ((1 + MU) ** np.abs(bent) - 1) / MU
    wide = resampled(line.astype(np.float32), LINE_RATE, RATE)
    return np.resize(wide, len(samples))


def read_audio(path: Path, rate: int) -> Samples:
    """A file as mono samples at `rate`."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        pieces = [p for frame in container.decode(audio=0) for p in resampler.resample(frame)]
    pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def resampled(samples: Samples, before: int, after: int) -> Samples:
    """The same sound at another sampling rate."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=after)
    pieces = [p for frame in frames(samples[None], before) for p in resampler.resample(frame)]
    pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def frames(audio: Samples, rate: int, size: int = 960) -> Iterator[av.AudioFrame]:
    """(channels, samples) in pieces that a codec takes."""
    layout = "stereo" if len(audio) == 2 else "mono"
    for start in range(0, audio.shape[1], size):
        piece = np.ascontiguousarray(audio[:, start : start + size])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = start
        yield frame


def write_opus(path: Path, audio: Samples, title: str) -> None:
    """(channels, samples) at 16 kHz as Opus, with its title."""
    layout = "stereo" if len(audio) == 2 else "mono"
    with av.open(str(path), "w", format="ogg", container_options={"fflags": "+bitexact"}) as file:
        file.metadata["title"] = title
        stream = file.add_stream("libopus", rate=RATE, layout=layout)
        stream.bit_rate = BIT_RATES[len(audio)]
        convert = av.AudioResampler(format="flt", layout=layout, rate=RATE, frame_size=320)
        for frame in frames(audio, RATE):
            for piece in convert.resample(frame):
                file.mux(stream.encode(piece))
        for piece in convert.resample(None):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))


if __name__ == "__main__":
    sys.exit(main())
