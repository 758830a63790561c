"""A page of a video site, a playlist or a channel -> files and what the site says of them.

yt-dlp knows the sites. Of each video the best sound is downloaded, gone on with where an earlier
attempt broke off, and captions are kept beside it for comparison. What a site refuses is one
sentence and costs one video. Which addresses yt-dlp asks is up to it: only the one that it is given
is judged here, so that this is for what the user names, never for strangers. Prints nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earshot.about import LONGEST, About, about
from earshot.errors import AddressRefused, FetchError, MissingExtra
from earshot.fetching import Rules, address, is_public
from earshot.index.durable import writing
from earshot.sources.feeds import plain

MOST_BYTES = 16 << 30
CAPTIONS = ("en", "en-US", "en-GB", "en-orig")
"""Languages of captions that are kept beside a video."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Video:
    """A video of a page: its address and title; then its file and what is said of it, or why not.

    `captions` are files beside it.
    """

    address: str
    title: str
    path: Path | None = None
    about: About | None = None
    captions: tuple[Path, ...] = ()
    problem: str = ""


def listed(page: str, rules: Rules, limit: int | None = None) -> tuple[Video, ...]:
    """The videos of a page: one, or all of a playlist or channel, at most `limit`.

    Raises FetchError (AddressRefused among them) for a page that cannot be had or shows none.
    """
    _require_allowed(page, rules)
    options = _options() | {"extract_flat": "in_playlist", "skip_download": True}
    if limit is not None:
        options["playlistend"] = limit
    found = _asked(page, options, download=False)
    entries = found.get("entries")
    if entries is None:
        return (Video(page, _line(found.get("title")) or page),)
    videos = []
    for one in entries:
        if isinstance(one, dict) and (where := one.get("webpage_url") or one.get("url")):
            plain_address = str(where).partition("#__youtubedl_smuggle")[0]
            videos.append(Video(plain_address, _line(one.get("title")) or plain_address))
    if not videos:
        raise FetchError(f"{page} shows no videos")
    return tuple(videos[:limit])


def fetched(video: Video, folder: Path, rules: Rules) -> Video:
    """The video with its file, or with the problem that there was; raises MissingExtra."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        _require_allowed(video.address, rules)
        mark = hashlib.sha256(video.address.encode()).hexdigest()[:8]
        # Ids are told apart within a site only.
        options = _options(str(folder / f"%(extractor)s-%(id).80B-{mark}.%(ext)s"))
        found = _asked(video.address, options, download=True)
        if found.get("entries"):
            found = next((one for one in found["entries"] if isinstance(one, dict)), found)
        files = found.get("requested_downloads") or [{}]
        path = Path(str(files[0].get("filepath") or ""))
        if not path.is_file():
            raise FetchError(f"{video.address} gave no file")
    except FetchError as error:
        return Video(video.address, video.title, problem=str(error).rstrip("."))
    captions = tuple(sorted(path.parent.glob(f"{path.stem}.*.vtt")))
    title = _line(found.get("title")) or video.title
    return Video(video.address, title, path, _described(found, video), captions)


def _described(found: Mapping[str, Any], video: Video) -> About:
    day = str(found.get("upload_date") or "")
    meta = {
        "channel": _line(found.get("channel") or found.get("uploader")),
        "link": _line(found.get("webpage_url") or video.address),
        "description": " ".join(plain(found.get("description")).split()),
        "chapters": "; ".join(
            f"{int(one.get('start_time') or 0)} {_line(one.get('title'))}"
            for one in found.get("chapters") or () if isinstance(one, dict)
        ),
    }  # fmt: skip
    return about(
        title=(_line(found.get("title")) or video.title)[:LONGEST],
        date=f"{day[:4]}-{day[4:6]}-{day[6:]}" if re.fullmatch(r"\d{8}", day) else None,
        meta={name: value[: LONGEST // 2] for name, value in meta.items() if value},
    )


def _asked(page: str, options: dict[str, Any], *, download: bool) -> dict[str, Any]:
    try:
        from yt_dlp import YoutubeDL  # an extra, and a second to load
        from yt_dlp.utils import YoutubeDLError
    except ImportError as error:
        raise MissingExtra("yt-dlp, which knows video sites,", "video") from error
    try:
        with YoutubeDL(options) as program:
            found = program.extract_info(page, download=download)
            found = program.sanitize_info(found)
    except (YoutubeDLError, OSError, ValueError) as error:
        raise FetchError(f"{page} cannot be had: {_said(error)}") from error
    if not isinstance(found, dict):
        raise FetchError(f"{page} shows no video")
    return found


def _options(target: str = "") -> dict[str, Any]:
    return {
        "format": "bestaudio/best",
        **({"outtmpl": target} if target else {}),
        "restrictfilenames": True,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silent(),
        "color": "never",
        "socket_timeout": 30,
        "retries": 3,
        "max_filesize": MOST_BYTES,
        "writesubtitles": True,
        "subtitleslangs": list(CAPTIONS),
        "subtitlesformat": "vtt",
        "cachedir": False,
        "noplaylist": True,
    }


def _require_allowed(page: str, rules: Rules) -> None:
    """Raises AddressRefused for an address that may not be asked for."""
    place = address(page)
    try:
        numbers = rules.resolve(place.host, place.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FetchError(f"the host {place.host} cannot be found ({reason})") from error
    for number in numbers:
        if not is_public(number, rules.allowed):
            raise AddressRefused(
                f"the host {place.host} lies in a private network, from which nothing is fetched "
                "unless --allow-private is given"
            )


def _said(error: BaseException) -> str:
    """What a site or yt-dlp says, on one line, without its marks and its own advice."""
    text = _COLOURS.sub("", str(error)).removeprefix("ERROR: ")
    text = re.split(r"; please report this issue|\. Use --|\(caused by", text)[0]
    return " ".join(re.sub(r"^\[[^\]]+\] \S+: ", "", text).split())[:300].rstrip(". ")


def _line(value: Any) -> str:
    return " ".join(plain(value).split())[:500]


class _Silent:
    """What yt-dlp would print; what matters comes as an exception."""

    def debug(self, _text: str) -> None:
        """Nothing."""

    info = warning = error = debug
