"""Speech from real files (WAV, FLAC, Opus) by three kinds of manifests, augmented and cached."""

from __future__ import annotations

import json
import os
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from tiny_kur import RATE, kurfile, spoken, words, write_audio, write_tones

from kur.arguments import bind
from kur.assemble import providers
from kur.data.clips import _joined, read_pcm
from kur.data.manifest import Row
from kur.data.provider import Provider, ProviderOptions
from kur.data.speech import SpeechRecognition
from kur.data.supplier import Draw
from kur.errors import KurError
from kur.features import FbankOptions, features

Floats = npt.NDArray[np.float32]

QUIET = Draw(0, 0, False)
FEATURES = {"mel_bins": 16, "low_hz": 100, "high_hz": 4000}


def speech(base: Path, **given: Any) -> SpeechRecognition:
    values = {"path": "clips.jsonl", "features": FEATURES, **given}
    bound = bind(SpeechRecognition, values, what="speech", provided={"base": base})
    return SpeechRecognition(**bound)


def written(folder: Path, *rows: Any, name: str = "clips.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(path: Path) -> Row:
    return Row({}, path.parent / "clips.jsonl", 7)


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
@pytest.mark.parametrize(("rate", "layout"), [(16000, "mono"), (48000, "stereo"), (8000, "mono")])
def test_sound_of_any_file_is_mono_at_16_kilohertz(
    ending: str, rate: int, layout: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    at = np.arange(rate) / rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
    write_audio(path, np.stack([tone, tone]) if layout == "stereo" else tone, rate, layout)
    pcm = read_pcm(path, row(path))
    assert pcm.dtype == np.float32 and abs(len(pcm) - RATE) <= 400
    middle = pcm[4000:12000]
    assert np.abs(np.fft.rfft(middle)).argmax() == 220
    loud = float(np.sqrt(2 * np.mean(middle**2)))
    assert loud == pytest.approx(0.3, rel=0.1)


def test_lossless_sound_is_the_sound_itself(tmp_path: Path) -> None:
    pcm = spoken("abcd")
    for ending in ("wav", "flac"):
        write_audio(tmp_path / f"a.{ending}", pcm)
        found = read_pcm(tmp_path / f"a.{ending}", row(tmp_path / "a"))
        np.testing.assert_allclose(found, pcm, atol=1 / 32768)


@pytest.mark.parametrize(("ending", "layout"), [("opus", "mono"), ("wav", "stereo")])
def test_sound_read_frame_by_frame_is_the_same(ending: str, layout: str, tmp_path: Path) -> None:
    """The plain way: each frame that FFmpeg decodes is resampled alone."""
    path = tmp_path / f"a.{ending}"
    hiss = np.random.default_rng(0).normal(scale=0.1, size=(2, 48000)).astype(np.float32)
    write_audio(path, hiss if layout == "stereo" else hiss[0], 48000, layout)
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", rate=RATE)
        frames = [*container.decode(audio=0), None]
        each = [one.to_ndarray().mean(axis=0) for f in frames for one in resampler.resample(f)]
    assert len(frames) > 10
    assert np.array_equal(read_pcm(path, row(path)), np.concatenate(each))


def test_a_long_file_is_resampled_by_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.opus"
    write_audio(path, np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32), 48000)
    whole = read_pcm(path, row(path))
    monkeypatch.setattr("kur.data.clips._LONG", 5000)
    assert np.array_equal(read_pcm(path, row(path)), whole)


def test_sound_that_changes_its_form_midway(tmp_path: Path) -> None:
    for rate in (44100, 32000):
        write_audio(tmp_path / f"{rate}.mp3", np.zeros(rate, np.float32), rate)
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join((tmp_path / f"{r}.mp3").read_bytes() for r in (44100, 32000)))
    with pytest.raises(KurError, match=r"both\.mp3 changes its sample rate or channels midway"):
        read_pcm(path, row(path))


@pytest.mark.parametrize(("before", "after"), [("stereo", "mono"), ("mono", "stereo")])
def test_channels_that_change_are_not_joined(before: str, after: str) -> None:
    def frame(layout: str) -> av.AudioFrame:
        return av.AudioFrame(format="fltp", layout=layout, samples=960)

    joined = _joined(iter([frame(before), frame(before), frame(after)]))
    with pytest.raises(ValueError, match=f"{before}.*{after}"):
        list(joined)


