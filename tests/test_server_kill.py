"""A server that is killed at any moment: what it had accepted is listened to, once."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from servers import EXAMPLES, Running, running

VOICEMAIL = EXAMPLES / "voicemail.opus"
CALL = EXAMPLES / "support_call.opus"


def test_what_was_accepted_is_done_after_a_kill_in_the_middle(tmp_path: Path) -> None:
    library = tmp_path / "library"
    with running(library) as server:
        jobs = [
            server.client.post("/recordings", params={"tag": "x"}, content=path.read_bytes()).json()
            for path in (CALL, VOICEMAIL)
        ]
        _wait_until_heard(server, jobs[0]["id"])
        server.kill()
    with running(library) as server:
        ended = [server.ended(job["id"]) for job in jobs]
        assert [job["state"] for job in ended] == ["done", "done"]
        assert not any(job["already"] for job in ended)
        listed = server.client.get("/recordings", params={"where": "tag:x"}).json()
        assert listed["total"] == 2
        assert not list(library.glob("server/scratch/*.part"))
        found = server.client.get("/search", params={"q": "cancelling my contract"}).json()
        assert found["mentions"][0]["recording"] == ended[0]["recording"]


def _wait_until_heard(server: Running, job: str) -> None:
    """Until some of a job's audio has been heard, and not all."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = server.client.get(f"/jobs/{job}").json()
        assert now["state"] in ("queued", "running"), now
        if now["state"] == "running":
            return
        time.sleep(0.01)
    raise AssertionError(now)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.3, 1.0, 2.0])
def test_a_kill_at_any_moment_costs_nothing(tmp_path: Path, moment: float) -> None:
    library = tmp_path / "library"
    with running(library) as server:
        sent = server.client.post("/recordings", content=VOICEMAIL.read_bytes())
        time.sleep(moment)
        server.kill()
        identity = sent.json()["id"]
    with running(library) as server:
        job = server.ended(identity)
        assert job["state"] == "done" and not job["already"]
        again = server.client.post("/recordings", content=VOICEMAIL.read_bytes()).json()
        assert again["already"] and again["recording"] == job["recording"]
        assert server.client.get("/recordings").json()["total"] == 1


def test_the_same_file_sent_twice_at_once_is_one_job(tmp_path: Path) -> None:
    with running(tmp_path / "library", "--listeners", "0") as server:
        sent = [
            server.client.post("/recordings", content=VOICEMAIL.read_bytes()).json()["id"]
            for _ in range(3)
        ]
        assert len(set(sent)) == 1
        assert server.client.get("/jobs").json()["jobs"][0]["state"] == "queued"


def test_an_upload_in_parts_survives_a_kill(tmp_path: Path) -> None:
    whole = VOICEMAIL.read_bytes()
    with running(tmp_path / "library", "--listeners", "0") as server:
        begun = server.client.post("/uploads", json={"bytes": len(whole), "name": "v.opus"}).json()
        where = f"/uploads/{begun['id']}"
        server.client.patch(where, headers={"Upload-Offset": "0"}, content=whole[:20_000])
        server.kill()
    with running(tmp_path / "library") as server:
        assert server.client.head(where).headers["upload-offset"] == "20000"
        rest = {"Upload-Offset": "20000"}
        assert server.client.patch(where, headers=rest, content=whole[20_000:]).status_code == 204
        job = server.client.post(f"{where}/finish").json()
        assert server.ended(job["id"])["state"] == "done"


def test_one_of_several_workers_listens_and_another_takes_over(tmp_path: Path) -> None:
    with running(tmp_path / "library", "--workers", "2") as server:
        assert server.upload(VOICEMAIL)["state"] == "done"
        for _ in range(10):  # whichever of them answers
            with httpx.Client(base_url=f"{server.url}/api/v1") as client:
                assert client.get("/recordings").json()["total"] == 1
