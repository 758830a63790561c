"""Which GPUs a text like `gpu2-6,gpu!3` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kur.devices import gpu_count, parse_device
from kur.errors import KurError


@pytest.mark.parametrize(
    ("device", "count", "gpus"),
    [
        ("cpu", 0, ()),
        ("cpu", 4, ()),
        ("gpu", 3, (0, 1, 2)),
        ("gpu2", 4, (2,)),
        ("gpu2-6,gpu!3", 8, (2, 4, 5, 6)),
        ("gpu2-6, gpu!3", 5, (2, 4)),
        ("gpu!0", 3, (1, 2)),
        ("gpu0-99999", 2, None),
        ("gpu0-9999", 2, (0, 1)),
        ("gpu0-3,gpu!1-2,gpu1", 8, (0, 1, 3)),
    ],
)
def test_devices(device: str, count: int, gpus: tuple[int, ...] | None) -> None:
    if gpus is None:
        with pytest.raises(KurError, match="accepted: cpu, gpu, gpu2, gpu2-6, gpu!3"):
            parse_device(device, count)
    else:
        assert parse_device(device, count) == gpus


@pytest.mark.parametrize(
    ("device", "count", "message"),
    [
        ("gpu", 0, "the device 'gpu' is not there: this machine has no GPU; use 'cpu'"),
        ("gpu3", 1, "the device 'gpu3' is not there: this machine has one GPU: gpu0; use 'cpu'"),
        ("gpu4-6", 2, "the device 'gpu4-6' is not there: this machine has 2 GPUs: gpu0-1; use "),
        ("gpu1,gpu!1", 2, "the device 'gpu1,gpu!1' is not there: this machine has 2 GPUs: gpu0-1"),
        ("GPU", 2, "found the device 'GPU'; accepted: cpu, gpu, gpu2, gpu2-6, gpu!3 (all but "),
        ("gpu2-", 2, "found the device 'gpu2-'; accepted: "),
        ("", 2, "found the device ''; accepted: "),
    ],
)
def test_devices_that_are_not_there(device: str, count: int, message: str) -> None:
    with pytest.raises(KurError) as caught:
        parse_device(device, count)
    assert str(caught.value).startswith(message)


@given(st.text(alphabet="gpu!-,0123456789 ", max_size=20), st.integers(0, 9))
def test_any_text_means_gpus_that_exist_or_is_refused(device: str, count: int) -> None:
    try:
        found = parse_device(device, count)
    except KurError as error:
        assert "\n" not in str(error)
    else:
        assert found == tuple(sorted(set(found))) and set(found) <= set(range(count))


def test_the_driver_is_asked() -> None:
    assert gpu_count() >= 0
