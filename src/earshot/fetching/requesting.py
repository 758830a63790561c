"""One request, and the redirects that follow it, each of them checked as the first.

Bodies come as they were sent: compression is not asked for and not undone, so that kilobytes stay
kilobytes. This module knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata

import httpcore

from earshot.errors import AddressRefused, FetchError
from earshot.fetching.addresses import Address, address, shown
from earshot.fetching.connecting import Checked, Deadline, OutOfTime, Rules, trusted

HEADER_SECONDS = 60.0  # for connecting, sending a request and reading the answer's header
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SEND_SECONDS = 30.0
MOST_ANSWER = 1 << 16  # bytes of an answer to what was sent
PROJECT = "https://pypi.org/project/earshot/"


class Broken(FetchError):
    """The connection failed in a way that another attempt may not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: status, its words for it, headers (names in lower case), body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Reply:
    """An answer whose body is still to come, in chunks, and the address that gave it."""

    answer: Answer
    source: Address
    body: Iterator[bytes] = field(repr=False)


def user_agent() -> str:
    """Who is asking, and where to read about it."""
    try:
        return f"earshot/{metadata.version('earshot')} (+{PROJECT})"
    except metadata.PackageNotFoundError:
        return f"earshot (+{PROJECT})"


@contextmanager
def opened(
    url: str, headers: Mapping[str, str], rules: Rules, deadline: Deadline
) -> Iterator[Reply]:
    """GET `url`, over as many redirects as the rules allow; the last answer, whatever its status.

    AddressRefused where one of them leads where nothing may be fetched from; Broken where another
    attempt may do better; else FetchError.
    """
    place = address(url)
    for _ in range(rules.most_redirects + 1):
        with _asked("GET", place, headers, b"", rules, deadline) as reply:
            to = reply.answer.headers.get("location")
            if reply.answer.status not in REDIRECTS or to is None:
                deadline.part(None)
                yield reply
                return
            onward = address(to, place)
        if (place.scheme, onward.scheme) == ("https", "http"):
            raise AddressRefused(
                f"{shown(str(place))} leads from https to http ({shown(str(onward))}), which "
                "anyone on the way could change: give that address itself if you trust it."
            )
        place = onward
    raise FetchError(
        f"{shown(url)} leads from address to address more than {rules.most_redirects} times."
    )


def send(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    rules: Rules,
    *,
    method: str = "POST",
    seconds: float = SEND_SECONDS,
) -> Answer:
    """Send `body` to `url` in at most `seconds`; the answer, with the first 64 KB of its body.

    A redirect is not followed: it is an answer as any other. FetchError where nothing answered,
    AddressRefused where nothing may be sent.
    """
    deadline = Deadline(seconds)
    place = address(url)
    with _asked(method, place, headers, body, rules, deadline) as reply:
        found = b""
        for chunk in reply.body:
            found += chunk
            if len(found) >= MOST_ANSWER:
                break
        return Answer(
            reply.answer.status, reply.answer.reason, reply.answer.headers, found[:MOST_ANSWER]
        )


@contextmanager
def _asked(
    method: str,
    place: Address,
    headers: Mapping[str, str],
    body: bytes,
    rules: Rules,
    deadline: Deadline,
) -> Iterator[Reply]:
    name = shown(str(place))
    deadline.part(HEADER_SECONDS)
    wanted = {
        "Host": place.netloc,
        "User-Agent": user_agent(),
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if body:
        wanted["Content-Length"] = str(len(body))
    wanted |= headers
    times = dict.fromkeys(("connect", "read", "write", "pool"), rules.patience)
    host = place.host.encode()
    url = httpcore.URL(
        scheme=place.scheme.encode(), host=host, port=place.port, target=place.target.encode()
    )
    backend = Checked(rules, deadline)
    with (
        _explained(name),
        httpcore.ConnectionPool(trusted(), network_backend=backend) as pool,
        pool.stream(
            method,
            url,
            headers=list(wanted.items()),
            content=body or None,
            extensions={"timeout": times},
        ) as response,
    ):
        answer = Answer(response.status, _reason(response), _headers(response))
        yield Reply(answer, place, _body(response, name))


def _body(response: httpcore.Response, name: str) -> Iterator[bytes]:
    with _explained(name):
        yield from response.iter_stream()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What httpcore raises, in one sentence that begins with the address."""
    try:
        yield
    except FetchError as error:
        if str(error).startswith("the host "):  # from `connecting`, which knows no URLs
            raise type(error)(f"{name}: {error}") from None
        raise
    except (OutOfTime, httpcore.TimeoutException):
        raise Broken(f"{name} is not there in the time that is allowed for it.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        reason = str(error).rstrip(".") or "the connection was closed"
        raise Broken(f"{name} cannot be fetched: {reason}.") from None
    except httpcore.UnsupportedProtocol as error:
        raise FetchError(f"{name} cannot be fetched: {error}.") from None


def _headers(response: httpcore.Response) -> dict[str, str]:
    """Headers by name in lower case; of several with one name, the first."""
    found: dict[str, str] = {}
    for name, value in response.headers:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _reason(response: httpcore.Response) -> str:
    words = response.extensions.get("reason_phrase", b"").decode("latin-1")
    return words[:100] if words.isprintable() else ""
