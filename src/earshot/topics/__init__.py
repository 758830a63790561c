"""Topics: models that tell labels from mentions, their labels, and what they say of recordings.

```python
from earshot import Library
from earshot.topics import import_labels, judge, train

with Library("calls") as library:
    import_labels(library, "labels.csv")
    topic = train(library, "fraud")
    for one in judge(library, topic, library.list("after:2026")):
        print(one.recording.title, one.value, one.probability)
```

The way of the data: `labels` (what people said) -> `targets` (what is to be learned); `candidates`
(phrases) -> `evidence` (searched for) -> `features` (numbers); `trees`, `validation`,
`calibrating`, `baselines` (learning); `telling` (phrases and suspects); `model` (on disk);
`learning` joins them. `judging` puts a topic to recordings, `alerting` says when to call somebody,
`drifting` whether recordings have changed. Learning and judging need the extra
`topics`; labels do not. Importing this loads none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earshot.topics.alerting import (
        Alert,
        Rule,
        alerts,
        rule_of,
        set_rule,
        without_rule,
        write_mail,
    )
    from earshot.topics.drifting import Change, Drift, drift
    from earshot.topics.judging import Because, Evaluation, Judgement, evaluate, judge
    from earshot.topics.labelling import export_labels, import_labels, put_label
    from earshot.topics.labels import Labels, LabelSummary, Opinion, Verdict
    from earshot.topics.learning import Plan, train
    from earshot.topics.model import (
        Example,
        Question,
        Report,
        Sign,
        Suspect,
        Topic,
    )
    from earshot.topics.shelf import load, names, remove
    from earshot.topics.validation import Figure, Point

__all__ = [
    "Alert",
    "Because",
    "Change",
    "Drift",
    "Evaluation",
    "Example",
    "Figure",
    "Judgement",
    "LabelSummary",
    "Labels",
    "Opinion",
    "Plan",
    "Point",
    "Question",
    "Report",
    "Rule",
    "Sign",
    "Suspect",
    "Topic",
    "Verdict",
    "alerts",
    "drift",
    "evaluate",
    "export_labels",
    "import_labels",
    "judge",
    "load",
    "names",
    "put_label",
    "remove",
    "rule_of",
    "set_rule",
    "train",
    "without_rule",
    "write_mail",
]

_HOMES = {
    "alerting": ["Alert", "Rule", "alerts", "rule_of", "set_rule", "without_rule", "write_mail"],
    "drifting": ["Change", "Drift", "drift"],
    "judging": ["Because", "Evaluation", "Judgement", "evaluate", "judge"],
    "labelling": ["export_labels", "import_labels", "put_label"],
    "labels": ["LabelSummary", "Labels", "Opinion", "Verdict"],
    "learning": ["Plan", "train"],
    "validation": ["Figure", "Point"],
    "shelf": ["load", "names", "remove"],
    "model": [
        "Example",
        "Question",
        "Report",
        "Sign",
        "Suspect",
        "Topic",
    ],
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"earshot.topics.{module}"), name)
    raise AttributeError(f"module 'earshot.topics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
