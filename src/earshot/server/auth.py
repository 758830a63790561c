"""Who asks, and may they? A route says what it needs by the type of a parameter.

    async def search(caller: Reader, service: Here) -> ...:
        shelf = service.shelf(caller.project)

`Reader`, `Writer` and `Admin` are a `Caller` whose key has that scope or more. As long as no key
was ever made, everyone is an admin of the project `default`: then the server listens on loopback
only, and requests that a web page elsewhere made a browser send are refused. The page's cookie
(`sessions`) stands for a key.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from earshot.server import keys, sessions
from earshot.server.errors import Refused
from earshot.server.keys import DEFAULT_PROJECT, Caller, Key, Scope, may
from earshot.server.service import Here, Service

_CREDENTIALS = re.compile(r"(?:token|bearer)[ \t]+([!-~]{1,512})", re.IGNORECASE)
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\]|testserver)(:\d+)?", re.IGNORECASE)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="earshot"'}


async def identified(request: Request, service: Service) -> Caller:
    """Who sends a request; raises Refused (401) for nobody, or one whose key counts no more."""
    given = request.headers.get("authorization")
    if given is None and not await keys.any_made(service.store):
        _require_own_machine(request)
        return Caller(DEFAULT_PROJECT, "admin")
    cookie = request.cookies.get(sessions.COOKIE)
    match = _CREDENTIALS.fullmatch(given or "")
    if given is None and cookie is not None:
        require_same_origin(request)
        return caller_of(counting(await sessions.find(service.store, cookie)))
    if match is None:
        raise Refused(
            401,
            "an API key is needed: send 'Authorization: Token KEY' (earshot key create makes one)",
            headers=_CHALLENGE,
        )
    key = await keys.find(service.store, match[1])
    if key is None and not await keys.any_made(service.store):  # clients that always send one
        _require_own_machine(request)
        return Caller(DEFAULT_PROJECT, "admin")
    return caller_of(counting(key))


def counting(key: Key | None) -> Key:
    """The key; raises Refused (401) for none, or one that counts no more."""
    if key is None:
        raise Refused(401, "this API key is not known here", headers=_CHALLENGE)
    if refusal := key.refusal():
        raise Refused(401, f"this API key does not count: {refusal}", headers=_CHALLENGE)
    return key


def caller_of(key: Key) -> Caller:
    """Who asks with a key."""
    return Caller(key.project, key.scope, key.id, key.limits)


def require_same_origin(request: Request) -> None:
    """No other web page may use the cookie of ours; raises Refused (403)."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Refused(403, "a web page elsewhere may not ask in your name")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "a web page elsewhere may not ask in your name")


def _require_own_machine(request: Request) -> None:
    """Without keys: no other names for this machine (DNS that changes its mind), no other sites."""
    host = request.headers.get("host", "")
    if not _LOOPBACK.fullmatch(host):
        raise Refused(
            403, "without an API key this server is asked as localhost only: earshot key create"
        )
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refused(403, "without an API key no web page elsewhere may ask: earshot key create")


def _needs(scope: Scope) -> Callable[[Request, Service, object], Awaitable[Caller]]:
    async def caller(
        request: Request,
        service: Here,
        _: Annotated[object, Security(HTTPBearer(auto_error=False, description="An API key"))],
    ) -> Caller:
        found = await identified(request, service)
        request.state.caller = found
        service.allowance.take_request(found)
        if not may(found, scope):
            raise Refused(403, f"this key has the scope '{found.scope}', '{scope}' is needed")
        return found

    return caller


Reader = Annotated[Caller, Depends(_needs("read"))]
Writer = Annotated[Caller, Depends(_needs("write"))]
Admin = Annotated[Caller, Depends(_needs("admin"))]
