"""The page: files of `page/` as they lie there, and the one document that shows them.

No build step, nothing from other hosts, no inline scripts or styles: the document's policy says so
to the browser. The waveform's library styles its shadow tree, for which each answer has a nonce.
"""

from __future__ import annotations

import hashlib
import mimetypes
import secrets
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from earshot.server.errors import Refused

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "page"
_NONCE = "{{nonce}}"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'nonce-{nonce}'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@router.get("/")
@router.get("/search")
@router.get("/marks")
@router.get("/recordings/{id}")
async def document() -> Response:
    """The same document everywhere: its script reads the address."""
    nonce = secrets.token_urlsafe(16)
    text = (FOLDER / "index.html").read_text("utf-8").replace(_NONCE, nonce)
    policy = _POLICY.format(nonce=nonce)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


@router.get("/page/{name}")
async def file(request: Request, name: str) -> Response:
    """A script, a style, a picture."""
    if name not in _names():
        raise Refused(404, "there is no such file")
    content = (FOLDER / name).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in FOLDER.iterdir() if path.is_file()) - {"index.html"}
