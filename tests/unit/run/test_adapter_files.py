"""What `inspect` tells of a file is true: by built matrices, the shapes of the released models, and the file itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.adapters import KINDS, about, changes_for
from helpers.light import track
from reeltune.adapters.changes import Change, LowRank, Scaling, matrix_of
from reeltune.adapters.layers import layers_of
from reeltune.adapters.layouts import write_adapter
from reeltune.adapters.transformer_files import save_single_file
from reeltune.config.model import FLAVOURS, ModelOptions
from reeltune.contracts.adapter_report import AdapterReport, Strength, TransformerReport
from reeltune.contracts.layers import LinearLayer
from reeltune.demo.model import make_transformer
from reeltune.errors import ModelError
from reeltune.families import family_facts, family_layers
from reeltune.families.opening import name_in_release
from reeltune.run.inspecting.inspection import look_at
from reeltune.run.inspecting.sizes import Measured, measured_alone, measured_on, together

OPTIONS = ModelOptions()
FACTS = family_facts(OPTIONS)
LAYER = LinearLayer("blocks.0.attn1.to_q", inputs=24, outputs=16)
SMALL, LARGE = FLAVOURS.values()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer of three blocks, 64 wide, in a folder. Read only."""
    folder = tmp_path_factory.mktemp("base") / "transformer"
    torch.manual_seed(0)
    make_transformer(3).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def layers() -> list[LinearLayer]:
    return [layer for layer in layers_of(make_transformer(3)) if ".attn" in layer.name]


def looked_at(path: Path, **words: str) -> AdapterReport:
    report = look_at(path, track=track, **words)
    assert isinstance(report, AdapterReport)
    return report


def written(path: Path, changes: dict[str, Change], layout: str = "diffusers", **known: object) -> Path:
    write_adapter(path, changes, layout, about(**known), FACTS)  # pyright: ignore[reportArgumentType]
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_on_a_base_are_norms_of_the_built_change(kind: str) -> None:
    change, weight = changes_for([LAYER], kind)[LAYER.name], torch.randn(16, 24)
    built = float(matrix_of(change, weight).double().norm())
    measured = measured_on(change, weight)
    assert measured.strength.size == pytest.approx(built, rel=1e-6)  # float32 products against float64 ones
    assert measured.strength.share == pytest.approx(built / float(weight.norm()), rel=1e-6)


@pytest.mark.parametrize("kind", ["LoRA", "LoKr", "LoHa", "full differences"])
def test_sizes_without_a_base_are_the_same_where_it_does_not_matter(kind: str) -> None:
    change = changes_for([LAYER], kind)[LAYER.name]
    alone, on = measured_alone(change).strength, measured_on(change, torch.randn(16, 24)).strength
    assert (alone.size, alone.share) == (pytest.approx(on.size, rel=1e-6), None)


@pytest.mark.parametrize("kind", ["IA3", "OFT", "BOFT"])
def test_shares_without_a_base_are_those_of_a_weight_without_direction(kind: str) -> None:
    change = changes_for([LAYER], kind)[LAYER.name]
    weight = torch.linalg.qr(torch.randn(24, 16)).Q.T
    assert measured_alone(change).strength.share == pytest.approx(measured_on(change, weight).strength.share, rel=1e-5)


def test_a_low_rank_change_that_nearly_cancels_out_is_measured_well() -> None:
    """As it is kept of a start from the base's own directions: the trained pair minus the first one."""
    down, up = torch.randn(4, 24), torch.randn(16, 4)
    change = LowRank(torch.cat([down, down]), torch.cat([up * (1 + 2**-12), -up], 1))
    assert measured_alone(change).strength.size == pytest.approx(float((up @ down).norm()) * 2**-12, rel=1e-3)


def test_norms_of_layers_add_up_as_squares() -> None:
    two = [Measured(Strength(3.0, 0.3), 10.0), Measured(Strength(4.0, 0.2), 20.0)]
    assert together(two).size == pytest.approx(5.0)
    assert together(two).share == pytest.approx(5.0 / 500**0.5)
    without = [Measured(Strength(None, 0.3)), Measured(Strength(None, 0.4))]
    assert (together(without).size, together(without).share) == (None, pytest.approx(0.125**0.5))
    assert together([two[0], without[0]]).size is None


