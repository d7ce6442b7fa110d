"""A LyCORIS adapter on a live transformer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reeltune.adapters.changes import Change, mapped
from reeltune.adapters.layers import base_of, exact_base
from reeltune.adapters.lycoris.acting import change_of
from reeltune.adapters.lycoris.dropouts import Dropouts
from reeltune.adapters.lycoris.modules import lycoris_name
from reeltune.adapters.lycoris.starting import start_module
from reeltune.config.lycoris import LayerSettings
from reeltune.errors import ConfigError
from reeltune.modes import copy_all, holding, on_gradient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapted:
    """One adapted layer: the base's own, and lycoris' module with the tensors that are trained."""

    layer: nn.Linear
    module: nn.Module
    settings: LayerSettings


@dataclass
class Lycoris:
    """An adapter whose changes are added to the outputs of a transformer's layers.

    transformer: its training mode says whether anything is dropped. adapted: by the layers' dotted names.
    multiplier: strength while it is trained, included in what `changes` gives.
    """

    transformer: nn.Module
    adapted: Mapping[str, Adapted]
    multiplier: float = 1.0
    dropouts: Dropouts = field(default_factory=Dropouts)
    _acts: bool = True

    def __post_init__(self) -> None:
        for one in self.adapted.values():
            one.layer.register_forward_hook(self._hook(one))

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the trained tensors by lycoris' names of layers and tensors, in the order of their names."""
        named = {
            f"{lycoris_name(name)}.{inner}": parameter
            for name, one in self.adapted.items()
            for inner, parameter in one.module.named_parameters()
        }
        return dict(sorted(named.items()))

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors, named as in `trainable`, into the adapter, in place. Names and sizes must be the same."""
        copy_all(self.trainable(), tensors)

    def fixed(self) -> dict[str, Tensor]:
        """Return nothing: the base stays as it is, and all else is trained."""
        return {}

    def load_fixed(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over nothing."""
        assert not tensors, sorted(tensors)

    def moved(self) -> None:
        """Do nothing: each pass reads the tensors anew."""

    def on_gradient(self, act: Callable[[nn.Parameter], None]) -> None:
        """Have `act` called in each backward pass from now on: once with each trained tensor, its gradient whole."""
        on_gradient(self.trainable(), act)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Let the transformer answer as the bare base for as long as the block lasts, to the bit."""
        acted, self._acts = self._acts, False
        try:
            yield
        finally:
            self._acts = acted

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Act with other tensors of the same names for as long as the block lasts; empty keeps its own."""
        return holding(self.trainable(), tensors)

    @torch.no_grad()
    def changes(self) -> dict[str, Change]:
        """Return what acts now by the layers' dotted names: float32, without gradients, all factors in `scale`.

        Tensors may be the adapter's own: they move with the next step.
        """
        return {name: mapped(self._change(one, training=False), Tensor.detach) for name, one in self.adapted.items()}

    @torch.no_grad()
    def acting(self, name: str, x: Tensor) -> Tensor:
        """Return what the live adapter adds to a layer's output for a float32 x (n, in), in evaluation."""
        one = self.adapted[name]
        change = self._change(one, training=False)
        return change.added(exact_base(one.layer, x, change=change))

    def start_from(self, changes: Mapping[str, Change]) -> None:
        """Take the starting weights from a file's changes; layers that it does not have start as they are.

        Raises ConfigError, naming the first thing that does not fit: another layer, size or kind.
        """
        if not changes:
            raise ConfigError("init_lora does not fit: the file changes no layer")
        for name, change in changes.items():
            if name not in self.adapted:
                raise ConfigError(
                    f"init_lora does not fit: the file changes {name}, which lycoris_config does not adapt. "
                    "Adapt that layer too (apply_preset), or start from another file."
                )
            one = self.adapted[name]
            start_module(one.module, one.settings, change, multiplier=self.multiplier, name=name)
        if len(changes) < len(self.adapted):
            log.info("init_lora: %d of %d layers start from the file", len(changes), len(self.adapted))

    def _change(self, one: Adapted, *, training: bool) -> Change:
        return change_of(one.module, one.settings, multiplier=self.multiplier, training=training)

    def _hook(self, one: Adapted) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        def hook(_: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            if not self._acts:
                return None
            # Not the layer's own mode: quanto's layers come up in training mode, whatever they replace.
            training = self.transformer.training
            change = self._change(one, training=training)
            added = change.added(base_of(one.layer, inputs[0], output, change=change))
            return output + (self.dropouts.thinned(added) if training else added)

        return hook
