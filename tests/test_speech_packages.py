"""`speech_recognition` as Kurfiles of 2017 use it: packages, spectrograms, normalization files."""

from __future__ import annotations

import json
import logging
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from suppliers import everything, made, refusal
from tiny_kur import RATE, kurfile, spoken, words, write_audio

from kur.assemble import providers
from kur.data.clips import read_pcm
from kur.data.manifest import Row
from kur.data.spectra import mfcc, spectrogram

TEXTS = ["ab", "Cab", "d", "bad"]


def corpus(folder: Path, texts: list[str] = TEXTS, **fields: list[Any]) -> Path:
    """A folder as Kur 0.7 knows it: a manifest, and audio/UUID beside it."""
    (folder / "audio").mkdir(parents=True)
    rows = []
    for i, text in enumerate(texts):
        pcm = spoken(text.lower(), seed=i)
        write_audio(folder / "audio" / f"id{i}.{['wav', 'flac'][i % 2]}", pcm)
        row = {"text": text, "duration_s": len(pcm) / RATE, "uuid": f"id{i}"}
        rows.append({**row, **{name: values[i] for name, values in fields.items()}})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "clips.jsonl").write_text(lines, encoding="utf-8")
    (folder / ".hidden.jsonl").write_text("not to be read")
    return folder


def speech(base: Path, **given: Any) -> Any:
    return made("speech_recognition", base, {"path": "set", "normalization": False, **given})


def test_an_old_kurfile_hears_spectrograms(tmp_path: Path) -> None:
    corpus(tmp_path / "set")
    pcm = read_pcm(tmp_path / "set/audio/id0.wav", Row({}, tmp_path, 1))
    for given, wanted in [
        ({}, spectrogram(pcm, RATE)),
        ({"type": "spec", "max_frequency": 4000}, spectrogram(pcm, RATE, 4000)),
        ({"type": "mfcc"}, mfcc(pcm, RATE)),
        ({"type": "raw"}, pcm[:, None]),
    ]:
        batch = everything(speech(tmp_path, **given))
        length = batch["utterance_length"][0]
        assert length == len(wanted)
        np.testing.assert_array_equal(batch["utterance"][0, :length], wanted)
        assert not batch["utterance"][0, length:].any()
    assert everything(speech(tmp_path, type="fbank"))["utterance"].shape[2] == 64


def test_a_package_is_unpacked_and_its_manifest_found(tmp_path: Path) -> None:
    corpus(tmp_path / "set" / "inner")
    assert len(speech(tmp_path)) == 4  # in a folder of the folder
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as out:
        out.add(tmp_path / "set", "set")
    shutil.rmtree(tmp_path / "set")
    data = speech(tmp_path, path="set.tar.gz")
    assert everything(data)["transcript_raw"] == TEXTS
    said = refusal("speech_recognition", tmp_path, path="set.tar.gz", unpack=False)
    assert said == "set.tar.gz: an archive, which 'unpack: no' leaves packed"


def test_transcripts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus(tmp_path / "set")
    batch = everything(speech(tmp_path))
    assert batch["transcript"].tolist() == [[0, 1, 0], [2, 0, 1], [3, 0, 0], [1, 0, 3]]
    assert batch["transcript_length"].tolist() == [2, 3, 1, 3]
    assert batch["transcript_raw"] == TEXTS and "left out" not in caplog.text
    batch = everything(speech(tmp_path, vocab=["B", "a", "D"]))
    assert batch["transcript"].tolist() == [[1, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 2]]
    said = (
        "symbols of 1 of 4 transcripts are not in the vocabulary and left out: 'c' (1); first at "
    )
    assert f"{said}{tmp_path}/set/clips.jsonl:2" in caplog.text
    batch = everything(speech(tmp_path, vocab=["b", "a", "d", "?"], unknown="?"))
    assert batch["transcript"][1].tolist() == [3, 1, 0]
    said = refusal("speech_recognition", tmp_path, path="set", vocab=["a", "c"])
    assert said.startswith("set/clips.jsonl:3: the transcript 'd' has no symbol of the vocabulary;")


def test_several_fields(tmp_path: Path) -> None:
    corpus(tmp_path / "set", phones=[["A", "B"], ["C"], ["D", "D"], ["B"]])
    data = speech(tmp_path, key=["text", "phones"])
    batch = everything(data)
    assert batch["phones_transcript"].tolist() == [[0, 1], [2, 0], [3, 3], [1, 0]]
    assert batch["text_transcript_length"].tolist() == [2, 3, 1, 3]
    assert "transcript" not in batch and "duration" in batch
    assert data.metadata()["vocabulary"]["phones_transcript"] == ["a", "b", "c", "d"]
    assert data.values("phones_transcript_length").tolist() == [2, 1, 2, 1]
    one = everything(speech(tmp_path, key="phones", split="spaces"))
    assert one["transcript"].shape == (4, 2) and one["transcript_raw"][2] == ["D", "D"]
    for vocab in ({"text": list("abcd"), "phones": list("dcba")}, [list("abcd"), list("dcba")]):
        batch = everything(speech(tmp_path, key=["text", "phones"], vocab=vocab))
        assert batch["phones_transcript"].tolist() == [[3, 2], [1, 0], [0, 0], [2, 0]]


