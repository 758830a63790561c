"""The split of the speech corpora: nobody and nothing on two sides, and bad clips nowhere."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import speech_data
from speech_data import Clip, Reading, normalised, plausible, split_clips

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("EARSHOT_SPEECH", ROOT.parent / "shared" / "data" / "speech"))


def by_letters(text: str) -> Reading | None:
    """A stand-in for the dictionary: a phone a letter; 'xyzzy' has no pronunciation."""
    letters = [c for c in text.upper() if c.isalpha()]
    return None if "XYZZY" in "".join(letters) else Reading(tuple(letters), 0)


def row(text: str, **more: Any) -> dict[str, Any]:
    return {"audio": f"audio/{more.pop('name', text)}.opus", "duration": 3.0, "text": text, **more}


def write(folder: Path, corpus: str, rows: list[dict[str, Any]]) -> None:
    (folder / corpus).mkdir(parents=True)
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    (folder / corpus / "manifest.jsonl").write_text(lines, encoding="utf-8")


WORDS = ("amber", "basil", "cedar", "daisy", "elder", "fennel", "ginger", "hazel", "iris", "jade")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Corpora like the real ones: many speakers, shared sentences, some bad clips."""
    folder = tmp_path / "speech"
    sentences = [f"{a} {b} {c} grows" for a in WORDS for b in WORDS for c in WORDS]
    write(
        folder,
        "common_voice_13",
        [row(s, speaker=f"s{i % 300}", duration=8.0) for i, s in enumerate(sentences)],
    )
    write(
        folder,
        "common_voice_1a",
        [row(s.upper() + "!", name=f"a{i}") for i, s in enumerate(sentences[::3])],
    )
    write(
        folder,
        "speechocean762",
        [
            row(f"{s} too", speaker=f"{i % 90:04}", split="test" if i % 90 < 45 else "train")
            for i, s in enumerate(sentences)
        ],
    )
    noise = {"duration": 5.0, "licence": "CC-BY-3.0", "noise_class": "rain"}
    write(
        folder,
        "noise_environment",
        [
            {"audio": "audio/001_1-1-A.opus", **noise},
            {"audio": "audio/001_5-1-A.opus", **noise},
            {"audio": "audio/001_2-1-A.opus", **noise, "licence": "CC-BY-NC-3.0"},
        ],
    )
    response = {"duration": 1.0, "licence": "MIT"}
    write(
        folder,
        "impulse_responses",
        [
            {"audio": "audio/piper_Concrete_Room.flac", **response},
            {"audio": "audio/piper_Fat_Bass.flac", **response},
        ],
    )
    return folder


def split_of(folder: Path) -> dict[str, list[Clip]]:
    drops: Counter[str] = Counter()
    return split_clips(list(speech_data.clips(folder, drops)), by_letters, drops)


def require_clean(split: dict[str, list[Clip]]) -> None:
    """No speaker and no sentence on two sides; every side has something."""
    for one in split:
        for other in split:
            if one < other:
                speakers = [{c.speaker for c in split[s] if c.speaker} for s in (one, other)]
                sentences = [{c.sentence for c in split[s]} for s in (one, other)]
                assert not speakers[0] & speakers[1]
                assert not sentences[0] & sentences[1]
    assert all(split.values())
    assert all(clip.speaker for side in ("valid", "test") for clip in split[side])


def test_no_speaker_and_no_sentence_is_on_two_sides(speech: Path) -> None:
    split = split_of(speech)
    require_clean(split)
    seconds = sum(c.duration for c in split["test"] if c.corpus == "common_voice_13")
    assert 2400 <= seconds < 2460
    assert {c.corpus for c in split["train"]} == {
        "common_voice_13",
        "common_voice_1a",
        "speechocean762",
    }


def test_the_real_corpora_are_split_cleanly() -> None:
    if not REAL.is_dir():
        warnings.warn(f"{REAL} is not there: tested on made-up manifests only", stacklevel=1)
        return
    require_clean(split_of(REAL))


def test_a_better_dictionary_moves_no_clip(speech: Path) -> None:
    clips = list(speech_data.clips(speech, Counter()))
    poor = split_clips(clips, lambda t: None if "basil" in t else by_letters(t), Counter())
    rich = split_clips(clips, by_letters, Counter())
    for side, some in poor.items():
        assert {c.audio for c in some} <= {c.audio for c in rich[side]}


@pytest.mark.parametrize(
    "bad",
    [
        row("amber grows", up_votes=1, down_votes=1),
        row("amber grows", ref_asr_cer=0.6),
        row("dial 411 now"),
        row("the f*%# word"),
        row("..."),
        row("amber grows", duration=21.0),
        row("amber", duration=0.39),
        row("amber grows on the hill every day of the year", duration=1.0),
        row("a", duration=3.0),
        row("xyzzy grows"),
    ],
)
def test_bad_clips_are_left_out(tmp_path: Path, bad: dict[str, Any]) -> None:
    write(tmp_path, "ljspeech", [bad, row("all of this is good")])
    drops: Counter[str] = Counter()
    split = split_clips(list(speech_data.clips(tmp_path, drops)), by_letters, drops)
    assert [c.text for c in split["train"]] == ["all of this is good"]
    assert sum(drops.values()) == 1


def test_ctc_needs_a_frame_for_each_phone_and_a_blank_between_equal_ones() -> None:
    assert plausible(("AA", "B") * 5, 0.5)  # 10 phones, 12 frames
    assert not plausible(("AA",) * 10, 0.5)  # 9 blanks more


def test_noise_of_tests_is_not_trained_with_and_effects_are_no_rooms(speech: Path) -> None:
    train, test = speech_data.noises(speech)
    assert [Path(r["audio"]).stem for r in train] == ["001_1-1-A"]
    assert [Path(r["audio"]).stem for r in test] == ["001_5-1-A"]
    assert [Path(r["audio"]).stem for r in speech_data.rooms(speech)] == ["piper_Concrete_Room"]


def test_the_same_input_writes_the_same_bytes(
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(speech_data, "reader", lambda network: by_letters)
    contents = []
    for name in ("one", "two"):
        out = tmp_path / name
        assert speech_data.main(["--speech", str(speech), "--out", str(out)]) == 0
        contents.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert contents[0] == contents[1]
    first = json.loads(contents[0]["train.jsonl"].splitlines()[0])
    assert set(first) == {"audio", "duration", "text", "phones", "spelled", "speaker", "corpus"}
    assert Path(first["audio"]).is_absolute()
    assert "common_voice_13" in capsys.readouterr().out


def test_the_held_out_clips_of_benchmarks_are_the_test_side(
    speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_data, "reader", lambda network: by_letters)
    assert speech_data.held_out_clips(speech) == split_of(speech)["test"]


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nothing"
    assert speech_data.main(["--speech", str(missing), "--out", str(tmp_path)]) == 1
    assert str(missing) in capsys.readouterr().out


def test_texts_are_read_as_search_would(capsys: pytest.CaptureFixture[str]) -> None:
    read = speech_data.reader(speech_data.NETWORK)
    reading = read("The dogs, they say.")
    assert reading is not None
    assert " ".join(reading.phones).endswith("DH EY S EY")
    assert reading.spelled == 0
    assert read("…") is None


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert once == " ".join(once.split())


def test_sentences_are_compared_as_they_sound() -> None:
    assert normalised("It’s “Café” — well-known!") == normalised("it's cafe, well known")
