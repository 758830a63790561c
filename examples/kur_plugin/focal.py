"""A loss: `loss: [{name: focal, target: arm, gamma: 2}]`."""

from collections.abc import Mapping
from typing import Any

import kur
from kur.backend import keras
from kur.losses import CategoricalCrossentropy
from kur.model import Model


@kur.loss("focal")
class Focal(CategoricalCrossentropy):
    """Cross-entropy that cares less for what is right already (Lin et al., 2017)."""

    def __init__(self, *, target: str, source: str | None = None, gamma: float = 2.0) -> None:
        super().__init__(target=target, source=source)
        self._gamma = gamma

    def attach(self, model: Model) -> None:
        """The output must be probabilities."""
        super().attach(model)
        if model.nodes[self.target].activation != "softmax":
            raise kur.KurError(f"focal needs 'activation: softmax' at {self.target!r}")

    def value(self, truth: Mapping[str, Any], output: Any) -> Any:
        """Of each sample: (batch,)."""
        ops = keras().ops
        right = ops.clip(ops.sum(truth["classes"] * output, axis=-1), 1e-7, 1.0)
        each = -ops.power(1.0 - right, self._gamma) * ops.log(right)
        return ops.mean(ops.reshape(each, (ops.shape(each)[0], -1)), axis=-1)
