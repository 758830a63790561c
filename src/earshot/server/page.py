"""The page: files of `page/` as they lie there, and the one document that shows them.

No build step, nothing from other hosts, no inline scripts or styles: the document's policy says so
to the browser. The waveform's library styles its shadow tree, for which each answer has a nonce.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_DOCUMENT = Path(__file__).parent / "page.html"
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


class Files(StaticFiles):
    """Scripts, styles, pictures: kept by browsers, and asked for anew whether they have changed."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        """The file, or that it is the one that the browser has."""
        answer = super().file_response(*given, **named)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


files = Files(directory=Path(__file__).parent / "page")


@router.get("/")
@router.get("/search")
@router.get("/marks")
@router.get("/recordings/{id}")
async def document() -> Response:
    """The same document everywhere: its script reads the address."""
    nonce = secrets.token_urlsafe(16)
    text = _DOCUMENT.read_text("utf-8").replace(_NONCE, nonce)
    policy = _POLICY.format(nonce=nonce)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