def test_files_without_sound(tmp_path: Path) -> None:
    def said(name: str) -> str:
        with pytest.raises(KurError) as caught:
            read_pcm(tmp_path / name, row(tmp_path / name))
        found = str(caught.value)
        assert found.startswith(f"{tmp_path}/clips.jsonl:7: ")
        return found.removeprefix(f"{tmp_path}/clips.jsonl:7: ").replace(f"{tmp_path}/", "")

    assert said("none.wav") == "no such audio file: none.wav"
    (tmp_path / "text.wav").write_text("this is no sound")
    assert said("text.wav") == "text.wav cannot be read as audio: Invalid data found when " + (
        "processing input"
    )
    (tmp_path / "empty.wav").write_bytes(b"")
    assert "empty.wav cannot be read as audio" in said("empty.wav")
    with wave.open(str(tmp_path / "short.wav"), "wb") as short:
        short.setparams((1, 2, RATE, 0, "NONE", ""))
    assert said("short.wav") == "short.wav holds no sound"
    (tmp_path / "folder.wav").mkdir()
    assert said("folder.wav") == "folder.wav cannot be read as audio: Is a directory"


def test_manifests_of_three_kinds(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    pcm = spoken("ab")
    for name in ("one.wav", "two.flac", "three.opus"):
        write_audio(tmp_path / "audio" / name, pcm)
    long = len(pcm) / RATE
    written(
        tmp_path,
        {"text": "ab", "duration_s": long, "uuid": "one"},
        {"text": "ba", "duration_s": long, "uuid": "two"},
        {"text": "b", "duration": long, "audio_filepath": str(tmp_path / "audio" / "one.wav")},
        {"text": "a", "duration": long, "audio": "audio/three.opus"},
    )
    data = speech(tmp_path)
    assert len(data) == 4 and data.lengths().tolist() == pytest.approx([long] * 4)
    samples = [data.sample(i, QUIET) for i in range(4)]
    endings = [Path(sample["audio_source"]).suffix for sample in samples]
    assert endings == [".wav", ".flac", ".wav", ".opus"]
    assert [sample["transcript"].tolist() for sample in samples] == [[0, 1], [1, 0], [1], [0]]
    assert (samples[0]["utterance"] == samples[1]["utterance"]).all()
    assert data.name(3) == f"{tmp_path}/clips.jsonl:4 (audio/three.opus)"


def test_what_a_sample_holds(tmp_path: Path) -> None:
    write_tones(tmp_path, "clips", ["abc", "dd"])
    data = speech(tmp_path, prefix="left", vocab=["d", "c", "b", "a"])
    sample = data.sample(0, QUIET)
    pcm = read_pcm(tmp_path / "audio/clips0.wav", row(tmp_path / "x"))
    wanted = features(pcm, RATE, FbankOptions(**{**FEATURES}))  # type: ignore[arg-type]
    assert np.array_equal(sample["left_utterance"], wanted)
    assert sample["left_utterance_length"] == len(wanted)
    assert sample["left_transcript"].tolist() == [3, 2, 1] and sample["left_transcript_length"] == 3
    assert sample["left_transcript_raw"] == "abc"
    assert sample["left_duration"] == pytest.approx(len(pcm) / RATE)
    assert set(data.sources()) < set(sample)
    assert data.sources()["left_utterance"].shape == (None, 16)
    metadata = data.metadata()
    assert metadata["sample_rate"] == 16000 and metadata["features"]["mel_bins"] == 16
    assert metadata["vocabulary"] == {"left_transcript": ["d", "c", "b", "a"]}


def test_which_clips(tmp_path: Path) -> None:
    write_tones(tmp_path, "clips", ["a", "ab", "abc", "abcd", "abcda"])
    assert len(speech(tmp_path, samples=2)) == 2
    lengths = speech(tmp_path).lengths()
    some = speech(tmp_path, min_duration=0.3, max_duration=0.8)
    assert 0 < len(some) < 5 and set(some.lengths()) < set(lengths)
    assert some.lengths().min() >= 0.3 and some.lengths().max() <= 0.8
    with pytest.raises(KurError, match=r"clips\.jsonl: no clip between min_duration and max_d"):
        speech(tmp_path, min_duration=99.0)


def test_phones_split_at_spaces(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", spoken("ab"))
    written(tmp_path, {"audio": "a.wav", "duration": 0.5, "text": "Ab", "phones": "AE B AE"})
    data = speech(tmp_path, transcript="phones", split="spaces")
    assert data.sample(0, QUIET)["transcript"].tolist() == [0, 1, 0]
    assert data.metadata()["vocabulary"]["transcript"] == ["AE", "B"]


AUGMENT: dict[str, Any] = {
    "views": [{}, {"telephone": True}, {"room": True, "speed": [0.9, 1.1]}],
    "rooms": "rooms.jsonl",
    "noise": "noise.jsonl",
    "noise_probability": 0.4,
    "babble_probability": 0.2,
    "hiss_probability": 0.3,
    "snr": [5, 20],
    "tempo": [0.9, 1.1],
    "tract": [0.9, 1.1],
    "pad": 0.1,
    "times": 2,
    "time": 0.05,
    "bands": 1,
    "band": 4,
}


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    """A folder with clips, a noise and a room."""
    write_tones(tmp_path, "clips", words(6, 0))
    rng = np.random.default_rng(0)
    write_audio(tmp_path / "noise.wav", rng.normal(scale=0.1, size=9000).astype(np.float32))
    room = (0.5 ** (np.arange(2000) / 200) * rng.normal(size=2000) * 0.2).astype(np.float32)
    room[10] = 0.9
    write_audio(tmp_path / "room.wav", room)
    written(tmp_path, {"audio": "noise.wav"}, name="noise.jsonl")
    written(tmp_path, {"audio": "room.wav"}, name="rooms.jsonl")
    return tmp_path


def test_augmentation_follows_from_seed_epoch_and_sample(loud: Path) -> None:
    one, other = speech(loud, augment=AUGMENT), speech(loud, augment=AUGMENT)
    seen = set()
    for epoch in range(4):
        for index in range(6):
            draw = Draw(3, epoch, True)
            found = one.sample(index, draw)["utterance"]
            assert np.array_equal(found, other.sample(index, draw)["utterance"])
            assert found.dtype == np.float32 and np.isfinite(found).all()
            assert found.shape[1] == 16
            seen.add(found.tobytes())
    assert len(seen) == 24
    plain = speech(loud)
    for index in range(6):  # without training nothing happens to a clip
        found = one.sample(index, Draw(3, 0, False))["utterance"]
        assert np.array_equal(found, plain.sample(index, QUIET)["utterance"])


def test_a_cached_clip_sounds_the_same_the_first_and_the_second_time(loud: Path) -> None:
    """Otherwise a training that fills its cache could never be repeated."""
    rounds = []
    for _ in range(3):
        data = speech(loud, augment=AUGMENT, cache="cache")
        draws = [Draw(3, epoch, True) for epoch in (0, 1)]
        rounds.append(
            [data.sample(i, draw)["utterance"].tobytes() for draw in draws for i in range(6)]
        )
    assert rounds[0] == rounds[1] == rounds[2]
    uncached = speech(loud, augment=AUGMENT)
    np.testing.assert_allclose(
        uncached.sample(0, draws[0])["utterance"].ravel(),
        np.frombuffer(rounds[0][0], np.float32),
        atol=0.05,
    )
    before = {path: path.stat().st_size for path in (loud / "cache").iterdir()}
    speech(loud, augment=AUGMENT, cache="cache").sample(0, QUIET)
    speech(loud, features={**FEATURES, "mel_bins": 20}, cache="cache").sample(0, QUIET)
    after = {path: path.stat().st_size for path in (loud / "cache").iterdir()}
    assert len(after) == len(before) + 2  # other features are kept apart


def test_the_folder_does_not_matter(loud: Path) -> None:
    """A relative path and a full one are the same clips, in the cache and by chance."""
    here = speech(loud, augment=AUGMENT)
    old = Path.cwd()
    os.chdir(loud.parent)
    try:
        there = speech(Path(loud.name), augment=AUGMENT)
        for index in range(6):
            draw = Draw(3, 1, True)
            one, other = here.sample(index, draw), there.sample(index, draw)
            assert np.array_equal(one["utterance"], other["utterance"])
    finally:
        os.chdir(old)


def test_threads_make_what_one_thread_makes(loud: Path) -> None:
    def batches(workers: int, cache: str | None) -> list[bytes]:
        data = speech(loud, augment=AUGMENT, cache=cache)
        options = ProviderOptions(batch_size=2, workers=workers)
        provider = Provider([data], options, 0)
        epochs = [batch for epoch in (0, 1) for batch in provider.batches(epoch, training=True)]
        return [batch["utterance"].tobytes() for batch in epochs]

    assert batches(1, "one") == batches(6, "many")
    assert batches(1, None) == batches(6, None)


def test_noise_only_where_there_is_a_noise(loud: Path) -> None:
    """Without a manifest of noises nothing is added, though the chance is one half by default."""
    data, plain = speech(loud, augment={"pad": 0.0}), speech(loud)
    for index in range(6):
        found = data.sample(index, Draw(1, 1, True))["utterance"]
        assert np.array_equal(found, plain.sample(index, QUIET)["utterance"])


def test_babble_is_made_of_other_clips(loud: Path) -> None:
    data = speech(loud, augment={"babble_probability": 1.0, "snr": [10, 10]}, cache="cache")
    found, plain = data.sample(0, Draw(1, 1, True)), speech(loud).sample(0, QUIET)
    assert found["utterance"].shape == plain["utterance"].shape
    assert np.abs(found["utterance"] - plain["utterance"]).max() > 1


def test_the_noise_of_a_telephone_stays_on_the_line(loud: Path) -> None:
    """Above what a telephone carries there is no noise either."""
    wide = {"mel_bins": 40, "low_hz": 20, "high_hz": 7600, "mean_window_seconds": 0}
    chosen = {**AUGMENT, "views": [{"telephone": True}], "noise_probability": 1.0, "bands": 0}
    chosen |= {"times": 0, "tract": [1, 1], "pad": 0.0, "snr": [0, 0]}
    data = speech(loud, augment=chosen, features=wide)
    for index in range(6):
        found = data.sample(index, Draw(1, index, True))["utterance"]
        # At the edges, where the sound begins at once, there is a click.
        assert found[1:-1, -6:].max() < 8 < 15 < np.median(found[:, 10:20])


GOOD: dict[str, Any] = {"audio": "a.wav", "duration": 0.5, "text": "ab"}
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ({"text": "ab", "duration": 1}, {}, "clips.jsonl:1: no 'audio', 'audio_filepath' or 'uuid' "),
    (
        {"text": "ab", "duration": 1, "uuid": "x"},
        {},
        "clips.jsonl:1: no audio/x with one of the endings .wav, .mp3, .flac, .opus beside the m",
    ),
    ({**GOOD, "duration": "1"}, {}, "clips.jsonl:1: no 'duration' (or 'duration_s') in seconds"),
    ({**GOOD, "duration": 0}, {}, "clips.jsonl:1: no 'duration' (or 'duration_s') in seconds"),
    ({"audio": "a.wav", "duration": 1}, {}, "clips.jsonl:1: no 'text' with the transcript"),
    (GOOD, {"transcript": "phones"}, "clips.jsonl:1: no 'phones' with the transcript"),
    (
        {**GOOD, "text": "?!"},
        {"vocab": ["a", "b"]},
        "clips.jsonl:1: the transcript '?!' has no symbol of the vocabulary; drop the clip or ",
    ),
    (GOOD, {"path": "none.jsonl"}, "none.jsonl: no such file or folder; 'url' would downlo"),
    (GOOD, {"vocab": "none.json"}, "none.json: the vocabulary cannot be read: No such file"),
    (GOOD, {"unknown": "?", "vocab": ["a"]}, "'unknown' must be a symbol of the vocabulary, fou"),
    (GOOD, {"augment": {"noise": "none.jsonl"}}, "none.jsonl: no such manifest"),
    (GOOD, {"augment": {"nois": "x"}}, "'augment' has no argument 'nois' (did you mean 'noise'?)"),
    (GOOD, {"augment": {"snr": [1]}}, "'snr' of 'augment' must be a list of 2: a number, a numb"),
    (GOOD, {"augment": {"views": {}}}, "'views' must be a list of views, such as [{}]"),
    (GOOD, {"augment": {"views": [{"sped": 1}]}}, "'augment.views.0' has no argument 'sped' ("),
    (GOOD, {"features": {"bins": 3}}, "'features' has no argument 'bins' (did you mean 'mel_bins"),
    (GOOD, {"features": {"mel_bins": 0}}, "features need a mel bin, and 0 < hop_seconds <= "),
    (GOOD, {"samples": 0}, "'samples: 0' takes none of 1 samples"),
    (GOOD, {"samples": "1-2-3"}, "'samples' must be a number, '10-20', '10-', '10%' or '10-20%'"),
    (GOOD, {"bucket": 0}, "'bucket' must be above 0, found 0"),
    (
        GOOD,
        {"transcript": "text", "key": "text"},
        "'transcript' and 'key' are the same; keep 'key'",
    ),
    (GOOD, {"key": ["text", "text"]}, "'key' names a field twice: text, text"),
    (GOOD, {"key": ["text", "tones"]}, "clips.jsonl:1: no 'tones' with the transcript"),
    (GOOD, {"vocab": {"said": ["a"]}}, "'vocab' has none for the field 'text'; it has: said"),
    (GOOD, {"vocab": ["A", "a"]}, "'vocab' holds 'a' more than once"),
    (
        GOOD,
        {"normalization": {"rotate": "up"}},
        "'rotate' of 'normalization' must be yes or no or ",
    ),
    (GOOD, {"normalization": {"depth": 0}}, "'depth' must be at least 1, found 0"),
    (GOOD, {"type": "spek"}, "'type' of speech must be one of spec, mfcc, raw, fbank or nothing, "),
    (GOOD, {"type": "spec"}, "'features' is for 'type: fbank', found 'type: spec'"),
]


@pytest.mark.parametrize(("clip", "given", "message"), WRONG)
def test_what_is_wrong(clip: Any, given: dict[str, Any], message: str, tmp_path: Path) -> None:
    written(tmp_path, clip)
    with pytest.raises(KurError) as caught:
        speech(tmp_path, **given)
    found = str(caught.value).removeprefix(f"{tmp_path}/")
    assert found.startswith(message) and "\n" not in found


def test_a_broken_clip_is_named_when_its_batch_is_made(tmp_path: Path) -> None:
    write_tones(tmp_path, "clips", ["ab", "cd"])
    (tmp_path / "audio/clips1.wav").write_text("no sound")
    text = """
model: [input: utterance, dense: 5]
train:
  data:
    - speech_recognition:
        path: clips.jsonl
        augment:
          views:
            - {}
            - {telephone: 3}
"""
    with pytest.raises(KurError) as caught:
        providers(kurfile(tmp_path, text), "train")
    where = "k.yml:10: train.data.0.speech_recognition.augment.views.1.telephone: 'telephone'"
    assert where in str(caught.value) and "must be yes or no, found 3" in str(caught.value)
    made = kurfile(tmp_path, text.replace("telephone: 3", "telephone: yes"))
    with pytest.raises(KurError, match=r"clips\.jsonl:2: .*clips1\.wav cannot be read as audio"):
        list(providers(made, "train")[""].batches(0, training=False))


def test_validation_has_the_vocabulary_of_the_training_data(tmp_path: Path) -> None:
    write_tones(tmp_path, "train", ["abcd"])
    write_tones(tmp_path, "valid", ["da"])
    text = """
model: [input: utterance, dense: 5]
train: {data: [speech_recognition: {path: train.jsonl}]}
test: {data: [speech_recognition: {path: valid.jsonl}]}
"""
    [batch] = providers(kurfile(tmp_path, text), "test")[""].batches(0, training=False)
    assert batch["transcript"].tolist() == [[3, 0]]
