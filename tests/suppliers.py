"""Suppliers made as a Kurfile makes them, for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kur.arguments import bind
from kur.assemble import REGISTERED
from kur.data.provider import Provider, ProviderOptions
from kur.data.supplier import SUPPLIERS, Draw
from kur.errors import KurError

assert REGISTERED  # what it imports has registered itself


def made(name: str, base: Path, given: Any = None, **options: Any) -> Any:
    """The supplier `name` with what a Kurfile in `base` gives it."""
    own = {"base": base, "trained": options.pop("trained", None), "settings_seed": 0}
    kind = SUPPLIERS[name]
    given = options if given is None else given
    return kind(**bind(kind, given, what=name, shorthand="path", provided=own))


def everything(supplier: Any) -> dict[str, Any]:
    """All samples as one batch, as the provider makes it; it is checked on the way that samples
    one by one are the same, and have the shapes that are promised."""
    options = ProviderOptions(batch_size=len(supplier), randomize=False)
    [batch] = Provider([supplier], options, 0).batches(0, training=True)
    for name, source in supplier.sources().items():
        assert isinstance(batch[name], np.ndarray), name
        shape = batch[name].shape[1:]
        wanted = zip(source.shape, shape, strict=True)
        assert all(one in (None, size) for one, size in wanted), (name, source.shape, shape)
        for i in (0, len(supplier) - 1):
            one = np.asarray(supplier.sample(i, Draw(0, 0, True))[name])
            padded = batch[name][i][: len(one)] if source.shape[:1] == (None,) else batch[name][i]
            assert np.array_equal(one, padded), name
    return batch


def refusal(name: str, base: Path, given: Any = None, **options: Any) -> str:
    """What is said of a supplier that cannot be made, less the folder's name."""
    with pytest.raises(KurError) as caught:
        made(name, base, given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{base}/", "")
