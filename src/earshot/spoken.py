"""What may be said for a written text: "Dr. Smith's MP3, $5" -> doctor smith's m. p. three, ...

A text is read from left to right: numbers by `numerals`, then abbreviations, acronyms, symbols
and words. Each place has its alternatives; whole readings come out best first. A letter's name is
the letter with a dot ("m."), as the CMU dictionary has it. Which words have a pronunciation of
their own is asked through `known`; how anything sounds is not known here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from earshot.errors import QueryError
from earshot.numerals import MONTH, MONTHS, RULES, Reader, Slots, Words, cardinal, ordinal

Known = Callable[[str], bool]

# Each alternative counts half as probable as the one before it, the usual one as certain. Neither
# dictionaries nor rules of reading say how often an alternative is used, only which is the usual
# one. That they do not sum to one is meant: a reading must not fall behind a rarer one only
# because its words are pronounced in more ways.
RANK_COST = math.log(2)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One way to say a text: lower-case words, and how probable it is against the usual way."""

    words: Words
    log_probability: float


# Letters that Unicode does not take apart, and marks that stand for plain ones.
_PLAIN = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "ʹ": "'", "ʻ": "'", "′": "'", "`": "'", "´": "'",
        "–": "-", "‐": "-", "‑": "-", "−": "-", "—": " ", "⁄": "/", "∕": "/", "×": "x", "·": ".",
        "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l",
        "Ł": "L", "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ħ": "h",
        "Ħ": "H", "ı": "i", "ŋ": "ng", "Ŋ": "Ng", "ŧ": "t", "Ŧ": "T", "ĸ": "k",
    }
)  # fmt: skip

