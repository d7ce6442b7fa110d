"""Every kind of LoRA starts where PEFT's does, changes nothing at first, and computes what PEFT computes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from helpers.reads import Reads
from reeltune.adapters.changes import Decomposed, Dense, LowRank, matrix_of
from reeltune.adapters.layers import layers_of, linear_of, plain_weight
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.adapters.lora_layers import down_of, up_of
from reeltune.adapters.lora_start import DRAWN, main_directions
from reeltune.config.adapter import AdapterOptions
from reeltune.config.targets import chosen_layers
from reeltune.contracts.trained import Trained
from reeltune.demo.model import HEAD_WIDTH, HEADS, TEXT_WIDTH, make_transformer
from reeltune.errors import ConfigError
from reeltune.families.wan.description import FACTS

KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "gaussian": {"lora_init_type": "gaussian"},
    "pissa": {"lora_init_type": "pissa"},
    "olora": {"lora_init_type": "olora"},
    "dora": {"use_dora": True},
    "dora-pissa": {"use_dora": True, "lora_init_type": "pissa"},
}
FIRST = "blocks.0.attn1.to_q"


def in_type(transformer: WanTransformer3DModel, dtype: torch.dtype) -> WanTransformer3DModel:
    nn.Module.to(transformer, dtype)  # not diffusers' own, which warns of modules that stay in float32
    return transformer


def base(dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    """Return the same frozen transformer of one block at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        transformer = make_transformer(1)
    return in_type(transformer, dtype).requires_grad_(False).eval()


def attached(transformer: nn.Module, kind: str = "default", **options: Any) -> Lora:
    settings = {"lora_rank": 4, "lora_alpha": 6.0, **KINDS[kind], **options}
    return attach_lora(transformer, AdapterOptions(**settings), FACTS.adapter_targets, seed=3)


def answer(transformer: nn.Module) -> Tensor:
    """Return the output on a fixed input."""
    generator = torch.Generator().manual_seed(5)
    dtype = next(transformer.parameters()).dtype
    return transformer(
        hidden_states=torch.randn(1, 16, 2, 8, 8, generator=generator).to(dtype),
        timestep=torch.tensor([400.0]),
        encoder_hidden_states=torch.randn(1, 5, TEXT_WIDTH, generator=generator).to(dtype),
        return_dict=False,
    )[0]


@torch.no_grad()
def move(lora: Lora, size: float = 0.1) -> Lora:
    """Move every trained tensor, as an optimizer does."""
    generator = torch.Generator().manual_seed(7)
    for parameter in lora.trainable().values():
        parameter += size * torch.randn(parameter.shape, generator=generator).to(parameter.device)
    return lora


def gradients(transformer: nn.Module, lora: Lora) -> dict[str, Tensor]:
    answer(transformer).float().square().mean().backward()
    return {name: one.grad for name, one in lora.trainable().items() if one.grad is not None}


def stock(kind: str) -> WanTransformer3DModel:
    """Return PEFT's own adapter of a kind on the same base."""
    options = KINDS[kind]
    config = LoraConfig(
        r=4,
        lora_alpha=6.0,  # pyright: ignore[reportArgumentType]
        target_modules=list(FACTS.adapter_targets),
        use_dora=options.get("use_dora", False),
        init_lora_weights=options.get("lora_init_type", True),
    )
    transformer = base()
    transformer.add_adapter(config)
    return transformer


def tensors_of(transformer: nn.Module) -> dict[str, nn.Parameter]:
    return {name.replace(".default.", "."): p for name, p in transformer.named_parameters() if p.requires_grad}


def layer_of(transformer: nn.Module, name: str) -> LoraLinear:
    layer = transformer.get_submodule(name)
    assert isinstance(layer, LoraLinear)
    return layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "default"])
def test_at_its_start_every_kind_changes_nothing_to_the_bit(kind: str, dropout: float, dtype: torch.dtype) -> None:
    transformer = base(dtype)
    before = answer(transformer)
    weights = {name: tensor.clone() for name, tensor in transformer.state_dict().items()}
    lora = attached(transformer, kind, lora_dropout=dropout)
    assert torch.equal(answer(transformer), before)
    if "dora" not in kind:  # whose formula multiplies the base's own weights with the inputs that dropout left
        assert torch.equal(answer(transformer.train()), before)
    assert isinstance(lora, Trained)
    for name, layer in lora.layers.items():
        assert torch.equal(layer.get_base_layer().weight, weights[f"{name}.weight"])  # pyright: ignore
    assert all(parameter.dtype == torch.float32 for parameter in lora.trainable().values())


