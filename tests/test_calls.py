"""Calls from scripts, and speech from synthesizers: words, labels, truth and sound."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import call_scripts
import calls
import sound
import voices
import voices_data
from call_scripts import label_words, write_call

RATE = sound.SAMPLE_RATE


def tone(how: str, text: str, tempo: float) -> voices.Sound:
    """A stand-in for a synthesizer: a tone of `how` Hz, a third of a second a word."""
    samples = np.arange(round(2700 * len(text.split()) / tempo))
    return (8000 * np.sin(2 * np.pi * float(how) * samples / 8000)).astype(np.int16), 8000


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four voices, two of them held out, that are installed everywhere."""
    there = tuple(
        voices.Voice(name, "tone", hertz)
        for name, hertz in (("a", "500"), ("b", "900"), ("c", "1300"), ("d", "1700"))
    )
    monkeypatch.setitem(voices._SYNTHESIZERS, "tone", tone)
    for module in (voices, voices_data, calls):
        monkeypatch.setattr(module, "HELD_OUT", frozenset({"c", "d"}))
        monkeypatch.setattr(module, "installed", lambda: list(there), raising=False)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder of speech that has noise, some to train and some to test with."""
    folder = tmp_path / "speech" / "noise"
    folder.mkdir(parents=True)
    dice = np.random.default_rng(1)
    rows = []
    for name in ("1_1-a", "2_5-b"):
        hiss = dice.normal(0, 0.05, 2 * RATE).astype(np.float32)
        sound.write_flac(folder / f"{name}.flac", hiss)
        row = {"audio": f"{name}.flac", "duration": 2.0, "licence": "CC0", "noise_class": "hiss"}
        rows.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder.parent


def test_a_call_depends_on_nothing_but_seed_and_number() -> None:
    assert write_call(7, 1, 0.6) == write_call(7, 1, 0.6)
    assert write_call(7, 1, 0.6) != write_call(7, 2, 0.6)


def test_the_name_of_the_topic_is_said_in_those_calls_that_say_so_and_in_no_other() -> None:
    named = 0
    for number in range(200):
        call = write_call(number, 1, 0.6)
        stems = "|".join(label_words(call.topic))
        said = " ".join(turn.text for turn in call.turns)
        assert bool(re.search(rf"\b(?:{stems})", said, re.IGNORECASE)) == call.named, said
        named += call.named
    assert 70 < named < 130  # half of them


def test_every_topic_pattern_and_item_can_be_said_in_many_ways() -> None:
    said: dict[str, set[str]] = {name: set() for name in call_scripts.topics()}
    for number in range(300):
        call = write_call(number, 1, 0.6)
        customer = [turn.text for turn in call.turns if turn.side == "customer"]
        said[call.topic].add(customer[0])
        assert not re.search(r"[\[\]{}|]", " ".join(turn.text for turn in call.turns))
    assert all(len(ways) == 30 for ways in said.values())  # no two of 300 calls begin alike


def test_what_the_rubric_says_is_true() -> None:
    for number in range(60):
        call = write_call(number, 1, 0.6)
        agent = " ".join(turn.text for turn in call.turns if turn.side == "agent")
        companies = call_scripts._scripts()["slots"]["company"]
        said = any(company.split()[0] in agent for company in companies)
        assert dict(call.rubric)["says_company"] == said, agent


def test_longer_calls_are_longer_and_what_is_true_of_them_is_the_same() -> None:
    short, long = write_call(3, 1, 0.0), write_call(3, 1, 3.0)
    assert len(long.turns) > len(short.turns) + 10
    assert long.truth["topic"] == short.truth["topic"]
    assert long.fraud == short.fraud


def test_one_label_in_ten_is_wrong_and_no_held_out_one(speaking: None, tmp_path: Path) -> None:
    plan = calls.Plan(100, 20, 0.3, 1, ())
    calls.write_tables(plan, tmp_path)
    given = {row["path"]: row for row in _rows(tmp_path / "labels.csv")}
    held_out = {row["path"]: row for row in _rows(tmp_path / "held_out.csv")}
    truth = _rows(tmp_path / "truth.csv")
    assert (len(given), len(held_out), len(truth)) == (100, 20, 120)
    wrong: Counter[str] = Counter()
    for row in truth:
        labels = given.get(row["path"]) or held_out[row["path"]]
        differ = [name for name in labels if name != "path" and labels[name] != row[name]]
        assert sorted(differ) == sorted(row["wrong"].split())
        wrong.update(differ)
        assert row["path"] in given or not differ
        spoken = set(row["voices"].split("+"))
        assert spoken == ({"a", "b"} if row["path"] in given else {"c", "d"})
    assert set(wrong.values()) == {10}
    assert len(wrong) == 2 + len(call_scripts.rubric())


def test_a_call_has_two_sides_on_a_telephone_line(
    speaking: None, noise: Path, tmp_path: Path
) -> None:
    plan = calls.Plan(2, 1, 0.3, 1, ())
    (tmp_path / "train").mkdir()
    seconds = calls.make_call(plan, tmp_path, noise, 1)
    (made,) = (tmp_path / "train").iterdir()  # and nothing unfinished beside it
    assert made.name == "call_0001.wav"
    import av

    with av.open(str(made)) as container:
        (stream,) = container.streams.audio
        assert (stream.rate, stream.channels, stream.codec_context.name) == (8000, 2, "pcm_mulaw")
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sides = np.concatenate(frames, axis=1).reshape(-1, 2).T / 32768
    assert abs(sides.shape[1] / 8000 - seconds) < 0.1
    speakers = calls.draw_speakers(plan, 1)
    for side, speaker in zip(sides, speakers, strict=True):
        hertz = np.fft.rfftfreq(len(side), 1 / 8000)[np.abs(np.fft.rfft(side)).argmax()]
        assert hertz == pytest.approx(float(speaker.voice.how) * speaker.pitch, rel=0.01)


def test_other_settings_in_the_same_folder_are_refused(
    speaking: None, noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", str(tmp_path / "made"), "--speech", str(noise), "--held-out", "0"]
    assert calls.main([*words, "--calls", "0"]) == 0
    assert calls.main([*words, "--calls", "0", "--seed", "2"]) == 1
    assert "made with another seed (1)" in capsys.readouterr().err


def test_without_voices_a_sentence_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calls, "installed", list)
    assert calls.main(["--out", str(tmp_path), "--calls", "0"]) == 1
    assert "recipes/voices.py" in capsys.readouterr().err


def test_a_speaker_is_faster_or_higher_and_says_the_same_each_time(speaking: None) -> None:
    voice = voices.installed()[0]
    plain = voices.say(voices.Speaker(voice), "one two three four five")
    again = voices.say(voices.Speaker(voice), "one two three four five")
    assert np.array_equal(plain, again)
    fast = voices.say(voices.Speaker(voice, tempo=1.25), "one two three four five")
    high = voices.say(voices.Speaker(voice, pitch=1.1), "one two three four five")
    assert len(fast) / len(plain) == pytest.approx(0.8, abs=0.05)
    assert len(high) / len(plain) == pytest.approx(1.0, abs=0.05)
    peak = np.abs(np.fft.rfft(high)).argmax() * RATE / len(high)
    assert peak == pytest.approx(550, rel=0.02)


def test_a_synthesizer_that_makes_no_sound_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(voices._SYNTHESIZERS, "mute", lambda *_: (np.zeros(9, np.int16), 8000))
    with pytest.raises(RuntimeError, match="nobody made no sound of 'hello'"):
        voices.say(voices.Speaker(voices.Voice("nobody", "mute", "")), "hello")


def test_sentences_are_chosen_for_the_words_that_few_hold() -> None:
    found = ["The cat sat on the mat.", "The cat sat on a mat.", "My violin needs new strings."]
    assert voices_data.varied(found, 2) == [found[0], found[2]]
    assert voices_data.varied(found, 9) == [found[0], found[2], found[1]]


def test_sentences_that_can_be_read_in_several_ways_or_are_held_out_are_left_out(
    tmp_path: Path,
) -> None:
    text = tmp_path / "a.txt"
    text.write_text(
        "In 1920 he left the town. He left the\ntown at noon. He left the town at noon. Too short. "
        "Nobody may ever hear this one.",
        encoding="utf-8",
    )
    held_out = {"nobody may ever hear this one"}
    assert voices_data.sentences([text], held_out) == ["He left the town at noon."]


def test_a_spoken_sentence_is_a_clip_to_train_with(speaking: None, tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    text = "This sentence is spoken by a tone that holds ten words."
    clip = voices_data.spoken(tmp_path, 1, 1, text)
    assert clip is not None
    assert clip.phones.startswith("DH IH S S EH N T AH N S")
    assert clip.speaker in ("voices/a", "voices/b")
    heard = sound.read_audio(Path(clip.audio))
    assert len(heard) / RATE == pytest.approx(clip.duration, abs=0.05)
    before = Path(clip.audio).stat().st_mtime_ns
    assert voices_data.spoken(tmp_path, 1, 1, text) == clip  # nothing is said again
    assert Path(clip.audio).stat().st_mtime_ns == before


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
