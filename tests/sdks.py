"""Deepgram's own SDK, unmodified, in the majors whose interfaces differ, each by itself.

Each is installed once, with all that it needs, into `build/sdk-VERSION`, and runs in a Python that
sees nothing else. Run as a script, this file is what runs there: it reads a question as JSON and
prints an answer as JSON.
"""

from __future__ import annotations

import fcntl
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSIONS = ("2.12.0", "3.11.0", "5.3.4", "7.17.0")
BUILD = Path(__file__).parents[1] / "build"


def installed(version: str) -> Path:
    """The folder in which this version of the SDK is installed, all of it or nothing."""
    BUILD.mkdir(exist_ok=True)
    folder = BUILD / f"sdk-{version}-python{sys.version_info[0]}.{sys.version_info[1]}"
    with (BUILD / f".sdk-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not folder.exists():
            part = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
            pip += ["--disable-pip-version-check", "--target", str(part)]
            subprocess.run([*pip, f"deepgram-sdk=={version}"], check=True)
            part.rename(folder)
    return folder


def ask(version: str, question: dict[str, Any]) -> dict[str, Any]:
    """Let the SDK of this version ask a server; what it returned, or how it failed."""
    done = subprocess.run(
        [sys.executable, "-S", __file__, version],
        input=json.dumps(question),
        env={"PYTHONPATH": str(installed(version)), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(version: str) -> None:
    question = json.load(sys.stdin)
    asked = {"2": _two, "3": _three, "5": _five, "7": _five}[version[0]]
    try:
        print(json.dumps({"answer": asked(**question)}))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "told": _told(error)}))


def _told(error: Exception) -> str:
    status = getattr(error, "status_code", None) or getattr(error, "status", "")
    return f"{status} {getattr(error, 'body', '')} {error}"


def _two(url: str, key: str, file: str, options: dict[str, Any], source: str = "") -> Any:
    client = _sdk().Deepgram({"api_key": key, "api_url": f"{url}/v1"})
    audio: Any = {"url": source} if source else None
    if audio is None:
        audio = {"buffer": Path(file).read_bytes(), "mimetype": "audio/ogg"}
    return client.transcription.sync_prerecorded(audio, options)


def _three(url: str, key: str, file: str, options: dict[str, Any], source: str = "") -> Any:
    sdk = _sdk()
    client = sdk.DeepgramClient(key, sdk.DeepgramClientOptions(url=url)).listen.rest.v("1")
    asked = sdk.PrerecordedOptions(**options)
    if source:
        found = client.transcribe_url({"url": source}, asked)
    else:
        found = client.transcribe_file({"buffer": Path(file).read_bytes()}, asked)
    return json.loads(found.to_json())


def _five(url: str, key: str, file: str, options: dict[str, Any], source: str = "") -> Any:
    environment = _sdk("deepgram.environment").DeepgramClientEnvironment
    places = {"base": url, "production": url, "agent": url}
    if "agent_rest" in inspect.signature(environment).parameters:
        places["agent_rest"] = url
    client = _sdk().DeepgramClient(api_key=key, environment=environment(**places))
    media = client.listen.v1.media
    if source:
        found = media.transcribe_url(url=source, **options)
    else:
        found = media.transcribe_file(request=Path(file).read_bytes(), **options)
    return json.loads(found.json())


def _sdk(name: str = "deepgram") -> Any:
    """The SDK, which only the Python in which this runs as a script has."""
    return importlib.import_module(name)


if __name__ == "__main__":
    _main(sys.argv[1])
