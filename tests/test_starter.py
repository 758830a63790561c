"""`kur init`: what it writes is right, trains at once, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kur import cli, session
from kur.data.provider import Provider
from kur.reader import Kurfile
from kur.starter import SETS, STARTERS, init


@pytest.mark.parametrize("kind", STARTERS)
def test_every_starter_is_right_and_has_its_data(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net: one.yml"  # a name that YAML must have in quotes
    assert cli.main(["init", str(path), "--kind", kind]) == 0
    assert f"kur train {path}" in capsys.readouterr().out
    assert cli.main(["validate", str(path)]) == 0
    kurfile = Kurfile(path)
    kurfile.parse()
    # Imported here for its registries of suppliers.
    from kur.assemble import providers

    sizes = []
    for name in SETS:
        [provider] = providers(kurfile, name).values()
        assert isinstance(provider, Provider)
        sizes.append(provider.samples)
    assert tuple(sizes) == STARTERS[kind].samples


@pytest.mark.parametrize("kind", STARTERS)
def test_every_starter_trains(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "start.yml"
    init(path, kind)
    kurfile = Kurfile(path, {"train.epochs": "1", "train.provider": "{batch_size: 40}"})
    kurfile.parse()
    assert session.training(kurfile).run().epoch == 1
    assert all(figures["loss"] > 0 for figures in session.testing(kurfile).values())


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "start.yml"
    path.write_text("mine")
    assert cli.main(["init", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"kur: {path}: is there already; --force overwrites it, or give another name\n"
    )
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]
    assert cli.main(["init", str(path), "--force"]) == 0
    assert cli.main(["init", str(tmp_path / "start.txt")]) == 1
    assert "give a name that ends in .yml" in capsys.readouterr().err
