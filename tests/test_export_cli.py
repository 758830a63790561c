"""What a search found, written where the user says: files, folders, clips, a podcast."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import feedparser
import pyarrow.parquet
import pytest
import srt
import webvtt
from fakes import said_at, say, tone_library, write_wav

from earshot import cli, media

ADDRESS = "https://example.org/mentions/"


@dataclass(frozen=True)
class Done:
    """A finished command."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `earshot search ARGUMENTS` beside a library of two recordings, in one of them twice."""
    monkeypatch.chdir(tmp_path)
    with tone_library(tmp_path / "library") as library:
        one = write_wav(tmp_path / "one.wav", say("harbour lantern"))
        two = write_wav(tmp_path / 'two "& <b>.wav', say("lantern invoice lantern"))
        assert len(library.add([one, two]).added) == 2
    monkeypatch.setattr(cli, "Library", lambda _=None: tone_library(tmp_path / "library"))

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["earshot", "search", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call


def test_a_file_for_one_recording(run: Run) -> None:
    done = run("lantern", "--title", "two", "--out", "two.srt")
    assert (done.status, done.out) == (0, "two.srt: 2 mentions in 1 recording\n")
    first, second = srt.parse(Path("two.srt").read_text(encoding="utf-8"))
    assert first.content.startswith("lantern (9")
    at = said_at("lantern invoice", "lantern")
    assert first.start.total_seconds() == pytest.approx(at, abs=0.15)
    assert second.start > first.end
    printed = run("lantern", "--title", "two", "--format", "vtt")
    assert len(webvtt.from_string(printed.out).captions) == 2 and not printed.err


def test_a_folder_with_a_file_for_each_recording(run: Run) -> None:
    done = run("lantern", "--format", "audacity", "--out", "labels/")
    assert done.out == "labels: 2 files, one a recording; 3 mentions in 2 recordings\n"
    names = sorted(path.name for path in Path("labels").iterdir())
    assert names == ["one.labels.txt", "two_b.labels.txt"]
    assert len(Path("labels/two_b.labels.txt").read_text().splitlines()) == 2
    assert run("lantern", "--format", "chapters", "--out", "labels").status == 0  # is a folder
    told = json.loads(Path("labels/two_b.chapters.json").read_text())
    assert told["title"] == 'two "& <b>' and len(told["chapters"]) == 2


def test_tables_hold_everything_unless_so_many_are_asked_for(run: Run) -> None:
    assert run("lantern", "--out", "found.parquet").out.endswith("3 mentions in 2 recordings\n")
    assert len(pyarrow.parquet.read_table("found.parquet")) == 3
    assert run("lantern", "--out", "found.csv").status == 0
    assert Path("found.csv").read_text() == run("lantern", "--csv").out
    shorter = run("lantern", "--out", "found.jsonl", "--top", "2")
    assert shorter.out == "found.jsonl: 2 of 3 mentions in 1 recording\n"
    told = json.loads(Path("found.jsonl").read_text())
    seen = json.loads(run("lantern", "--format", "json", "--top", "2").out)
    assert told["mentions"] == seen["mentions"] and len(told["mentions"]) == 2
    assert [path.name for path in Path().iterdir() if path.suffix == ".part"] == []


def test_all_mentions_are_cut_out(run: Run, tmp_path: Path) -> None:
    done = run("lantern", "--clips", "clips", "--around", "0.1")
    assert done.out.splitlines()[-1] == "clips: 3 clips" and "earshot clip" in done.out
    names = sorted(path.name for path in Path("clips").iterdir())
    assert len(names) == 3 and names[0].startswith("one-") and names[0].endswith(".wav")
    for name in names:
        assert 0.5 < (media.probe(tmp_path / "clips" / name).duration or 0) < 1.2
    told = run("lantern", "--clips", "clips", "--json")
    assert len(json.loads(told.out)["mentions"]) == 3


def test_what_cannot_be_cut_out_costs_only_itself(run: Run) -> None:
    Path("one.wav").unlink()
    done = run("lantern", "--clips", "clips", "--csv")
    assert done.status == 1
    assert len(done.out.splitlines()) == 4 and len(list(Path("clips").iterdir())) == 2
    assert done.err.count("\n") == 1 and "no clip of 'one' at 0:00:0" in done.err


def test_a_phrase_to_follow_in_a_podcast_program(run: Run, tmp_path: Path) -> None:
    options = ("--format", "rss", "--url", ADDRESS, "--out", "web/feed.xml", "--clips", "web")
    assert run("lantern", *options).status == 0
    feed = feedparser.parse(io.BytesIO(Path("web/feed.xml").read_bytes()))
    assert not feed.bozo and feed.feed.title == "Mentions of lantern"
    files = {path.name: path for path in Path("web").glob("*.mp3")}
    assert len(files) == len(feed.entries) == 3
    for entry in feed.entries:
        [sound] = entry.enclosures
        file = files[sound.href.removeprefix(ADDRESS)]
        assert (sound.type, int(sound.length)) == ("audio/mpeg", file.stat().st_size)
        assert media.probe(file).codec.startswith("mp3")
    Path("one.wav").unlink()  # its episode stays, without sound
    again = run("lantern", *options)
    assert again.status == 1
    after = feedparser.parse(io.BytesIO(Path("web/feed.xml").read_bytes()))
    assert [one.id for one in after.entries] == [one.id for one in feed.entries]
    assert sum("enclosures" in one for one in after.entries) == 2


def test_many_queries_and_bad_ones_in_one_file(run: Run) -> None:
    Path("queries.txt").write_text("lantern\nx\nharbour\n")
    done = run("--queries", "queries.txt", "--out", "found.cue", "--title", "one")
    assert done.status == 2 and done.err.startswith("earshot: x: ")
    assert done.out == "found.cue: 2 mentions in 1 recording\n"
    assert Path("found.cue").read_text().count("TRACK") == 2
    done = run("--queries", "queries.txt", "--out", "found.csv")
    assert done.status == 2 and done.err.count("\n") == 1
    assert len(Path("found.csv").read_text().splitlines()) == 5


def test_nothing_found_is_said(run: Run) -> None:
    done = run("contract", "--out", "none.vtt")
    assert (done.status, done.out) == (0, "") and not Path("none.vtt").exists()
    assert "nothing is written" in done.err
    assert run("contract", "--out", "none.csv").out == "none.csv: 0 mentions in 0 recordings\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--format", "srt"), "the mentions are in 2 recordings, and srt is of one"),
        (("--out", "all.srt"), "--out mentions/"),
        (("--out", "notes.txt"), "give --format, one of json, csv, parquet, rss, srt"),
        (("--format", "parquet"), "give a file with --out"),
        (("--format", "rss"), "--url https://"),
        (("--format", "rss", "--url", "example.org"), "--url https://"),
        (("--format", "csv", "--url", ADDRESS), "goes with --format rss"),
        (("--format", "csv", "--json"), "at once"),
        (("--format", "vtt", "--why"), "at once"),
        (("--out", "none/found.csv"), "none/found.csv cannot be written: No such file"),
        (("--clips", "one.wav"), "no folder can be made at one.wav"),
        (("--format", "docx"), "docx"),
    ],
)
def test_what_makes_no_sense_is_one_line(run: Run, options: tuple[str, ...], says: str) -> None:
    done = run("lantern", *options)
    assert done.status == 2 and says in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in Path().iterdir() if path.suffix != ".wav") == ["library"]
