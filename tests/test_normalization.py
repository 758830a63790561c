"""Normalization: what it does to frames, and files that it shares with Kur 0.7."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from kur.data.normalization import Normalization, NormalizationOptions, Statistics
from kur.errors import KurError

Floats = npt.NDArray[np.float32]


def clips() -> list[Floats]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5)) * [1, 3, 0.2, 10, 1]
    sizes = (40, 300, 7)
    return [(rng.normal(size=(n, 5)) @ mixing + [5, 0, -3, 1, 9]).astype(np.float32) for n in sizes]


def normalized(**options: Any) -> npt.NDArray[np.float64]:
    chosen = Normalization.of(Statistics.of(clips()), NormalizationOptions(**options))
    return np.vstack([chosen.apply(one) for one in clips()]).astype(np.float64)


@pytest.mark.parametrize("rotate", [True, "zca", "pca"])
def test_whitening(rotate: Any) -> None:
    found = normalized(rotate=rotate)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=1e-3)


def test_zca_keeps_the_axes() -> None:
    """Of all whitenings it is the one by a symmetric matrix."""
    chosen = Normalization.of(Statistics.of(clips()), NormalizationOptions())
    np.testing.assert_allclose(chosen.matrix, chosen.matrix.T, atol=1e-9)


def test_parts_of_it() -> None:
    data = np.vstack(clips()).astype(np.float64)
    mean, deviation = data.mean(axis=0), data.std(axis=0, ddof=1)
    plain = {"rotate": False, "atol": 1e-3}
    for options, wanted in [
        ({"center": True, "scale": True}, (data - mean) / deviation),
        ({"center": False, "scale": True}, (data - mean) / deviation + mean),
        ({"center": True, "scale": False}, data - mean),
        ({"center": False, "scale": False}, data),
    ]:
        np.testing.assert_allclose(normalized(rotate=False, **options), wanted, atol=plain["atol"])
    turned = normalized(rotate="pca", scale=False)
    covariance = np.cov(turned.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-2)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_as_kur_0_7_computed_it(tmp_path: Path) -> None:
    """Its statistics came from a singular value decomposition of all frames."""
    data = np.vstack(clips()).astype(np.float64)
    found = Statistics.of(clips())
    _, values, directions = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.diag(found.scales), np.sqrt(len(data) - 1) / values, rtol=1e-6)
    aligned = np.abs((found.directions * directions).sum(axis=1))
    np.testing.assert_allclose(aligned, 1, atol=1e-6)
    old = {
        "mean": data.mean(axis=0).tolist(),
        "stddev": data.std(axis=0, ddof=1).tolist(),
        "S": np.diag(np.sqrt(len(data) - 1) / values).tolist(),
        "Vt": directions.tolist(),
    }
    (tmp_path / "norm.yml").write_text(yaml.dump(old))
    read = Normalization.of(Statistics.read(tmp_path / "norm.yml"), NormalizationOptions())
    np.testing.assert_allclose(read.apply(clips()[1]), normalized()[40:340], atol=1e-3)


def test_a_file_comes_back(tmp_path: Path) -> None:
    found = Statistics.of(clips())
    found.write(tmp_path / "deep" / "norm.yml")
    again = Statistics.read(tmp_path / "deep" / "norm.yml")
    for one, other in zip(
        (found.mean, found.stddev, found.scales, found.directions),
        (again.mean, again.stddev, again.scales, again.directions),
        strict=True,
    ):
        assert np.array_equal(one, other)
    assert list(yaml.safe_load((tmp_path / "deep" / "norm.yml").read_text())["mean"])
    chosen = Normalization.of(found, NormalizationOptions())
    same = Normalization.from_metadata(chosen.as_metadata())
    assert np.array_equal(same.apply(clips()[0]), chosen.apply(clips()[0]))


def test_a_bin_that_never_changes() -> None:
    flat = [np.column_stack([one, np.full(len(one), 7, np.float32)]) for one in clips()]
    for options in ({}, {"rotate": "pca"}, {"rotate": False}):
        chosen = Normalization.of(Statistics.of(flat), NormalizationOptions(**options))  # type: ignore[arg-type]
        assert np.isfinite(chosen.apply(flat[0])).all()


def test_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "norm.yml"

    def said(text: str) -> str:
        path.write_text(text)
        with pytest.raises(KurError) as caught:
            Statistics.read(path)
        return str(caught.value).removeprefix(f"{path}: ")

    good = {"mean": [0.0], "stddev": [1.0], "S": [[1.0]], "Vt": [[1.0]]}
    for text in ("", "a: [", "mean: [1]", "[1]", "!!python/object/apply:os.system [ls]"):
        assert said(text).startswith("not a normalization file: lists 'mean', 'stddev', 'S' and")
    assert said(yaml.dump({**good, "S": [1.0]})).startswith("its parts do not fit each other: (1,)")
    assert said(yaml.dump({**good, "mean": [float("nan")]})).startswith(
        "holds numbers that are not"
    )
    with pytest.raises(KurError, match="cannot be read: No such file"):
        Statistics.read(tmp_path / "none")
    with pytest.raises(KurError, match="cannot be written"):
        Statistics.of(clips()).write(path / "x")
