"""Makes the golden topic of the present format: run once for each format, then keep for ever.

    PYTHONPATH=src:tests python tests/golden/make_topic.py

A topic that learned from calls in which the invoice is spoken of and the lantern is not, and what
it says of others. `tests/test_shelf.py` opens those of all formats.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from spoken_library import PLAN, calls, labelled, spoken_library

from earshot.topics import judge, load, set_rule, train
from earshot.topics.shelf import FORMAT, path_of

NAME = "invoice"
LEARNED = 60


def make(target: Path) -> None:
    """Write the topic and what it says."""
    talks, truth = calls(75)
    with TemporaryDirectory() as name, spoken_library(Path(name), talks) as library:
        labelled(library, dict(list(truth.items())[:LEARNED]))
        train(library, NAME, plan=PLAN)
        set_rule(library, load(library.path, NAME), "yes", "precision", 0.8)
        found = judge(library, load(library.path, NAME), library.list())
        said = {one.recording.title: [one.value, one.probability] for one in found}
        shutil.copy(path_of(library.path, NAME), target / f"{NAME}.json")
    (target / "expected.json").write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    folder = Path(__file__).parent / f"topic-{FORMAT}"
    folder.mkdir(exist_ok=True)
    make(folder)
