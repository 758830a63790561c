"""What is heard of phrases: as a plain scan hears it, alone or among others, and kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import WORDS, speller
from spoken_library import calls, spoken_library

from earshot.search.align import scan, unpack
from earshot.topics import evidence as module
from earshot.topics.candidates import Candidate
from earshot.topics.evidence import Evidence, gather
from earshot.topics.features import KINDS, table

PHRASES = [Candidate(word, tuple(speller().pronunciations(word))[:2], "given") for word in WORDS]


def test_the_best_place_is_that_of_a_plain_scan(tmp_path: Path) -> None:
    """Strength falls as the lowest cost rises; the second is the one in which that place ends."""
    talks, _ = calls(12)
    talks["two sides"] = ["invoice harbour", "lantern"]
    with spoken_library(tmp_path, talks, stammer=0.3) as library:
        field = library.field()
        names = [one.id for one in library.list()]
        found = gather(field, tmp_path, PHRASES, names)
        network = field.snapshot.manifest.network
        from earshot.search.ear import Ear  # where it lies is what this compares with

        ear = Ear(network.units, network.blank, network.frame_seconds, field.calibration)
        tracks = {(one.recording, one.channel): one.heard for one in field.tracks.tracks}
        for at, phrase in enumerate(PHRASES):
            plan = ear.plan(phrase.ways[0])
            lowest = []
            for row, channel in zip(found.recording, found.channel, strict=True):
                costs = tracks[found.recordings[row], int(channel)].costs()
                lowest.append(int(unpack(scan(costs, plan))[0].min()))
            cut = np.minimum(lowest, plan.limit + 1)
            order = np.argsort(cut, kind="stable")
            assert (np.diff(found.strength[order, at]) <= 1e-6).all()


def test_a_recording_is_heard_alone_as_among_others(tmp_path: Path) -> None:
    talks, _ = calls(30)
    with spoken_library(tmp_path, talks, stammer=0.2) as library:
        names = [one.id for one in library.list()]
        together = gather(library.field(), tmp_path / "a", PHRASES, names)
        for name in names[:3]:
            alone = gather(library.field(), tmp_path / name, PHRASES, [name])
            rows = together.recording == together.recordings.index(name)
            for field in ("strength", "second", "count"):
                assert (getattr(alone, field) == getattr(together, field)[rows]).all()


def test_what_was_heard_is_kept_and_only_the_new_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talks, _ = calls(10)
    searched: list[int] = []
    real = module._heard

    def counted(field, phrases, tracks, progress):  # type: ignore[no-untyped-def]
        searched.append(len(tracks))
        return real(field, phrases, tracks, progress)

    monkeypatch.setattr(module, "_heard", counted)
    with spoken_library(tmp_path, talks) as library:
        names = [one.id for one in library.list()]
        first = gather(library.field(), tmp_path, PHRASES, names[:6])
        again = gather(library.field(), tmp_path, PHRASES, names[:6])
        more = gather(library.field(), tmp_path, PHRASES, names)
        other = gather(library.field(), tmp_path, PHRASES[:2], names[:3])
        assert searched == [6, 4, 3]
        assert (first.strength == again.strength).all()
        assert (more.strength[: len(first.strength)] == first.strength).all()
        assert other.strength.shape == (3, 2)
        for path in (tmp_path / "topics" / "heard").iterdir():
            path.write_bytes(path.read_bytes()[:100])  # damaged: searched again
        assert (gather(library.field(), tmp_path, PHRASES, names).strength == more.strength).all()
        assert searched[3:] == [10]


def test_a_pass_holds_what_it_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    talks, _ = calls(10)
    with spoken_library(tmp_path, talks) as library:
        names = [one.id for one in library.list()]
        whole = gather(library.field(), tmp_path / "a", PHRASES, names)
        monkeypatch.setattr(module, "LARGEST_PASS", 1)
        parts = gather(library.field(), tmp_path / "b", PHRASES, names)
    assert (whole.strength == parts.strength).all() and (whole.count == parts.count).all()


def test_numbers_of_two_sides(tmp_path: Path) -> None:
    with spoken_library(
        tmp_path, {"both": ["invoice harbour", "lantern"], "one": ["harbour lantern"]}
    ) as library:
        ids = {one.title: one.id for one in library.list()}
        found = gather(library.field(), tmp_path, PHRASES, [ids["both"], ids["one"]])
    numbers = table(found)
    phrase = [one.text for one in PHRASES].index("lantern")
    assert numbers.side[:, phrase].tolist() == [1, 0]
    sides = numbers.values[:, phrase, KINDS.index("first side") :]
    assert sides[0, 1] == numbers.values[0, phrase, 0] > sides[0, 0]
    assert np.isnan(sides[1]).all()  # a recording of one channel has no sides
    harbour = [one.text for one in PHRASES].index("harbour")
    assert numbers.when[1, harbour] < numbers.when[1, phrase]
    order = numbers.columns([phrase], [(harbour, phrase)])
    assert order.shape == (2, len(KINDS) + 1) and order[1, -1] > 0


def test_some_phrases_are_a_part(tmp_path: Path) -> None:
    talks, _ = calls(5)
    with spoken_library(tmp_path, talks) as library:
        found = gather(library.field(), tmp_path, PHRASES, [one.id for one in library.list()])
    part = found.only([3, 1])
    assert isinstance(part, Evidence)
    assert [one.text for one in part.phrases] == [PHRASES[3].text, PHRASES[1].text]
    assert (part.strength == found.strength[:, [3, 1]]).all()