@pytest.mark.parametrize("layout", ["diffusers", "comfyui", "lycoris"])
def test_a_file_tells_the_same_in_every_layout(layout: str, layers: list[LinearLayer], tmp_path: Path) -> None:
    known = {"rank": 4, "alpha": 2.0, "step": 7, "data": {"samples": 69}, "title": "cartoons"}
    report = looked_at(written(tmp_path / "a.safetensors", changes_for(layers, "LoRA"), layout, **known))
    assert (report.base, report.base_fingerprint, report.step) == ("owner/base", "f00d", 7)
    assert dict(report.settings) == {"title": "cartoons", "data": "samples 69"}
    assert (report.kinds, report.ranks, report.scales) == (("LoRA",), (4,), (1.0,))
    assert report.fits == "no released model, but a transformer 64 wide with 3 blocks or more"
    assert [(part.name, part.matched, part.of) for part in report.parts if part.matched] == [
        ("self-attention", 12, 12),
        ("cross-attention", 12, 12),
    ]
    assert (report.layers, report.of_layers) == (24, 36)
    assert [(block.number, block.layers) for block in report.blocks] == [(0, 8), (1, 8), (2, 8)]
    assert report.contents.parameters == 24 * 4 * 128
    assert report.contents.number_types == ("float32",)
    assert not report.warnings


@pytest.mark.parametrize("place", [SMALL, LARGE])
def test_the_released_model_is_found_by_shapes(place: str, tmp_path: Path) -> None:
    model = family_layers(ModelOptions(pretrained_model_name_or_path=place))
    chosen = [layer for layer in model if layer.name.endswith(("attn1.to_q", "ffn.net.2"))]
    changes = {one.name: LowRank(torch.ones(1, one.inputs), torch.ones(one.outputs, 1)) for one in chosen}
    report = looked_at(written(tmp_path / "a.safetensors", dict(changes), base_model=""))
    assert report.base is None
    assert report.fits.startswith(f"{place} (")
    assert report.of_layers == len(model)
    assert len(report.blocks) == len(chosen) / 2


def test_a_base_that_is_here_is_held_against(base: Path, layers: list[LinearLayer], tmp_path: Path) -> None:
    file = written(tmp_path / "a.safetensors", changes_for(layers, "LoRA"), base_model=str(base))
    assert looked_at(file).fits == f"{base} (64 wide, 3 blocks)"
    report = looked_at(file, base=str(base))
    weights = load_file(base / "diffusion_pytorch_model.safetensors")
    names = [layer.name for layer in layers if layer.name.startswith("blocks.1.")]
    changes = changes_for(layers, "LoRA")
    size = sum(float(matrix_of(changes[name], weights[f"{name}.weight"]).norm() ** 2) for name in names) ** 0.5
    whole = sum(float(weights[f"{name}.weight"].norm() ** 2) for name in names) ** 0.5
    strength = report.blocks[1].strength
    assert (strength.size, strength.share) == (pytest.approx(size, rel=1e-5), pytest.approx(size / whole, rel=1e-5))


def test_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    wide = {LAYER.name: LowRank(torch.ones(1, 128), torch.ones(128, 1))}
    with pytest.raises(ModelError, match="made for a base 128 wide; this one is 64 wide"):
        look_at(written(tmp_path / "a.safetensors", dict(wide)), base=str(base), track=track)


def test_a_file_that_changes_nothing_is_told(layers: list[LinearLayer], tmp_path: Path) -> None:
    fresh = {layer.name: LowRank(torch.ones(2, 64), torch.zeros(64, 2)) for layer in layers}
    assert looked_at(written(tmp_path / "a.safetensors", dict(fresh))).warnings == (
        "This file changes nothing: every change in it is zero.",
    )
    some = {**fresh, layers[0].name: LowRank(torch.ones(2, 64), torch.ones(64, 2))}
    (warning,) = looked_at(written(tmp_path / "b.safetensors", dict(some))).warnings
    assert warning.startswith("23 of 24 layers are changed by nothing")
    unscaled = {layers[0].name: Scaling(torch.zeros(64))}
    assert "changes nothing" in looked_at(written(tmp_path / "c.safetensors", dict(unscaled), "lycoris")).warnings[0]


def test_a_block_unlike_the_others_is_told(tmp_path: Path) -> None:
    changes = {
        f"blocks.{index}.attn1.to_q": LowRank(torch.ones(1, 8), torch.full((8, 1), size))
        for index, size in enumerate([1.0, 1.0, 20.0, 1.0, 0.01])
    }
    far, little = looked_at(written(tmp_path / "a.safetensors", dict(changes))).warnings
    assert far == "Block 2 is changed 20 times as much as the median block."
    assert little.startswith("Block 4 is changed 0.01 times as much")