# Without their dot these are no words, so the dot may be missing.
_ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "mr": ("mister",),
    "mrs": ("mrs",),
    "ms": ("ms",),
    "messrs": ("messrs",),
    "prof": ("professor", "prof"),
    "sgt": ("sergeant",),
    "capt": ("captain",),
    "lt": ("lieutenant",),
    "jr": ("junior",),
    "sr": ("senior",),
    "vs": ("versus", "v. s."),
    "etc": ("et cetera",),
    "dept": ("department",),
    "approx": ("approximately",),
    "ltd": ("limited",),
    "corp": ("corporation", "corp"),
    "blvd": ("boulevard",),
    "tel": ("telephone", "tel"),
    "eg": ("e. g.", "for example"),
    "ie": ("i. e.", "that is"),
    "phd": ("p. h. d.",),
}
# These are words or names without their dot.
_DOTTED: dict[str, tuple[str, ...]] = {
    "e.g": ("e. g.", "for example"),
    "i.e": ("i. e.", "that is"),
    "ph.d": ("p. h. d.",),
    "rev": ("reverend", "rev"),
    "hon": ("honorable", "hon"),
    "gen": ("general", "gen"),
    "col": ("colonel",),
    "gov": ("governor", "gov"),
    "sen": ("senator",),
    "rep": ("representative", "rep"),
    "pres": ("president",),
    "co": ("company", "co"),
    "inc": ("incorporated", "inc"),
    "ave": ("avenue",),
    "rd": ("road",),
    "mt": ("mount",),
    "ft": ("fort", "feet"),
    "vol": ("volume",),
    "fig": ("figure",),
    "est": ("established", "estimated"),
}
# After a number, in the singular and the plural.
_MEASURES: dict[str, tuple[str, str]] = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "kmh": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "mm": ("millimeter", "millimeters"),
    "cm": ("centimeter", "centimeters"),
    "m": ("meter", "meters"),
    "km": ("kilometer", "kilometers"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "kg": ("kilogram", "kilograms"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ml": ("milliliter", "milliliters"),
    "l": ("liter", "liters"),
    "kb": ("kilobyte", "kilobytes"),
    "mb": ("megabyte", "megabytes"),
    "gb": ("gigabyte", "gigabytes"),
    "tb": ("terabyte", "terabytes"),
    "hz": ("hertz", "hertz"),
    "khz": ("kilohertz", "kilohertz"),
    "mhz": ("megahertz", "megahertz"),
    "ghz": ("gigahertz", "gigahertz"),
    "kw": ("kilowatt", "kilowatts"),
    "ms": ("millisecond", "milliseconds"),
    "s": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "°c": ("degree celsius", "degrees celsius"),
    "°f": ("degree fahrenheit", "degrees fahrenheit"),
    "°": ("degree", "degrees"),
}
# Of two capitals these are words far more often than letters ("HANG ON"), others are not ("TV").
_SHORT_WORDS = frozenset(
    {
        "AM", "AN", "AS", "AT", "BE", "BY", "DO", "GO", "HE", "HI", "IF", "IN", "IS", "ME", "MY",
        "NO", "OF", "OH", "ON", "OR", "SO", "TO", "UP", "WE",
    }
)  # fmt: skip
_LONGEST_ACRONYM = 5


def spoken(text: str, known: Known, limit: int = 4) -> list[Spoken]:
    """Up to `limit` ways to say a text, best first.

    `known(word)` tells whether a lower-case word has a pronunciation of its own. Raises
    `QueryError` for a text without letters or digits, or with letters that are not Latin.
    """
    plain = _latin(text)
    if not re.search(r"[A-Za-z0-9]", plain):
        raise QueryError(
            "The query is empty: give at least one word."
            if not text.strip()
            else "The query has no letters or digits, only symbols: give at least one word."
        )
    return combine(_slots(plain, known), limit)


def combine(slots: Iterable[list[Words]], limit: int) -> list[Spoken]:
    """The `limit` most probable ways through the slots, best first.

    Keeping only the best after each slot loses nothing, since what follows adds the same to all
    of them; one more is kept for the way that says nothing at all, which is left out in the end.
    """
    best: dict[Words, float] = {(): 0.0}
    for alternatives in slots:
        longer: dict[Words, float] = {}
        for words, log_p in best.items():
            for rank, alternative in enumerate(alternatives):
                # Two ways to the same words: the better one stands for both.
                said = words + alternative
                longer[said] = max(longer.get(said, -math.inf), log_p - rank * RANK_COST)
        best = dict(sorted(longer.items(), key=lambda item: -item[1])[: limit + 1])
    return [Spoken(words, log_p) for words, log_p in best.items() if words][:limit]


def _latin(text: str) -> str:
    """The text in ASCII letters: accents folded, typographic marks made plain."""
    # Compatibility forms are taken apart (full-width letters, ligatures); a fraction such as ½
    # must not run into the digits before it.
    spaced = "".join(
        f" {one} " if unicodedata.decomposition(one).startswith("<fraction>") else one
        for one in text
    )
    marked = unicodedata.normalize("NFKD", spaced.translate(_PLAIN)).translate(_PLAIN)
    letters = []
    for one in marked:
        category = unicodedata.category(one)
        if one.isascii() or one in "£€¥₹¢°":
            letters.append(one if one.isprintable() else " ")
        elif category[0] in "LN":
            raise QueryError(
                f"The query has the letter {one!r}, and only Latin letters can be read: write it "
                "with the letters a to z, or give its phones between slashes, as in /K ER/."
            )
        elif category[0] != "M":
            letters.append(" ")
    return "".join(letters)


def _slots(text: str, known: Known) -> Slots:
    """The alternatives at each place of an ASCII text, in order."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    # In a text of capitals, capitals mean nothing.
    shouted = len(words) > 1 and text == text.upper()
    slots: Slots = []
    at = 0
    while at < len(text):
        read, at = _next(text, at, known, shouted)
        slots += read
    return slots


def _next(text: str, at: int, known: Known, shouted: bool) -> tuple[Slots, int]:
    """What is read at a place of the text, and where reading goes on."""
    if text[at].isspace():
        return [], at + 1
    for pattern, reader in (*RULES, *_TEXT_RULES):
        if (match := pattern.match(text, at)) and (read := reader(match)) is not None:
            return read, match.end()
    if (match := _COMPOUND.match(text, at)) and (read := _compound(match, known)):
        return read, match.end()
    if match := _WORD.match(text, at):
        return [_word(match, known, shouted)], match.end()
    return [], at + 1


_WORD = re.compile(r"'?[A-Za-z]+(?:'[A-Za-z]+)*'?")
_COMPOUND = re.compile(r"[A-Za-z']+(?:-[A-Za-z']+)+(?![A-Za-z0-9])")
_CAMEL_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ACRONYM = re.compile(r"'?([A-Z]{2,})('?s)?'?")


def _compound(match: re.Match[str], known: Known) -> Slots | None:
    """Hyphenated words that the dictionary holds as one: "x-ray", "re-elect"."""
    whole = match[0].lower().strip("'")
    if known(whole):
        return [[(whole,)]]
    parts = whole.split("-")
    joined = "".join(parts)
    if known(joined):
        return [[(joined,), *([tuple(parts)] if all(map(known, parts)) else [])]]
    return None


def _word(match: re.Match[str], known: Known, shouted: bool) -> list[Words]:
    """A run of letters: a word, an acronym, an initial, or words written together."""
    token = match[0]
    lower = token.lower()
    bare = lower.strip("'")
    # 'em, 'n', dogs', 'quoted'
    word = next((one for one in (lower, lower.rstrip("'")) if known(one)), bare)
    if len(bare) == 1 and not word.startswith("'"):
        before, after = match.string[: match.start()], match.string[match.end() :]
        alone = token == "A" and (after.startswith(".") or bool(before.strip()))
        if bare in "ai" and not (alone and not shouted):
            return [(bare,)]
        return [(f"{bare}.",), *([(bare,)] if bare == "a" else [])]
    if acronym := _ACRONYM.fullmatch(token):
        return _acronym(acronym, word, known, shouted)
    if known(word):
        return [(word,)]
    if re.search("[a-z][A-Z]", token):
        return _camel(token, word, known)
    if len(word) <= _LONGEST_ACRONYM and "'" not in word:
        if not re.search("[aeiouy]", word):
            return [_spelled(word), (word,)]
        if len(word) < _LONGEST_ACRONYM:
            return [(word,), _spelled(word)]
    return [(word,)]


def _acronym(match: re.Match[str], word: str, known: Known, shouted: bool) -> list[Words]:
    """A word in capitals: "NASA" is a word first, "TV", "HTTP" and "PBX" are letters first."""
    letters, plural = match[1], match[2] or ""
    whole, by_letter = (word,), _spelled(letters.lower(), plural)
    is_known = known(word) or bool(plural and known(letters.lower()))
    if is_known and (shouted or len(letters) > _LONGEST_ACRONYM):
        return [whole]
    if not re.search("[AEIOUY]", letters) and not is_known:
        return [by_letter]
    word_first = letters in _SHORT_WORDS if len(letters) == 2 else is_known
    if word_first or shouted or len(letters) > _LONGEST_ACRONYM:
        return [whole, by_letter]
    return [by_letter, whole]


def _camel(token: str, word: str, known: Known) -> list[Words]:
    """Words written together: PlayStation, McMichael, OpenAI."""
    said: Words = ()
    for part in _CAMEL_PART.findall(token):
        lower = part.lower()
        letters = len(part) > 1 and part.isupper() and not known(lower)
        one_letter = len(part) == 1 and lower not in "ai"
        said += _spelled(lower) if letters or one_letter else (lower,)
    if all(map(known, said)):
        return [said, (word,)]
    return [(word,), said]


def _spelled(letters: str, plural: str = "") -> Words:
    """The letters' names; the last one may be plural or possessive (PBXs, CEO's)."""
    names = tuple(f"{letter}." for letter in letters)
    return (*names[:-1], names[-1] + "'s") if plural else names


def _readings(*alternatives: str) -> Slots:
    return [[tuple(one.split()) for one in alternatives]]


def _measure(match: re.Match[str]) -> Slots | None:
    """5 km, 60Hz, 20 °C; of single letters only small ones (5 m, not 5 G), and with doubt (6s)."""
    written = match[0]
    if written == "MS" or (len(written) == 1 and written.isupper()):
        return None
    one, many = _MEASURES[written.lower()]
    singular = re.search(r"(?<![\d.,])1\s?$", match.string[: match.start()])
    measured = one if singular else many
    return _readings(
        measured, *([f"{written}."] if len(written) == 1 and written.isalpha() else [])
    )


def _initials(match: re.Match[str]) -> Slots | None:
    """U.S.A., a.m, T.S."""
    letters = match["letters"].replace(".", "").lower()
    return [[_spelled(letters, match["plural"] or "")]]


def _abbreviation(match: re.Match[str]) -> Slots | None:
    """Mr, Prof., vs; capitals without a dot ("MS") are rather an acronym."""
    name = match["name"]
    if name.isupper() and not match[0].endswith("."):
        return None
    return _readings(*(_ABBREVIATIONS.get(name.lower()) or _DOTTED[name.lower()]))


def _month(match: re.Match[str]) -> Slots:
    """Oct. 2016, Jan."""
    return _readings(next(one for one in MONTHS if one.startswith(match["month"][:3].lower())))


def _doctor(match: re.Match[str]) -> Slots:
    """Doctor before a name, drive after one."""
    named = re.match(r"\s+[A-Za-z]", match.string[match.end() :])
    return _readings("doctor", "drive") if named else _readings("drive", "doctor")


def _saint(match: re.Match[str]) -> Slots | None:
    """Saint before a name, street after one."""
    if match[0] == "st" and match.string != match.string.lower():
        return None
    capitals = match.string != match.string.lower()
    named = re.match(r"\s+[A-Z]" if capitals else r"\s+[a-z]", match.string[match.end() :])
    return _readings("saint", "street") if named else _readings("street", "saint")


def _initials_joined(match: re.Match[str]) -> Slots:
    """AT&T, R&D, Q&A."""
    names: Words = ()
    for at, part in enumerate(re.findall("[A-Z]+", match["letters"])):
        names += (*(("and",) if at else ()), *_spelled(part.lower()))
    return [[(*names[:-1], names[-1] + "'s") if match["plural"] else names]]


def _roman(match: re.Match[str]) -> Slots | None:
    """World War II, Elizabeth II, Chapter IV."""
    values = [{"I": 1, "V": 5, "X": 10}[one] for one in match[0]]
    number = 0
    for at, value in enumerate(values):
        number += -value if value < max(values[at:]) else value
    tens, ones = divmod(number, 10)
    units = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
    if number > 39 or match[0] != "X" * tens + units[ones]:
        return None
    return [[cardinal(number), ("the", *ordinal(number)), _spelled(match[0].lower())]]


def _world_war(match: re.Match[str]) -> Slots:
    """WWI, WW2."""
    number = "one" if match["which"] in ("I", "1") else "two"
    nth = "first" if number == "one" else "second"
    return _readings(f"world war {number}", f"{nth} world war", f"w. w. {number}")


def _says(*alternatives: str) -> Reader:
    """A reader that says the same whatever was matched."""
    return lambda match: _readings(*alternatives)


def _names(table: dict[str, tuple[str, ...]]) -> str:
    return "|".join(re.escape(name) for name in sorted(table, key=len, reverse=True))


_AFTER_NUMBER = r"(?:(?<=\d)|(?<=\d\s))"
_WORD_BEFORE = r"(?<![A-Za-z0-9.'])"
_NO_LETTER = r"(?![A-Za-z])"
_INSIDE = r"(?<=[A-Za-z0-9])"

# Tried in this order, after those of `numerals`, at each place of a text.
_TEXT_RULES: tuple[tuple[re.Pattern[str], Reader], ...] = (
    (
        re.compile(
            _AFTER_NUMBER
            + "(?:" + "|".join(sorted(_MEASURES, key=len, reverse=True)) + ")" + _NO_LETTER,
            re.IGNORECASE,
        ),
        _measure,
    ),
    (
        re.compile(rf"{_WORD_BEFORE}(?P<name>{_names(_DOTTED)})\.{_NO_LETTER}", re.IGNORECASE),
        _abbreviation,
    ),
    (
        re.compile(rf"{_WORD_BEFORE}(?P<name>{_names(_ABBREVIATIONS)})\b\.?(?!')", re.IGNORECASE),
        _abbreviation,
    ),
    (
        re.compile(rf"{_WORD_BEFORE}(?P<letters>[a-z](?:\.[a-z])+){_NO_LETTER}\.?(?P<plural>'s)?",
                   re.IGNORECASE),
        _initials,
    ),
    (re.compile(rf"{_WORD_BEFORE}{MONTH}(?<=\.)", re.IGNORECASE), _month),
    (re.compile(rf"{_WORD_BEFORE}{MONTH}(?=\s\d{{4}}\b)", re.IGNORECASE), _month),
    (re.compile(rf"{_WORD_BEFORE}nos?\.\s*(?=\d)", re.IGNORECASE), _says("number")),
    (re.compile(rf"{_WORD_BEFORE}pp\.?\s*(?=\d)", re.IGNORECASE), _says("pages", "p. p.")),
    (re.compile(rf"{_WORD_BEFORE}p\.\s*(?=\d)"), _says("page", "p.")),
    (re.compile(rf"{_WORD_BEFORE}w/o(?![A-Za-z0-9/])", re.IGNORECASE), _says("without")),
    (re.compile(rf"{_WORD_BEFORE}w/(?=\s|$|[a-z]{{2}})", re.IGNORECASE), _says("with")),
    (re.compile(rf"{_WORD_BEFORE}WW(?P<which>II|I|2|1)(?![A-Za-z0-9])"), _world_war),
    (re.compile(rf"{_WORD_BEFORE}[Dd]r\b\.?(?!')"), _doctor),
    (re.compile(rf"{_WORD_BEFORE}(?:St\b\.?|st\b\.?)(?!')"), _saint),
    (
        re.compile(rf"{_WORD_BEFORE}(?P<letters>[A-Z]{{1,3}}(?:\s?&\s?[A-Z]{{1,3}})+)"
                   rf"(?P<plural>'?s)?{_NO_LETTER}"),
        _initials_joined,
    ),
    (re.compile(rf"(?<=[A-Za-z]\s)[IVX]{{2,}}{_NO_LETTER}"), _roman),
    (re.compile("&"), _says("and")),
    (re.compile(rf"(?:{_AFTER_NUMBER}|(?<!\S))%"), _says("percent")),
    (re.compile(rf"{_AFTER_NUMBER}¢"), _says("cents")),
    (re.compile("@"), _says("at")),
    (re.compile(r"\+"), _says("plus")),
    (re.compile("="), _says("equals")),
    (re.compile(r"(?<=[A-Za-z])#(?![A-Za-z0-9])"), _says("sharp", "hash")),
    (re.compile(r"#(?=\d)"), _says("number", "hash", "pound")),
    (re.compile(r"#(?=[A-Za-z])"), _says("hashtag", "")),
    (re.compile(r"(?<!\S)#(?!\S)"), _says("pound", "hash")),
    (re.compile(r"(?<!\S)\*(?!\S)"), _says("star", "asterisk")),
    (re.compile(rf"{_INSIDE}/(?=[A-Za-z0-9])"), _says("", "slash")),
    (re.compile(rf"{_INSIDE}_(?=[A-Za-z0-9])"), _says("", "underscore")),
    (re.compile(rf"{_INSIDE}\.(?=[a-z]{{2}})"), _says("dot", "")),
    (re.compile(r"(?<!\S)\.(?=[A-Za-z])"), _says("dot", "")),
    (re.compile(r"(?<=[A-Za-z])\.(?=\d)"), _says("", "dot", "point")),
    (re.compile(r"(?<=\d)'\s?(?=\d)"), _says("", "foot", "feet")),
    (re.compile(r'(?<=\d)"(?!\S)'), _says("", "inches")),
    (re.compile(r"(?<![A-Za-z0-9)])-(?=\.?\d)"), _says("minus", "negative")),
    (re.compile(r"(?<=\d)-(?=\d)"), _says("to", "")),
    (re.compile(_AFTER_NUMBER + r"x(?=\s?\d)"), _says("by", "times")),
)  # fmt: skip
