"""Which samples are taken: every form of `samples`, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kur.arguments import ArgumentError
from kur.data.choice import bounds, chosen

FORMS = [
    (None, (0, 200)),
    (10, (0, 10)),
    (10.0, (0, 10)),
    ("10", (0, 10)),
    ("10-20", (10, 20)),
    ("10-", (10, 200)),
    ("10%", (0, 20)),
    ("10-20%", (20, 40)),
    ("10-%", (20, 200)),
    ("2.5%", (0, 5)),
    (" 10 - 20 % ", (20, 40)),
    (999, (0, 200)),
    ("50-999", (50, 200)),
]


@pytest.mark.parametrize(("samples", "wanted"), FORMS)
def test_forms(samples: int | float | str | None, wanted: tuple[int, int]) -> None:
    assert bounds(samples, 200) == wanted
    found = chosen(samples, 200, 3).tolist()
    assert len(found) == wanted[1] - wanted[0]
    assert found == sorted(set(found)) and set(found) <= set(range(200))


def test_a_seed_chooses_what_it_chose_in_kur_0_7() -> None:
    order = np.random.RandomState(5).permutation(50)
    assert chosen("10-20", 50, 5).tolist() == sorted(order[10:20].tolist())
    assert chosen("10-20", 50, 5).tolist() != chosen("10-20", 50, 6).tolist()


@given(st.integers(2, 300), st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_shares_are_a_split(count: int, share: int, seed: int) -> None:
    parts = []
    for samples in (f"0-{share}%", f"{share}-100%"):
        try:
            parts += chosen(samples, count, seed).tolist()
        except ArgumentError as error:
            assert "takes none of" in str(error)
    assert sorted(parts) == list(range(count))


@given(st.text(max_size=12) | st.from_regex(r"[\d.%\- ]{0,8}"))
def test_any_text_is_a_choice_or_one_sentence(samples: str) -> None:
    try:
        first, last = bounds(samples, 70)
        assert 0 <= first < last <= 70
    except ArgumentError as error:
        assert error.key == "samples"


@pytest.mark.parametrize("samples", [0, -3, "", "x", "10-5", "0%", "%", "5%-10%", "200-", True])
def test_what_is_wrong(samples: int | str) -> None:
    with pytest.raises(ArgumentError, match=r"^'samples"):
        chosen(samples, 200, 0)