@pytest.mark.parametrize(("alpha", "word"), [(0.1, "little is seen"), (80.0, "pass over alpha"), (4.0, None)])
def test_a_foreign_alpha_is_shown_as_it_is(alpha: float, word: str | None, tmp_path: Path) -> None:
    name = "diffusion_model.blocks.0.self_attn.q"
    tensors = {
        f"{name}.lora_down.weight": torch.ones(4, 8),
        f"{name}.lora_up.weight": torch.ones(8, 4),
        f"{name}.alpha": torch.tensor(alpha),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    report = looked_at(tmp_path / "a.safetensors")
    assert (report.alphas, report.scales) == ((pytest.approx(alpha),), (alpha / 4,))
    assert [str(word) in warning for warning in report.warnings] == [True] * bool(word)


def test_a_run_folder_is_its_main_file(layers: list[LinearLayer], tmp_path: Path) -> None:
    main = written(tmp_path / "pytorch_lora_weights.safetensors", changes_for(layers, "LoRA"))
    save_file({"x": torch.ones(1)}, tmp_path / "trainable.safetensors")
    assert looked_at(tmp_path).contents.path == str(main)
    main.unlink()
    with pytest.raises(ModelError, match="holds no file of weights"):
        look_at(tmp_path, track=track)


@pytest.mark.parametrize("name", ["trainable", "ema"])
def test_the_state_of_a_checkpoint_is_no_adapter_file(name: str, layers: list[LinearLayer], tmp_path: Path) -> None:
    """Its tensors have an adapter's names without its alpha, so that its scale would be told wrongly."""
    state = written(tmp_path / f"{name}.safetensors", changes_for(layers, "LoRA"))
    assert looked_at(state).ranks == (4,)  # a file of anybody's that happens to be called so
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ModelError, match=f"without its scale and its base.*Type: {tmp_path}"):
        look_at(state, track=track)


def test_measuring_is_shown_layer_by_layer(layers: list[LinearLayer], tmp_path: Path) -> None:
    seen: list[str] = []

    def shown(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
        for name, change in items:
            seen.append(f"{title} {name} of {total} {unit}")
            yield name, change

    look_at(written(tmp_path / "a.safetensors", changes_for(layers, "LoRA")), track=shown)
    assert sorted(seen) == sorted(f"measuring {layer.name} of 24 layers" for layer in layers)


def test_a_whole_transformer_is_told_in_every_layout(base: Path, tmp_path: Path) -> None:
    transformer = make_transformer(3)
    save_single_file(tmp_path / "own.safetensors", transformer, str, metadata={})
    save_single_file(
        tmp_path / "comfy.safetensors",
        transformer,
        lambda name: f"model.diffusion_model.{name_in_release(OPTIONS, name)}",
        metadata={},
    )
    shutil.copytree(base, tmp_path / "model/transformer")
    places = [base, tmp_path / "model", tmp_path / "own.safetensors", tmp_path / "comfy.safetensors"]
    reports = [look_at(place, track=track) for place in places]
    assert [report.layout for report in reports] == [
        "a folder, diffusers' names",
        "a folder, diffusers' names",
        "one file, diffusers' names",
        "one file, the release's own names behind model.diffusion_model.",
    ]
    for report in reports:
        assert isinstance(report, TransformerReport)
        assert (report.fits, report.blocks, report.width) == ("64 wide, 3 blocks", 3, 64)
        assert report.contents.parameters == sum(one.numel() for one in transformer.parameters())


def test_what_cannot_be_read_is_refused(layers: list[LinearLayer], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        look_at(tmp_path / "nothing.safetensors", track=track)
    (tmp_path / "a.pt").write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match="pickled"):
        look_at(tmp_path / "a.pt", track=track)
    broken = changes_for(layers[:1], "LoRA")
    broken[layers[0].name] = LowRank(torch.full((1, 64), torch.nan), torch.ones(64, 1))
    with pytest.raises(ModelError, match="NaN"):
        look_at(written(tmp_path / "b.safetensors", broken), track=track)
    (tmp_path / "c.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:-9])
    with pytest.raises(ModelError, match="cut short"):
        look_at(tmp_path / "c.safetensors", track=track)
    save_file({"decoder.conv1.weight": torch.ones(2, 2)}, tmp_path / "d.safetensors")
    with pytest.raises(ModelError, match="no kind of adapter"):
        look_at(tmp_path / "d.safetensors", track=track)
