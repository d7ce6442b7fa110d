"""The linear layers are told without loading a model, and are those that the loaded module has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from torch import nn

from reeltune.config.model import ModelOptions
from reeltune.contracts.layers import LinearLayer
from reeltune.demo.model import make_transformer
from reeltune.estimate.parameters import parameters
from reeltune.families import family_dimensions, family_facts, family_layers


def layers_of(module: nn.Module) -> list[LinearLayer]:
    """Return the linear layers of a live module, by walking it."""
    modules = dict(module.named_modules())
    return [
        LinearLayer(name, one.in_features, one.out_features, one.bias is not None, around(name, modules))
        for name, one in modules.items()
        if isinstance(one, nn.Linear)
    ]


def around(name: str, modules: dict[str, nn.Module]) -> tuple[tuple[str, str], ...]:
    above = [name[:place] for place, letter in enumerate(name) if letter == "."]
    return tuple((one, type(modules[one]).__name__) for one in above)


def test_the_layers_are_those_of_the_module_by_name_size_and_surroundings(tmp_path: Path) -> None:
    transformer = make_transformer(2)
    transformer.save_pretrained(tmp_path / "transformer")
    options = ModelOptions(pretrained_transformer_model_name_or_path=str(tmp_path))
    assert list(family_layers(options)) == layers_of(transformer)


def test_a_released_model_is_known_by_its_name() -> None:
    options = ModelOptions()
    layers, size = family_layers(options), family_dimensions(options)
    assert size
    assert len(layers) == 30 * 10 + 6
    # The rest: patches, norms, and tables of modulation.
    assert 0 < parameters(size) - sum(layer.weights + layer.outputs for layer in layers) < 2_000_000


def test_nothing_is_told_of_a_model_whose_size_is_not_known() -> None:
    assert family_layers(ModelOptions(pretrained_model_name_or_path="someone/some-model")) == ()


def test_the_facts_name_the_same_layers() -> None:
    facts, layers = family_facts(ModelOptions()), family_layers(ModelOptions())
    inside = {layer.name.split(".", 2)[2] for layer in layers if layer.name.startswith(f"{facts.blocks}.")}
    assert inside == set(facts.block_layers)
    assert {layer.name for layer in layers if not layer.name.startswith(f"{facts.blocks}.")} == set(facts.outer_layers)


def test_layers_are_told_without_torch() -> None:
    code = (
        "import sys; from reeltune.config.model import ModelOptions; from reeltune.families import family_layers; "
        "assert family_layers(ModelOptions()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
