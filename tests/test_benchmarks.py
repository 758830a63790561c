"""The found-rate benchmark on sample recordings: its audio, its truth, its peers and its report."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import corpus as speech_corpus
import found_rate
import kur_loading
import load
import peers
import reliability
import reports
import search_speed
import sound
import speech_data
from alignment import Aligner, Word, in_proportion
from corpus import Corpus, Query, Sentence
from metrics import Finding, SystemResult

EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"
RATE = sound.SAMPLE_RATE

# Sentences of the sample recordings that hold nothing but words of the dictionary.
CLIPS = (
    "Is the orange light on your modem blinking?",
    "Please remember the word viscosity. It will be in the examination.",
    "After breakfast we took the ferry to the island. The wind was terrible, but the children "
    "loved it.",
)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of speech as the benchmark wants it, cut from the sample recordings."""
    folder = tmp_path_factory.mktemp("speech")
    clips = folder / "common_voice_13"
    noise = folder / "noise"
    (clips / "audio").mkdir(parents=True)
    (noise / "audio").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for line in (EXAMPLES / "sentences.jsonl").read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        if one["text"] not in CLIPS:
            continue
        said = sound.read_audio(EXAMPLES / f"{one['recording']}.opus")
        said = said[int((one["start"] - 0.1) * RATE) : int((one["end"] + 0.1) * RATE)]
        name = f"audio/{len(rows)}.flac"
        sound.write_flac(clips / name, said)
        seconds = len(said) / RATE
        rows.append(
            {"audio": name, "duration": seconds, "text": one["text"], "speaker": f"s{len(rows)}"}
        )
    assert len(rows) == len(CLIPS)
    hiss = (np.random.default_rng(1).standard_normal(3 * RATE) / 20).astype(np.float32)
    sound.write_flac(noise / "audio" / "picovoice_kitchen.flac", hiss)
    row = {"audio": "audio/picovoice_kitchen.flac", "duration": 3.0, "licence": "MIT"}
    _write_lines(clips, rows)
    _write_lines(noise, [{**row, "noise_class": "kitchen"}])
    return folder


@pytest.fixture(scope="module")
def joined(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    cache = tmp_path_factory.mktemp("work") / "alignments.json"
    return speech_corpus.join(speech_corpus.speech_clips(speech), 10, aligner(cache))


def aligner(cache: Path) -> Aligner:
    return Aligner(cache, lambda word: pytest.fail(f"{word} is in PocketSphinx' dictionary"))


def _write_lines(folder: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")


def tone(hertz: float, seconds: float, peak: float = 0.3) -> sound.Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (peak * np.sin(2 * math.pi * hertz * times)).astype(np.float32)


def level(samples: sound.Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) + 1e-12))


def test_flac_gives_back_what_was_written(tmp_path: Path) -> None:
    samples = tone(440, 0.5)
    sound.write_flac(tmp_path / "a.flac", samples)
    assert np.abs(sound.read_audio(tmp_path / "a.flac") - samples).max() < 1e-4


def test_speech_is_levelled_by_its_loud_parts() -> None:
    speech = np.concatenate([tone(300, 1.0, 0.01), np.zeros(3 * RATE, np.float32)])
    assert level(sound.levelled(speech)[:RATE]) == pytest.approx(-26.0, abs=0.2)
    assert not sound.levelled(np.zeros(RATE, np.float32)).any()


def test_noise_keeps_its_distance_everywhere() -> None:
    quiet = (np.random.default_rng(1).standard_normal(RATE) / 1000).astype(np.float32)
    loud = (quiet * 300).astype(np.float32)
    sources: list[sound.Samples] = [quiet, loud, np.zeros(RATE, np.float32)]
    track = sound.noise_track(sources, 100 * RATE, 10.0, np.random.default_rng(2))
    assert len(track) == 100 * RATE
    levels = [level(track[i * RATE : (i + 1) * RATE]) for i in range(100)]
    assert levels == pytest.approx([-36.0] * 100, abs=1.0)


def test_a_telephone_takes_highs_and_lows(tmp_path: Path) -> None:
    for hertz, through in ((100, False), (1000, True), (3000, True), (5000, False)):
        sound.write_telephone(tmp_path / "line.wav", tone(hertz, 1.0))
        heard = sound.read_audio(tmp_path / "line.wav", 8000)
        assert len(heard) == pytest.approx(8000, abs=100)
        assert (level(heard) > -20) == through
    assert (tmp_path / "line.wav").stat().st_size < 8200  # eight bits a sample


