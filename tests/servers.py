"""A real `earshot serve` in a process of its own, on a free port, and a client of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "recordings"
START_SECONDS = 300.0  # for a machine that does a lot else
DONE_SECONDS = 600.0


@dataclass
class Running:
    """A server that runs: `url` is where, `client` asks it under /api/v1."""

    url: str
    library: Path
    log: Path
    process: subprocess.Popen[bytes]
    client: httpx.Client

    def kill(self) -> None:
        """End it as a power cut would: nothing is tidied up."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator would; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def upload(self, path: Path, **query: Any) -> dict[str, Any]:
        """Send a file and wait until it has been listened to; returns the ended job."""
        sent = self.client.post(
            "/recordings", params={"name": path.name, **query}, content=path.read_bytes()
        )
        assert sent.status_code in (200, 202), sent.text
        return self.ended(sent.json()["id"])

    def ended(self, job: str) -> dict[str, Any]:
        """A job when it has ended."""
        deadline = time.monotonic() + DONE_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.client.get(f"/jobs/{job}").json()
            if found["state"] not in ("queued", "running"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"the job has not ended: {found}; {self.log.read_text()}")


@contextmanager
def running(
    library: Path, *options: str, key: str | None = None, env: dict[str, str] | None = None
) -> Iterator[Running]:
    """`earshot serve` on `library`, ended when the block is left."""
    log = library.with_suffix(f".{time.monotonic_ns()}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", "from earshot.cli import main; main()", "serve",
             "--library", str(library), "--port", "0", *options],
            stderr=stderr, env=environment(env),
        )  # fmt: skip
    url = ""
    deadline = time.monotonic() + START_SECONDS
    while not url:
        said = re.search(r"listening on (http://\S+)", log.read_text("utf-8"))
        url = said[1] if said else ""
        assert process.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.02)
    headers = {"Authorization": f"Token {key}"} if key else {}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60) as client:
        try:
            yield Running(url, library, log, process, client)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise


def earshot(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from earshot.cli import main; main()", *arguments],
        env=environment(env), capture_output=True, text=True, check=False,
    )  # fmt: skip


def make_key(library: Path, scope: str = "read", *options: str) -> str:
    """A new API key."""
    made = earshot(
        "key", "create", "--name", "test", "--scope", scope, "--library", str(library), *options
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Ours, without settings of the user's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("EARSHOT_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), **(more or {})}


def events(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Server-sent events as (name, data)."""
    found = []
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, line.removeprefix("data: ")))
    return found
