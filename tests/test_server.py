"""The HTTP API against a real server: real speech in, mentions out, and who may do what."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import EXAMPLES, Running, earshot, environment, events, make_key, running

VOICEMAIL = EXAMPLES / "voicemail.opus"
CALL = EXAMPLES / "support_call.opus"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without keys that has listened to two recordings."""
    with running(tmp_path_factory.mktemp("server") / "library") as one:
        one.upload(VOICEMAIL, tag=["phone", "short"], date="2020-05-17", meta="who=bob")
        one.upload(CALL, title="A call", tag="phone")
        yield one


def recordings(server: Running, **query: Any) -> dict[str, dict[str, Any]]:
    """Recordings by title."""
    answer = server.client.get("/recordings", params=query)
    assert answer.status_code == 200, answer.text
    return {one["title"]: one for one in answer.json()["recordings"]}


def test_what_was_uploaded_is_found(server: Running) -> None:
    answer = server.client.get("/search", params={"q": "cancelling my contract"}).json()
    best = answer["mentions"][0]
    assert best["title"] == "A call" and best["confidence"] > 0.5
    assert best["recording"] == recordings(server)["A call"]["id"]
    assert 0 <= best["start"] < best["end"] < 84 and "path" not in best
    posted = server.client.post("/search", json={"q": "cancelling my contract", "why": True}).json()
    again = posted["mentions"][0]
    assert (again["start"], again["confidence"]) == (best["start"], best["confidence"])
    assert again["heard"][0]["why"]["steps"] and "why" not in best["heard"][0]


def test_a_search_can_be_csv_by_recording_and_filtered(server: Running) -> None:
    query = {"q": "cancelling my contract", "format": "csv", "top": 3}
    answer = server.client.get("/search", params=query)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    first, *_ = csv.DictReader(io.StringIO(answer.text))
    assert first["title"] == "A call" and first["path"] == ""
    query = {"q": "cancelling my contract", "by_recording": True, "min_confidence": 0.0}
    groups = server.client.get("/search", params=query).json()["recordings"]
    assert groups[0]["title"] == "A call" and groups[0]["mentions"]
    where = {"q": "cancelling my contract", "where": "tag:short", "min_confidence": 0.5}
    assert server.client.get("/search", params=where).json()["mentions"] == []


def test_recordings_are_listed_filtered_and_paged(server: Running) -> None:
    assert list(recordings(server)) == ["voicemail", "A call"]
    assert list(recordings(server, sort="title")) == ["A call", "voicemail"]
    assert list(recordings(server, where="tag:short after:2020")) == ["voicemail"]
    page = server.client.get("/recordings", params={"limit": 1, "sort": "-duration"}).json()
    assert [one["title"] for one in page["recordings"]] == ["A call"] and page["total"] == 2
    query = {"limit": 1, "sort": "-duration", "cursor": page["cursor"]}
    page = server.client.get("/recordings", params=query).json()
    assert [one["title"] for one in page["recordings"]] == ["voicemail"]
    assert page["cursor"] is None


def test_a_recording_is_changed(server: Running) -> None:
    known = recordings(server)["voicemail"]
    assert known["tags"] == ["phone", "short"] and known["meta"] == {"who": "bob"}
    edit = {"tags": ["phone", "new"], "add_tags": ["more"], "meta": {"who": "", "x": "1"}}
    changed = server.client.patch(f"/recordings/{known['id']}", json=edit).json()
    assert changed["tags"] == ["phone", "new", "more"] and changed["meta"] == {"x": "1"}
    assert changed["title"] == "voicemail" and changed["recorded"] == "2020-05-17"
    back = {"tags": ["phone", "short"], "meta": {"who": "bob", "x": ""}}
    assert server.client.patch(f"/recordings/{known['id']}", json=back).json() == known


