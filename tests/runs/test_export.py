"""`reeltune export`: an adapter in another layout does the same; merged into its base, it is their sum.

What is written is read by the stock classes, and compared with what the libraries' own loaders make of the adapter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file
from torch import Tensor

from helpers.adapters import KINDS, about, changes_for
from helpers.light import track
from reeltune.adapters.changes import Change, Decomposed, Dense, Kronecker, LowRank, lengths, mapped, matrix_of
from reeltune.adapters.layers import layers_of, linear_of
from reeltune.adapters.layouts import Layout, read_adapter, write_adapter
from reeltune.adapters.merge import merge
from reeltune.adapters.wearing import wearing
from reeltune.cli.main import main
from reeltune.config.model import ModelOptions
from reeltune.contracts.adapter_report import Exported
from reeltune.demo.model import make_transformer
from reeltune.errors import CheckpointError, ConfigError, ModelError
from reeltune.families import family_facts
from reeltune.families.opening import open_transformer
from reeltune.run.adapter_files.base_model import base_options
from reeltune.run.exporting import convert as converting
from reeltune.run.exporting import merged as merging
from reeltune.run.exporting.export import export

FACTS = family_facts(ModelOptions())
LAYERS = [layer for layer in layers_of(make_transformer(1)) if ".attn" in layer.name]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer of one block in a folder, float32. Read only."""
    folder = tmp_path_factory.mktemp("base") / "base"
    torch.manual_seed(1)
    make_transformer(1).save_pretrained(folder)
    return folder


def written(folder: Path, kind: str, layout: Layout, **known: object) -> Path:
    path = folder / "adapter.safetensors"
    write_adapter(path, changes_for(LAYERS, kind), layout, about(**known), FACTS)
    return path


def exported(file: Path, format: str, **words: Any) -> Exported:
    usual = {"output": None, "base": None, "strength": 1.0, "number_type": None}
    return export(file, format=format, track=track, **{**usual, **words})


def answer(transformer: WanTransformer3DModel) -> Tensor:
    """Return what a transformer answers to fixed inputs."""
    generator = torch.Generator().manual_seed(2)
    inputs = {
        "hidden_states": torch.randn(1, 16, 2, 4, 4, generator=generator),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 6, 32, generator=generator),
    }
    with torch.no_grad():
        return transformer(**inputs, return_dict=False)[0]


def stock(folder: Path) -> WanTransformer3DModel:
    return WanTransformer3DModel.from_pretrained(folder).eval()


def with_lora(file: Path, base: Path) -> WanTransformer3DModel:
    """Return the base with a LoRA by diffusers' own loader."""
    transformer = stock(base)
    transformer.load_lora_adapter(load_file(file), prefix="transformer")
    return transformer


def with_lycoris(file: Path, base: Path) -> WanTransformer3DModel:
    """Return the base with a LyCORIS adapter by that library's own loader."""
    from lycoris import create_lycoris_from_weights

    transformer = stock(base)
    network, _ = create_lycoris_from_weights(1.0, str(file), transformer)
    assert network is not None
    network.apply_to()
    return transformer


@pytest.mark.parametrize(
    ("kind", "layout", "loaded"), [("LoRA", "diffusers", with_lora), ("LoKr", "lycoris", with_lycoris)]
)
def test_a_merged_model_is_base_and_adapter(kind: str, layout: Layout, loaded: Any, base: Path, tmp_path: Path) -> None:
    file = written(tmp_path, kind, layout, base_model=str(base))
    result = exported(file, "merged")
    wanted = answer(loaded(file, base))
    got = answer(stock(Path(result.path)))
    # float32, one block: summing W + D first or last.
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)
    assert (got - answer(stock(base))).abs().max() > 1e-2
    assert (result.changed, result.number_type, result.transformer_class) == (8, "float32", "WanTransformer3DModel")
    assert result.error < 1e-4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("LoRA", "LoKr", "DoRA")])
def test_every_kind_can_be_merged(kind: str, base: Path, tmp_path: Path) -> None:
    file = written(tmp_path, kind, "lycoris")
    merged = open_transformer(base_options(exported(file, "merged", base=str(base), strength=0.5).path))
    transformer = open_transformer(base_options(str(base)))
    for name, change in changes_for(LAYERS, kind).items():
        weight = linear_of(transformer, name).weight
        wanted = weight + 0.5 * matrix_of(change, weight)
        torch.testing.assert_close(linear_of(merged, name).weight, wanted, atol=1e-6, rtol=1e-5)
        bias = linear_of(transformer, name).bias
        added = change.scale * change.bias if isinstance(change, Dense) and change.bias is not None else 0
        torch.testing.assert_close(linear_of(merged, name).bias, bias + 0.5 * added, atol=1e-6, rtol=1e-5)


