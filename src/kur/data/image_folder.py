"""The `images` supplier: pictures in folders, a folder a class.

FFmpeg decodes them. Knows nothing of networks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.arrays import one_hot
from kur.data.package import Package, installed, unpacked
from kur.data.supplier import Draw, Sample, Source, Trained, supplier
from kur.errors import KurError

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm"}
# Decoded pictures stay in memory if all of them fit into this.
_KEPT_BYTES = 2 << 30


@supplier("images")
class Images:
    """Sources images (height, width, channels), 0 to 1, labels, one-hot, and image_source.

    The package (path, url, checksum; an archive is unpacked) holds a folder for each class. `size`
    is [height, width], to which pictures are brought; by default all have the size of the first
    one. `channels` 1 makes them grey. `classes` fixes the classes and their order; otherwise they
    are those of the training data, or the folders, sorted.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] = 3,
        classes: list[str] | None = None,
        trained: Callable[[], Trained] | None = None,
    ) -> None:
        if size is not None and min(size) < 1:
            raise ArgumentError(f"'size' must be above 0, found {list(size)}", "size")
        folder = unpacked(installed(Package(url=url, path=path, checksum=checksum), base))
        if not folder.is_dir():
            raise ArgumentError(f"{folder}: a folder, or an archive of one, is needed", "path")
        folder, folders = _class_folders(folder)
        if classes is None and trained is not None:
            classes = trained().get("classes")
        self._classes = [str(one) for one in classes or folders]
        self._files: list[Path] = []
        labels: list[int] = []
        for name in folders:
            files = sorted(one for one in (folder / name).rglob("*") if _is_picture(one))
            if name not in self._classes:
                known = ", ".join(self._classes)
                raise KurError(f"{folder / name}: is none of the classes: {known}")
            self._files += files
            labels += [self._classes.index(name)] * len(files)
        if not self._files:
            known = " ".join(sorted(_ENDINGS))
            raise KurError(f"{folder}: no pictures in its folders; known endings: {known}")
        self._labels = np.array(labels)
        self._gray = channels == 1
        self._resize = size is not None
        height, width = size or _decode(self._files[0], None, self._gray).shape[:2]
        self._shape = (height, width, channels)
        fits = len(self._files) * height * width * channels <= _KEPT_BYTES
        self._kept = np.empty((len(self._files), *self._shape), np.uint8) if fits else None
        self._have = np.zeros(len(self._files), bool)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    def sources(self) -> dict[str, Source]:
        """Shapes of a picture and of its class."""
        return {"images": Source(self._shape), "labels": Source((len(self._classes),))}

    def lengths(self) -> NDArray[np.float64] | None:
        """None: all are alike."""
        return None

    def name(self, index: int) -> str:
        """The file."""
        return str(self._files[index])

    def metadata(self) -> dict[str, Any]:
        """The names of the classes."""
        return {"classes": list(self._classes)}

    def sample(self, index: int, draw: Draw) -> Sample:
        """One picture and its class."""
        return {name: value[0] for name, value in self.batch(np.array([index]), draw).items()}

    def batch(self, indices: NDArray[np.int64], draw: Draw) -> dict[str, Any]:
        """Pictures and their classes."""
        pictures = np.stack([self._picture(int(index)) for index in indices])
        return {
            "images": pictures.astype(np.float32) / np.float32(255),
            "labels": one_hot(self._labels[indices], len(self._classes)),
            "image_source": [self.name(int(index)) for index in indices],
        }

    def _picture(self, index: int) -> NDArray[np.uint8]:
        if self._kept is not None and self._have[index]:
            return np.asarray(self._kept[index])
        path = self._files[index]
        picture = _decode(path, self._shape[:2] if self._resize else None, self._gray)
        if picture.shape != self._shape:
            found = " x ".join(map(str, picture.shape[:2]))
            first = " x ".join(map(str, self._shape[:2]))
            message = f"is {found}, and the first picture {first}; give a 'size'"
            raise KurError(f"{path}: {message}")
        if self._kept is not None:
            with self._lock:
                self._kept[index] = picture
                self._have[index] = True
        return picture


def _class_folders(folder: Path) -> tuple[Path, list[str]]:
    """The folder that holds the folders of the classes, and their names; an archive often has one
    more folder around all."""
    while True:
        inner = sorted(
            one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")
        )
        alone = len(inner) == 1 and any(one.is_dir() for one in (folder / inner[0]).iterdir())
        if not alone:
            break
        folder = folder / inner[0]
    if not inner:
        raise KurError(f"{folder}: a folder for each class is needed, and it has none")
    return folder, inner


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and not path.name.startswith(".") and path.is_file()


def _decode(path: Path, size: tuple[int, int] | None, gray: bool) -> NDArray[np.uint8]:
    """A picture as (height, width, channels), brought to a size if one is given."""
    form = "gray" if gray else "rgb24"
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            height, width = size or (frame.height, frame.width)
            picture = frame.reformat(width=width, height=height, format=form).to_ndarray()
    except (av.error.FFmpegError, OSError, StopIteration, IndexError, ValueError) as error:
        said = getattr(error, "strerror", None) or "no picture in it"
        raise KurError(f"{path}: cannot be read as a picture: {said}") from None
    return np.asarray(picture[..., None] if gray else picture, np.uint8)