def test_words_in_proportion_fill_what_is_heard() -> None:
    silence = np.zeros(RATE, np.float32)
    words = in_proportion(np.concatenate([silence, tone(300, 2.0), silence]), ["aaa", "aaa"])
    assert [(w.start, w.end) for w in words] == [
        pytest.approx((1.0, 2.0), abs=0.03),
        pytest.approx((2.0, 3.0), abs=0.03),
    ]


def test_alignments_are_remembered(speech: Path, tmp_path: Path) -> None:
    samples = sound.levelled(sound.read_audio(speech / "common_voice_13" / "audio" / "0.flac"))
    words = speech_data.normalised(speech_data.held_out_clips(speech)[0].text).split()
    first = aligner(tmp_path / "cache.json")
    alignment = first.align(samples, words)
    first.save()
    again = aligner(tmp_path / "cache.json")
    again._forced = lambda *_: pytest.fail("was aligned anew")  # type: ignore[method-assign]
    assert again.align(samples, words) == alignment


def test_clips_are_joined_with_pauses_and_words_know_their_times(joined: Corpus) -> None:
    assert joined.names == ("recording_01",)
    assert joined.forced == 1.0
    said = [w for s in joined.sentences for w in s.words]
    assert [w.text for w in said].count("the") == 7
    assert all(a.start < a.end for a in said)
    for before, after in zip(joined.sentences, joined.sentences[1:], strict=False):
        assert after.start > before.words[-1].end
    [here] = joined.occurrences(Query("examination", "word 8+"))
    clip = next(s for s in joined.sentences if any(w.text == "examination" for w in s.words))
    assert clip.start < here.start < here.end <= joined.seconds[0]
    assert 0.4 < here.end - here.start < 1.3


def test_recordings_are_the_same_in_length_and_differ_in_noise(
    joined: Corpus, speech: Path, tmp_path: Path
) -> None:
    noise = speech_corpus.noise_files(speech)
    heard = {}
    for condition in speech_corpus.CONDITIONS:
        [file] = speech_corpus.write_recordings(joined, condition, noise, tmp_path / condition)
        heard[condition] = sound.read_audio(file)
        assert len(heard[condition]) / RATE == pytest.approx(joined.seconds[0], abs=0.05)
        [again] = speech_corpus.write_recordings(joined, condition, noise, tmp_path / "again")
        assert again.read_bytes() == file.read_bytes()
    pause = slice(0, round(joined.sentences[0].start * RATE))
    assert level(heard["clean"][pause]) < -60
    assert level(heard["noisy"][pause]) == pytest.approx(-36.0, abs=1.0)
    assert level(heard["telephone"][pause]) == pytest.approx(-46 - 4, abs=2.5)  # of a narrow band


def sentence(text: str, recording: str = "r") -> Sentence:
    words = tuple(Word(w, float(i), i + 0.9) for i, w in enumerate(text.split()))
    return Sentence(recording, Path("clip"), 0.0, words)


def test_a_query_occurs_wherever_its_words_follow_each_other() -> None:
    texts = ("new york is new", "in new york and new york")
    made = Corpus(("r",), (60.0,), tuple(sentence(t) for t in texts), 1.0, 1)
    found = made.occurrences(Query("new york", "phrase 2"))
    assert [(o.start, o.end) for o in found] == [(0.0, 1.9), (1.0, 2.9), (4.0, 5.9)]
    assert len(made.occurrences(Query("york", "word 6-7"))) == 3
    assert not made.occurrences(Query("york new", "phrase 2"))


def test_queries_carry_content_and_come_from_the_texts() -> None:
    text = "before the professor explained volcanoes to everyone in the hall"
    made = Corpus(("r",), (60.0,), (sentence(text),), 1.0, 1)
    queries = speech_corpus.choose_queries(made, 100)
    by_kind = {k: {q.text for q in queries if q.kind == k} for k in speech_corpus.KINDS}
    assert by_kind["word 6-7"] == set()
    assert by_kind["word 8+"] == {"professor", "explained", "volcanoes"}
    assert "in the" not in by_kind["phrase 2"]
    assert "before the professor" in by_kind["phrase 3"]
    assert all(made.occurrences(query) for query in queries)
    assert speech_corpus.choose_queries(made, 2) == speech_corpus.choose_queries(made, 2)
    assert max(speech_corpus.kinds(speech_corpus.choose_queries(made, 2)).values()) == 2


def test_text_search_finds_words_in_order_and_the_surest_first() -> None:
    words = [
        peers.TimedWord(text, float(i), i + 0.5, sure)
        for i, (text, sure) in enumerate([("good", 0.5), ("day", 0.9), ("good", 0.8), ("day", 0.7)])
    ]
    assert peers.search_text({"r": words}, "good day") == [
        Finding("r", 2.0, 3.5, 0.7),
        Finding("r", 0.0, 1.5, 0.5),
    ]
    assert peers.search_text({"r": words}, "day good day")[0].start == 1.0
    assert peers.search_text({"r": words}, "night") == []
    assert peers.as_lines(words[:1]) == "0.00 0.50 0.50 good\n"


