"""The whole transformer in training: it computes in its own number types, and what is trained is float32.

A weight in bfloat16 has a float32 copy, its master. In bfloat16 itself most updates would vanish in rounding: at a
weight of 1 the next number is 0.0078 away. The gradient of each weight is added to its master's in float32 as soon as
it is there, and let go. Weights that are float32 already are their own masters.

Memory: for each bfloat16 weight 2 bytes and the master's 4, its gradient's 4, and what the optimizer keeps. Where the
optimizer moves each master as its gradient comes, one gradient is there at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from reeltune.errors import TrainingError
from reeltune.modes import copy_all, holding


class FullModel:
    """A transformer all of whose weights are trained."""

    def __init__(self, transformer: nn.Module) -> None:
        """Take over a transformer: all its weights are trained from here on. It must not be quantized."""
        self._weights = dict(transformer.named_parameters())
        self._masters = {name: _master_of(weight) for name, weight in self._weights.items()}
        self._is_base = True

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the masters, float32, by the transformer's own names."""
        return dict(self._masters)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors, named as in `trainable`, into masters and transformer. Names and shapes must be the same."""
        copy_all(self._masters, tensors)
        self.moved()

    def fixed(self) -> dict[str, Tensor]:
        """Return nothing: all that there is moves."""
        return {}

    def load_fixed(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over nothing."""
        assert not tensors, sorted(tensors)

    @torch.no_grad()
    def moved(self) -> None:
        """Bring the transformer to where the optimizer has brought the masters."""
        apart = [(self._weights[name], master) for name, master in self._masters.items() if self._is_apart(name)]
        if apart:
            weights, masters = zip(*apart, strict=True)
            torch._foreach_copy_(weights, masters)
        self._is_base = False

    def on_gradient(self, act: Callable[[nn.Parameter], None]) -> None:
        """Have `act` called in each backward pass from now on: once with each master, its gradient whole."""
        for name, weight in self._weights.items():
            # Hooks of a tensor are called in the order in which they came: the gradient is handed over by now.
            weight.register_post_accumulate_grad_hook(lambda _, master=self._masters[name]: act(master))

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Let the transformer answer as the base, which it does until it first moves.

        Raises TrainingError afterwards: there is no base left beside it.
        """
        if not self._is_base:
            raise TrainingError(
                "model_type full keeps no copy of the base model, so its answers cannot be had once training has "
                "begun. Datasets with is_regularisation_data need them: leave those out, or train model_type=lora."
            )
        yield

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Let the transformer act with other tensors, in its own number types, as long as the block lasts.

        Between steps, when that happens, there are no gradients, and activations neither.
        """
        return holding(self._weights, tensors)

    def _is_apart(self, name: str) -> bool:
        return self._masters[name] is not self._weights[name]


def _master_of(weight: nn.Parameter) -> nn.Parameter:
    """Return the float32 parameter that is trained in the place of a weight, and see to it that gradients reach it."""
    weight.requires_grad_(True)
    if weight.dtype == torch.float32:
        return weight
    master = nn.Parameter(weight.detach().float())
    weight.register_post_accumulate_grad_hook(_hand_over_to(master))
    return master


def _hand_over_to(master: nn.Parameter) -> Callable[[Tensor], None]:
    """Return what adds a weight's gradient to its master's in float32, and lets it go."""

    @torch.no_grad()
    def hand_over(weight: Tensor) -> None:
        gradient = weight.grad
        assert gradient is not None
        if master.grad is None:
            master.grad = gradient.float()
        else:
            master.grad.add_(gradient)
        weight.grad = None

    return hand_over
