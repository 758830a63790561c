"""The letters network in numpy against a loop, its beam search against all alignments, its file."""

from __future__ import annotations

import itertools
import json
import math
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from earshot.errors import NetworkError
from earshot.letters import Floats, Letters, prefix_beam_search

ROOT = Path(__file__).parents[1]
HEADER: dict[str, Any] = {
    "format": 1,
    "alphabet": "abcdefg",
    "units": ["AA", "B", "K", "<blank>"],
    "blank": 3,
    "repeat": 2,
    "blocks": 2,
    "margin": 1,
}


def weights(seed: int = 0, channels: int = 6, width: int = 5) -> dict[str, Floats]:
    """Random weights that fit HEADER."""
    random = np.random.default_rng(seed)

    def tensor(*shape: int) -> Floats:
        return random.normal(0, 0.4, shape).astype(np.float32)

    tensors = {"embedding": tensor(8, channels), "output.kernel": tensor(channels, 4)}
    tensors["output.bias"] = tensor(4)
    for at in range(2):
        tensors[f"blocks.{at}.kernel"] = tensor(width, channels, channels)
        tensors[f"blocks.{at}.bias"] = tensor(channels)
    return tensors


def write(path: Path, header: object = HEADER, tensors: Mapping[str, Any] | None = None) -> Path:
    save_file(weights() if tensors is None else tensors, path, {"letters": json.dumps(header)})
    return path


def plain_forward(word: str, tensors: dict[str, Floats]) -> Floats:
    """The reference: one frame, one tap, one channel at a time."""
    letters = [HEADER["alphabet"].index(letter) + 1 for letter in word] + [0] * HEADER["margin"]
    x = [tensors["embedding"][letter] for letter in letters for _ in range(HEADER["repeat"])]
    for block in range(HEADER["blocks"]):
        kernel, bias = tensors[f"blocks.{block}.kernel"], tensors[f"blocks.{block}.bias"]
        y = []
        for t in range(len(x)):
            total = bias.copy()
            for tap in range(len(kernel)):
                at = t + tap - len(kernel) // 2
                if 0 <= at < len(x):
                    total = total + x[at] @ kernel[tap]
            y.append(x[t] + np.maximum(total, 0))
        x = y
    rows = []
    for frame in x[: len(word) * HEADER["repeat"]]:
        scores = frame @ tensors["output.kernel"] + tensors["output.bias"]
        rows.append(scores - math.log(np.exp(scores).sum()))
    return np.array(rows)


def all_alignments(log_probabilities: Floats, blank: int) -> dict[tuple[int, ...], float]:
    """The reference: every path of units, collapsed, its probability added up."""
    sums: dict[tuple[int, ...], float] = {}
    frames, units = log_probabilities.shape
    for path in itertools.product(range(units), repeat=frames):
        collapsed = tuple(unit for unit, _ in itertools.groupby(path) if unit != blank)
        log_p = sum(float(log_probabilities[at, unit]) for at, unit in enumerate(path))
        sums[collapsed] = sums.get(collapsed, 0.0) + math.exp(log_p)
    return sums


scores = st.integers(1, 5).flatmap(
    lambda frames: arrays(
        np.float32, (frames, 3), elements=st.floats(-6, 6, width=32, allow_nan=False)
    )
)


@pytest.mark.parametrize("word", ["a", "bad", "cabbage"])
@pytest.mark.parametrize("width", [5, 3, 1])
def test_the_network_equals_a_plain_loop(tmp_path: Path, word: str, width: int) -> None:
    tensors = weights(seed=len(word), width=width)
    letters = Letters.open(write(tmp_path / "letters.safetensors", tensors=tensors))
    log_p = letters.log_probabilities(word)
    assert log_p.shape == (2 * len(word), 4)
    np.testing.assert_allclose(log_p, plain_forward(word, tensors), atol=1e-5)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-5)


