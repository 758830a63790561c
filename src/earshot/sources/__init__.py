"""Where recordings come from beside files that a user names: each source in a file of its own.

    feeds          an RSS or Atom document -> a feed and its episodes
    outlines       OPML -> addresses of feeds, and back
    web            asking servers as a polite guest
    subscriptions  which feeds are followed, and what became of each episode
    syncing        new episodes of the feeds -> recordings of a library
    companions     what files beside the audio say of it
    videos         pages of video sites -> files
    recorder       a microphone -> a spool of files, a minute each
    pushing        a spool of files -> a server elsewhere
    watching       folders into which others put audio -> recordings of a library

Sources bring files and what is said of them; `Library.add_each` does the rest. What they remember
lies in the folder `sources` of the library.
"""

from pathlib import Path

FOLDER = "sources"


def home(library: Path) -> Path:
    """Where the sources of the library in a folder keep what they remember."""
    return library / FOLDER
