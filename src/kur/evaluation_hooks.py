"""What looks at results: the hooks of the validate, test and evaluate sections.

They are classes registered with `evaluation_hook`; each is given what the one before gave back.
Knows nothing of training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from kur.data.supplier import resolve
from kur.entries import Choice, choose
from kur.errors import KurError, nearest
from kur.evaluate import Findings, Rows, best_path, write
from kur.reader import Kurfile
from kur.slack import Slack

_log = logging.getLogger("kur")
_DIGITS = 10


@dataclass(frozen=True)
class Current:
    """What goes from hook to hook: at first the findings (rows by output, rows by source)."""

    result: Any
    truth: Any
    samples: int = field(default=0, compare=False)


@dataclass(frozen=True)
class About:
    """What hooks may know of the network and the data: the names of inputs and outputs, the symbols
    of each source, and what joins them to a text. `every` sample is of interest, or the first."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    vocabulary: Mapping[str, Sequence[str]]
    split: Mapping[str, str]
    every: bool


class EvaluationHook(Protocol):
    """Does something with results, such as printing them."""

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """`current` is what the hook before gave back; what is returned goes to the next."""


EVALUATION_HOOKS: dict[str, Callable[..., EvaluationHook]] = {}


def evaluation_hook(name: str) -> Callable[[type], type]:
    """Register a class as the evaluation hook `name`; its keyword parameters are its options, and
    `base` (where relative paths start) is given by the program if it takes it."""

    def register(kind: type) -> type:
        EVALUATION_HOOKS[name] = kind
        return kind

    return register


@evaluation_hook("output")
class Output:
    """Writes what the hook before gave to a file: a pickle or CSV."""

    def __init__(
        self, *, base: Path, path: str, format: Literal["pkl", "pickle", "csv"] | None = None
    ) -> None:
        self._path = resolve(base, path)
        self._format = format

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """Write; truth is what the outputs should have been."""
        truth = current.truth
        if current.truth is original.truth:
            truth = original.truths()
        write(self._path, self._format, current.result, truth)
        return current


@evaluation_hook("mnist")
class Mnist:
    """Prints how many of each digit were recognized."""

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """Count the right answers of the only output, or of the one called `labels`."""
        key = next(iter(original.result)) if len(original.result) == 1 else "labels"
        rows, truth = original.result.get(key), original.truth.get(key)
        if rows is None or truth is None or len(rows) != len(truth):
            _log.warning("mnist: nothing to count: the data has no truth for one output")
            return current
        found, wanted = np.argmax(rows, axis=-1), np.asarray(truth)
        wanted = wanted.argmax(axis=-1) if wanted.shape == np.shape(rows) else wanted.reshape(-1)
        print(f"{'LABEL':<10}{'CORRECT':<10}{'TOTAL':<10}ACCURACY")
        every = [(str(digit), wanted == digit) for digit in range(_DIGITS)]
        for label, chosen in [*every, ("ALL", np.isin(wanted, range(_DIGITS)))]:
            right, total = int((chosen & (found == wanted)).sum()), int(chosen.sum())
            print(f"{label:<10}{right:<10d}{total:<10d}{100 * right / max(1, total):>5.1f}%")
        return current


@evaluation_hook("text")
class Text:
    """Prints what went in, what the network makes of it and what is right, symbol by symbol."""

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """Decode each output by its own vocabulary."""
        told: list[dict[str, str]] = []
        count = len(original.samples) if about.every else min(1, len(original.samples))
        for i in range(count):
            said = {
                name: _joined(about, name, np.argmax(rows[i], axis=-1))
                for name, rows in original.result.items()
            }
            truth = _raw(original, about.outputs, i)
            for title, texts in (
                ("Input", _raw(original, about.inputs, i)),
                ("Prediction", said),
                ("Truth", truth),
            ):
                if texts:
                    print(f"{title}:", *(f'{k}: "{v}"' for k, v in texts.items()), sep="\n")
            told += [said, truth]
        return Current(told[0], told[1]) if told else current


