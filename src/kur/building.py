"""A network built as one section would use it, and tried on that section's first batch.

What a try changes in the network is not kept anywhere. Knows nothing of epochs, logs or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kur.assemble import Assembly, assemble
from kur.backend import keras
from kur.data.provider import Batch, Provider
from kur.errors import KurError
from kur.model import Model
from kur.reader import Kurfile
from kur.session import optimizer_of
from kur.step import NotANumber, explain, feed, measure, outputs_of, train_on, with_losses

SECTIONS = ("train", "test", "evaluate")


@dataclass(frozen=True)
class Built:
    """A network with its losses, and the section that it was built for; None: for none."""

    assembly: Assembly
    section: str | None

    @property
    def model(self) -> Model:
        """The network."""
        return self.assembly.model

    def provider(self) -> Provider | None:
        """The data of the section (the first set of it), if it was built with data."""
        return next(iter(self.assembly.data.get(self.section or "", {}).values()), None)


def with_data(kurfile: Kurfile, among: Sequence[str]) -> str | None:
    """The first of the sections that has data."""
    return next((name for name in among if kurfile.section(name).get("data")), None)


def built(
    kurfile: Kurfile, wanted: str = "auto", backend: str | None = None, *, bare: bool = False
) -> Built:
    """The network for the section `wanted`: `none`, or `auto` for the first of train, test and
    evaluate that has data, else the first that is there. It is built without data for no section,
    for `auto` where no section has data, and if it is to be `bare`."""
    section = None if wanted == "none" else wanted
    if wanted == "auto":
        section = with_data(kurfile, SECTIONS)
        bare = bare or section is None
        section = section or next((one for one in SECTIONS if kurfile.section(one)), None)
    sections = () if bare or section is None else (section,)
    return Built(assemble(kurfile, sections, backend), section)


def tried(made: Built) -> str:
    """What came of a step with the first batch (without data: of making ready for one), in words;
    KurError where none can be made."""
    kurfile, section, model = made.assembly.kurfile, made.section, made.model
    if section is None:
        return ""
    losses, provider = made.assembly.losses, made.provider()
    if section != "evaluate" and not losses:
        message = f"there is no 'loss' section, which '{section}' needs"
        raise kurfile.error(None, ("loss",), message)
    if section == "train":
        net = with_losses(model, losses)
        optimizer = optimizer_of(kurfile)
        if not net.trainable_variables:
            message = "nothing to train: every layer is frozen or has no weights"
            raise kurfile.error(None, ("train",), message)
        net.compile(optimizer=optimizer.keras, jit_compile="auto")
        if provider is not None:
            batch = first_batch(provider, training=True)
            try:
                loss = train_on(net, model, losses, batch)
            except NotANumber as error:
                why = explain(model, batch, error.samples)
                message = f"the loss is not a number in the first batch, sample {why}"
                raise kurfile.error(None, ("train",), message) from None
            return f"train: a step with the first batch of {len(batch['sample'])}, loss {loss:.4f}"
    elif provider is not None and section == "test":
        return f"test: the first batch, loss {measure(model, losses, provider, 1)['loss']:.4f}"
    elif provider is not None:
        outputs = outputs_of(model, first_batch(provider, training=False))
        shapes = (f"{name} {array.shape}" for name, array in outputs.items())
        return f"evaluate: the first batch gives {', '.join(shapes)}"
    return f"{section}: compiled on {keras().backend.backend()}, not tried: no data"


def first_batch(provider: Provider, *, training: bool) -> Batch:
    """The first batch of the first epoch."""
    for batch in provider.batches(0, training=training):
        return batch
    raise KurError("the data has no sample")


def shapes_of_step(assembly: Assembly, batch: Batch) -> dict[str, tuple[int, ...]]:
    """The shapes of what a step is fed with: inputs of the network, and what each loss compares
    the outputs to."""
    losses = assembly.losses
    inputs, truth = feed(assembly.model, losses, batch)
    shapes = {f"input {name}": tuple(array.shape) for name, array in inputs.items()}
    for key, array in truth.items():
        number, _, name = key.partition(".")
        target = losses[int(number)].target
        shapes[f"loss of {target}: {name}"] = tuple(array.shape)
    return shapes