def test_one_file_for_comfyui_holds_the_same_numbers(base: Path, tmp_path: Path) -> None:
    file = written(tmp_path, "LoRA", "diffusers", base_model=str(base))
    folder, single = (Path(exported(file, format).path) for format in ("merged", "merged-comfyui"))
    assert (folder.name, single.name) == ("adapter-merged", "adapter-merged-comfyui.safetensors")
    tensors = load_file(single)
    assert {"model.diffusion_model.blocks.0.self_attn.q.weight", "model.diffusion_model.head.modulation"} <= set(
        tensors
    )
    own = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert len(own) == len(tensors)
    same = tensors["model.diffusion_model.blocks.0.cross_attn.o.weight"]
    assert torch.equal(same, own["blocks.0.attn2.to_out.0.weight"])


@pytest.mark.parametrize(("number_type", "dtype"), [(None, torch.bfloat16), ("fp16", torch.float16)])
def test_a_merged_model_has_the_number_type_of_its_base(
    number_type: str | None, dtype: torch.dtype, base: Path, tmp_path: Path
) -> None:
    """Each changed weight is summed in float32 and rounded once."""
    half = tmp_path / "half"
    transformer = stock(base)
    torch.nn.Module.to(transformer, torch.bfloat16)
    transformer.save_pretrained(half)
    file = written(tmp_path, "LoRA", "diffusers")
    result = exported(file, "merged", base=str(half), number_type=number_type)
    assert result.number_type == str(dtype).removeprefix("torch.")
    before, after = (load_file(folder / "diffusion_pytorch_model.safetensors") for folder in (half, Path(result.path)))
    for name, change in changes_for(LAYERS, "LoRA").items():
        weight = before[f"{name}.weight"].float()
        assert torch.equal(after[f"{name}.weight"], (weight + matrix_of(change, weight)).to(dtype))
    assert after["blocks.0.ffn.net.2.weight"].dtype == dtype
    assert 1e-4 < result.error < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_that_has_a_rule_does_the_same(kind: str, base: Path, tmp_path: Path) -> None:
    first: Layout = "diffusers" if kind in ("LoRA", "DoRA") else "lycoris"
    file, wanted = written(tmp_path, kind, first), answer_with(changes_for(LAYERS, kind), base)
    for layout in ("diffusers", "comfyui", "lycoris"):
        if kind not in ("LoRA", "DoRA") and layout == "diffusers" or (kind, layout) == ("IA3", "comfyui"):
            with pytest.raises(ConfigError, match="has no rule for .*Type: --format .*merged"):
                exported(file, layout)
            continue
        result = exported(file, layout, base=str(base), output=tmp_path / f"{layout}.safetensors")
        got = answer_with(read_adapter(Path(result.path), FACTS).changes, base)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
        if layout == "comfyui":
            # And back again, which needs the base: there DoRA's lengths are counted otherwise.
            back = exported(Path(result.path), first, base=str(base), output=tmp_path / "back.safetensors")
            got = answer_with(read_adapter(Path(back.path), FACTS).changes, base)
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def answer_with(changes: Mapping[str, Change], base: Path) -> Tensor:
    transformer = stock(base)
    with wearing(transformer, changes):
        return answer(transformer)


def test_what_the_file_says_of_itself_goes_along(tmp_path: Path) -> None:
    known = {"rank": 4, "alpha": 2.0, "step": 9, "title": "cartoons", "targets": ("attention",), "data": {"samples": 3}}
    file = written(tmp_path, "LoRA", "diffusers", **known)
    said = read_adapter(Path(exported(file, "comfyui").path), FACTS).about
    assert {name: said[name] for name in ("base_model", "base_fingerprint", "step", "title", "alpha", "data")} == {
        "base_model": "owner/base",
        "base_fingerprint": "f00d",
        **{name: known[name] for name in ("step", "title", "alpha", "data")},
    }


def test_a_smaller_file_is_rounded_and_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "LoKr", "lycoris")
    result = exported(file, "comfyui", number_type="bf16")
    types = {tensor.dtype for tensor in load_file(result.path).values() if tensor.ndim}
    assert types == {torch.bfloat16}
    assert 1e-4 < result.error < 2**-7


