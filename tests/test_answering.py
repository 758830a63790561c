"""Conversations with a real library, in Python and on the command line."""

from __future__ import annotations

import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest
from fakes import said_at, say, tone_library, write_wav

from earshot import ask_cli, cli
from earshot.about import about
from earshot.bot.answering import Reply, answer
from earshot.bot.grammar import Intent
from earshot.bot.session import Conversation, Session, Shown
from earshot.errors import QueryError
from earshot.library import Library

TODAY = date(2026, 11, 24)
EPISODES = [
    # feed, number, date, tags, what is said
    ("Deep Talks", 13, "2016-05-17", ["nets"], "harbour invoice lantern harbour"),
    ("Deep Talks", 5, "2015-02-01", [], "monday harbour"),
    ("Deep Talks", 7, "2018-03-04", [], "contract lantern"),
    ("History", 5, "2017-07-07", ["old"], "invoice harbour monday"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with episodes of two feeds."""
    path = tmp_path_factory.mktemp("bot")
    with tone_library(path / "library") as library:
        for at, (feed, number, day, tags, text) in enumerate(EPISODES):
            sound = write_wav(path / f"{at}.wav", say(text))
            meta = {"feed": feed, "episode": str(number), "speaker": "Ada" if at % 2 else "Bob"}
            library.add(
                [sound], about=about(title=f"{feed} {number}", date=day, tags=tags, meta=meta)
            )
    return path / "library"


class Talk:
    """A conversation: each sentence goes on from those before."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.session = Session()

    def __call__(self, sentence: str) -> Reply:
        reply = answer(self.library, sentence, self.session, TODAY)
        self.session = reply.session
        return reply


@pytest.fixture
def talk(folder: Path) -> Talk:
    """A new conversation."""
    return Talk(tone_library(folder))


def names(reply: Reply) -> list[str]:
    return [one.name for one in reply.items]


def test_an_answer_names_episodes_and_times(talk: Talk) -> None:
    reply = talk("find me 20 episodes about harbour from Deep Talks")
    assert set(names(reply)) == {"episode 13", "episode 5"}
    assert reply.total == 2 and reply.where == 'meta.feed:"Deep Talks"'
    thirteen = next(one for one in reply.items if one.name == "episode 13")
    first = said_at(EPISODES[0][4], "harbour")
    assert thirteen.spans[0][0] == pytest.approx(first, abs=0.1) and len(thirteen.spans) == 2
    seconds = [int(start) for start, _ in thirteen.spans]
    assert f"episode 13 at 0:{seconds[0]:02d} and 0:{seconds[1]:02d}" in reply.text
    assert reply.text.startswith("2 recordings about harbour from Deep Talks: ")


def test_follow_ups(talk: Talk) -> None:
    assert talk("where do they mention harbour").total == 3
    assert set(names(talk("only after 2015"))) == {
        "episode 13 of Deep Talks",
        "episode 5 of History",
    }
    assert names(talk("and only from History")) == ["episode 5"]
    reply = talk("what about invoice")
    assert names(reply) == ["episode 5"] and reply.query == "invoice"
    assert "Nothing about contract" in talk("what about contract").text
    assert talk("start over").session == Session()
    assert "contract" in talk("contract").query and names(talk("only by Bob")) == ["episode 7"]


def test_pages_and_order(talk: Talk) -> None:
    assert names(talk("the newest 2 episodes about harbour")) == [
        "episode 5 of History", "episode 13 of Deep Talks",
    ]  # fmt: skip
    assert names(talk("more")) == ["episode 5 of Deep Talks"]
    assert talk.session.offset == 2
    assert "no more than 3" in talk("more").text
    assert names(talk("the oldest first"))[0] == "episode 5 of Deep Talks"


def test_playing(talk: Talk) -> None:
    assert "ask for something first" in talk("play the second").text
    talk("the newest 2 episodes about harbour")
    second = talk("play the second").clip
    assert second is not None and second.name == "episode 13 of Deep Talks"
    again = talk("play the second at the second time").clip
    assert again is not None and again.start > second.start
    assert "no number 3: 1 to 2 were shown" in talk("play number 3").text
    assert "2 times were told" in talk("play the second at the third time").text
    talk("more")
    third = talk("play number 3").clip
    assert third is not None and third.name == "episode 5 of Deep Talks"
    seven = talk("play episode 7").clip
    assert seven is not None and seven.start == 0.0
    assert "no 'episode 99'" in talk("play episode 99").text


def test_lists_and_counts(talk: Talk) -> None:
    reply = talk("list episodes since 2016")
    assert names(reply)[0] == "episode 7 of Deep Talks" and reply.total == 3
    assert reply.text == "3 recordings from 2016 on."
    assert "4 times in 3 recordings about harbour" in talk("how many episodes mention harbour").text
    assert talk("tagged old").total == 1
    assert "Ask what was said" in talk("help").text
    assert "ask for something first" in Talk(talk.library)("more").text


def test_alternatives_and_absence(talk: Talk) -> None:
    assert talk("contract or monday").total == 3
    assert talk("both invoice and harbour").total == 2
    assert names(talk("harbour but not invoice")) == ["episode 5"]
    with pytest.raises(QueryError):
        talk("find ((( NEAR")


def test_what_was_said_is_kept_in_a_file(folder: Path, tmp_path: Path) -> None:
    conversation = Conversation(tmp_path, "bob")
    session = Session(
        Intent(topic="nets", count=3, filters=("tag:x",)),
        (Shown("a1", "episode 1", ((1.5, 2.0),)),),
        4,
    )
    conversation.save(session)
    assert conversation.load() == session
    for damage in (b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99}', bytes(50)):
        conversation.path.write_bytes(damage)
        assert conversation.load() == Session()
    conversation.forget()
    assert Conversation(tmp_path, "bob").load() == Session()
    for name in ("../../x", "a/b", "", "x" * 200):
        assert Conversation(tmp_path, name).path.parent == conversation.path.parent


def test_the_command(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ask_cli, "Library", lambda path=None: tone_library(folder))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earshot", "ask", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    status, out, _ = run("find me", "two episodes about harbour", "newest first")
    assert status == 0
    assert [line.split(" at ")[0] for line in out.splitlines()] == [
        "3 recordings about harbour (1 to 2):", "  1  episode 5 of History",
        "  2  episode 13 of Deep Talks",
    ]  # fmt: skip
    status, out, _ = run("play the second")
    assert status == 0 and (tmp_path / out.partition(":")[0]).exists()
    assert json.loads(run("only before 2017", "--json")[1])["total"] == 2
    assert run("only before 2017", "--session", "other")[1].startswith("2 recordings before 2017")
    assert run("refund (((", "NEAR")[0] == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("harbour\n\nNEAR NEAR (\nonly from History\n"))
    status, out, err = run("--session", "third")
    assert status == 2 and "episode 5 at" in out and err.startswith("earshot: ")
