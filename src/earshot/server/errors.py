"""Errors as answers, in one shape, with one map from class to status.

    {"error": {"code": "not_found", "message": "...", "request_id": "..."}}

`position`, where a query is wrong at one of its characters, stands beside them. Routes that speak
another language (Deepgram's) register the shape of their errors with `shape`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from earshot.errors import (
    AddressRefused,
    EarshotError,
    FetchError,
    LibraryBusy,
    MediaError,
    QueryError,
    UsageError,
)
from earshot.present import printable
from earshot.server.store import unavailable

LOG = logging.getLogger("earshot.server")

_BY_CLASS: tuple[tuple[type[EarshotError], int, str], ...] = (
    (QueryError, 400, "bad_query"),
    (UsageError, 400, "bad_request"),
    (AddressRefused, 422, "address_refused"),
    (FetchError, 422, "not_fetched"),
    (MediaError, 422, "bad_media"),
    (LibraryBusy, 503, "busy"),
    (EarshotError, 500, "library_error"),
)
_BY_STATUS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found",
    405: "method_not_allowed", 408: "timeout", 409: "conflict", 413: "too_large",
    415: "unsupported_media_type", 416: "range_not_satisfiable", 422: "bad_media",
    429: "too_many_requests", 500: "internal", 503: "unavailable",
}  # fmt: skip


class Refused(Exception):
    """A request that cannot be done: an HTTP status and one sentence for whoever asked."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _BY_STATUS.get(status, "error")
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is told: what every shape is made of."""

    status: int
    code: str
    message: str
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    position: int | None = None


Shape = Callable[[Problem], Response]


def plain(problem: Problem) -> Response:
    """The shape of everything under /api/v1."""
    fields: dict[str, Any] = {
        "code": problem.code,
        "message": problem.message,
        "request_id": problem.request_id,
    }
    if problem.position is not None:
        fields["position"] = problem.position
    return JSONResponse({"error": fields}, problem.status, headers=dict(problem.headers))


def shape(app: FastAPI, prefix: str, of: Shape) -> None:
    """Let errors of paths that begin with `prefix` have another shape."""
    app.state.shapes[prefix] = of


def handle_errors(app: FastAPI) -> None:
    """Let every error of `app` become an answer."""
    app.state.shapes = {}
    for kind in (Refused, EarshotError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


def request_id(request: Request) -> str:
    """What this request is called in logs and answers."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def problem_of(error: Exception, identity: str) -> Problem:
    """What an error is told as."""
    if isinstance(error, Refused):
        return Problem(error.status, error.code, str(error), identity, error.headers)
    if isinstance(error, RequestValidationError):
        return Problem(400, "bad_request", _invalid(error), identity)
    if isinstance(error, HTTPException):
        code = _BY_STATUS.get(error.status_code, "error")
        headers = error.headers or {}
        return Problem(error.status_code, code, _sentence(error), identity, headers)
    for kind, status, code in _BY_CLASS:
        if isinstance(error, kind):
            position = error.position if isinstance(error, QueryError) else None
            headers = {"Retry-After": "5"} if status == 503 else {}
            return Problem(status, code, str(error), identity, headers, position)
    if unavailable(error):
        sentence = "the server's database cannot be reached at the moment: try again later"
        return Problem(503, "unavailable", sentence, identity, {"Retry-After": "5"})
    sentence = "something went wrong in the server; its log tells more under this request id"
    return Problem(500, "internal", sentence, identity)


def told(app: FastAPI, path: str, problem: Problem) -> Response:
    """A problem in the shape that is spoken at `path`."""
    shapes: Mapping[str, Shape] = app.state.shapes
    fitting = max((p for p in shapes if path.startswith(p)), key=len, default=None)
    return plain(problem) if fitting is None else shapes[fitting](problem)


async def _answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error, request_id(request))
    if problem.status >= 500:
        LOG.error("%s", printable(str(error)), exc_info=error)
    return told(request.app, request.url.path, problem)


def _invalid(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid":
        return f"the body is no JSON: {first.get('ctx', {}).get('error', first['msg'])}"
    place = {"query": "the parameter", "body": "in the body,", "path": "in the path,",
             "header": "the header"}.get(where[0], where[0])  # fmt: skip
    name = ".".join(where[1:])
    message = str(first["msg"])
    return f"{place} '{name}': {message}" if name else f"the body: {message}"


def _sentence(error: HTTPException) -> str:
    if error.status_code == 404:
        return "there is nothing at this address: /api/v1/openapi.json lists all there are"
    if error.status_code == 405:
        return "this address does not know this method"
    return str(error.detail)