def test_strength_is_multiplied_in(tmp_path: Path) -> None:
    weight = torch.zeros(64, 64)
    for kind, layout in (("LoRA", "comfyui"), ("LoKr", "comfyui"), ("IA3", "lycoris")):
        (tmp_path / kind).mkdir()
        file = written(tmp_path / kind, kind, "lycoris")
        result = exported(file, layout, strength=0.25, output=tmp_path / kind / "weaker.safetensors")
        weaker, changes = read_adapter(Path(result.path), FACTS).changes, changes_for(LAYERS, kind)
        for name, change in changes.items():
            torch.testing.assert_close(matrix_of(weaker[name], weight + 1), 0.25 * matrix_of(change, weight + 1))
    (tmp_path / "OFT").mkdir()
    with pytest.raises(ConfigError, match="OFT cannot be made stronger or weaker"):
        exported(written(tmp_path / "OFT", "OFT", "lycoris"), "comfyui", strength=0.5)


@pytest.mark.parametrize("layout", ["diffusers", "comfyui", "lycoris"])
def test_a_smaller_file_of_a_fresh_dora_leaves_the_base_as_it_is(layout: Layout, base: Path, tmp_path: Path) -> None:
    """Lengths stay in float32: in bfloat16 each row of the base would be 0.2 % longer or shorter."""
    transformer, file = stock(base), tmp_path / "fresh.safetensors"
    changes: dict[str, Change] = {
        layer.name: Decomposed(
            LowRank(torch.randn(4, layer.inputs), torch.zeros(layer.outputs, 4)),
            lengths(linear_of(transformer, layer.name).weight.detach(), by_rows=True),
        )
        for layer in LAYERS
    }
    write_adapter(file, changes, "diffusers", about(), FACTS)
    result = exported(file, layout, base=str(base), number_type="bf16", output=tmp_path / "small.safetensors")
    assert {tensor.dtype for tensor in load_file(result.path).values() if tensor.ndim} == {
        torch.bfloat16,
        torch.float32,
    }
    got = answer_with(read_adapter(Path(result.path), FACTS).changes, base)
    torch.testing.assert_close(got, answer(transformer), atol=1e-5, rtol=1e-4)
    if layout == "diffusers":
        torch.testing.assert_close(answer(with_lora(Path(result.path), base)), got, atol=1e-5, rtol=1e-4)


def without_one(items: Mapping[str, Any]) -> dict[str, Any]:
    return dict(list(items.items())[1:])


FAULTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "zeros": lambda items: {name: mapped(one, lambda tensor: tensor * 0) for name, one in items.items()},
    "weaker": lambda items: {name: mapped(one, lambda tensor: tensor * 0.9) for name, one in items.items()},
    "a layer is missing": without_one,
}
"""What may go wrong with changes, or with tensors, by name."""

FIRST: Mapping[str, Layout] = {"LoRA": "diffusers", "OFT": "lycoris", "IA3": "lycoris", "DoRA": "diffusers"}