@pytest.mark.parametrize("kind", ["gaussian", "pissa", "olora", "dora", "dora-pissa"])
def test_in_float32_output_and_gradients_are_pefts(kind: str) -> None:
    lora, theirs = attached(base(), kind), stock(kind)
    if kind in ("gaussian", "dora"):
        own = lora.trainable()
        with torch.no_grad():
            for name, parameter in tensors_of(theirs).items():
                parameter.copy_(own[name])
    else:  # PEFT's start is taken out of its base; the signs of directions are those of one and the same routine
        for name, parameter in tensors_of(theirs).items():
            torch.testing.assert_close(lora.trainable()[name].data, parameter.data, rtol=1e-4, atol=1e-5)
        weight = layer_of(theirs, FIRST).get_base_layer().weight
        assert not torch.allclose(weight, lora.layers[FIRST].get_base_layer().weight, atol=1e-2)  # pyright: ignore
    before = answer(lora.transformer)
    # The same change of A, B and the lengths.
    for trained in (lora.trainable(), tensors_of(theirs)):
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in trained.values():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    output = answer(lora.transformer)
    assert (output - before).abs().max() > 0.1
    # float32 keeps 7 digits; the sums run in another order, and PEFT's base is rounded after its start is taken out.
    torch.testing.assert_close(output, answer(theirs), rtol=1e-4, atol=2e-5)
    for transformer in (lora.transformer, theirs):
        answer(transformer).square().mean().backward()
    for name, parameter in tensors_of(theirs).items():
        own_gradient = lora.trainable()[name].grad
        assert own_gradient is not None
        assert parameter.grad is not None
        scale = parameter.grad.abs().max().item()
        torch.testing.assert_close(own_gradient, parameter.grad, rtol=1e-3, atol=1e-4 * scale)


def test_with_dropout_dora_drops_what_pefts_drops() -> None:
    lora = move(attached(base(), "dora", lora_dropout=0.4))
    config = LoraConfig(
        r=4,
        lora_alpha=6.0,  # pyright: ignore[reportArgumentType]
        lora_dropout=0.4,
        target_modules=list(FACTS.adapter_targets),
        use_dora=True,
    )
    theirs = base()
    theirs.add_adapter(config)
    with torch.no_grad():
        for name, parameter in tensors_of(theirs).items():
            parameter.copy_(lora.trainable()[name])
    outputs = []
    for transformer in (lora.transformer, theirs):
        torch.manual_seed(1)
        outputs.append(answer(transformer.train()))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["pissa", "dora", "dora-pissa"])
def test_a_bfloat16_base_gives_gradients_in_the_direction_of_float32(kind: str) -> None:
    found = []
    start = base(torch.bfloat16)
    for dtype in (torch.float32, torch.bfloat16):
        transformer = in_type(copy.deepcopy(start), dtype)
        lora = move(attached(transformer, kind), 0.02)
        found.append(gradients(transformer, lora))
    for part in ("lora_A", "lora_B", "lora_magnitude_vector"):
        exact, rounded = ([g.flatten().double() for name, g in one.items() if part in name] for one in found)
        if exact:
            # bfloat16 keeps 8 bits.
            assert torch.nn.functional.cosine_similarity(torch.cat(exact), torch.cat(rounded), dim=0) > 0.99, part


@pytest.mark.parametrize("kind", ["default", "gaussian"])
def test_what_is_drawn_is_what_peft_draws_with_the_same_generator(kind: str) -> None:
    layer = layer_of(attached(base()).transformer, FIRST)
    layer.lora_A["default"] = nn.Linear(64, 4, bias=False)
    layer.lora_B["default"] = nn.Linear(4, 64, bias=False)
    torch.manual_seed(9)
    layer.reset_lora_parameters("default", {"default": True}.get(kind, kind))
    drawn = DRAWN[kind]((4, 64), torch.Generator().manual_seed(9))
    torch.testing.assert_close(drawn, layer.lora_A["default"].weight.data)


