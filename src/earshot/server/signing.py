"""Signing in and out: who am I, and the cookie that stands for a key (`sessions`)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from earshot.server import keys, sessions
from earshot.server.auth import Reader, caller_of, counting, require_same_origin
from earshot.server.keys import Caller, Scope
from earshot.server.service import Here

router = APIRouter(tags=["session"])


class SignIn(BaseModel):
    """A key."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=512)]


class SessionOut(BaseModel):
    """Who asks: what they may do, in which project, and whether a key was needed for that."""

    project: str
    scope: Scope
    keyless: bool


@router.get("/session", response_model=SessionOut, summary="Who am I?")
async def get(caller: Reader) -> Response:
    """What the caller may do."""
    return _told(caller)


@router.post("/session", response_model=SessionOut, summary="Sign in")
async def sign_in(request: Request, given: SignIn, service: Here) -> Response:
    """Give a key for a cookie, which only the browser knows, for thirty days."""
    require_same_origin(request)
    key = counting(await keys.find(service.store, given.key))
    answer = _told(caller_of(key))
    answer.set_cookie(
        sessions.COOKIE,
        await sessions.begin(service.store, key),
        max_age=int(sessions.SESSION_SECONDS),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.delete("/session", status_code=204, summary="Sign out")
async def sign_out(request: Request, service: Here) -> Response:
    """Let the cookie count no more."""
    require_same_origin(request)
    if secret := request.cookies.get(sessions.COOKIE):
        await sessions.end(service.store, secret)
    answer = Response(status_code=204)
    answer.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict")
    return answer


def _told(caller: Caller) -> JSONResponse:
    told = SessionOut(project=caller.project, scope=caller.scope, keyless=caller.key is None)
    return JSONResponse(told.model_dump())