@pytest.mark.parametrize("number_type", ["float32", "bf16"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", FIRST)
def test_a_file_that_does_otherwise_is_not_kept(
    kind: str, fault: str, number_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, right, rounded = written(tmp_path, kind, FIRST[kind]), converting.write_adapter, converting.save_tensors

    def wrong(path: Path, changes: Mapping[str, Change], *words: Any, **more: Any) -> None:
        right(path, FAULTS[fault](changes), *words, **more)

    def wrongly_rounded(path: Path, tensors: Mapping[str, Tensor], *words: Any) -> None:
        rounded(path, FAULTS[fault](tensors), *words)

    planted = [("write_adapter", wrong), ("save_tensors", wrongly_rounded)]
    for name, planted_one in planted if number_type == "bf16" else planted[:1]:
        with monkeypatch.context() as patch:
            patch.setattr(converting, name, planted_one)
            with pytest.raises(CheckpointError, match="changed otherwise|not in both"):
                exported(file, FIRST[kind], number_type=number_type, output=tmp_path / "new.safetensors")
        assert [path.name for path in tmp_path.iterdir()] == ["adapter.safetensors"]
    exported(file, FIRST[kind], number_type=number_type, output=tmp_path / "new.safetensors")


MERGE_FAULTS: Mapping[str, Callable[..., None]] = {
    "a layer is missing": lambda *_, **__: None,
    "weaker": lambda transformer, changes, strength: merge(transformer, changes, strength=0.9 * strength),
    "twice": lambda *words, strength: [merge(*words, strength=strength), merge(*words, strength=strength)][0],
}


@pytest.mark.parametrize("number_type", ["float32", "bf16"])
@pytest.mark.parametrize("fault", MERGE_FAULTS)
@pytest.mark.parametrize("kind", [*FIRST, "full differences"])
def test_a_merged_model_that_is_no_sum_is_not_kept(
    kind: str, fault: str, number_type: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, kind, FIRST.get(kind, "lycoris"), base_model=str(base))
    monkeypatch.setattr(merging, "merge", MERGE_FAULTS[fault])
    with pytest.raises(CheckpointError, match=r"attn1.to_..weight is changed otherwise than by the adapter: .*sum"):
        exported(file, "merged", number_type=number_type)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_a_matrix_that_does_otherwise_than_its_change_is_not_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "LoKr", "lycoris", base_model=str(base))
    monkeypatch.setattr(Kronecker, "matrix", lambda change, weight: torch.zeros_like(weight))
    with pytest.raises(CheckpointError, match="its matrix is .* off"):
        exported(file, "merged", number_type="bf16")


def test_nothing_is_replaced_and_errors_say_what_to_type(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "LoRA", "diffusers", base_model="")
    assert main(["export", str(file), "--format", "comfyui"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'adapter-comfyui.safetensors'}")
    assert "ComfyUI/models/loras" in said
    (tmp_path / "DoRA").mkdir()
    decomposed = str(written(tmp_path / "DoRA", "DoRA", "diffusers"))
    for words, message in (
        ([str(file), "--format", "comfyui"], "nothing is replaced. Type: --output"),
        ([str(file), "--format", "merged"], "does not name the base that it was trained on. Type: --base"),
        ([str(file), "--format", "merged", "--base", "./nowhere"], "./nowhere is not here. Type: --base"),
        ([str(file), "--format", "merged", "--output", "a.safetensors"], "is a folder. Type: --output a"),
        ([str(file), "--format", "lycoris", "--output", "a"], "is one file. Type: --output a.safetensors"),
        ([str(file), "--format", "lycoris", "--strength", "nan"], "a number is needed"),
        ([decomposed, "--format", "comfyui"], "the base is needed. Type: --base"),
        ([str(base), "--format", "comfyui"], "is a whole transformer; an adapter file is needed"),
    ):
        assert main(["export", *words]) == 2, words
        assert message in capsys.readouterr().err
    assert main(["export", str(file), "--format", "comfyui", "surplus"]) == 2


def test_an_adapter_for_another_base_is_not_merged(base: Path, tmp_path: Path) -> None:
    deeper = [layer for layer in layers_of(make_transformer(2)) if ".attn" in layer.name]
    file = tmp_path / "deeper.safetensors"
    write_adapter(file, changes_for(deeper, "LoRA"), "diffusers", about(), FACTS)
    with pytest.raises(ModelError, match="changes 8 layers that this base lacks"):
        exported(file, "merged", base=str(base))
    assert not (tmp_path / "deeper-merged").exists()


def test_beside_a_file_that_is_read_only_is_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    file = written(tmp_path / "locked", "LoRA", "diffusers")
    monkeypatch.chdir(tmp_path)
    # As a mode it would not keep out root, who may be running this.
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != file.parent)
    assert exported(file, "comfyui").path == "adapter-comfyui.safetensors"


def test_a_runs_configuration_tells_where_its_base_lies(base: Path, tmp_path: Path) -> None:
    """The file itself names the folder alone, without its place."""
    checkpoint = tmp_path / "checkpoint-2/ema"
    checkpoint.mkdir(parents=True)
    file = written(checkpoint, "LoRA", "diffusers", base_model="base")
    with pytest.raises(ConfigError, match="a base called base, which is not found here. Type: --base"):
        exported(file, "merged")
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_model_name_or_path": str(base)}))
    assert exported(file, "merged").base == str(base)
    own = {"pretrained_model_name_or_path": str(base), "pretrained_transformer_model_name_or_path": "elsewhere"}
    (tmp_path / "config.json").write_text(json.dumps(own))
    with pytest.raises(ConfigError, match="is not found here"):
        exported(file, "merged", output=tmp_path / "other")


def test_a_run_folder_gives_its_name(tmp_path: Path) -> None:
    run = tmp_path / "cartoons"
    run.mkdir()
    written(run, "LoRA", "diffusers").rename(run / "pytorch_lora_weights.safetensors")
    assert exported(run, "comfyui").path == str(run / "cartoons-comfyui.safetensors")


def test_what_is_made_of_a_checkpoint_stays_when_that_is_removed(tmp_path: Path) -> None:
    averaged = tmp_path / "cartoons/checkpoint-9/ema"
    averaged.mkdir(parents=True)
    (averaged.parent / "state.json").write_text("{}")
    written(averaged, "LoRA", "diffusers").rename(averaged / "pytorch_lora_weights.safetensors")
    wanted = tmp_path / "cartoons/cartoons-checkpoint-9-ema-comfyui.safetensors"
    assert exported(averaged, "comfyui").path == str(wanted)