def test_main_directions_of_a_large_matrix_are_those_of_the_whole_decomposition() -> None:
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.linalg.qr(torch.randn(size, 520, generator=generator)).Q for size in (600, 520))
    weight = left * torch.arange(1, 521).float().pow(-0.5) @ right.T
    state = torch.get_rng_state()
    found = main_directions(weight, 16, torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), state)
    whole = torch.linalg.svd(weight, full_matrices=False)
    best = whole.U[:, :16] * whole.S[:16] @ whole.Vh[:16]
    # The last of 16 is found from 24 with an error of (24/16)^-8 = 4 % of its weight at most, the first ones exactly.
    torch.testing.assert_close(found[1][:8], whole.S[:8], rtol=1e-4, atol=0)
    error, least = ((weight - some).norm().item() for some in (found[0] * found[1] @ found[2], best))
    assert error < 1.001 * least


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_what_the_live_layers_add(kind: str) -> None:
    transformer = base()
    lora = move(attached(transformer, kind))
    changes = lora.changes()
    assert changes.keys() == lora.layers.keys()
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    for name in (FIRST, "blocks.0.attn2.to_out.0"):
        layer = lora.layers[name]
        matrix = matrix_of(changes[name], layer.get_base_layer().weight)  # pyright: ignore
        added = lora.acting(name, x)
        # float32 sums of 64 terms in another order.
        torch.testing.assert_close(added, x @ matrix.T, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(added, layer(x) - layer.get_base_layer()(x), rtol=1e-4, atol=1e-5)
        pair = changes[name].inner if isinstance(changes[name], Decomposed) else changes[name]  # pyright: ignore
        assert isinstance(pair, LowRank)
        assert pair.down.shape[0] == (8 if "pissa" in kind or kind == "olora" else 4)


@pytest.mark.parametrize("kind", ["default", "dora"])
def test_what_acts_is_asked_for_without_dropout_and_leaves_the_layer_as_it_was(kind: str) -> None:
    lora = move(attached(base(torch.bfloat16), kind, lora_dropout=0.5))
    lora.transformer.train()
    layer, x = lora.layers[FIRST], torch.randn(3, 64)
    modules = dict(layer.named_modules())
    first, second = lora.acting(FIRST, x), lora.acting(FIRST, x)
    assert torch.equal(first, second)
    assert first.dtype == torch.float32
    assert dict(layer.named_modules()) == modules
    assert all(module.training for module in modules.values())


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", ["pissa", "olora"])
def test_small_updates_are_kept_in_bfloat16_live_and_in_files(kind: str, size: float) -> None:
    lora = move(attached(base(torch.bfloat16), kind), size)
    layer, change = lora.layers[FIRST], lora.changes()[FIRST]
    assert isinstance(change, LowRank)
    trained, fixed = lora.trainable(), lora.fixed()
    first, then = (
        tuple(tensors[f"{FIRST}.lora_{half}.{name}"].detach().double() for half in "AB")
        for tensors, name in ((fixed, "start"), (trained, "weight"))
    )
    exact = change.scale * (then[1] @ then[0] - first[1] @ first[0])
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(2)).bfloat16()
    expected = x.double() @ exact.T
    live = up_of(layer)(down_of(layer)(x)).double() * change.scale
    in_file = change.scale * (change.up.bfloat16().double() @ change.down.bfloat16().double())
    # bfloat16 rounds by 0.4 % at most: twice the factors and twice the sums, in all directions.
    assert (live - expected).norm() < 0.01 * expected.norm()
    assert (in_file - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize("kind", ["pissa", "olora"])
def test_gradients_at_any_distance_from_the_start_are_those_of_the_pairs_difference(kind: str) -> None:
    for size in (0.0, 1e-3, 0.3):
        lora = move(attached(base(), kind), size)
        layer, trained, fixed = lora.layers[FIRST], lora.trainable(), lora.fixed()
        x = torch.randn(9, 64, generator=torch.Generator().manual_seed(2))
        up_of(layer)(down_of(layer)(x)).square().sum().add(up_of(layer)(down_of(layer)(x)).sum()).backward()
        down, up = (trained[f"{FIRST}.lora_{half}.weight"].detach().double().requires_grad_() for half in "AB")
        down_0, up_0 = (fixed[f"{FIRST}.lora_{half}.start"].double() for half in "AB")
        added = x.double() @ (up @ down - up_0 @ down_0).T
        (added.square().sum() + added.sum()).backward()
        for half, exact in (("A", down), ("B", up)):
            gradient = trained[f"{FIRST}.lora_{half}.weight"].grad
            assert gradient is not None
            assert exact.grad is not None
            assert (gradient - exact.grad).norm() < 1e-5 * exact.grad.norm(), (half, size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restart_goes_on_from_the_same_adapter_to_the_bit(kind: str) -> None:
    lora = move(attached(base(), kind))
    saved = {name: tensor.detach().clone() for name, tensor in lora.trainable().items()}
    fixed = {name: tensor.clone() for name, tensor in lora.fixed().items()}
    other = attach_lora(
        base(), AdapterOptions(lora_rank=4, lora_alpha=6.0, **KINDS[kind]), FACTS.adapter_targets, seed=99
    )
    for name, tensor in other.fixed().items():
        tensor.add_(1)  # as on a machine that computes another start
        assert not torch.equal(tensor, fixed[name])
    other.load(saved)
    other.load_fixed(fixed)
    assert torch.equal(answer(other.transformer), answer(lora.transformer))
    assert bool(fixed) == ("pissa" in kind or kind == "olora")


@pytest.mark.parametrize("precision", ["int8-torchao", "fp8-quanto"])
def test_a_quantized_base_is_the_start_of_pissa_and_refused_for_dora(precision: str) -> None:
    from reeltune.quantize.apply import quantize_linears

    transformer = base()
    names = [f"blocks.0.{name}" for name in FACTS.block_layers]
    quantize_linears(transformer, precision, names=names)
    before = answer(transformer)
    with pytest.raises(ConfigError, match=r"use_dora: blocks.0.attn1.to_q is quantized.*base_model_precision"):
        attached(transformer, "dora")
    lora = attached(transformer, "pissa")
    assert torch.equal(answer(transformer), before)
    exact = attached(base(), "pissa").fixed()
    product, expected = (one[f"{FIRST}.lora_B.start"] @ one[f"{FIRST}.lora_A.start"] for one in (lora.fixed(), exact))
    # The eight bits move the weights by a few per cent, and the main directions with them.
    assert torch.nn.functional.cosine_similarity(product.flatten(), expected.flatten(), dim=0) > 0.98
    move(lora)
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    change = lora.changes()[FIRST]
    torch.testing.assert_close(
        lora.acting(FIRST, x), x @ matrix_of(change, torch.empty(64, 64)).T, rtol=1e-4, atol=1e-5
    )


def shown_file(lora: Lora) -> dict[str, Tensor]:
    """Return what acts as diffusers' keys, the scale within B."""
    tensors = {}
    for name, change in lora.changes().items():
        assert isinstance(change, LowRank)
        tensors[f"transformer.{name}.lora_A.weight"] = change.down.clone()
        tensors[f"transformer.{name}.lora_B.weight"] = change.up * change.scale
    return tensors


def put_on(transformer: WanTransformer3DModel, tensors: dict[str, Tensor]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
        transformer.load_lora_adapter(dict(tensors), prefix="transformer", adapter_name="shown")
    transformer.set_adapters("shown")


def everything_of(transformer: WanTransformer3DModel) -> dict[str, Any]:
    return {
        "moves": {name: parameter.requires_grad for name, parameter in transformer.named_parameters()},
        "bits": {name: tensor.clone() for name, tensor in transformer.state_dict().items()},
        "active": transformer.active_adapters(),
        "each": [(m.active_adapters, m.disable_adapters) for m in transformer.modules() if isinstance(m, LoraLinear)],
        "training": [module.training for module in transformer.modules()],
        "modules": list(transformer.named_modules()),
    }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    bits, others = one.pop("bits"), other.pop("bits")
    assert bits.keys() == others.keys()
    assert all(torch.equal(bits[name], others[name]) for name in bits)
    assert one == other


@pytest.mark.parametrize("kind", KINDS)
def test_another_adapter_may_be_shown_while_the_trained_one_is_off(kind: str) -> None:
    other = move(attached(base(), "pissa", lora_rank=2), 0.2)
    expected, tensors = answer(other.transformer), shown_file(other)
    transformer = base()
    bare = answer(transformer)
    lora = move(attached(transformer.train(), kind))
    own, before = answer(transformer), everything_of(transformer)
    with lora.disabled():
        assert torch.equal(answer(transformer), bare)
        put_on(transformer, tensors)
        torch.testing.assert_close(answer(transformer), expected, rtol=1e-4, atol=2e-5)
        assert list(lora.trainable()) == [name for name in lora.trainable() if "shown" not in name]
    assert transformer.active_adapters() == ["default"]
    assert all(parameter.requires_grad for parameter in lora.trainable().values())
    assert torch.equal(answer(transformer), own)
    transformer.delete_adapters("shown")
    assert_same(everything_of(transformer), before)


def test_the_adapter_is_back_when_the_block_fails() -> None:
    transformer = base()
    lora = move(attached(transformer))
    parameter = lora.trainable()[f"{FIRST}.lora_A.weight"].requires_grad_(False)
    before = everything_of(transformer)

    def fail() -> None:
        with lora.disabled():
            transformer.disable_adapters()
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        fail()
    assert_same(everything_of(transformer), before)
    assert not parameter.requires_grad


def test_other_tensors_act_for_as_long_as_they_are_held() -> None:
    lora = move(attached(base(), "dora"))
    own = answer(lora.transformer)
    places = {name: parameter.data_ptr() for name, parameter in lora.trainable().items()}
    shadow = {name: torch.zeros_like(parameter) for name, parameter in lora.trainable().items()}
    with lora.holding(shadow):
        assert not torch.equal(answer(lora.transformer), own)
        assert all(not one.data.any() for one in lora.trainable().values())
    assert torch.equal(answer(lora.transformer), own)
    assert places == {name: parameter.data_ptr() for name, parameter in lora.trainable().items()}


@pytest.mark.parametrize("kind", ["default", "dora"])
def test_a_run_that_starts_from_a_file_acts_as_the_file_at_any_alpha(kind: str) -> None:
    lora = move(attached(base(), kind))
    later = attached(base(), kind, lora_alpha=1.5)
    later.start_from(lora.changes())
    # A power of two between the scales: nothing is rounded.
    assert torch.equal(answer(later.transformer), answer(lora.transformer))
    later = attached(base(), kind, lora_alpha=5.0)
    later.start_from(lora.changes())
    torch.testing.assert_close(answer(later.transformer), answer(lora.transformer), rtol=1e-5, atol=1e-6)


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("rank", {}, {"lora_rank": 8}, "the file has rank 4 at blocks.0.attn1.to_q, this run 8. Set lora_rank=4"),
    ("moved", {"lora_init_type": "olora"}, {}, "the file has rank 8 .* Set lora_rank=8"),
    ("dora", {"use_dora": True}, {}, "the file is DoRA, and this run trains plain LoRA. Set use_dora=true"),
    ("plain", {}, {"use_dora": True}, "the file is plain LoRA, and this run trains DoRA. Set use_dora=false"),
    ("start", {}, {"lora_init_type": "pissa"}, "init_lora and lora_init_type=pissa each say .* lora_init_type=default"),
    ("drawn", {}, {"lora_init_type": "gaussian"}, "init_lora and lora_init_type=gaussian each say"),
]


@pytest.mark.parametrize(("file", "run", "words"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_taken(file: Any, run: Any, words: str) -> None:
    changes = move(attached(base(), **file)).changes()
    lora = attached(base(), **run)
    before = {name: tensor.detach().clone() for name, tensor in lora.trainable().items()}
    with pytest.raises(ConfigError, match=words):
        lora.start_from(changes)
    assert all(torch.equal(tensor, before[name]) for name, tensor in lora.trainable().items())


def test_a_file_for_other_layers_sizes_or_kinds_is_refused() -> None:
    lora, changes = attached(base()), attached(base()).changes()
    without = {name: change for name, change in changes.items() if "attn2" not in name}
    with pytest.raises(ConfigError, match="has nothing for blocks.0.attn2.to_q and 3 more.*the file's 4 layers"):
        lora.start_from(without)
    with pytest.raises(ConfigError, match="the file changes blocks.0.ffn.net.2, which this run does not adapt"):
        lora.start_from({**changes, "blocks.0.ffn.net.2": changes[FIRST]})
    with pytest.raises(ConfigError, match="with 32 inputs and 64 outputs; this base has 64 and 64"):
        lora.start_from({**changes, FIRST: LowRank(torch.ones(4, 32), torch.ones(64, 4))})

    with pytest.raises(ConfigError, match="is no LoRA but of the kind Dense. Train with lora_type=lycoris"):
        lora.start_from({**changes, FIRST: Dense(torch.ones(64, 64))})


@pytest.mark.parametrize(
    ("targets", "blocks", "count"),
    [("all-linear", None, 26), ("attention,ffn", "-1", 10), (["blocks.0.*", "proj_out"], None, 11), ("ffn", "0-", 4)],
)
def test_exactly_the_chosen_layers_are_adapted(targets: Any, blocks: str | None, count: int) -> None:
    transformer = make_transformer(2).requires_grad_(False)
    options = AdapterOptions(lora_rank=2, peft_lora_target_modules=targets, lora_blocks=blocks)
    chosen = [layer.name for layer in chosen_layers(layers_of(transformer), options, FACTS)]
    lora = attach_lora(transformer, options, chosen, seed=0)
    assert list(lora.layers) == chosen
    assert len(chosen) == count
    assert set(tensors_of(transformer)) == set(lora.trainable())
    answer(transformer).sum().backward()
    assert all(one.grad is not None for one in lora.trainable().values())


def test_an_exact_name_is_not_taken_for_an_ending() -> None:
    model = nn.ModuleDict({"out": nn.Linear(3, 3), "inner": nn.ModuleDict({"out": nn.Linear(3, 3)})})
    lora = attach_lora(model, AdapterOptions(lora_rank=2), ["out"], seed=0)
    assert list(lora.layers) == ["out"]


def test_a_target_that_no_layer_has_and_a_rank_without_directions_are_refused_before_anything_is_attached() -> None:
    transformer = base()
    for options, targets, words in (
        ({}, ["to_z"], "no linear layer of the model is called 'to_z'"),
        ({"lora_init_type": "olora", "lora_rank": 65}, ["to_q"], r"has 64 directions .* Set lora_rank=64 or less"),
    ):
        with pytest.raises(ConfigError, match=words):
            attach_lora(transformer, AdapterOptions(**options), targets, seed=0)
    assert not any(isinstance(module, LoraLinear) for module in transformer.modules())


def load_by_pipeline(transformer: WanTransformer3DModel, tensors: dict[str, Tensor]) -> None:
    pipeline = WanPipeline(
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        text_encoder=None,  # pyright: ignore[reportArgumentType]
        vae=None,  # pyright: ignore[reportArgumentType]
        scheduler=None,  # pyright: ignore[reportArgumentType]
        transformer=transformer,
    )
    pipeline.load_lora_weights(dict(tensors), adapter_name="shown")


@pytest.mark.parametrize("load", [put_on, load_by_pipeline])
@pytest.mark.parametrize("targets", ["attention", "ffn", "blocks.1.*"])
def test_a_file_of_text_to_video_makes_the_same_change_of_the_layers_of_an_image_to_video_model(
    targets: str, load: Callable[[WanTransformer3DModel, dict[str, Tensor]], None]
) -> None:
    torch.manual_seed(4)
    text_to_video = make_transformer(2).requires_grad_(False)
    image_to_video = WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        text_dim=TEXT_WIDTH,
        ffn_dim=2 * HEADS * HEAD_WIDTH,
        num_layers=2,
        in_channels=36,
        image_dim=20,
        added_kv_proj_dim=HEADS * HEAD_WIDTH,
    )
    options = AdapterOptions(lora_rank=4, lora_init_type="olora", peft_lora_target_modules=targets)
    chosen = [layer.name for layer in chosen_layers(layers_of(text_to_video), options, FACTS)]
    lora = move(attach_lora(text_to_video, options, chosen, seed=0))
    load(image_to_video, shown_file(lora))
    adapted = {name: layer for name, layer in image_to_video.named_modules() if isinstance(layer, LoraLinear)}
    assert lora.layers.keys() <= adapted.keys()
    for name in adapted.keys() - lora.layers.keys():  # the pipeline also adapts the layers for images, with zeros
        assert not adapted[name].get_delta_weight("shown").any()
        assert "add_" in name
    for name, change in lora.changes().items():
        layer = adapted[name]
        matrix = matrix_of(change, plain_weight(linear_of(text_to_video, name)))
        torch.testing.assert_close(layer.get_delta_weight("shown"), matrix, rtol=1e-5, atol=1e-6)
        x = torch.randn(5, matrix.shape[1])
        with torch.no_grad():
            added = layer(x) - layer.get_base_layer()(x)
        torch.testing.assert_close(added, lora.acting(name, x), rtol=1e-4, atol=1e-5)


def test_a_tensor_of_another_size_is_not_spread_out() -> None:
    lora = attached(base(), "pissa")
    for tensors, load in ((lora.trainable(), lora.load), (lora.fixed(), lora.load_fixed)):
        spread = {name: tensor.detach()[:1] for name, tensor in tensors.items()}
        with pytest.raises(AssertionError, match=r"lora_A\.(weight|start)', torch.Size"):
            load(spread)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_waits_for_the_device_in_training(kind: str) -> None:
    lora = move(attached(base(torch.bfloat16), kind, lora_dropout=0.2))
    with Reads() as reads:
        answer(lora.transformer.train()).float().square().mean().backward()
    assert reads.count == 0
