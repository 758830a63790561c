"""A connection to the very address that was checked, in the time that there is.

A host is resolved once for each connection, every address that it has is judged, and one of those
is connected to, by number: DNS that changes its mind between the check and the connection changes
nothing. TLS is verified against the host's name all the same. This module is httpcore's network,
and knows nothing of HTTP.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore

from earshot.errors import AddressRefused, FetchError
from earshot.fetching.addresses import is_public

Resolver = Callable[[str, int], Sequence[str]]
"""A host and a port -> its IP addresses; raises OSError where it has none."""

CONNECT_SECONDS = 15.0  # to one address of several
MOST_ADDRESSES = 8  # of one host, that are tried


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be reached, and how much of it is taken.

    `allowed` are networks that may be reached although they are not public ("10.0.0.0/8");
    `most_bytes` and `most_seconds` limit a download; whoever sends fewer than `least_speed` bytes
    a second for `patience` seconds, or nothing for so long, is given up. `resolve` finds addresses.
    """

    allowed: tuple[str, ...] = ()
    most_bytes: int = 16 << 30
    most_seconds: float = 6 * 3600.0
    most_redirects: int = 8
    least_speed: int = 1024
    patience: float = 30.0
    resolve: Resolver = resolved


class OutOfTime(Exception):
    """The time for what was being done is over."""


class Deadline:
    """When all must be over, and when the part that is being done must be."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._part_end = self._end

    def part(self, seconds: float | None) -> None:
        """From now on there are so many seconds for what is done; None: all that is left."""
        left = self._end if seconds is None else time.monotonic() + seconds
        self._part_end = min(self._end, left)

    def within(self, seconds: float | None) -> float:
        """How long one step may take that may take `seconds`; OutOfTime where nothing is left."""
        left = self._part_end - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left if seconds is None else min(left, seconds)


class Checked(httpcore.NetworkBackend):
    """Connects to what the rules allow, and to nothing else."""

    def __init__(self, rules: Rules, deadline: Deadline) -> None:
        self._rules = rules
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, judge, connect by number; AddressRefused where the host is not public."""
        failure: Exception = httpcore.ConnectError("it has no address")
        for number in self._addresses(host, port):
            try:
                stream = self._plain.connect_tcp(
                    number,
                    port,
                    self._deadline.within(CONNECT_SECONDS if timeout is None else timeout),
                    local_address,
                    socket_options,
                )
                return _Timed(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            found = self._rules.resolve(host, port)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FetchError(f"the host {host} cannot be found ({reason}).") from None
        for number in found:
            if not is_public(number, self._rules.allowed):
                says = "" if number == host else f", whose address is {number},"
                raise AddressRefused(
                    f"the host {host}{says} lies in a private or reserved network, from which "
                    "nothing is fetched unless private networks are allowed."
                )
        return found[:MOST_ADDRESSES]


class _Timed(httpcore.NetworkStream):
    """A stream each of whose steps ends in time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(
            ssl_context, server_hostname, self._deadline.within(timeout)
        )
        return _Timed(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@cache
def trusted() -> ssl.SSLContext:
    """Who is believed to be who they say: the system's authorities, and those that come with us."""
    context = httpcore.default_ssl_context()
    context.load_default_certs()
    return context
