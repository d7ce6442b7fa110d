"""How many numbers a LyCORIS adapter trains, against lycoris' own modules."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest
from torch import nn

from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.contracts.layers import LinearLayer
from reeltune.estimate.adapters import lycoris_parameters
from reeltune.families.wan.variants import WAN_21

from lycoris.wrapper import network_module_dict  # isort: skip

SETTINGS: dict[str, dict[str, list[Any]]] = {
    "lora": {"use_scalar": [False, True], "weight_decompose": [False, True], "wd_on_output": [False, True]},
    "loha": {"use_scalar": [False, True], "weight_decompose": [False, True]},
    "lokr": {
        "factor": [-1, 4, 16],
        "full_matrix": [False, True],
        "decompose_both": [False, True],
        "unbalanced_factorization": [False, True],
        "weight_decompose": [False, True],
    },
    "full": {"use_scalar": [False, True]},
    "ia3": {"train_on_input": [False, True]},
    "dylora": {"block_size": [2, 4]},
    "diag-oft": {"rescaled": [False, True]},
    "boft": {"rescaled": [False, True]},
    "glora": {"use_scalar": [False, True]},
}
LAYERS = (
    LinearLayer("wide", inputs=64, outputs=96),
    LinearLayer("narrow", inputs=120, outputs=32, has_bias=False),
)


@pytest.mark.parametrize("algo", SETTINGS)
@pytest.mark.parametrize("dim", [4, 8, 1000])
def test_the_count_is_that_of_lycoris_own_modules(algo: str, dim: int) -> None:
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    if algo == "boft":
        dim = max(dim, 6)
    for values in itertools.product(*SETTINGS[algo].values()):
        settings = dict(zip(SETTINGS[algo], values, strict=True))
        content = {"algo": algo, "multiplier": 1, "linear_dim": dim, "linear_alpha": 1, **settings}
        ours = lycoris_parameters(chosen_for_lycoris(LAYERS, lycoris_of(content), WAN_21))
        arguments = {**settings, "wd_on_out": settings.get("wd_on_output", True), "lora_dim": dim}
        theirs = sum(
            parameter.numel()
            for layer in LAYERS
            for parameter in network_module_dict[algo](
                layer.name, nn.Linear(layer.inputs, layer.outputs, bias=layer.has_bias), **arguments
            ).parameters()
        )
        assert ours == theirs, content


def test_the_reference_example_on_wan_1_3b() -> None:
    """LoKr, whole, factor 16: (16, 16) and (96, 96) for each side of 1536."""
    layer = LinearLayer("to_q", inputs=1536, outputs=1536)
    config = lycoris_of({"algo": "lokr", "multiplier": 1, "linear_alpha": 1, "full_matrix": True, "factor": 16})
    assert lycoris_parameters(chosen_for_lycoris([layer], config, WAN_21)) == 16 * 16 + 96 * 96
