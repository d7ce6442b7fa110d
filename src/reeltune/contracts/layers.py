"""The linear layers of a transformer by name and size: what adapters are put on. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearLayer:
    """One linear layer: y = W x + b, with W of shape (outputs, inputs).

    name: dotted, as in the module. inside: (name, class name) of the modules around it, outermost first; the whole
    transformer, whose name is empty, and the layer itself are left out.
    """

    name: str
    inputs: int
    outputs: int
    has_bias: bool = True
    inside: tuple[tuple[str, str], ...] = ()

    @property
    def weights(self) -> int:
        """Return the number of weights, without the bias."""
        return self.inputs * self.outputs
