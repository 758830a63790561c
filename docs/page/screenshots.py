"""Pictures of the page for docs/page.md: the sample recordings, in a wide window and on a phone.

    python docs/page/screenshots.py

It starts a server of its own on a library of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from browsers import PHONE, WIDE, chromium, watched
from servers import EXAMPLES, running

ROOT = Path(__file__).resolve().parents[2]
QUERY = "boosted decision trees | contract"
SETTLE = 4000  # milliseconds, until waveforms are there


def main() -> None:
    """Write one PNG a view and size."""
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "library") as server:
        for path in sorted(EXAMPLES.glob("*.opus")):
            server.upload(path)
        found = server.client.get("/search", params={"q": "boosted decision trees"}).json()
        best = found["mentions"][0]
        views = {
            "library": "/",
            "search": f"/search?q={QUERY}",
            "recording": f"/recordings/{best['recording']}?q=boosted decision trees&q=people",
        }
        with chromium() as browser:
            for size, viewport in (("wide", WIDE), ("phone", PHONE)):
                scheme = "light" if size == "wide" else "dark"
                with watched(browser, viewport=viewport, color_scheme=scheme) as one:
                    for view, way in views.items():
                        one.page.goto(server.url + way)
                        one.page.wait_for_load_state("networkidle")
                        if view == "search":
                            one.page.locator(".mention .play").first.click()
                        one.page.wait_for_timeout(SETTLE)
                        one.page.screenshot(path=ROOT / "docs" / "page" / f"{view}-{size}.png")


if __name__ == "__main__":
    main()
