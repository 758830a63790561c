"""The names that other networks give to the phones of English.

Three notations are known: ARPABET with stress or without, in either case (TIMIT's extra phones
too), IPA, and IPA as espeak writes it, where one sign may stand for a vowel and the R after it. All
come down to the 39 phones of `earshot.units`. Knows nothing of networks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from earshot.units import PHONES

# IPA of each phone, without marks of length, stress and tie.
# fmt: off
_IPA: dict[str, tuple[str, ...]] = {
    "AA": ("ɑ", "ɒ"), "AE": ("æ",), "AH": ("ʌ", "ə", "ɐ"), "AO": ("ɔ",), "AW": ("aʊ",),
    "AY": ("aɪ",), "B": ("b",), "CH": ("tʃ", "ʧ"), "D": ("d", "ɾ"), "DH": ("ð",), "EH": ("ɛ", "e"),
    "ER": ("ɜ", "ɚ", "ɝ"), "EY": ("eɪ",), "F": ("f",), "G": ("ɡ", "g"), "HH": ("h", "ɦ"),
    "IH": ("ɪ", "ᵻ", "ɨ"), "IY": ("i",), "JH": ("dʒ", "ʤ"), "K": ("k",), "L": ("l", "ɫ"),
    "M": ("m",), "N": ("n",), "NG": ("ŋ",), "OW": ("oʊ", "əʊ", "o"), "OY": ("ɔɪ",), "P": ("p",),
    "R": ("ɹ", "r", "ɻ"), "S": ("s",), "SH": ("ʃ",), "T": ("t", "ɾ"), "TH": ("θ",),
    "UH": ("ʊ",), "UW": ("u", "ʉ"), "V": ("v",), "W": ("w",), "Y": ("j",), "Z": ("z",),
    "ZH": ("ʒ",),
}
# Signs of two phones, which `Speller` then looks for as one, and as two.
_IPA_PAIRS: dict[str, tuple[str, ...]] = {
    "AA R": ("ɑɹ",), "AO R": ("ɔɹ", "oɹ"), "EH R": ("ɛɹ",), "IH R": ("ɪɹ",), "UH R": ("ʊɹ",),
    "AY ER": ("aɪɚ",), "AH L": ("əl",), "AY AH": ("aɪə",), "IY AH": ("iə",),
}
_TIMIT: dict[str, tuple[str, ...]] = {
    "AH": ("AX", "AX-H", "AXH"), "IH": ("IX",), "ER": ("AXR",), "UW": ("UX",), "HH": ("HV", "H"),
    "T": ("DX",), "D": ("DX",), "N": ("NX", "EN"), "L": ("EL",), "M": ("EM",), "NG": ("ENG",),
    "ZH": ("ZH",),
}
# fmt: on
_MARKS = str.maketrans("", "", "ːˑˈˌ.͜͡ʰ̩̯̃")

OTHER = "<other>"
"""The unit that stands for everything that is no phone of English."""


@dataclass(frozen=True, slots=True)
class EnglishPhones:
    """How a vocabulary comes down to English phones.

    `units` are the 39 phones, then units of two phones ("AA+R"), then `OTHER`; `tokens` holds for
    each of them the tokens of the vocabulary that stand for it; `joined` maps "AA R" to "AA+R".
    """

    units: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    joined: dict[str, str]


def english_phones(vocabulary: Sequence[str], blank: int) -> EnglishPhones | list[str]:
    """How the tokens of `vocabulary` come down to English phones, or the phones that it lacks."""
    plain = [_plain(token) for token in vocabulary]
    arpabet = [token.upper().rstrip("0123456789") for token in vocabulary]
    # One notation or the other: "t" alone is a phone in both, and a letter besides.
    by_notation = [
        (arpabet, {one: (one, *_TIMIT.get(one, ())) for one in PHONES}, {}),
        (plain, _IPA, _IPA_PAIRS),
    ]
    lacks = list(PHONES)
    for names, phones, pairs in by_notation:
        found = {one: _places(names, phones[one], blank) for one in PHONES}
        missing = [one for one in PHONES if not found[one]]
        if not missing:
            two = {pair: _places(names, pairs[pair], blank) for pair in pairs}
            return _joined(found, {pair: at for pair, at in two.items() if at}, len(names), blank)
        lacks = min(lacks, missing, key=len)
    return lacks


def _joined(
    found: dict[str, tuple[int, ...]], pairs: dict[str, tuple[int, ...]], count: int, blank: int
) -> EnglishPhones:
    joined = {pair: pair.replace(" ", "+") for pair in pairs}
    used = {at for places in (*found.values(), *pairs.values()) for at in places} | {blank}
    rest = tuple(at for at in range(count) if at not in used)
    units = (*found, *joined.values(), OTHER)
    return EnglishPhones(units, (*found.values(), *pairs.values(), rest), joined)


def _places(names: Sequence[str], wanted: Sequence[str], blank: int) -> tuple[int, ...]:
    return tuple(at for at, name in enumerate(names) if at != blank and name in wanted)


def _plain(token: str) -> str:
    """A sign of IPA without length, stress, tie and tone."""
    return unicodedata.normalize("NFD", token).translate(_MARKS).rstrip("0123456789")