def test_thresholds_of_key_phrases_shrink_with_their_length() -> None:
    assert peers.threshold("light") < peers.threshold("orange light") < 300
    assert peers.phones_of("Skroopfel") is None


def test_pocketsphinx_transcribes_and_spots(speech: Path, tmp_path: Path) -> None:
    [clip] = [c for c in speech_data.held_out_clips(speech) if "breakfast" in c.text]
    joined = speech_corpus.join([clip], 10, aligner(tmp_path / "alignments.json"))
    files = speech_corpus.write_recordings(joined, "clean", [], tmp_path)
    asked = ["breakfast", "the children loved", "the ferry", "skroopfel"]
    text = peers.transcripts(files, asked, jobs=1)
    spotted = peers.keyphrases(files, asked, jobs=1)
    for result, refused in ((text, 0), (spotted, 1)):
        assert result.refused == refused
        assert result.findings["skroopfel"] == []
        rows = found_rate.score("clean", result, joined, _queries(asked[:3]))
        assert rows[-1].found_at_3 >= 2 / 3
        assert result.listen_cpu_seconds > 0
    assert text.index_bytes > 100
    assert spotted.search_seconds is None


def _queries(texts: list[str]) -> list[Query]:
    kinds = {1: "word 8+", 2: "phrase 2", 3: "phrase 3"}
    return [Query(text, kinds[len(text.split())]) for text in texts]


def seer(name: str, truth: Corpus, queries: list[Query], late: float) -> SystemResult:
    """A system that knows everything, and says it `late` seconds too late."""
    found = {
        q.text: [Finding(o.recording, o.start + late, o.end + late, 0.9) for o in here]
        for q in queries
        for here in [truth.occurrences(q)]
    }
    return SystemResult(name, found, found, 2.0, 4.0, 0.5, 1000, 0)


def test_scores_costs_and_ratios(joined: Corpus) -> None:
    queries = speech_corpus.choose_queries(joined, 5)
    perfect = found_rate.score("clean", seer("earshot", joined, queries, 0.3), joined, queries)
    useless = found_rate.score("clean", seer("transcripts", joined, queries, 9), joined, queries)
    assert [row.kind for row in perfect] == [*sorted({q.kind for q in queries}, key=_order), "all"]
    assert {(r.found_at_1, r.found_at_3, r.recall_at_1_fa, r.mtwv) for r in perfect} == {
        (1.0, 1.0, 1.0, 1.0)
    }
    assert useless[-1].found_at_3 == 0.0
    assert found_rate.ratios([*perfect, *useless]) == {"clean": None}
    assert found_rate.ratios([*perfect, *useless[:-1]]) == {}
    cost = found_rate.cost("clean", seer("earshot", joined, queries, 0), joined, len(queries))
    hours = joined.total_seconds / 3600
    assert cost.add_x_real_time == pytest.approx(joined.total_seconds / 2, rel=0.01)
    assert cost.search_hours_per_second == pytest.approx(hours * len(queries) / 0.5, rel=0.05)
    assert cost.index_bytes_per_hour == pytest.approx(1000 / hours, rel=0.01)


def _order(kind: str) -> int:
    return speech_corpus.KINDS.index(kind)


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "argv", ["benchmarks/found_rate.py"])
    yield


