"""Alerts: thresholds by what is wanted, told once, dropped as e-mail; and drift."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spoken_library import calls, spoken_library
from test_shelf import shelved

from earshot.errors import UsageError
from earshot.topics import alerts, drift, load, set_rule, without_rule, write_mail
from earshot.topics.alerting import chosen, recordings_a_day, renewed
from earshot.topics.drifting import same

COUNT = 110


def test_thresholds_follow_from_what_is_wanted(tmp_path: Path) -> None:
    shelved(tmp_path)
    topic = load(tmp_path, "invoice")
    assert chosen(topic, "YES", "probability", 0.7).threshold == 0.7
    assert chosen(topic, "yes", "cost", 4).threshold == 0.2
    precise = chosen(topic, "yes", "precision", 0.9)
    assert precise.precision is not None and precise.precision >= 0.9
    looser = chosen(topic, "yes", "precision", 0.3)
    assert looser.threshold <= precise.threshold
    sure = np.linspace(0, 1, 101)
    assert chosen(topic, "yes", "per-day", 20, (sure, 100.0)).threshold == pytest.approx(0.8)
    with pytest.raises(UsageError, match="knows no value 'maybe': it knows no, yes"):
        chosen(topic, "maybe", "cost", 4)
    with pytest.raises(UsageError, match=r"1\.5 is not a precision"):
        chosen(topic, "yes", "precision", 1.5)
    unsure = replace(topic, seen=(tuple(0.5 for _ in topic.recordings),))
    with pytest.raises(UsageError, match="at no threshold 100% of the alerts of 'invoice'"):
        chosen(unsure, "yes", "precision", 1.0)
    assert renewed(unsure, precise).rule is None
    assert "it alerts no more" in renewed(unsure, precise).report.notes[-1]


def test_each_recording_is_told_once(tmp_path: Path) -> None:
    talks, truth = calls(COUNT)
    with spoken_library(tmp_path / "calls", talks) as library:
        shelved(library.path)
        without_rule(library, load(library.path, "invoice"))
        with pytest.raises(UsageError, match="has no rule to alert by"):
            alerts(library, load(library.path, "invoice"))
        set_rule(library, load(library.path, "invoice"), "yes", "cost", 1.0)
        topic = load(library.path, "invoice")
        assert alerts(library, topic)[0] == []  # what was there before is no news
        set_rule(library, topic, "yes", "cost", 1.0, retroactive=True)
        without = load(library.path, "invoice")
        (library.path / "topics" / "invoice.told").unlink()
        found, delivered = alerts(library, without)
        told = [one.judgement.recording.title for one in found]
        assert len(told) >= 0.8 * sum(truth.values())
        assert sum(truth[title] for title in told) >= 0.8 * len(told)
        assert [one.probability for one in found] == sorted(
            (one.probability for one in found), reverse=True
        )
        assert alerts(library, without)[0] == found  # not delivered: told again
        delivered()
        assert alerts(library, without)[0] == []
        path = write_mail(tmp_path / "outbox", found[0], "ear@example.org", ["a@example.org"])
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert mail["Subject"] == f"invoice: yes ({found[0].probability:.0%}): {told[0]}"
        assert found[0].judgement.recording.id in mail.get_body().get_content()  # type: ignore[attr-defined]
        assert [one.name for one in (tmp_path / "outbox").iterdir()] == [path.name]


def test_a_title_brings_no_headers(tmp_path: Path) -> None:
    talks, _ = calls(20)
    with spoken_library(tmp_path / "calls", talks) as library:
        shelved(library.path)
        set_rule(
            library, load(library.path, "invoice"), "yes", "probability", 0.01, retroactive=True
        )
        found, _ = alerts(library, load(library.path, "invoice"))
        row = replace(found[0].judgement.recording, title="late\r\nBcc: all@example.org")
        forged = replace(found[0], judgement=replace(found[0].judgement, recording=row))
        path = write_mail(tmp_path, forged, "ear@example.org\nX: y", ["a@example.org"])
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert mail["Bcc"] is None and mail["X"] is None


def test_drift_is_told_where_there_is_some(tmp_path: Path) -> None:
    talks, _ = calls(COUNT)
    others = {f"other {number}": ["monday monday harbour"] for number in range(30)}
    with spoken_library(tmp_path, {**talks, **others}) as library:
        shelved(tmp_path)
        topic = load(tmp_path, "invoice")
        rows = library.list()
        same_kind = drift(library, topic, [one for one in rows if "call" in one.title])
        assert not same_kind.drifts
        changed = drift(library, topic, [one for one in rows if "other" in one.title])
        assert changed.drifts
        assert changed.phrases[0].phrase == "monday"
        with pytest.raises(UsageError, match="at least 20 are needed"):
            drift(library, topic, rows[:25])


def test_samples_of_one_distribution_are_the_same() -> None:
    random = np.random.default_rng(0)
    chances = [same(random.random(60), random.random(300)) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(chances) < 0.05) <= 0.12
    assert same(random.random(60), random.random(300) + 0.3) < 1e-3


def test_how_many_come_a_day(tmp_path: Path) -> None:
    talks, _ = calls(8)
    with spoken_library(tmp_path, talks) as library:
        rows = [
            replace(one, added=f"2026-01-0{1 + number // 2}T12:00:00+00:00")
            for number, one in enumerate(library.list())
        ]
    assert recordings_a_day(rows) == pytest.approx(8 / 3)
    assert recordings_a_day([]) == 0.0
