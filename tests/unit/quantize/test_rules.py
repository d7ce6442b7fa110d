"""Which layers are quantized, and what is said when the package is missing."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from torch import nn

from reeltune.demo.model import make_text_encoder, make_transformer
from reeltune.errors import ConfigError
from reeltune.machine import packages
from reeltune.quantize.apply import PRECISIONS, quantize_linears
from reeltune.quantize.packages import require_package
from reeltune.quantize.rules import encoder_names, quantized_names


def test_of_a_transformer_all_attention_and_feed_forward_linears_and_nothing_else() -> None:
    layers = [
        f"{attention}.{part}" for attention in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")
    ]
    layers += ["ffn.net.0.proj", "ffn.net.2"]
    expected = {f"blocks.{block}.{layer}" for block in range(3) for layer in layers}
    names = quantized_names(make_transformer(3), "blocks")
    assert set(names) == expected
    assert len(names) == len(expected)


def test_of_a_text_encoder_all_linears_of_the_blocks_and_nothing_else() -> None:
    layers = [f"layer.0.SelfAttention.{part}" for part in "qkvo"]
    layers += [f"layer.1.DenseReluDense.{part}" for part in ("wi_0", "wi_1", "wo")]
    expected = {f"encoder.block.{block}.{layer}" for block in range(2) for layer in layers}
    assert set(encoder_names(make_text_encoder(50))) == expected


def test_a_name_that_is_no_list_of_blocks_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="no list of blocks"):
        quantized_names(nn.Sequential(nn.Linear(2, 2)), "0")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_missing_package_is_named_with_what_to_type(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "version_of", lambda name: None)
    package = {"quanto": "optimum-quanto", "torchao": "torchao"}[precision.split("-")[1]]
    with pytest.raises(ConfigError, match=rf'{package}.*pip install "reeltune\[quant\]"'):
        require_package(precision)


def test_only_the_words_of_pefts_torchao_layers_are_silenced_and_by_one_filter() -> None:
    pytest.importorskip("torchao")
    said = "TorchaoLoraLinear was instantiated without `get_apply_tensor_subclass`. Forward and training will work."
    for _ in range(2):
        quantize_linears(nn.Sequential(nn.Linear(32, 32)), "int8-torchao", names=["0"])
    assert sum("TorchaoLoraLinear" in str(one[1]) for one in warnings.filters) == 1
    warnings.warn_explicit(said, UserWarning, "torchao.py", 1, module="peft.tuners.lora.torchao")
    with pytest.raises(UserWarning, match="instantiated without"):
        warnings.warn_explicit(said, UserWarning, "other.py", 1, module="another.library")


def test_asking_for_the_package_does_not_load_torch() -> None:
    code = "import sys; from reeltune.quantize.packages import require_package; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
