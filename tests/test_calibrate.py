"""The recipe that fits confidences, on synthetic speech whose every word is known."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from synthetic_ear import BLANK, FRAME_SECONDS, UNITS, Sounds, SyntheticEar, sounds
from synthetic_ear import track as laid_track

from earshot.search import Calibration, Track
from earshot.search.align import readable
from earshot.search.confidence import FEATURES


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


recipe = _load(Path(__file__).parents[1] / "recipes" / "calibrate.py")
EAR = recipe.Ear(UNITS, BLANK, FRAME_SECONDS)


class Words:
    """Spells "word012" as the word of that number."""

    def __init__(self, lexicon: Sequence[tuple[int, ...]]) -> None:
        self.lexicon = lexicon

    def pronunciations(self, text: str, limit: int = 8) -> list[Sounds]:
        phones: list[int] = []
        starts = []
        for word in text.split():
            starts.append(len(phones))
            phones.extend(self.lexicon[int(word[4:])])
        return [sounds(phones, starts)][:limit]


@pytest.fixture(scope="module")
def speech() -> tuple[Words, list[Track], list[object]]:
    """Speaker, tracks, and every word said in them."""
    ear = SyntheticEar(31)
    lexicon = [ear.word(int(length)) for length in ear.rng.integers(3, 10, 150)]
    tracks, said = [], []
    for track in range(4):
        spoken = ear.speak(lexicon, ear.rng.integers(0, 150, 300).tolist())
        tracks.append(laid_track(f"track {track}", spoken.costs))
        for word, (start, end) in zip(spoken.words, spoken.spans, strict=True):
            times = start * FRAME_SECONDS, end * FRAME_SECONDS
            said.append(recipe.Said(track, *times, f"word{word:03d}"))
    return Words(lexicon), tracks, said


def test_learning_gives_confidences_that_mean_what_they_say(
    speech: tuple[Words, list[Track], list[object]], tmp_path: Path
) -> None:
    words, tracks, said = speech
    start = Calibration(background=(readable(SyntheticEar(32).babble(10_000)),))
    queries = recipe.choose_queries(said, 150)
    trial = recipe.search(queries, tracks, said, words, start, EAR)
    assert trial.hits.sum() > 0.9 * trial.said.sum()
    held_out = recipe.cross_validated(trial, start, 10.0)
    before = recipe.quality(start.confidence(trial.features), trial)
    after = recipe.quality(held_out, trial)
    assert after.brier < before.brier
    assert after.error < 0.08 < before.error  # of some hundred mentions that would be shown
    assert after.value > 0.6
    learned = recipe.learn(trial, start)
    for feature in FEATURES:
        assert learned.weights[feature.name] * feature.sign >= 0
    assert abs(learned.lead_seconds) < 0.1 and abs(learned.tail_seconds) < 0.1
    learned.save(tmp_path / "confidence.json")
    again = Calibration.open(tmp_path / "confidence.json")
    assert again.confidence(trial.features) == pytest.approx(learned.confidence(trial.features))
    recipe.write_rows(tmp_path / "rows.jsonl", trial, queries)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == len(trial.hits)
    assert sum(row["hit"] for row in rows) == trial.hits.sum()


def test_the_fit_finds_the_weights_that_made_the_data_and_keeps_their_signs() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(20_000, len(FEATURES)))
    true = np.array([-1.0 if feature.sign < 0 else 0.8 for feature in FEATURES])
    true[2] = +2.0  # the worst unit's cost must not raise a confidence, whatever the data says
    hits = generator.random(20_000) < 1 / (1 + np.exp(-(features @ true - 0.5)))
    bias, weights = recipe.fit(features, hits, 1.0)
    fitted = np.array(list(weights.values()))
    assert fitted[2] == 0.0
    free = [index for index in range(len(FEATURES)) if index != 2]
    assert np.corrcoef(fitted[free], true[free])[0, 1] > 0.98
    assert -0.6 < bias < -0.2


def test_term_weighted_value_by_hand() -> None:
    trial = recipe.Trial(
        features=np.zeros((5, len(FEATURES))),
        hits=np.array([True, False, True, False, False]),
        queries=np.array([0, 0, 1, 1, 2]),
        leads=np.zeros(5),
        tails=np.zeros(5),
        said=np.array([1, 2, 0]),
        seconds=np.full(3, 1002.0),
        texts=np.arange(3),
    )
    confidence = np.array([0.9, 0.2, 0.6, 0.7, 0.99])
    # Best between 0.7 and 0.9: query 0's one, none of query 1's two; query 2 was never said.
    assert recipe.maximum_value(confidence, trial) == pytest.approx((1.0 + 0.0) / 2)
    # Query 1's hit before its false alarm.
    better = np.array([0.9, 0.2, 0.8, 0.7, 0.99])
    assert recipe.maximum_value(better, trial) == pytest.approx((1.0 + 0.5) / 2)


def test_trials_in_two_conditions_are_one_of_twice_the_queries() -> None:
    def trial(features: float, hits: list[bool], queries: list[int]) -> object:
        size = len(hits)
        return recipe.Trial(
            features=np.full((size, len(FEATURES)), features),
            hits=np.array(hits),
            queries=np.array(queries),
            leads=np.zeros(size),
            tails=np.zeros(size),
            said=np.array([1, 1]),
            seconds=np.full(2, 100.0 * features),
            texts=np.arange(2),
        )

    both = recipe.together([trial(1.0, [True, False], [0, 1]), trial(2.0, [False], [1])])
    assert both.queries.tolist() == [0, 1, 3]
    assert both.texts[both.queries].tolist() == [0, 1, 1]
    assert both.seconds.tolist() == [100.0, 100.0, 200.0, 200.0]
    second = both.of(2, 4)
    assert second.queries.tolist() == [1] and second.hits.tolist() == [False]
    assert second.features[0, 0] == 2.0 and second.said.tolist() == [1, 1]


def test_the_curve_never_falls() -> None:
    generator = np.random.default_rng(2)
    odds = generator.normal(0.0, 3.0, 20_000)
    hits = generator.random(20_000) < 1 / (1 + np.exp(-odds * 0.5))
    points = np.array(recipe.monotone(odds, hits))
    assert (np.diff(points[:, 0]) > 0).all() and (np.diff(points[:, 1]) >= 0).all()
    inner = points[2:-2]
    assert inner[:, 1] == pytest.approx(1 / (1 + np.exp(-inner[:, 0] * 0.5)), abs=0.06)


def test_phrases_are_words_that_follow_each_other() -> None:
    said = [
        recipe.Said(0, 0.0, 0.4, "red"),
        recipe.Said(0, 0.5, 0.9, "lantern"),
        recipe.Said(0, 3.0, 3.4, "red"),
        recipe.Said(1, 3.5, 3.9, "lantern"),
    ]
    places = recipe.occurrences(said, ["red lantern", "lantern", "blue"])
    assert [(one.track, one.start, one.end) for one in places[0]] == [(0, 0.0, 0.9)]
    assert [one.track for one in places[1]] == [0, 1]
    assert places[2] == []
    assert recipe.choose_queries(said, 30) == ["lantern", "red lantern"]


def test_a_line_that_is_no_word_is_named(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    good = {"recording": "a", "start": 1, "end": 2, "text": "red"}
    path.write_text("\n".join(json.dumps(row) for row in (good, {**good, "recording": "b"})))
    with pytest.raises(ValueError, match=r"said\.jsonl:2: not a word of a recording"):
        recipe.read_references(path, {"a": 0})
    path.write_text(json.dumps(good))
    assert recipe.read_references(path, {"a": 3}) == ([recipe.Said(3, 1.0, 2.0, "red")], {3: ""})
    path.write_text(json.dumps({**good, "condition": "noisy"}))
    assert recipe.read_references(path, {"a": 3})[1] == {3: "noisy"}


def test_a_line_may_be_an_utterance_of_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(
        json.dumps({"audio": "/a/b.opus", "duration": 4.5, "text": "Don't, \u201cred\u201d!"})
    )
    said, _ = recipe.read_references(path, {"b.opus": 0})
    assert said == [recipe.Said(0, 0.0, 4.5, word, exact=False) for word in ("don't", "red")]
    (phrase,) = recipe.occurrences(said, ["don't red"])
    assert phrase == [recipe.Said(0, 0.0, 4.5, "don't red", exact=False)]
