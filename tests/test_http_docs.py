"""docs/http-api.md: every curl command on it is asked of a real server, as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
from servers import EXAMPLES, ROOT, running

PAGE = (ROOT / "docs" / "http-api.md").read_text("utf-8")
HERE = "http://localhost:8765"
OPTIONS = {"-F", "-d", "-H", "-X", "--data-binary"}


def blocks() -> list[tuple[str, str]]:
    """Blocks of code of the page: their language and their text."""
    return re.findall(r"^```(bash|json)\n(.*?)^```", PAGE, re.M | re.S)


def asked(client: httpx.Client, command: str, url: str) -> httpx.Response:
    """What a curl command gets."""
    words = iter(shlex.split(command)[1:])
    method, headers, body, files, fields = "", {}, None, {}, {}
    address = ""
    for word in words:
        value = next(words) if word in OPTIONS else ""
        if word == "-X":
            method = value
        elif word == "-I":
            method = "HEAD"
        elif word == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        elif word in ("-d", "--data-binary"):
            body = (EXAMPLES / value[1:]).read_bytes() if value[0] == "@" else value.encode()
        elif word == "-F":
            name, _, text = value.partition("=")
            if text[0] == "@":
                files[name] = (text[1:], (EXAMPLES / text[1:]).read_bytes())
            else:
                fields[name] = text
        else:
            assert word.startswith(HERE), word
            address = word.replace(HERE, url)
    method = method or ("POST" if body is not None or files else "GET")
    return client.request(
        method, address, headers=headers, content=body, files=files or None, data=fields or None
    )


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    jobs: list[dict[str, Any]] = []
    names = {"ID": ""}
    answer = httpx.Response(0)
    with running(tmp_path / "library") as server:
        for language, text in blocks():
            if language == "json":
                if '"error"' not in text:
                    assert set(json.loads(text)) <= set(answer.json()), text
                continue
            for line in text.splitlines():
                command = line.replace("$ID", names["ID"])
                answer = asked(server.client, command, server.url)
                assert answer.is_success, (command, answer.text)
                if answer.headers.get("content-type") == "application/json":
                    told = answer.json()
                    names["ID"] = told.get("id", names["ID"]) if "DELETE" not in command else ""
                    if "state" in told and "example.org" not in command:
                        jobs.append(server.ended(told["id"]))
    assert len(jobs) > 3 and all(job["state"] == "done" for job in jobs)


def test_the_shape_of_errors_is_as_shown(tmp_path: Path) -> None:
    (shown,) = [json.loads(text) for _, text in blocks() if '"error"' in text]
    with running(tmp_path / "library", "--listeners", "0") as server:
        told = server.client.get("/search", params={"q": "a ("}).json()
    assert set(told["error"]) == set(shown["error"])
