"""Messages to Slack, posted to a server of our own; failures are only told."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_kur import POINTS, kurfile

from kur import session
from kur.arguments import ArgumentError
from kur.evaluate import Findings
from kur.evaluation_hooks import About, apply_hooks, make_evaluation_hooks
from kur.marks import MarkedDict, MarkedList
from kur.slack import Slack


class Server(HTTPServer):
    """Keeps what is posted; answers with `status`."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/services/secret"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()


def test_a_message(server: Server) -> None:
    slack = Slack(channel="#nets", url=server.url, title="Mine", icon="robot")
    assert slack.post("Hello.", {"loss": 0.5})
    assert server.posted == [
        {
            "channel": "#nets",
            "username": "kur",
            "icon_emoji": ":robot:",
            "text": "Mine: Hello. More information: loss = 0.5",
        }
    ]


def test_failures_are_told_without_the_address(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = 404
    with caplog.at_level(logging.WARNING, "kur"):
        assert not Slack(channel="#x", url=server.url).post("Hello.")
        assert not Slack(channel="#x", url="http://127.0.0.1:1/secret").post("Hello.")
    assert len(caplog.records) == 2 and "could not be posted to #x" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", [None, "file:///etc/passwd", "hooks.slack.com"])
def test_addresses_that_cannot_be(url: str | None) -> None:
    with pytest.raises(ArgumentError, match=r"'slack' needs 'url'|must begin with https://"):
        Slack(channel="#x", url=url)


def test_a_training_tells_how_it_goes(server: Server, tmp_path: Path) -> None:
    hooks = f"[{{slack: {{channel: '#x', url: '{server.url}'}}}}]"
    text = POINTS.replace("epochs: 3", "epochs: 1")
    trainer = session.training(kurfile(tmp_path, text, train__hooks=hooks))
    trainer.run()
    told = [one["text"] for one in server.posted]
    assert told[0] == "Started training." and len(told) == 3
    assert told[1].startswith("Finished epoch 1 of 1. More information: Training loss = ")
    assert "Validation accuracy = " in told[1]
    assert told[2] == "Training has ended. More information: Reason = success"


def test_a_training_that_fails_tells_why(server: Server, tmp_path: Path) -> None:
    hooks = f"[{{slack: {{channel: '#x', url: '{server.url}'}}}}]"
    broken = {"train__data": "[{points: {count: 8, broken: 5}}]", "train__hooks": hooks}
    with pytest.raises(Exception, match="not a number"):
        session.training(kurfile(tmp_path, POINTS, **broken)).run()
    assert "Reason = the loss is not a number in epoch 1" in server.posted[-1]["text"]


def test_a_result_is_posted(server: Server, tmp_path: Path) -> None:
    entry = MarkedDict({"slack": MarkedDict({"channel": "#x", "url": server.url})})
    made = make_evaluation_hooks(kurfile(tmp_path, POINTS), "test", MarkedList([entry]))
    about = About([], ["asr"], {}, {}, every=False)
    apply_hooks(made, Findings("a text", "the truth", ["x"]), about)  # type: ignore[arg-type]
    assert server.posted[0]["text"] == 'Truth = "the truth", Prediction = "a text"'
