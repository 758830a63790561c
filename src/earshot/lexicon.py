"""The pronouncing dictionary, searched where it lies on disk.

One line a word, in UTF-8, sorted by bytes: `word<TAB>PH PH PH|PH PH PH`, the best pronunciation
first. The file is mapped and looked up by binary search, so that opening costs nothing however
large it is. It knows nothing of spelling rules, numbers or networks: a word is in it or it is not.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from earshot.errors import NetworkError

Phones = tuple[str, ...]


class Lexicon:
    """A read-only mapping from lower-case words to their pronunciations.

    Build one with `Lexicon.open`. Lookups take about 20 steps in a file of a hundred thousand
    words; damage is reported (`NetworkError`) when the damaged line is met.
    """

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path = path
        self._content = content

    @classmethod
    def open(cls, path: Path) -> Lexicon:
        """Maps the lexicon at `path`; raises `NetworkError` if it is missing or no lexicon."""
        try:
            with path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise NetworkError(
                f"{path}: the lexicon is missing from the network's folder"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise NetworkError(f"{path}: the lexicon cannot be read ({error})") from None
        lexicon = cls(path, content)
        if content[-1:] != b"\n":
            raise NetworkError(f"{path}: the lexicon is cut off (its last line has no end)")
        lexicon._entry(0)  # a file of another kind fails here rather than at the first query
        return lexicon

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._find(word) is not None

    def pronunciations(self, word: str) -> list[Phones]:
        """The pronunciations of a lower-case word, the usual one first; empty if it is unknown."""
        found = self._find(word)
        if found is None:
            return []
        return [tuple(one.split()) for one in found.decode("utf-8").split("|")]

    def words(self) -> Iterator[str]:
        """All words, in byte order."""
        at = 0
        while at < len(self._content):
            word, _, at = self._entry(at)
            yield word.decode("utf-8")

    def close(self) -> None:
        """Unmaps the file; the lexicon cannot be used afterwards."""
        self._content.close()

    def _find(self, word: str) -> bytes | None:
        """What stands behind the tab in the word's line; None if the word is unknown."""
        wanted = word.encode("utf-8", "surrogatepass")
        low, high = 0, len(self._content)  # both are starts of lines (or the end)
        while low < high:
            start = self._content.rfind(b"\n", low, (low + high) // 2) + 1 or low
            here, pronunciations, end = self._entry(start)
            if here == wanted:
                return pronunciations
            if here < wanted:
                low = end
            else:
                high = start
        return None

    def _entry(self, start: int) -> tuple[bytes, bytes, int]:
        """The line that starts at `start`: its word, its pronunciations, where the next starts."""
        end = self._content.find(b"\n", start)
        line = self._content[start:end]
        word, tab, pronunciations = line.partition(b"\t")
        if not (word and tab and pronunciations.strip() and _is_text(line)):
            raise NetworkError(
                f"{self.path}: the lexicon is damaged at byte {start} "
                f"(expected 'word<TAB>PH PH PH|PH PH', found {line[:40]!r})"
            )
        return word, pronunciations, end + 1


def _is_text(line: bytes) -> bool:
    """Whether a line is UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
