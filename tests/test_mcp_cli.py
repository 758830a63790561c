"""`earshot mcp` as assistants use it: the official client, over standard input and output."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import said_at, say, tone_library, write_wav
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from earshot import media
from earshot.about import about

PROGRAM = """
import fakes
from earshot import mcp_cli
from earshot.cli import main
mcp_cli.Library = fakes.tone_library
main()
"""

Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with two recordings."""
    path = tmp_path_factory.mktemp("mcp")
    with tone_library(path / "library") as library:
        for name, text, day in (("talk ü", "harbour invoice", "2016"), ("call", "invoice", "2020")):
            sound = write_wav(path / f"{name}.wav", say(text))
            known = about(
                title=name, date=day, tags=["x"], meta={"episode": "7"} if day == "2016" else {}
            )
            library.add([sound], about=known)
    return path / "library"


def talked(folder: Path, conversation: Callable[[Call, ClientSession], Awaitable[None]]) -> None:
    """Start the server, talk to it, and end it by closing its input."""

    async def talk() -> None:
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
        words = ["-c", PROGRAM, "mcp", "--library", str(folder)]
        started = StdioServerParameters(command=sys.executable, args=words, env=environment)
        async with (
            stdio_client(started) as (reading, writing),
            ClientSession(reading, writing) as one,
        ):
            await one.initialize()

            async def call(name: str, **arguments: Any) -> Any:
                return await one.call_tool(name, arguments)

            await conversation(call, one)

    asyncio.run(asyncio.wait_for(talk(), 120))


def test_the_tools_of_a_library(folder: Path, tmp_path: Path) -> None:
    async def conversation(call: Call, session: ClientSession) -> None:
        tools = (await session.list_tools()).tools
        assert {tool.name for tool in tools} == {"search", "list", "show", "play", "clip", "ask"}
        assert all(tool.description for tool in tools)
        found = (
            await call("search", query="invoice", where="after:2016", top=1)
        ).structured_content
        assert found["total"] == 2 and len(found["mentions"]) == 1
        found = (await call("search", query="harbour")).structured_content["mentions"]
        (place,) = found
        assert place["start"] == pytest.approx(said_at("harbour invoice", "harbour"), abs=0.1)
        assert place["play"].startswith("file://") and "#t=0." in place["play"]
        listed = (await call("list", where="before:2018")).structured_content
        assert [one["title"] for one in listed["recordings"]] == ["talk ü"] and listed["total"] == 1
        assert (await call("show", recording="call")).structured_content["date"] == "2020"
        link = (await call("play", recording="call", start=0.2, end=0.6)).structured_content
        assert link["play"].endswith("/call.wav#t=0.2,0.6")
        clip = await call("clip", recording="call", start=0.2, end=0.6, around=0.0)
        (tmp_path / "clip.opus").write_bytes(base64.b64decode(clip.content[0].data))
        assert clip.content[0].type == "audio"
        assert media.probe(tmp_path / "clip.opus").duration == pytest.approx(0.4, abs=0.05)
        asked = (await call("ask", sentence="where do they say invoice")).structured_content
        assert asked["total"] == 2
        asked = (await call("ask", sentence="only before 2018")).structured_content
        assert asked["total"] == 1 and "episode 7" in asked["text"]
        asked = (await call("ask", sentence="play it")).structured_content
        assert asked["play"]["path"].endswith("talk ü.wav")
        other = (await call("ask", sentence="more", conversation="other")).structured_content
        assert "ask for something first" in other["text"]

        await what_goes_wrong_is_a_sentence(call)

    talked(folder, conversation)


async def what_goes_wrong_is_a_sentence(call: Call) -> None:
    """In the same conversation: a server takes a while to start."""
    for name, arguments, said in (
        ("search", {"query": "(refund"}, "never closed"),
        ("search", {"query": "invoice", "where": "colour:red"}, "only filters"),
        ("show", {"recording": "nothing"}, "no recording 'nothing'"),
        ("clip", {"recording": "call", "start": 0, "end": 1e9}, "at most 120 seconds"),
        ("clip", {"recording": "call", "start": float(50), "end": 51}, "call"),
        ("play", {"recording": "call", "start": -1}, "no second -1"),
        ("ask", {"sentence": "NEAR NEAR"}, "NEAR"),
    ):
        answer = await call(name, **arguments)
        assert answer.is_error, name
        assert said in answer.content[0].text and "Traceback" not in answer.content[0].text
    assert (await call("search", query="invoice", top=-5)).structured_content["total"] == 2
