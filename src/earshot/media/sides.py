"""Stereo: one scene, or two sides of a call? Decided from how loud the two channels are, and when.

In a call the two people take turns, so that at any loud moment one channel is loud and the other is
not: over the loud moments, their levels are correlated negatively. In a scene (podcast, film,
music, two microphones in a room) both channels hear the same and get loud together, also where
rooms, distances and noise make the waveforms differ, for which reason waveforms are not compared.
This module knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from earshot.media.decoding import Piece
from earshot.media.resampling import Plan

# How much is looked at: minutes in which people take turns often, after any silence or ringing.
SOUND_SECONDS = 180.0
LOOKED_AT_SECONDS = 900.0
MOMENT_SECONDS = 0.1  # about a syllable
LOW_HZ, HIGH_HZ = 200.0, 2000.0  # the band of voices, without hum and hiss
SOUND_DB = -60.0  # below this, against full scale, a moment is silence
LOUD_DB = 20.0  # a moment is loud if it is at most so far below the loudest twentieth
# Calls made of real speech (cross-talk up to -12 dB, echo, noise at 5 dB, both talking at once) lie
# from -0.96 to -0.13; scenes (panned by up to 9 dB, rooms, spaced microphones) from +0.04 to 1.
CALL_CORRELATION = 0.0
LEAD_DB = 6.0  # one side leads at a moment if it is so much louder
LEAD_SHARE = 0.02  # both must lead now and then: a side that is only noise is nobody
LEAD_SECONDS = 0.5
# Channels of opposite polarity (a wiring mistake) would cancel each other in a mix.
OPPOSITE_CORRELATION = -0.5


@dataclass(frozen=True, slots=True)
class Moments:
    """What is compared of both channels, by moment of `MOMENT_SECONDS`.

    `levels` is (2, moments) in dB of full scale in the voices' band; `products` (moments,) are the
    mean products of the two waveforms, `powers` (2, moments) the mean squares.
    """

    levels: NDArray[np.float64]
    products: NDArray[np.float64]
    powers: NDArray[np.float64]


def plan_for(pieces: Iterator[Piece]) -> Plan:
    """The plan "split" if the two channels of this audio carry different speech, otherwise "mix".

    Decodes only as much as it needs. One channel, and more than two, are always "mix".
    """
    found: list[Moments] = []
    sound = 0.0
    for piece in takewhile(lambda piece: piece.start < LOOKED_AT_SECONDS, pieces):
        if piece.samples.shape[0] != 2:
            return "mix"
        found.append(_moments(piece))
        sound += MOMENT_SECONDS * int((found[-1].levels.max(axis=0) > SOUND_DB).sum())
        if sound >= SOUND_SECONDS:
            break
    if not found:
        return "mix"
    return _plan(
        Moments(
            levels=np.concatenate([each.levels for each in found], axis=1),
            products=np.concatenate([each.products for each in found]),
            powers=np.concatenate([each.powers for each in found], axis=1),
        )
    )


def _plan(moments: Moments) -> Plan:
    loudest = moments.levels.max(axis=0, initial=SOUND_DB)
    loud = loudest > max(SOUND_DB, np.quantile(loudest, 0.95) - LOUD_DB if loudest.size else 0.0)
    left, right = moments.levels[:, loud]
    least = max(LEAD_SHARE * left.size, LEAD_SECONDS / MOMENT_SECONDS)
    scale = np.sqrt(moments.powers[:, loud].sum(axis=1).prod())
    if moments.products[loud].sum() < OPPOSITE_CORRELATION * scale:
        return "split"
    if min((left - right > LEAD_DB).sum(), (right - left > LEAD_DB).sum()) < least:
        return "mix"
    return "split" if np.corrcoef(left, right)[0, 1] < CALL_CORRELATION else "mix"


def _moments(piece: Piece) -> Moments:
    """The moments of a piece; what is left over at its end, less than one, is not looked at."""
    size = round(MOMENT_SECONDS * piece.rate)
    count = piece.samples.shape[1] // size
    waves = piece.samples[:, : count * size].reshape(2, count, size).astype(np.float64)
    frequencies = np.fft.rfftfreq(size, 1 / piece.rate)
    band = (frequencies >= LOW_HZ) & (frequencies <= HIGH_HZ)
    spectrum = np.abs(np.fft.rfft(waves)[..., band]) ** 2
    # Parseval: twice the sum over positive frequencies is the mean square times the size squared.
    levels = 10 * np.log10(2 * spectrum.sum(axis=2) / size**2 + 1e-12)
    return Moments(levels, (waves[0] * waves[1]).mean(axis=1), (waves**2).mean(axis=2))
