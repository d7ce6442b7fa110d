"""Blocks that the model does not have are refused before anything is encoded."""

from __future__ import annotations

import pytest

from reeltune.config.load import load_config
from reeltune.errors import ConfigError
from reeltune.run.depth import check_depth

NEEDED = {"data_backend_config": "d.json", "output_dir": "o/x", "max_train_steps": 1}
ROUTE = {"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": 30}


def test_all_that_name_missing_blocks_are_named_together() -> None:
    config = load_config([], NEEDED | {"tread_config": {"routes": [ROUTE]}, "validation_guidance_skip_layers": [9, 40]})
    with pytest.raises(ConfigError) as refused:
        check_depth(config, 30)
    message = str(refused.value)
    assert "there is no block 30" in message
    assert "validation_guidance_skip_layers names 40, and the transformer has 30 blocks" in message

    check_depth(config, 41)
