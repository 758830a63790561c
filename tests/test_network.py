"""The network that listens: the same whatever the blocks, and one sentence for what is damaged."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_export import shaken
from tiny_kur import RATE, kurfile, spoken, tones_project

from earshot.errors import NetworkError
from earshot.network import Network
from kur.export import export_onnx
from kur.reader import Kurfile

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of random weights, as `kur export` writes it."""
    made = tmp_path_factory.mktemp("network")
    parsed = Kurfile(tones_project(made, clips=2))
    parsed.parse()
    shaken(parsed, made / "out/best.safetensors")
    export_onnx(parsed, made / "net/network.onnx", heads={"said": "transcript"})
    return made / "net"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "net"))


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return Network.open(folder, head="said")


def whole(network: Network, pcm: Floats) -> Floats:
    """What the network says of everything at once."""
    padded = network.features.of(pcm, RATE, network.frame_multiple)
    found: Floats = network._session.run([network.head], {network.input: padded[None]})[0][0]
    return found


def heard(network: Network, blocks: Iterator[Floats]) -> Floats:
    parts = list(network.listen(blocks))
    return np.concatenate(parts) if parts else np.zeros((0, len(network.units)), np.float32)


def test_what_a_network_says_of_itself(network: Network) -> None:
    assert network.units == ("a", "b", "c", "d", "<blank>") and network.blank == 4
    assert (network.frame_seconds, network.frame_multiple) == (0.04, 4)
    assert network.sample_rate == RATE and len(network.fingerprint) == 64
    assert network.features.as_metadata()["mel_bins"] == 16 and network.context_seconds == 0.18


@given(st.integers(0, 12 * RATE), st.lists(st.floats(0, 1), max_size=6))
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_blocks_do_not_matter(network: Network, samples: int, cuts: list[float]) -> None:
    pcm = np.resize(spoken("abcdbadc"), samples)
    edges = [0, *sorted(round(cut * samples) for cut in cuts), samples]
    blocks = [pcm[a:b] for a, b in itertools.pairwise(edges)]
    found, wanted = heard(network, iter(blocks)), heard(network, iter([pcm]))
    assert np.array_equal(found, wanted)
    if network.features.frames_in(samples, RATE):
        np.testing.assert_allclose(found, whole(network, pcm), atol=1e-4)


def test_windows_do_not_matter(network: Network) -> None:
    """Five minutes are heard in windows of one, with the context that the network needs."""
    rng = np.random.default_rng(0)
    pcm = np.resize(spoken("abcdbadc"), 150 * RATE + 777)
    pcm *= (0.5 + 0.5 * np.sin(np.arange(len(pcm)) / 40_000)).astype(np.float32)
    pcm += rng.normal(scale=0.001, size=len(pcm)).astype(np.float32)
    blocks = (pcm[i : i + 30 * RATE] for i in range(0, len(pcm), 30 * RATE))
    parts = list(network.listen(blocks))
    assert len(parts) == 3
    found = np.concatenate(parts)
    np.testing.assert_allclose(found, whole(network, pcm), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-4)
    assert len(found) == -(-network.features.frames_in(len(pcm), RATE) // 4)


def test_a_network_that_attends_to_everything_hears_shorter_windows(copy: Path) -> None:
    changed(copy, context_seconds=None)
    network = Network.open(copy, "said")
    pcm = np.resize(spoken("abcdbadc"), 50 * RATE)
    parts = list(network.listen(iter([pcm])))
    assert (network.window_seconds, network.context_seconds) == (20.0, 4.0)
    assert len(parts) == 3
    np.testing.assert_allclose(np.concatenate(parts), whole(network, pcm), atol=1e-4)


def test_nothing_to_hear(network: Network) -> None:
    assert list(network.listen(iter([]))) == []
    assert list(network.listen(iter([np.zeros(0, np.float32)]))) == []
    [silence] = network.listen(iter([np.zeros(RATE, np.float32)]))
    assert silence.shape == (25, 5) and np.isfinite(silence).all()


def refused(folder: Path, head: str = "said") -> str:
    with pytest.raises(NetworkError) as caught:
        list(Network.open(folder, head).listen(iter([np.zeros(RATE, np.float32)])))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(folder))


def changed(folder: Path, **values: Any) -> None:
    path = folder / "network.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_folders_without_a_network(tmp_path: Path) -> None:
    assert refused(tmp_path) == ": no network here (network.json is missing)"
    assert refused(tmp_path / "none") == ": no network here (network.json is missing)"
    (tmp_path / "network.json").write_text("{")
    assert refused(tmp_path).startswith("/network.json: cannot be read: ")
    for text in ("[]", "{}", '{"format": "1"}'):
        (tmp_path / "network.json").write_text(text)
        assert refused(tmp_path) == "/network.json: not the description of a network"


def test_a_newer_format(copy: Path) -> None:
    changed(copy, format=3)
    assert refused(copy) == (
        "/network.json: format 3 is newer than this Earshot knows (2); upgrade it: pip install "
        "--upgrade earshot"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"heads": {}},
        {"heads": {"said": {"output": "said"}}},
        {"features": {"type": "mfcc"}},
        {"features": None},
        {"sample_rate": None},
        {"context_seconds": "far"},
    ],
)
def test_descriptions_that_lack_something(values: dict[str, Any], copy: Path) -> None:
    changed(copy, **values)
    found = refused(copy)
    assert found.startswith("/network.json: not a network that can be searched with: ")


def test_a_damaged_network(copy: Path) -> None:
    path = copy / "network.onnx"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refused(copy).startswith("/network.onnx: cannot be loaded: ")
    path.write_text("hello")
    assert refused(copy).startswith("/network.onnx: cannot be loaded: ")
    path.unlink()
    assert refused(copy).startswith("/network.onnx: cannot be loaded: ")


def test_a_search_knows_units_without_the_network(copy: Path) -> None:
    (copy / "network.onnx").unlink()
    assert Network.open(copy, head="said").units[0] == "a"


def test_a_network_that_hears_everything_hears_it_in_pieces(tmp_path: Path) -> None:
    """What is shorter than a window is heard as a whole."""
    folder = tmp_path
    path = tones_project(folder, clips=2)
    text = path.read_text().replace("- dropout: 0.05", "- squeeze_excite: 4")
    made = kurfile(folder, text)
    shaken(made, folder / "out/best.safetensors")
    export_onnx(made, folder / "net/network.onnx", heads={"said": "transcript"})
    network = Network.open(folder / "net", head="said")
    assert network.window_seconds == 20.0
    pcm = np.resize(spoken("abcdbadc"), 15 * RATE)
    [found] = network.listen(iter([pcm]))
    np.testing.assert_allclose(found, whole(network, pcm), atol=1e-4)
