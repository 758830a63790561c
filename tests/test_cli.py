"""The command line as a user meets it: words, exit statuses, pipes and interruptions."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from fakes import said_at, say, tone_library, write_wav
from typer.testing import CliRunner

from earshot import cli, media
from earshot.library import Library

TEXT = "harbour invoice lantern"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
PROGRAM = """
import fakes
from earshot import cli
cli.Library = fakes.tone_library
cli.main()
"""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `earshot ARGUMENTS` in an empty folder, with a library of its own."""
    monkeypatch.setenv("EARSHOT_LIBRARY", str(tmp_path / "library"))
    monkeypatch.delenv("EARSHOT_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    # The only thing that is not as it is for a user: a network that hears tones.
    monkeypatch.setattr(
        cli, "Library", lambda path=None: tone_library(path or tmp_path / "library")
    )

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["earshot", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording."""
    return write_wav(tmp_path / "talk.wav", say(TEXT))


def test_from_file_to_mention_to_clip(run: Run, talk: Path, tmp_path: Path) -> None:
    added = run("add", "talk.wav")
    assert added.status == 0
    assert re.search(r"^added [0-9a-f]{12}  0:00:0\d  talk.wav$", added.out, re.M)
    assert re.search(
        r"^1 added, 0 skipped, 0 failed \(0:00:0\d of audio, \d+ x real time\)$", added.out, re.M
    )
    found = run("search", "invoice", "lantern")
    assert found.status == 0
    command = re.search(r"earshot (clip [0-9a-f]{12} [\d.]+ [\d.]+)$", found.out, re.M)
    assert command
    written = run(*command[1].split())
    assert written.status == 0
    target = tmp_path / written.out.split(":")[0]
    assert target.name.startswith("talk-0.00.0")
    assert target.stat().st_size > 10_000


def test_json_lines_for_a_query(run: Run, talk: Path) -> None:
    run("add", ".")
    done = run("search", "lantern", "--json", "--top", "1")
    fields = json.loads(done.out)
    assert fields["query"] == "lantern"
    assert fields["searched_hours"] > 0
    (mention,) = fields["mentions"]
    assert mention["path"] == str(talk)
    assert mention["title"] == "talk"
    assert mention["channel"] == 0
    assert mention["start"] == pytest.approx(said_at(TEXT, "lantern"), abs=0.15)
    assert mention["recording"] == json.loads(run("list", "--json").out)["id"]


def test_why_is_drawn_and_told(run: Run, talk: Path) -> None:
    run("add", "talk.wav")
    drawn = run("search", "harbour", "--why")
    assert drawn.status == 0
    [line] = re.findall(r"^ +sought +(.+)$", drawn.out, re.M)
    assert [unit for unit in line.split() if unit != "·"] == ["HH", "AA", "R", "B", "ER"]
    assert "confidence" in drawn.out
    told = json.loads(run("search", "harbour", "--why", "--json").out)
    [mention] = told["mentions"]
    [heard] = mention["heard"]
    sought = [step["sought"] for step in heard["why"]["steps"] if step["sought"]]
    assert sought == heard["units"]
    cost = sum(step["cost"] for step in heard["why"]["steps"])
    assert cost == pytest.approx(-heard["score"] * len(sought), abs=0.02)
    grouped = json.loads(run("search", "harbour", "--why", "--json", "--by-recording").out)
    assert grouped["recordings"][0]["mentions"][0]["heard"][0]["why"] == heard["why"]


def test_snippets_are_spelled_where_they_are_asked_for(run: Run, talk: Path) -> None:
    run("add", "talk.wav")
    told = json.loads(run("search", "inVoice", "--snippets", "--json").out)["mentions"][0]
    [[start, end]] = told["snippet_sought"]
    assert told["snippet"][start:end] == "inVoice"
    assert "inVoice" in run("search", "inVoice", "--snippets").out
    assert "~" not in run("search", "inVoice").out  # a pipe gets them only if it asks
    assert "~" not in run("search", "inVoice", "--no-snippets").out


def test_one_line_a_query_also_for_bad_ones(run: Run, talk: Path, tmp_path: Path) -> None:
    run("add", "talk.wav")
    (tmp_path / "queries.txt").write_text("lantern\n\nx\n  harbour \nlantern\n")
    done = run("search", "--queries", "queries.txt", "--json")
    assert done.status == 2
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["query"] for line in lines] == ["lantern", "x", "harbour", "lantern"]
    assert [bool(line["mentions"]) for line in lines] == [True, False, True, True]
    assert "single letter" in lines[1]["error"]
    (tmp_path / "queries.txt").write_text("lantern\n?!\n")
    table = run("search", "--queries", "queries.txt")
    assert table.status == 2
    assert "earshot: ?!: " in table.err
    assert "earshot clip" in table.out


def test_what_is_known_is_said_and_filtered_by(run: Run, talk: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "other.wav", say("lantern harbour"))
    run("add", "talk.wav", "--tag", "news", "--meta", "who=Ann", "--date", "2020-05")
    run("add", "other.wav")
    told = run("edit", "other", "--title", "the other", "--tag", "x", "--meta", "who=Bob")
    assert re.search(r"title  the other\n(.*\n)*.*tags  x\n.*meta.who  Bob", told.out)
    for filters, expected in {
        ("--tag", "news"): ["talk"],
        ("--title", "THE OTHER"): ["the other"],
        ("--after", "2020", "--meta", "who=ann"): ["talk"],
        ("--date", "2020-05"): ["talk"],
        ("--before", "2020-05"): [],
        ("--shorter", "10m"): ["talk", "the other"],
        ("--longer", "10m"): [],
    }.items():
        found = run("search", "lantern", *filters, "--json")
        mentions = json.loads(found.out)["mentions"]
        assert sorted(mention["title"] for mention in mentions) == expected
        listed = [
            json.loads(line)["title"]
            for line in run("list", *filters, "--json").out.split("\n")[:-1]
        ]
        assert sorted(listed) == expected
    inside = run("search", "title:the other", "lantern", "--json")
    assert [one["title"] for one in json.loads(inside.out)["mentions"]] == ["the other"]
    assert "no recording fits" in run("search", "lantern", "--channel", "2").out
    run("edit", "talk", "--untag", "NEWS", "--date", "", "--meta", "who=")
    fields = json.loads(run("show", "talk", "--json").out)
    assert (fields["tags"], fields["recorded"], fields["meta"]) == ([], None, {})


def test_answers_come_in_pages_groups_and_columns(run: Run, talk: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "other.wav", say("lantern harbour lantern"))
    run("add", "talk.wav", "other.wav")
    whole = json.loads(run("search", "lantern", "--json").out)
    assert whole["total"] == 3
    second = json.loads(run("search", "lantern", "--top", "2", "--page", "2", "--json").out)
    assert second["mentions"] == whole["mentions"][2:]
    assert second == second | {"total": 3}
    third = json.loads(run("search", "lantern", "--offset", "2", "--limit", "1", "--json").out)
    assert third["mentions"] == second["mentions"]
    grouped = run("search", "lantern", "--by-recording").out
    assert re.search(r"other .* 2  0:00:00 0:00:0\d$", grouped, re.M)
    rows = list(
        csv.DictReader(run("search", "lantern", "--csv", "--order", "time").out.splitlines())
    )
    assert [row["title"] for row in rows] == ["talk", "other", "other"]
    assert rows[0]["units"] == "L AE N T ER N"
    like = run("search", "--like", f"talk@{said_at(TEXT, 'lantern'):.2f}-2.6", "--json").out
    assert {one["title"] for one in json.loads(like)["mentions"]} == {"talk", "other"}
    near = run("search", "harbour NEAR/9 (lantern | invoice)", "--title", "talk")
    assert "harbour ... invoice" in near.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "lantern AND"), "words are missing"),
        (("search", "(lantern"), "at character 1: >>>(lantern"),
        (("search", "lantern", "--after", "soon"), "'soon' is no date"),
        (("search", "lantern", "--meta", "who"), "write NAME=VALUE"),
        (("search", "lantern", "--like", "talk.wav"), "or --like"),
        (("search", "--like", "talk@50-51"), "does not lie in the recording"),
        (("search", "lantern", "--page", "2", "--offset", "3"), "at once"),
        (("search", "lantern", "--csv", "--json"), "at once"),
        (("list", "--longer", "soon"), "is no length"),
        (("edit", "talk"), "--title, --date, --tag"),
        (("edit", "talk", "--title", " "), "cannot be empty"),
        (("edit", "nothing", "--tag", "x"), "no recording 'nothing'"),
        (("add", "talk.wav", "--date", "2020-13"), "is no date"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    run: Run, talk: Path, arguments: tuple[str, ...], says: str
) -> None:
    run("add", "talk.wav")
    done = run(*arguments)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert says in done.err


def test_queries_come_from_standard_input_too(
    run: Run, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", "talk.wav")
    monkeypatch.setattr(sys, "stdin", io.StringIO("lantern\n"))
    assert json.loads(run("search", "--queries", "-", "--json").out)["query"] == "lantern"


def test_list_show_remove_check(run: Run, talk: Path) -> None:
    assert run("list").status == 1
    run("add", "talk.wav")
    identity = json.loads(run("list", "--json").out)["id"]
    assert identity in run("list").out
    assert json.loads(run("show", "talk", "--json").out)["digest"].startswith(identity)
    assert str(talk) in run("show", identity[:5]).out
    assert run("check").out == "everything is as it was written\n"
    assert run("remove", "talk").out == f"removed {identity} (talk)\n"
    assert talk.exists()
    assert run("list", "--json").out == ""
    assert "0 recordings" in run("list").out
    assert "earshot add" in run("search", "lantern").out


def test_failures_are_told_and_the_rest_goes_on(run: Run, talk: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp3").write_text("this is text " * 99)
    done = run("add", "bad.mp3", "talk.wav", "none.wav", "talk.wav")
    assert done.status == 1
    assert re.search(r"^bad.mp3: is text", done.err, re.M)
    assert re.search(r"^none.wav: does not exist", done.err, re.M)
    assert "skipped" in done.out
    assert "1 added, 1 skipped, 2 failed" in done.out
    assert run("add", "talk.wav").status == 0


def test_the_library_can_be_named_before_and_behind_the_command(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    assert run("--library", "one", "add", "talk.wav").status == 0
    assert run("add", "talk.wav", "--library", "two").status == 0
    assert (tmp_path / "one" / "library.json").exists()
    assert (tmp_path / "two" / "library.json").exists()
    assert not (tmp_path / "library").exists()
    assert "--library two" in run("search", "lantern", "--library", "two").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["search"],
        ["search", ""],
        ["search", "x"],
        ["search", "?!"],
        ["search", "lantern", "--queries", "talk.wav"],
        ["search", "--queries", "none.txt"],
        ["search", "--queries", "talk.wav"],
        ["search", "lantern", "--top", "0"],
        ["search", "lantern", "--min-confidence", "2"],
        ["clip", "nothing", "1"],
        ["clip", "talk", "soon"],
        ["clip", "talk", "9:00:00"],
        ["clip", "talk", "2", "1"],
        ["show", "nothing"],
        ["remove", "nothing"],
        ["remove"],
        ["serch", "lantern"],
        ["add"],
        ["add", "talk.wav", "--channels", "left"],
    ],
    ids=" ".join,
)
def test_senseless_commands_end_with_two(run: Run, talk: Path, arguments: list[str]) -> None:
    run("add", "talk.wav")
    done = run(*arguments)
    assert done.status == 2
    assert done.err
    assert "Traceback" not in done.err


def test_a_defect_is_one_line_unless_asked_for(
    run: Run, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Library, where: str) -> None:
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr(Library, "list", fail)
    done = run("list")
    assert done.status == 70
    assert done.err == (
        "earshot: unexpected ZeroDivisionError: of our own "
        "(EARSHOT_DEBUG=1 shows where it comes from)\n"
    )
    monkeypatch.setenv("EARSHOT_DEBUG", "1")
    assert "Traceback" in run("list").err


NASTY = ["\x1b[31mred\x07.wav", "tab\tnew\nline.wav", "[bold]x[red].wav", "\u202egnp.wav", "-x.wav"]


@pytest.mark.parametrize("name", NASTY)
def test_file_names_cannot_touch_the_terminal(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "talks").mkdir()
    write_wav(tmp_path / "talks" / name, say(TEXT))
    (tmp_path / "talks" / f"bad{name}").write_bytes(b"")
    outputs = [
        run("add", "talks"),
        run("search", "lantern"),
        run("list"),
        run("show", Path(name).stem),
    ]
    outputs += [run("list", "--json"), run("search", "lantern", "--json"), run("show", "no" + name)]
    for done in outputs:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.out + done.err)
    assert json.loads(outputs[4].out)["path"] == str(tmp_path / "talks" / name)


def test_file_names_that_are_not_utf8(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    write_wav(tmp_path / name, say(TEXT))
    (tmp_path / os.fsdecode(b"bad\xff.wav")).write_bytes(b"")
    added = run("add", name, os.fsdecode(b"bad\xff.wav"))
    assert added.status == 1
    assert r"caf\xe9.wav" in added.out
    assert r"bad\xff.wav: is empty" in added.err
    assert "caf\ufffd" in run("search", "lantern").out
    fields = json.loads(run("list", "--json").out)
    assert fields["path"].endswith("/caf\ufffd.wav")
    clipped = run("clip", fields["id"], "0:01", "--out", "clip.wav")
    assert clipped.status == 0
    assert "caf\ufffd" in clipped.out
    assert run("clip", os.fsdecode(b"caf\xe9.wav"), "1").status == 0


def test_clips_take_their_times_in_words_people_use(run: Run, talk: Path, tmp_path: Path) -> None:
    run("add", "talk.wav")
    done = run("clip", "talk", "0:00:01", "0:00:02", "--out", "out.wav", "--around", "0.5")
    assert done.out == "out.wav: 2.0 s of 'talk' from 0:00:00\n"
    assert run("clip", "talk", "1", "--out", "talk.wav").status == 2
    talk.unlink()
    gone = run("clip", "talk", "1")
    assert gone.status == 1
    assert gone.err.count("\n") == 1


def test_pipes_get_no_colours_and_no_folding(run: Run, tmp_path: Path) -> None:
    name = "a very long title " * 10
    write_wav(tmp_path / f"{name}.wav", say(TEXT))
    run("add", ".")
    for done in (run("search", "lantern"), run("list")):
        assert "\x1b" not in done.out
        assert name.strip() in done.out


def test_every_command_shows_an_example(run: Run) -> None:
    for command in cli.app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        assert command.epilog and command.epilog.startswith(f"Example: earshot {name} ")
        done = run(name, "--help")
        assert done.status == 0
        assert f"Example: earshot {name}" in done.out
    assert "Example: earshot add" in run("--help").out


def test_the_examples_parse() -> None:
    """Each example's options exist and its arguments are enough."""
    for command in cli.app.registered_commands:
        assert command.epilog
        words = shlex.split(command.epilog.removeprefix("Example: earshot "))
        done = CliRunner().invoke(cli.app, [*words, "--help"])
        assert done.exit_code == 0
        assert "No such option" not in done.output


def test_channels_are_those_of_media() -> None:
    assert get_args(cli.ChannelsChoice) == get_args(media.Channels)


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("earshot")


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start `earshot ARGUMENTS` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test that runs in the background has been told to ignore Ctrl-C, and would pass it on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,  # type: ignore[call-overload]
    )


def test_an_interrupted_add_keeps_what_it_told(tmp_path: Path) -> None:
    for number in range(80):
        write_wav(tmp_path / f"{number:03d}.wav", say(TEXT)[number * 50 :])
    library = tmp_path / "library"
    process = start("add", str(tmp_path), "--library", str(library))
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    told = re.findall(r"^added ([0-9a-f]{12})", first + out, re.M)
    assert process.returncode == 130
    assert "stopped: " in out
    assert "Traceback" not in err
    with tone_library(library) as opened:
        assert {recording.id for recording in opened.list()} == set(told)
        assert opened.check() == ()
    assert {path.suffix for path in (library / "segments").iterdir()} == {".safetensors"}


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", say(TEXT))
    library = str(tmp_path / "library")
    with tone_library(Path(library)) as opened:
        opened.add([tmp_path])
    queries = tmp_path / "queries.txt"
    queries.write_text("lantern\n" * 200)
    for options in ([], ["--json"]):
        process = start("search", "--queries", str(queries), "--library", library, *options)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_a_search_loads_neither_ffmpeg_nor_a_network(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", say(TEXT))
    with tone_library(tmp_path / "library") as library:
        library.add([tmp_path])
    program = """
import sys, fakes
from earshot import cli
cli.Library = fakes.tone_library
try:
    cli.main()
finally:
    loaded = {"torch", "keras", "onnxruntime", "av"} & {m.split(".")[0] for m in sys.modules}
    assert not loaded, loaded
    assert "llvmlite" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "search", "lantern", "--library", tmp_path / "library"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "talk" in done.stdout