def test_width_and_filling(tmp_path: Path) -> None:
    corpus(tmp_path / "set")
    plain = everything(speech(tmp_path))["utterance"]
    batch = everything(speech(tmp_path, bucket=0.5, fill="loop"))
    found, lengths = batch["utterance"], batch["utterance_length"]
    assert found.shape[1] == 50 * -(-lengths.max() // 50)
    for row, before, length in zip(found, plain, lengths, strict=True):
        for start in range(0, found.shape[1], int(length)):
            piece = row[start : start + length]
            np.testing.assert_array_equal(piece, before[: len(piece)])


def test_some_samples(tmp_path: Path) -> None:
    corpus(tmp_path / "set", words(20, 0))
    every = everything(speech(tmp_path))["audio_source"]
    parts = [
        everything(speech(tmp_path, samples=one))["audio_source"] for one in ("30%", "30-100%")
    ]
    assert [len(one) for one in parts] == [6, 14] and sorted(parts[0] + parts[1]) == sorted(every)
    assert parts[0] == [one for one in every if one in parts[0]]


def test_a_normalization_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    corpus(tmp_path / "set")
    plain = everything(speech(tmp_path))
    data = speech(tmp_path, normalization="deep/norm.yml")
    assert not (tmp_path / "deep").exists()  # not before it is needed
    batch = everything(data)
    assert "normalization written to" in caplog.text
    frames = [row[:n] for row, n in zip(batch["utterance"], batch["utterance_length"], strict=True)]
    joined = np.vstack(frames)
    np.testing.assert_allclose(joined.mean(axis=0), 0, atol=0.01)
    written = yaml.safe_load((tmp_path / "deep/norm.yml").read_text())
    assert set(written) == {"mean", "stddev", "S", "Vt"} and len(written["mean"]) == 161
    again = everything(speech(tmp_path, normalization={"path": "deep/norm.yml"}))
    np.testing.assert_array_equal(again["utterance"], batch["utterance"])
    centred = everything(speech(tmp_path, normalization={"rotate": False, "scale": False}))
    gap = plain["utterance"][0, 3] - centred["utterance"][0, 3]
    np.testing.assert_allclose(gap, written["mean"], atol=1e-4)
    said = refusal(
        "speech_recognition", tmp_path, path="set", type="mfcc", normalization="deep/norm.yml"
    )
    assert said == "deep/norm.yml: made for 161 numbers a frame, not for 13"


OLD = """
model: [input: utterance, dense: 5]
train: {data: [speech_recognition: {path: train}]}
validate: {data: [speech_recognition: {path: valid}]}
"""


def test_other_data_is_measured_by_the_training_data(tmp_path: Path) -> None:
    """Its vocabulary and its normalization, without a file of either."""
    corpus(tmp_path / "train", ["abcd", "dcab"])
    corpus(tmp_path / "valid", ["da"])
    sections = kurfile(tmp_path, OLD)
    training = providers(sections, "train")
    known = training[""].metadata()
    for given in (None, training):
        [batch] = providers(sections, "validate", given)[""].batches(0, training=False)
        assert batch["transcript"].tolist() == [[3, 0]]
        frames = spectrogram(read_pcm(tmp_path / "valid/audio/id0.wav", Row({}, tmp_path, 1)), RATE)
        how = {key: np.array(one) for key, one in known["normalization"]["utterance"].items()}
        wanted = (frames - how["mean"]) @ how["matrix"] + how["offset"]
        np.testing.assert_allclose(batch["utterance"][0], wanted, atol=1e-3)


def test_two_corpora_are_one(tmp_path: Path) -> None:
    corpus(tmp_path / "train", ["abcd", "dcab"])
    corpus(tmp_path / "valid", ["da"])
    text = OLD.replace("{path: train}", "&a {path: train, vocab: [a, b, c, d]}").replace(
        "}]}\nvalidate", "}, speech_recognition: {<<: *a, path: valid}]}\nvalidate"
    )
    [batch] = providers(kurfile(tmp_path, text), "train")[""].batches(0, training=False)
    assert batch["transcript_raw"] == ["abcd", "dcab", "da"]
    inferred = text.replace(", vocab: [a, b, c, d]", "")
    with pytest.raises(Exception, match=r"are read one after the other, and differ in their voca"):
        providers(kurfile(tmp_path, inferred), "train")


def test_a_clip_that_is_too_short(tmp_path: Path) -> None:
    corpus(tmp_path / "set", ["a"])
    write_audio(tmp_path / "set/audio/id0.wav", spoken("a")[:200])
    with pytest.raises(Exception, match=r"clips\.jsonl:1: .*id0\.wav has 200 samples, too few for"):
        everything(speech(tmp_path))