def test_the_whole_benchmark_ends_with_one_json_object(
    speech: Path,
    tmp_path: Path,
    no_terminal: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--quick", "--json", "--no-peers", "--speech", str(speech), "--work", str(tmp_path)]
    assert found_rate.main(options) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["benchmark"] == "found_rate"
    assert {row["condition"] for row in report["rows"]} == set(speech_corpus.CONDITIONS)
    assert {row["system"] for row in report["rows"]} == {"earshot"}
    assert all(0 <= row["found_at_1"] <= row["found_at_3"] <= 1 for row in report["rows"])
    assert all(one["index_bytes_per_hour"] > 0 for one in report["costs"])
    assert report["hardware"]["cores"] >= 1
    assert report["corpus"]["clips"] == len(CLIPS)
    assert "found@3" in found_rate.as_text(report)


def test_without_speech_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found_rate.main(["--speech", str(tmp_path / "none")]) == 1
    assert "EARSHOT_SPEECH" in capsys.readouterr().out


def test_the_speed_of_searches_is_told_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--hours", "0.1", "0.3", "--queries", "3", "--many", "20", "--cold", "1"]
    assert search_speed.main([*sizes, "--no-peers", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["hours"] for row in report["growth"]] == pytest.approx([0.1, 0.3], abs=0.02)
    assert report["hours_per_second"] == report["growth"][-1]["hours_per_second"] > 0
    assert 1.8 <= report["megabytes_per_hour"] < 3.0
    assert report["many_at_once"]["same_answers"]
    assert report["pass_hours_per_processor_second"] > report["hours_per_processor_second"]
    assert report["cold"]["hours"] == 0.3
    assert 0 < report["cold"]["least_seconds"] < report["cold"]["first_seconds"]
    assert report["pocketsphinx"] is None


def test_how_reliable_confidences_are_goes_into_a_model_card(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "CARD.md"
    card.write_text("before\n" + "\nold\n".join(reliability.MARKS) + "\nafter\n")
    options = ["--quick", "--json", "--speech", str(speech), "--work", str(tmp_path)]
    assert reliability.main([*options, "--card", str(card)]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    shown = {one["condition"]: one["mentions"] for one in report["errors"] if one["units"] == "all"}
    assert shown["all"] == sum(shown[condition] for condition in speech_corpus.CONDITIONS) > 0
    text = card.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert reliability.as_table(report) in text
    assert (tmp_path / reliability.PICTURE).read_text().count("<polyline") == 3
    card.write_text("no marks")
    assert reliability.main([*options, "--card", str(card)]) == 1
    assert "reliability ends" in capsys.readouterr().out


def test_the_calibration_error_is_the_distance_of_confidence_from_what_came() -> None:
    def shown(confidence: float, hits: int, misses: int) -> list[reliability.Shown]:
        right = [True] * hits + [False] * misses
        return [reliability.Shown("clean", 7, confidence, one) for one in right]

    assert reliability.error(shown(0.8, 8, 2)) == pytest.approx(0.0)
    assert reliability.error(shown(0.8, 2, 8)) == pytest.approx(0.6)
    both = [*shown(0.8, 8, 2), *shown(0.3, 5, 5)]
    assert reliability.error(both) == pytest.approx(0.1)
    assert [one.mentions for one in reliability.binned(both)] == [10, 10]
    rows = reliability.summary(both)["errors"]
    by = {(row["condition"], row["units"]): row["mentions"] for row in rows}
    assert by["clean", "7 to 9"] == by["all", "all"] == 20
    assert by["noisy", "all"] == by["clean", "1 to 6"] == 0


def test_what_a_library_bears_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--hours", "0.1", "--searchers", "4", "--seconds", "0.5", "--pause", "0.05"]
    assert load.main([*few, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in ("one_searcher", "nothing_added", "while_added"):
        assert report[name]["queries"] > 0
        assert report[name]["median_ms"] <= report[name]["p99_ms"] <= report[name]["worst_ms"]
    assert report["while_added"]["recordings_added"] > 0
    assert report["p99_ms"] == report["while_added"]["p99_ms"]


def test_clips_are_loaded_and_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hiss = (np.random.default_rng(1).standard_normal((3, RATE)) / 20).astype(np.float32)
    for i, samples in enumerate(hiss):
        sound.write_flac(tmp_path / f"{i}.flac", samples)
    rows = [
        {"audio": str(tmp_path / f"{i}.flac"), "duration": 1.0, "text": "a b"} for i in range(3)
    ]
    _write_lines(tmp_path, rows)
    kept: list[Any] = []
    monkeypatch.setattr(kur_loading, "keep", lambda found: kept.append(found) or tmp_path)
    manifest = str(tmp_path / "manifest.jsonl")
    allowed = os.sched_getaffinity(0)
    assert kur_loading.main(["--manifest", manifest, "--clips", "3", "--rounds", "1"]) == 0
    assert os.sched_getaffinity(0) == allowed
    [found] = kept
    names = [f"{cores}_cores_{one}_workers" for cores in {1, len(allowed)} for one in (1, 2)]
    waited = found["share_of_time_waited_when_cold"]
    assert set(waited) == set(names) and all(0 < share < 1 for share in waited.values())
    kinds = {f"{kind}_{name}" for name in names for kind in ("cold", "cached")}
    assert set(found["clips_per_second"]) == {"learned", *kinds}
    assert all(each["of_wall"] > 0 for each in found["clips_per_second"].values())
    assert kur_loading.main(["--manifest", str(tmp_path / "none")]) == 1
    assert "not there" in capsys.readouterr().err


def test_a_report_says_nothing_of_where_things_lie() -> None:
    words = ["--quick", "--speech", "a folder", "--mnist", "/somewhere/mnist", "--rounds", "3"]
    wanted = "python benchmarks/name.py --quick --speech SPEECH --mnist mnist --rounds 3"
    assert reports.head("name", words, {})["command"] == wanted