@evaluation_hook("transcript")
class Transcript:
    """Prints the text of a ctc output, and the truth.

    `output` is the output, `input` the `key` of its speech data, `word`: symbols are words, `warp`:
    the blank is the first unit; `passthrough`: look at the results themselves, whatever the hooks
    before made of them.
    """

    def __init__(
        self,
        *,
        word: bool = False,
        warp: bool = False,
        output: str = "asr",
        input: str | None = None,
        passthrough: bool = False,
    ) -> None:
        self._word = word
        self._warp = warp
        self._output = output
        self._source = f"{input}_transcript" if input else "transcript"
        self._passthrough = passthrough

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """Decode; the hooks after get the first text and its truth."""
        if self._passthrough:
            current = Current(original.result, original.truth)
        if not isinstance(current.result, Mapping):
            _log.warning("transcript: the hook before has left no outputs; set 'passthrough: yes'")
            return current
        if self._output not in current.result:
            outputs = list(current.result)
            hint = f"{nearest(self._output, outputs)}; outputs: {', '.join(outputs)}"
            raise KurError(f"the hook transcript: no output is named {self._output!r}{hint}")
        symbols = about.vocabulary.get(self._source)
        if symbols is None:
            known = ", ".join(about.vocabulary) or "none"
            raise KurError(
                f"the hook transcript: the data has no vocabulary {self._source!r}; it has: {known}"
            )
        rows = current.result[self._output]
        joint = " " if self._word or about.split.get(self._source) == "spaces" else ""
        texts = list(texts_of(rows if about.every else rows[:1], symbols, joint, warp=self._warp))
        truths = self._truths(current.truth, symbols, joint)
        for i, text in enumerate(texts):
            print(f'Prediction: "{text}"')
            if truths is not None:
                print(f'Truth: "{truths[i]}"')
        if not texts:
            return current
        return Current(texts[0], None if truths is None else truths[0])

    def _truths(self, truth: Any, symbols: Sequence[str], joint: str) -> list[str] | None:
        rows = truth.get(f"{self._source}_raw") if isinstance(truth, Mapping) else None
        if rows is None:
            return None
        if len(rows) and isinstance(rows[0], str):
            return list(rows)
        return [joint.join(symbols[int(i)] for i in row if i < len(symbols)) for row in rows]


@evaluation_hook("slack")
class SlackResult(Slack):
    """Posts the result of the hook before (a transcript) to Slack; see `kur.slack`."""

    def apply(self, current: Current, original: Findings, about: About) -> Current:
        """Post."""
        result, truth = _told(current.result), _told(current.truth)
        self.post(f'Truth = "{truth}", Prediction = "{result}"')
        return current


def texts_of(rows: Rows, symbols: Sequence[str], joint: str, *, warp: bool = False) -> list[str]:
    """The texts that rows (steps, units) of a ctc output spell. The blank is the last unit, or the
    first one with `warp`."""
    texts = []
    for path in best_path(rows, 0 if warp else len(symbols)):
        numbers = [unit - 1 for unit in path] if warp else path
        texts.append(joint.join(symbols[i] for i in numbers if 0 <= i < len(symbols)))
    return texts


def make_evaluation_hooks(
    kurfile: Kurfile, section: str, entries: Sequence[Any]
) -> tuple[EvaluationHook, ...]:
    """Hooks for the entries of `hooks` in a section; KurfileError names the line of a wrong one."""
    choices = [
        evaluation_hook_choice(kurfile, entry, (section, "hooks", i))
        for i, entry in enumerate(entries)
    ]
    return tuple(choice.made() for choice in choices if choice is not None)


def evaluation_hook_choice(kurfile: Kurfile, entry: Any, path: tuple[Any, ...]) -> Choice | None:
    """What an entry of `hooks` asks for; None if its `when` says no."""
    provided = {"base": kurfile.path.parent}
    return choose(kurfile, entry, path, EVALUATION_HOOKS, "hook", provided)


def apply_hooks(hooks: Sequence[EvaluationHook], findings: Findings, about: About) -> Current:
    """Each hook on what the one before gave back; what the last one gave."""
    current = Current(findings.result, findings.truth)
    for hook in hooks:
        current = hook.apply(current, findings, about)
    return replace(current, samples=len(findings.samples))


def _raw(findings: Findings, names: Sequence[str], i: int) -> dict[str, str]:
    """The texts that sources were made of, by the name of the source."""
    found = {}
    for name in names:
        rows = findings.truth.get(f"raw_{name}", findings.truth.get(f"{name}_raw"))
        if rows is not None and not isinstance(rows, np.ndarray):
            found[name] = "".join(rows[i])
    return found


def _joined(about: About, name: str, numbers: Any) -> str:
    symbols = about.vocabulary.get(name)
    if symbols is None:
        known = ", ".join(about.vocabulary) or "none"
        raise KurError(f"the hook text: the output {name!r} has no vocabulary; known: {known}")
    joint = " " if about.split.get(name) == "spaces" else ""
    return joint.join(symbols[int(i)] for i in np.ravel(numbers) if int(i) < len(symbols))


def _told(value: Any) -> str:
    """A value for a message: texts as they are, arrays by their shape."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_told(one)}" for key, one in value.items())
    return f"{value.shape}" if isinstance(value, np.ndarray) else str(value)[:200]