@given(scores=scores, blank=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_the_search_equals_all_alignments(scores: Floats, blank: int) -> None:
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = all_alignments(log_p, blank)
    found = prefix_beam_search(log_p, blank, beam=10_000, least=-math.inf)
    assert set(dict(found)) == set(expected)
    for units, log_probability in found:
        assert math.exp(log_probability) == pytest.approx(expected[units], rel=1e-4)
    probabilities = [log_probability for _, log_probability in found]
    assert probabilities == sorted(probabilities, reverse=True)


@given(scores=scores, beam=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_narrow_search_never_claims_too_much(scores: Floats, beam: int) -> None:
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = all_alignments(log_p, 2)
    found = prefix_beam_search(log_p, 2, beam=beam)
    assert 1 <= len(found) <= beam
    for units, log_probability in found:
        assert math.exp(log_probability) <= expected[units] * (1 + 1e-4)


def test_pronunciations_are_named_distinct_and_in_order(tmp_path: Path) -> None:
    letters = Letters.open(write(tmp_path / "letters.safetensors"))
    found = letters.pronunciations("cabbage", limit=4)
    assert 1 < len(found) <= 4
    assert len({one.phones for one in found}) == len(found)
    assert all(one.phones and {"AA", "B", "K"}.issuperset(one.phones) for one in found)
    log_p = [one.log_probability for one in found]
    assert log_p == sorted(log_p, reverse=True)
    assert log_p[0] < 0
    assert letters.pronunciations("cabbage", limit=1) == found[:1]
    assert letters.pronunciations("cab'xbage") == letters.pronunciations("cabbage")
    assert letters.pronunciations("") == letters.pronunciations("xyz'") == []


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    half = {name: tensor.astype(np.float16) for name, tensor in weights().items()}
    letters = Letters.open(write(tmp_path / "half.safetensors", tensors=half))
    assert letters.embedding.dtype == np.float32
    exact = plain_forward("cab", weights())
    np.testing.assert_allclose(letters.log_probabilities("cab"), exact, atol=0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "has format 2, this version of Earshot reads format 1"),
        ({"format": None}, "has format None"),
        ({"alphabet": "aa"}, "'alphabet' .* must be a string of different letters, not 'aa'"),
        ({"alphabet": 7}, "'alphabet' .* not 7"),
        ({"units": ["A"]}, "'units' .* must be a list"),
        ({"units": ["A", "A", "B", "C"]}, "'units' .* must be a list"),
        ({"blank": 4}, "'blank' .* from 0 to 3, not 4"),
        ({"blank": True}, "'blank' .* not True"),
        ({"repeat": 0}, "'repeat' .* from 1 to 16, not 0"),
        ({"margin": "1"}, "'margin' .* not '1'"),
        ({"blocks": 3}, "lacks its tensor 'blocks.2.kernel'"),
        ({"alphabet": "abc"}, r"tensor 'embedding' .* is \(8, 6\), not \(4, 6\)"),
        ({"units": ["A", "B", "C", "D", "E"]}, r"'output.kernel' .* \(6, 4\), not \(6, 5\)"),
    ],
)
def test_a_wrong_header_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path / "letters.safetensors", HEADER | change)
    with pytest.raises(NetworkError, match=reason) as caught:
        Letters.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("embedding", np.zeros((8,), np.float32), r"'embedding' .* is \(8,\), not \(8, any\)"),
        ("blocks.1.bias", np.zeros((5,), np.float32), r"is \(5,\), not \(6\)"),
        ("blocks.0.kernel", np.zeros((0, 6, 6), np.float32), r"is \(0, 6, 6\), not \(any, 6, 6\)"),
        ("output.bias", np.full((4,), np.nan, np.float32), "values that are no numbers"),
    ],
)
def test_a_wrong_tensor_is_one_sentence(
    tmp_path: Path, name: str, tensor: Floats, reason: str
) -> None:
    path = write(tmp_path / "letters.safetensors", tensors=weights() | {name: tensor})
    with pytest.raises(NetworkError, match=reason):
        Letters.open(path)


def test_files_that_are_no_letters_network(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="is missing"):
        Letters.open(tmp_path / "letters.safetensors")
    with pytest.raises(NetworkError, match="cannot be read"):
        Letters.open(tmp_path)
    path = tmp_path / "letters.safetensors"
    whole = write(path).read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(NetworkError, match="cannot be read"):
            Letters.open(path)
    save_file(weights(), path)
    with pytest.raises(NetworkError, match="no letters network"):
        Letters.open(path)
    for metadata in ("{", "[]", '"x"', "{}"):
        save_file(weights(), path, {"letters": metadata})
        with pytest.raises(NetworkError, match="no letters network"):
            Letters.open(path)


def test_the_recipe_keeps_families_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tenth of the lexicon: whole families, and the names of the letters.
    shipped = (ROOT / "src/earshot/networks/english/lexicon.txt").read_text("ascii")
    part = re.findall(r"^(?:(?:co|ru|to|bl|cn)[^\t]*|fb\w+|[a-z]\.?)\t.*\n", shipped, re.MULTILINE)
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("".join(part), "ascii")
    recipe = str(ROOT / "recipes/letters_data.py")
    arguments = ["letters_data.py", "--lexicon", str(lexicon), "--target", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    runpy.run_path(recipe, run_name="__main__")
    sets = {
        name: [json.loads(line) for line in (tmp_path / f"{name}.jsonl").open()]
        for name in ("train", "valid", "test")
    }
    family = runpy.run_path(recipe)["family"]
    families = {name: {family(line["letters"]) for line in lines} for name, lines in sets.items()}
    assert not families["train"] & families["valid"]
    assert not families["train"] & families["test"]
    assert not families["valid"] & families["test"]
    assert len(sets["train"]) > 5 * len(sets["test"]) > 500
    assert len(sets["valid"]) > 100
    lines = [line for lines in sets.values() for line in lines]
    words = {line["letters"] for line in lines}
    assert {"tomato", "computer"} < words
    assert not {"fbi", "blvd", "cnn", "b", "co-op", "company's"} & words
    tomato = [line["phones"] for line in lines if line["letters"] == "tomato"]
    assert tomato == ["T AH M EY T OW", "T AH M AA T OW"]
    stems = {family(word) for word in ("compute", "computes", "computing", "computers", "computer")}
    assert len(stems) == 1
    assert family("run") == family("running") == family("runs") == family("runner")