def test_the_file_is_played_in_parts(server: Running) -> None:
    where = f"/recordings/{recordings(server)['voicemail']['id']}/media"
    whole = server.client.get(where)
    assert whole.content == VOICEMAIL.read_bytes()
    assert whole.headers["content-type"] in ("audio/ogg", "audio/opus")
    part = server.client.get(where, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == VOICEMAIL.read_bytes()[100:200]
    beyond = server.client.get(where, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416


def test_the_same_file_costs_once_and_is_removed_with_its_media(server: Running) -> None:
    first = server.upload(EXAMPLES / "diary.opus", channels="mix")
    assert first["state"] == "done" and not first["already"]
    again = server.client.post("/recordings", content=(EXAMPLES / "diary.opus").read_bytes())
    assert again.status_code == 200
    assert again.json()["already"] and again.json()["recording"] == first["recording"]
    (kept,) = server.library.rglob(f"server/media/*/{first['recording']}*")
    assert server.client.delete(f"/recordings/{first['recording']}").status_code == 204
    assert server.client.get(f"/recordings/{first['recording']}").status_code == 404
    assert not kept.exists()


def test_a_form_may_say_more(server: Running) -> None:
    samples = (EXAMPLES / "diary.opus").read_bytes()
    form = {"title": "Diary", "tag": ["a", "b"], "meta": "who=eve", "date": "2019"}
    sent = server.client.post("/recordings", files={"file": ("../../d.opus", samples)}, data=form)
    assert sent.status_code == 202, sent.text
    job = sent.json()
    with server.client.stream("GET", f"/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(data) for _, data in events(list(stream.iter_lines()))]
    assert told[-1]["state"] == "done" and told[-1]["name"] == "d.opus"
    assert [one["heard"] for one in told] == sorted(one["heard"] for one in told)
    known = recordings(server)["Diary"]
    assert (known["tags"], known["meta"], known["recorded"]) == (["a", "b"], {"who": "eve"}, "2019")
    server.client.delete(f"/recordings/{known['id']}")


def test_a_job_is_cancelled_and_leaves_nothing(server: Running) -> None:
    path = EXAMPLES / "podcast.opus"
    job = server.client.post("/recordings", content=path.read_bytes()).json()
    cancelled = server.client.delete(f"/jobs/{job['id']}")
    assert cancelled.json()["state"] == "cancelled"
    assert server.client.delete(f"/jobs/{job['id']}").status_code == 409
    assert server.upload(EXAMPLES / "diary.opus")["state"] == "done"  # it goes on
    titles = recordings(server)
    assert len(titles) == 3 and "podcast" not in titles
    server.client.delete(f"/recordings/{titles['diary']['id']}")


def test_what_is_no_audio_is_a_failed_job(server: Running, tmp_path: Path) -> None:
    wrong = tmp_path / "list.m3u8"
    wrong.write_text("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n")
    job = server.upload(wrong)
    assert job["state"] == "failed" and job["error"]["code"] == "bad_media"
    assert str(server.library) not in job["error"]["message"]
    deadline = time.monotonic() + 30  # the file goes right after the job is known to have failed
    while list(server.library.rglob("server/media/*/*.m3u8")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(server.library.rglob("server/media/*/*.m3u8"))


@pytest.mark.parametrize(
    ("method", "where", "how", "status", "code"),
    [
        ("GET", "/search", {}, 400, "bad_request"),
        ("GET", "/search?q=()", {}, 400, "bad_query"),
        ("GET", "/search?q=a&top=0", {}, 400, "bad_request"),
        ("GET", "/search?q=a&colour=red", {}, 400, "bad_request"),
        ("GET", "/recordings/000000000000", {}, 404, "not_found"),
        ("GET", "/recordings?cursor=xyz", {}, 400, "bad_request"),
        ("GET", "/recordings?where=harbour", {}, 400, "bad_query"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("PUT", "/search", {}, 405, "method_not_allowed"),
        ("POST", "/search", {"content": b"{"}, 400, "bad_request"),
        ("POST", "/search", {"content": b"[" * 100_000}, 400, "bad_request"),
        ("POST", "/search", {"content": b" " * (2 << 20)}, 413, "too_large"),
        ("POST", "/recordings", {"content": b""}, 400, "bad_request"),
        ("POST", "/recordings?date=then", {"content": b"x"}, 400, "bad_request"),
        ("POST", "/recordings", {"data": {"colour": "red"}, "files": {"f": b"x"}}, 400, ""),
        ("POST", "/recordings", {"files": [("f", b"x"), ("g", b"y")]}, 400, "bad_request"),
    ],
)
def test_errors_have_one_shape(
    server: Running, method: str, where: str, how: dict[str, Any], status: int, code: str
) -> None:
    headers = {"X-Request-Id": "test-request-1"}
    if "content" in how and where == "/search":
        headers["Content-Type"] = "application/json"
    answer = server.client.request(method, where, headers=headers, **how)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"] == "test-request-1"
    assert error["code"] == (code or "bad_request") and error["message"]


def test_answers_are_safe_for_browsers(server: Running) -> None:
    for path in ("/search?q=a", "/nothing"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
    for strange in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        answer = server.client.get("/recordings", headers=strange)
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden"


def test_it_says_that_it_is_alive_and_ready(server: Running) -> None:
    for path in ("/healthz", "/readyz"):
        assert httpx.get(server.url + path).json() == {"status": "ok"}


def test_without_a_key_it_listens_on_loopback_only(tmp_path: Path) -> None:
    with running(tmp_path / "library", "--host", "0.0.0.0", "--listeners", "0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert "no API key has been made yet" in server.log.read_text("utf-8")
        make_key(server.library)  # from now on nothing is open
        assert server.client.get("/recordings").status_code == 401


def test_keys_have_scopes_projects_and_an_end(tmp_path: Path) -> None:
    library = tmp_path / "library"
    read = make_key(library)
    write = make_key(library, "write")
    other = make_key(library, "admin", "--project", "other")
    with running(library, "--host", "0.0.0.0", "--listeners", "0") as server:
        assert server.url.startswith("http://0.0.0.0:")

        def status(key: str, method: str = "GET", path: str = "/recordings", **how: Any) -> int:
            headers = {"Authorization": f"Bearer {key}"}
            return server.client.request(method, path, headers=headers, **how).status_code

        assert (status(read), status(write), status(other), status("0" * 40)) == (
            200,
            200,
            200,
            401,
        )
        assert status(read, "POST", content=b"x") == 403
        assert status(write, "POST", content=b"a sound") == 202
        headers = {"Authorization": f"Token {other}"}
        assert server.client.get("/jobs", headers=headers).json()["jobs"] == []
        mine = {"Authorization": f"Token {read}"}
        (job,) = server.client.get("/jobs", headers=mine).json()["jobs"]
        assert status(other, path=f"/jobs/{job['id']}") == 404
        assert status(write, "DELETE", "/recordings/000000000000") == 403
        listed = earshot("key", "list", "--json", "--library", str(library)).stdout.splitlines()
        assert [json.loads(line)["scope"] for line in listed] == ["read", "write", "admin"]
        assert all(read not in line for line in listed)
        identity = json.loads(listed[0])["id"]
        gone = earshot("key", "revoke", identity, "--library", str(library))
        assert gone.stdout == f"revoked {identity} (test)\n"
        assert status(read) == 401
    assert not any(key.encode() in path.read_bytes() for key in (read, write)
                   for path in library.rglob("server.db*"))  # fmt: skip


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    with running(tmp_path / "library") as server:
        job = server.client.post("/recordings", content=CALL.read_bytes()).json()
        deadline = time.monotonic() + 30
        while server.client.get(f"/jobs/{job['id']}").json()["state"] == "queued":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert server.stop() in (0, -15)
        assert "Traceback" not in server.log.read_text("utf-8")
    with running(tmp_path / "library") as server:
        assert server.ended(job["id"])["state"] == "done"


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("prot = 1\n")
    wrong = earshot("serve", "--config", str(file))
    assert wrong.returncode == 2
    assert wrong.stderr == f"earshot: {file}: there is no setting 'prot' (did you mean 'port'?)\n"
    told = earshot("serve", "--print-config", "--port", "9", env={"EARSHOT_WORKERS": "3"}).stdout
    assert "port = 9" in told and "workers = 3" in told
    file.write_text(told)
    assert earshot("serve", "--print-config", "--config", str(file)).stdout.replace(
        "(file)", "(default)"
    ) == told.replace("(flag)", "(default)").replace("(environment)", "(default)")


def test_a_port_that_is_taken_is_one_sentence(server: Running, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    taken = earshot("serve", "--library", str(tmp_path / "library"), "--port", port)
    assert taken.returncode == 2 and taken.stderr.count("\n") == 1
    assert f"127.0.0.1:{port} cannot be listened on" in taken.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fastapi", "uvicorn"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from earshot.cli import main
main()
"""
    for command in (["serve"], ["key", "list"]):
        done = subprocess.run(
            [__import__("sys").executable, "-c", code, *command],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "pip install 'earshot[serve]'" in done.stderr and done.stderr.count("\n") == 1
