"""Every file that is written is proven: a fault in any layer, tensor, scale or name is found, in every layout."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reeltune.adapters import layers
from reeltune.adapters.about import About
from reeltune.adapters.layers import layers_of
from reeltune.adapters.layouts import names, read_adapter, reading, writing
from reeltune.adapters.layouts.forms import DORA, ENDINGS, FORMS, Form
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.adapters.proof import Live, prove, prove_before_training
from reeltune.adapters.publish import AdapterPublisher
from reeltune.adapters.wearing import wearing
from reeltune.config.adapter import AdapterOptions
from reeltune.demo.model import make_transformer
from reeltune.errors import CheckpointError
from reeltune.families.wan.description import FACTS
from reeltune.quantize.apply import quantize_linears
from reeltune.quantize.rules import quantized_names

LAYERS = ("blocks.0.attn1.to_q", "blocks.0.attn1.to_out.0", "blocks.0.ffn.net.0.proj", "proj_out")
LYCORIS: dict[str, dict[str, Any]] = {
    "lora": {"multiplier": 0.5, "algo": "lora"},
    "loha": {"multiplier": 0.5, "algo": "loha"},
    "lokr": {"multiplier": 0.5, "algo": "lokr", "factor": 4},
    "lokr-whole": {"multiplier": 0.5, "algo": "lokr", "factor": 4, "full_matrix": True},
    "lokr-both": {"multiplier": 0.5, "algo": "lokr", "factor": 8, "linear_dim": 1, "decompose_both": True},
    "full": {"multiplier": 0.5, "algo": "full"},
    "ia3": {"algo": "ia3"},
    "dylora": {"multiplier": 0.5, "algo": "dylora", "block_size": 1},
    "diag-oft": {"algo": "diag-oft"},
    "diag-oft-limited": {"algo": "diag-oft", "constraint": 0.001},
    "boft": {"algo": "boft", "linear_dim": 6, "rescaled": True},
    "glora": {"multiplier": 0.5, "algo": "glora"},
    "dora": {"algo": "lora", "weight_decompose": True},
    "dora-lokr": {"algo": "lokr", "factor": 4, "weight_decompose": True},
}
WITHOUT_COMFYUI = {"ia3"}


def base(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(5)
    transformer: Any = make_transformer(1).requires_grad_(False)
    return transformer.to(dtype)


def moved(adapter: Any) -> Any:
    """Move every trained tensor at random, so that the adapter changes something."""
    generator = torch.Generator().manual_seed(7)
    tensors = adapter.trainable().items()
    adapter.load(
        {name: value.detach() + 0.1 * torch.randn(value.shape, generator=generator) for name, value in tensors}
    )
    return adapter


def lora(transformer: nn.Module | None = None, **options: Any) -> Lora:
    return moved(attach_lora(transformer or base(), AdapterOptions(lora_rank=4, **options), LAYERS, seed=1))


def lycoris(kind: str, transformer: nn.Module | None = None) -> Any:
    from reeltune.adapters.lycoris import attach_lycoris
    from reeltune.config.lycoris import lycoris_of
    from reeltune.config.lycoris_choice import chosen_for_lycoris

    transformer = transformer or base()
    config = lycoris_of({"multiplier": 1.0, "linear_dim": 4, "linear_alpha": 2, **LYCORIS[kind]})
    everywhere = chosen_for_lycoris(layers_of(transformer), config, FACTS)
    chosen = [one for one in everywhere if one.layer.name in LAYERS]
    return moved(attach_lycoris(transformer, config, chosen, seed=1))


def publisher(adapter: Live) -> AdapterPublisher:
    main = "diffusers" if isinstance(adapter, Lora) else "lycoris"
    return AdapterPublisher(
        adapter, FACTS, lambda step: About("b", "f", "test", step=step, settings={"algo": "x"}), main
    )


ADAPTERS: dict[str, Callable[[], Any]] = {
    "lora": lora,
    "lora, alpha 1": functools.partial(lora, lora_alpha=1.0),
    "dora": functools.partial(lora, use_dora=True),
    "pissa": functools.partial(lora, lora_init_type="pissa"),
    "olora": functools.partial(lora, lora_init_type="olora", lora_alpha=2.0),
    **{f"lycoris {kind}": functools.partial(lycoris, kind) for kind in LYCORIS},
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_files_of_every_kind_are_written_and_proven(kind: str, tmp_path: Path) -> None:
    adapter = ADAPTERS[kind]()
    publishing = publisher(adapter)
    publishing.write(tmp_path, "my run", step=3)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(publishing.places("my run"))
    has_comfyui = kind.removeprefix("lycoris ") not in WITHOUT_COMFYUI
    assert (Path("comfyui/my run.safetensors") in written) == has_comfyui
    assert (Path("lycoris_config.json") in written) == kind.startswith("lycoris")
    assert publishing.places("my run")[0] == Path("pytorch_lora_weights.safetensors")
    shown = publishing.write_main(tmp_path / "shown", step=3)
    assert shown.read_bytes() == (tmp_path / "pytorch_lora_weights.safetensors").read_bytes()


def velocity(transformer: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    latents, text = torch.randn(1, 16, 2, 8, 8, generator=generator), torch.randn(1, 5, 32, generator=generator)
    with torch.no_grad():
        return transformer.eval()(latents, torch.tensor([300.0]), text, return_dict=False)[0]


@pytest.mark.parametrize("kind", [kind for kind in LYCORIS if kind != "ia3"])
def test_a_live_lycoris_adapter_lycoris_own_loader_and_ours_agree(kind: str, tmp_path: Path) -> None:
    from lycoris.wrapper import create_lycoris_from_weights

    adapter = lycoris(kind)
    path = publisher(adapter).write_main(tmp_path, step=1)
    live, theirs, ours = velocity(adapter.transformer), base(), base()
    bare = velocity(ours)
    network, _ = create_lycoris_from_weights(1.0, str(path), theirs)
    network.apply_to()
    with wearing(ours, read_adapter(path, FACTS).changes):
        worn = velocity(ours)
    # The same float32 products, summed in another order.
    assert (velocity(theirs) - live).norm() <= 1e-5 * live.norm()
    assert (worn - live).norm() <= 1e-5 * live.norm()
    assert (live - bare).norm() > 1e-3 * bare.norm()


@pytest.mark.parametrize("kind", ["lora", "pissa", "dora", "lycoris lokr", "lycoris boft"])
def test_files_are_proven_before_the_first_step_and_the_adapter_is_left_as_it_was(kind: str) -> None:
    adapter = ADAPTERS[kind]()
    before = {name: tensor.detach().clone() for name, tensor in adapter.trainable().items()}
    prove_before_training(publisher(adapter), adapter)
    after = adapter.trainable()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["lora", "pissa", "dora", "lycoris lokr", "lycoris diag-oft", "lycoris dora"])
def test_a_fresh_adapter_is_proven_on_every_base(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    if kind.startswith("lycoris"):
        adapter = lycoris(kind.removeprefix("lycoris "), base(dtype))
    else:
        options = {"lora": {}, "dora": {"use_dora": True}, "pissa": {"lora_init_type": "pissa"}}[kind]
        adapter = attach_lora(base(dtype), AdapterOptions(lora_rank=4, **options), LAYERS, seed=1)
    publisher(adapter).write(tmp_path, "fresh", step=0)


@pytest.mark.parametrize("precision", ["int8-quanto", "fp8-torchao"])
@pytest.mark.parametrize("kind", ["lora", "lokr", "ia3", "diag-oft", "glora"])
def test_an_adapter_on_a_quantized_base_is_proven(kind: str, precision: str, tmp_path: Path) -> None:
    pytest.importorskip("torchao" if "torchao" in precision else "optimum.quanto")
    transformer = base()
    quantize_linears(transformer, precision, names=quantized_names(transformer, "blocks"))
    adapter = lora(transformer) if kind == "lora" else lycoris(kind, transformer)
    publisher(adapter).write(tmp_path, "quantized", step=0)


def spoiled(path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    change(tensors)
    save_file(tensors, path, metadata=metadata)


def _rename(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if "to_q" in key or ".q." in key]:
        tensors[key.replace("to_q", "to_k").replace(".q.", ".k.")] = tensors.pop(key)


def _leave_out(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if "to_q" in key or ".q." in key]:
        del tensors[key]


def _add(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if "to_q" in key or ".q." in key]:
        tensors[key.replace("to_q", "to_v").replace(".q.", ".v.")] = tensors[key].clone()


def _largest(tensors: dict[str, Tensor]) -> Tensor:
    """Return one of the tensors of a factor that is not alpha."""
    return next(tensor for key, tensor in sorted(tensors.items()) if tensor.numel() > 8)


def _scale(tensors: dict[str, Tensor]) -> None:
    _largest(tensors).mul_(1 + 1e-4)


def _sign(tensors: dict[str, Tensor]) -> None:
    _largest(tensors).neg_()


def _bit(tensors: dict[str, Tensor]) -> None:
    # The lowest bit of the exponent of one number, which is then twice or half as large.
    _largest(tensors).view(-1).view(torch.int32)[1] ^= 1 << 23


def _half_precision(tensors: dict[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        tensors[key] = tensor.bfloat16()


FAULTS = (_rename, _leave_out, _add, _scale, _sign, _bit, _half_precision)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["lora", "dora", "lycoris lokr", "lycoris diag-oft"])
def test_a_planted_fault_is_found(kind: str, fault: Callable[[dict[str, Tensor]], None], tmp_path: Path) -> None:
    adapter = ADAPTERS[kind]()
    publishing = publisher(adapter)
    publishing.write(tmp_path, "run", step=0)
    for place in publishing.places("run"):
        if place.suffix != ".safetensors":
            continue
        prove(adapter, tmp_path / place, FACTS)
        spoiled(tmp_path / place, fault)
        with pytest.raises(CheckpointError, match=f"{place.name} (lacks|holds|: layer)|{place.name}: layer") as caught:
            prove(adapter, tmp_path / place, FACTS)
        assert any(layer in str(caught.value) for layer in (*LAYERS, "attn1.to_k", "attn1.to_v"))


NAMES = {
    "lora": ("lora_A.weight", "lora_B.weight"),
    "dora": ("lora_magnitude_vector",),
    "lycoris lora": ("alpha",),
    "lycoris dora": ("dora_scale",),
    "lycoris lokr": ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
    "lycoris lokr-both": ("lokr_w1_a", "lokr_w1_b"),
    "lycoris lokr-whole": ("lokr_w2",),
    "lycoris loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "lycoris glora": ("a1.weight", "a2.weight", "b1.weight", "b2.weight"),
    "lycoris full": ("diff", "diff_b"),
    "lycoris diag-oft": ("oft_blocks",),
    "lycoris boft": ("rescale",),
    "lycoris ia3": ("weight", "on_input"),
}
"""What the tensors of each kind are called, written out."""


def misspell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our writer and our reader both take another name for a tensor's."""
    wrong = f"x{name}"

    def renamed(form: Form) -> Form:
        return replace(
            form,
            needed=tuple(tuple(wrong if one == name else one for one in names) for names in form.needed),
            may=tuple(wrong if one == name else one for one in form.may),
            read=lambda parts, scale: form.read(
                {name if one == wrong else one: part for one, part in parts.items()}, scale
            ),
            write=lambda change: {wrong if one == name else one: part for one, part in form.write(change).items()},
        )

    forms = tuple(map(renamed, FORMS))
    dora = tuple(wrong if one == name else one for one in DORA)
    for module in (reading, writing):
        monkeypatch.setattr(module, "FORMS", forms)
        monkeypatch.setattr(module, "DORA", dora)
    monkeypatch.setattr(reading, "ENDINGS", (wrong, *(one for one in ENDINGS if one != name)))
    monkeypatch.setattr(reading, "_ONLY_LYCORIS", ())


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_a_name_that_is_misspelt_in_writing_and_reading_alike_is_found(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = ADAPTERS[kind]()
    misspell(name, monkeypatch)
    # Our own reader finds nothing wrong.
    path = publisher(adapter).write_main(tmp_path, step=0)
    assert read_adapter(path, FACTS).changes.keys() == set(LAYERS)
    with pytest.raises(CheckpointError, match=rf"no program that reads the \w+ layout knows a tensor .*x{name}$"):
        prove(adapter, path, FACTS)


@pytest.mark.parametrize("prefix", ["transformer.", "diffusion_model.", "lycoris_"])
def test_a_misspelt_beginning_of_keys_is_found(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = lycoris("lokr") if prefix == "lycoris_" else lora()
    prefixes = {f"x{one}" if one == prefix else one: layout for one, layout in names.PREFIXES.items()}
    for module in (names, reading):
        monkeypatch.setattr(module, "PREFIXES", prefixes)
    with pytest.raises(CheckpointError, match=rf"knows a tensor x{prefix}"):
        publisher(adapter).write(tmp_path, "run", step=0)


def test_a_wrong_alpha_is_found(tmp_path: Path) -> None:
    adapter = lora()
    publisher(adapter).write(tmp_path, "run", step=0)

    def halve(tensors: dict[str, Tensor]) -> None:
        next(tensor for key, tensor in tensors.items() if key.endswith(".alpha")).mul_(0.5)

    spoiled(tmp_path / "comfyui/run.safetensors", halve)
    with pytest.raises(CheckpointError, match=r"differ by 5\.0e-01 of the change"):
        prove(adapter, tmp_path / "comfyui/run.safetensors", FACTS)


def test_a_file_that_cannot_be_read_back_is_no_checkpoint(tmp_path: Path) -> None:
    adapter = lora()
    publisher(adapter).write(tmp_path, "run", step=0)
    adapter.load({name: tensor / 0 for name, tensor in adapter.trainable().items()})
    with pytest.raises(CheckpointError, match="cannot be read back: .* holds NaN or infinite numbers"):
        publisher(adapter).write(tmp_path, "run", step=1)


def test_a_kind_that_comfyui_lacks_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publishing = publisher(lycoris("ia3"))
    logging.getLogger("reeltune").propagate = True
    with caplog.at_level(logging.INFO, logger="reeltune"):
        for step in range(3):
            publishing.write(tmp_path, "run", step=step)
    said = [record.message for record in caplog.records if "ComfyUI" in record.message]
    assert said == ["no file for ComfyUI is written: ComfyUI has no rule for IA3"]


def test_the_description_lies_beside_the_file_and_in_it(tmp_path: Path) -> None:
    publisher(lycoris("lokr")).write(tmp_path, "run", step=5)
    with safe_open(tmp_path / "pytorch_lora_weights.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["lycoris_config"]
    inside = json.loads(metadata["lycoris_config"])
    assert (inside["algo"], inside["reeltune"]["step"]) == ("x", 5)
    assert json.loads((tmp_path / "lycoris_config.json").read_text()) == {"algo": "x"}


@pytest.mark.parametrize(
    ("kind", "reads"),
    [
        ("lora", 0),
        ("pissa", 0),
        ("lycoris lokr", 0),
        ("lycoris full", 0),
        ("lycoris diag-oft", 2),
        ("lycoris glora", 2),
        ("lycoris dora", 2),
    ],
)
def test_the_bases_weights_are_brought_to_float32_only_where_they_are_read(
    kind: str, reads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = ADAPTERS[kind]()
    path = publisher(adapter).write_main(tmp_path, step=0)
    read: list[nn.Linear] = []
    monkeypatch.setattr(layers, "plain_weight", lambda layer: read.append(layer) or layer.weight.detach())
    prove(adapter, path, FACTS)
    assert len(read) == reads * len(LAYERS)
