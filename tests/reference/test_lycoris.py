"""LyCORIS adapters against lycoris' own networks: layers, starting values, outputs, gradients."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from helpers.reads import Reads
from reeltune.adapters.changes import Change, LowRank, matrix_of
from reeltune.adapters.layers import layers_of, linear_of, plain_weight
from reeltune.adapters.lycoris import Lycoris, attach_lycoris
from reeltune.adapters.wearing import wearing
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.demo.model import make_transformer
from reeltune.errors import ConfigError
from reeltune.families.wan.variants import WAN_21 as FACTS
from reeltune.quantize.apply import quantize_linears

from lycoris.wrapper import LycorisNetwork, create_lycoris  # isort: skip

REFERENCE_EXAMPLE = {
    "algo": "lokr",
    "multiplier": 1.0,
    "linear_alpha": 1,
    "full_matrix": True,
    "factor": 16,
    "apply_preset": {
        "target_module": ["Attention", "FeedForward"],
        "module_algo_map": {"Attention": {"factor": 16}, "FeedForward": {"factor": 8}},
    },
}

ALGORITHMS: dict[str, dict[str, Any]] = {
    "lora": {"algo": "locon"},
    "lora with a scalar": {"algo": "lora", "use_scalar": True},
    "loha": {"algo": "loha", "linear_dim": 2},
    "loha of many ranks": {"algo": "loha", "linear_dim": 8},
    "lokr": {"algo": "lokr", "factor": 4},
    "lokr, whole": {"algo": "lokr", "full_matrix": True, "factor": 8},
    "lokr of two products": {"algo": "lokr", "decompose_both": True, "linear_dim": 2, "factor": 8},
    "lokr, unbalanced": {"algo": "lokr", "factor": 4, "unbalanced_factorization": True},
    "full": {"algo": "full"},
    "ia3": {"algo": "ia3"},
    "ia3 of inputs": {"algo": "ia3", "train_on_input": True},
    "dylora": {"algo": "dylora", "block_size": 1},
    "diag-oft": {"algo": "diag-oft"},
    "diag-oft, held back and rescaled": {"algo": "diag-oft", "constraint": 0.01, "rescaled": True},
    "boft": {"algo": "boft"},
    "boft, held back and rescaled": {"algo": "boft", "constraint": 0.01, "rescaled": True},
    "glora": {"algo": "glora"},
    "DoRA": {"algo": "lora", "dora_wd": True},
    "DoRA by columns": {"algo": "lora", "dora_wd": True, "wd_on_output": False},
    "DoHa": {"algo": "loha", "dora_wd": True},
    "DoKr": {"algo": "lokr", "dora_wd": True, "factor": 4},
}
QUANTIZABLE = [name for name in ALGORITHMS if not name.startswith("Do") or name == "dylora"]


def described(name: str) -> dict[str, Any]:
    preset = {"target_module": ["Attention", "FeedForward"]}
    return {"multiplier": 1.0, "linear_dim": 4, "linear_alpha": 2, "apply_preset": preset, **ALGORITHMS[name]}


def base(*, dtype: torch.dtype = torch.float32) -> WanTransformer3DModel:
    torch.manual_seed(7)
    transformer = make_transformer(1).requires_grad_(False)
    for parameter in transformer.parameters():
        parameter.data = parameter.data.to(dtype)
    return transformer.eval()


def attached(transformer: nn.Module, content: dict[str, Any], *, seed: int = 3, **more: Any) -> Lycoris:
    config = lycoris_of(content)
    chosen = chosen_for_lycoris(layers_of(transformer), config, FACTS)
    return attach_lycoris(transformer, config, chosen, seed=seed, **more)


def moved(adapter: Lycoris) -> Lycoris:
    """Return the adapter with random numbers added to every tensor."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in adapter.trainable().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return adapter


def inputs(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        "hidden_states": torch.randn(1, 16, 2, 8, 8, generator=generator).to(dtype),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 6, 32, generator=generator).to(dtype),
    }


def answer(transformer: nn.Module, dtype: torch.dtype = torch.float32) -> Tensor:
    return transformer(**inputs(dtype), return_dict=False)[0]


@contextmanager
def own_network(transformer: nn.Module, content: dict[str, Any]) -> Iterator[Any]:
    """lycoris' own network on a transformer, with its classes' settings as they were afterwards."""
    names = ("ENABLE_CONV", "TARGET_REPLACE_MODULE", "TARGET_REPLACE_NAME", "MODULE_ALGO_MAP", "NAME_ALGO_MAP")
    names += ("USE_FNMATCH", "TARGET_EXCLUDE_NAME")
    were = {name: getattr(LycorisNetwork, name) for name in names}
    today = dict(FACTS.class_names)
    preset = dict(content.get("apply_preset", {}))
    if "target_module" in preset:
        preset["target_module"] = [today.get(name, name) for name in preset["target_module"]]
    preset["module_algo_map"] = {today.get(name, name): one for name, one in preset.get("module_algo_map", {}).items()}
    more = {name: value for name, value in content.items() if name != "apply_preset"}
    if "train_on_input" in more:  # create_lycoris passes it on from the maps only
        on_input = {"train_on_input": more["train_on_input"]}
        preset["module_algo_map"] = dict.fromkeys(preset["target_module"], on_input)
    try:
        LycorisNetwork.apply_preset(preset)
        yield create_lycoris(transformer, warn_on_unmatched=False, **more)
    finally:
        for name, value in were.items():
            setattr(LycorisNetwork, name, value)


def same_weights(network: Any, adapter: Lycoris) -> None:
    """Give lycoris' network an adapter's numbers, before it is applied."""
    ours = adapter.trainable()
    theirs = {f"{one.lora_name}.{key}": value for one in network.loras for key, value in one.named_parameters()}
    assert theirs.keys() == ours.keys()
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(ours[name])


PRESETS: dict[str, dict[str, Any]] = {
    "the reference's example": REFERENCE_EXAMPLE,
    "no preset": {"algo": "lora", "multiplier": 1, "linear_dim": 4, "linear_alpha": 1},
    "names": {
        "algo": "lora",
        "multiplier": 1,
        "linear_dim": 4,
        "linear_alpha": 1,
        "apply_preset": {
            "target_module": [],
            "target_name": [r"blocks\.0\.attn1\.to_[qk]"],
            "name_algo_map": {r"blocks\.0\.ffn\.net\.2": {"algo": "loha", "dim": 2}},
        },
    },
    "shell patterns, one of them left out": {
        "algo": "lokr",
        "multiplier": 1,
        "linear_dim": 2,
        "linear_alpha": 1,
        "factor": 4,
        "apply_preset": {
            "target_module": ["TransformerBlock"],
            "use_fnmatch": True,
            "exclude_name": ["*.attn2.*"],
        },
    },
    "classes inside classes": {
        "algo": "lora",
        "multiplier": 1,
        "linear_dim": 4,
        "linear_alpha": 1,
        "apply_preset": {
            "target_module": ["WanTransformerBlock"],
            "module_algo_map": {
                "WanTransformerBlock": {"algo": "loha", "dim": 2},
                "Attention": {"dim": 3},
                "GELU": {"algo": "lora", "dim": 5},
            },
        },
    },
    "names before classes": {
        "algo": "lora",
        "multiplier": 1,
        "linear_dim": 4,
        "linear_alpha": 1,
        "apply_preset": {
            "target_module": ["Attention"],
            "target_name": [r"blocks\.0\.attn1"],
            "name_algo_map": {r"blocks\.0\.attn1\.to_q": {"dim": 8}},
            "exclude_name": [r".*to_v"],
        },
    },
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_layers_and_tensors_are_those_that_lycoris_makes(name: str) -> None:
    transformer = base()
    adapter = attached(transformer, PRESETS[name])
    ours = {key: tuple(value.shape) for key, value in adapter.trainable().items()}
    with own_network(base(), PRESETS[name]) as network:
        theirs = {
            f"{one.lora_name}.{key}": tuple(value.shape)
            for one in network.loras
            if one.module_type == "linear"
            for key, value in one.named_parameters()
        }
    assert ours == theirs
    assert list(ours) == sorted(ours)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_fresh_adapter_changes_nothing_to_the_bit(name: str) -> None:
    transformer = base()
    bare = answer(transformer)
    attached(transformer, described(name))
    assert torch.equal(answer(transformer), bare)
    assert torch.equal(answer(transformer.train()), bare)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "dylora"])
def test_outputs_and_gradients_are_those_of_lycoris_own_network(name: str) -> None:
    transformer, stock = base(), base()
    adapter = moved(attached(transformer, described(name)))
    with own_network(stock, described(name)) as network:
        same_weights(network, adapter)
        network.apply_to()
        theirs = answer(stock)
        theirs.square().mean().backward()
        ours = answer(transformer)
        ours.square().mean().backward()
        # Float32: lycoris adds up x (W + D) - x W, we x D, in another order.
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)
        assert (ours - answer_without(adapter, transformer)).abs().max() > 0.01
        gradients = {
            f"{one.lora_name}.{key}": value.grad for one in network.loras for key, value in one.named_parameters()
        }
        for key, parameter in adapter.trainable().items():
            assert parameter.grad is not None, key
            off = (parameter.grad - gradients[key]).norm() / gradients[key].norm().clamp_min(1e-12)
            assert off < 1e-3, (key, float(off))


def answer_without(adapter: Lycoris, transformer: nn.Module) -> Tensor:
    with adapter.disabled():
        return answer(transformer)


def test_dylora_trains_one_block_as_lycoris_does(monkeypatch: pytest.MonkeyPatch) -> None:
    transformer, stock = base().train(), base().train()
    adapter = moved(attached(transformer, described("dylora")))
    # With blocks of one rank, lycoris divides alpha by the ranks in play; with larger ones by their blocks.
    torch.manual_seed(1)
    drawn = int(random.Random(torch.initial_seed()).random() * 4)
    with own_network(stock, described("dylora")) as network:
        same_weights(network, adapter)
        network.apply_to()
        monkeypatch.setattr(random, "randint", lambda low, high: drawn)
        theirs, ours = answer(stock), answer(transformer)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)
    ours.sum().backward()
    learned = {key for key, parameter in adapter.trainable().items() if parameter.grad is not None}
    assert learned == {key for key in adapter.trainable() if key.endswith(f"_list.{drawn}")}


def test_dylora_shows_all_its_ranks_in_evaluation_and_in_files() -> None:
    transformer, stock = base(), base()
    adapter = moved(attached(transformer, {**described("dylora"), "block_size": 2}))
    for name, change in adapter.changes().items():
        assert isinstance(change, LowRank)
        assert (len(change.down), change.scale) == (4, 0.5), name
    with wearing(stock, adapter.changes()):
        assert torch.equal(answer(stock), answer(transformer))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_five_steps_move_every_tensor(name: str) -> None:
    transformer = base().train()
    adapter = attached(transformer, described(name))
    start = {key: parameter.detach().clone() for key, parameter in adapter.trainable().items()}
    optimizer = torch.optim.Adam(adapter.trainable().values(), lr=1e-2)
    target = torch.randn_like(answer(transformer))
    drawn: set[int] = set()
    losses = []
    for step in range(12 if name == "dylora" else 5):
        torch.manual_seed(step)
        drawn.add(int(random.Random(torch.initial_seed()).random() * 4))
        loss = (answer(transformer) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert len(drawn) == 4 or name != "dylora"
    assert losses[-1] < losses[0]
    still = [key for key, parameter in adapter.trainable().items() if torch.equal(parameter, start[key])]
    assert not still


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_said_to_act_is_what_acts(name: str) -> None:
    transformer, stock = base(), base()
    adapter = moved(attached(transformer, described(name)))
    changes = adapter.changes()
    with wearing(stock, changes):
        # torch folds dimensions otherwise where a weight has a gradient, which moves the last bits.
        torch.testing.assert_close(answer(stock), answer(transformer), rtol=1e-5, atol=1e-5)
    layer = "blocks.0.ffn.net.0.proj"
    x = torch.randn(5, 64)
    matrix = matrix_of(changes[layer], plain_weight(linear_of(stock, layer)))
    bias = getattr(changes[layer], "bias", None)
    torch.testing.assert_close(adapter.acting(layer, x), nn.functional.linear(x, matrix, bias), rtol=1e-4, atol=1e-5)
    assert not any(tensor.requires_grad for change in changes.values() for tensor in tensors_of(change))
    assert {tensor.dtype for change in changes.values() for tensor in tensors_of(change)} == {torch.float32}


def tensors_of(change: Change) -> list[Tensor]:
    from reeltune.adapters.changes import mapped

    found: list[Tensor] = []
    mapped(change, lambda tensor: found.append(tensor) or tensor)
    return found


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_starts_from_what_an_earlier_one_left(name: str) -> None:
    first, second = base(), base()
    changes = moved(attached(first, described(name))).changes()
    other = {**described(name), "linear_alpha": 3, "multiplier": 1.0}
    adapter = attached(second, other, seed=99)
    adapter.start_from(copy.deepcopy(changes))
    torch.testing.assert_close(answer(second), answer(first), rtol=1e-4, atol=2e-5)
    del changes["blocks.0.attn1.to_q"]
    adapter.start_from(changes)


@pytest.mark.parametrize(
    ("earlier", "now", "words"),
    [
        ("lora", "loha", "holds a LowRank change, and lycoris_config describes loha"),
        ("lora", "DoRA", "lora with weight_decompose"),
        ("lokr", "lokr, whole", "blocks.0.attn1.to_q"),
        ("ia3", "ia3 of inputs", "factors of outputs"),
        ("diag-oft", "diag-oft, held back and rescaled", "constraint"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(earlier: str, now: str, words: str) -> None:
    changes = attached(base(), described(earlier)).changes()
    with pytest.raises(ConfigError, match="init_lora does not fit") as refused:
        attached(base(), described(now)).start_from(changes)
    assert words in str(refused.value)


def test_a_start_of_another_rank_or_layer_is_refused() -> None:
    changes = attached(base(), {**described("lora"), "linear_dim": 8}).changes()
    adapter = attached(base(), described("lora"))
    with pytest.raises(ConfigError, match=r"differ in the size of lora_down.weight: 8x64 and 4x64"):
        adapter.start_from(changes)
    with pytest.raises(ConfigError, match="changes proj_out, which lycoris_config does not adapt"):
        adapter.start_from({"proj_out": changes["blocks.0.attn1.to_q"]})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_base_in_bfloat16_is_adapted_in_its_own_number_type(name: str) -> None:
    exact, rounded = base(), base(dtype=torch.bfloat16)
    moved(attached(exact, described(name)))
    adapter = moved(attached(rounded, described(name)))
    assert {parameter.dtype for parameter in adapter.trainable().values()} == {torch.float32}
    ours = answer(rounded, torch.bfloat16)
    ours.float().square().mean().backward()
    assert ours.dtype == torch.bfloat16
    # bfloat16 carries 3 digits, and a block rounds a dozen times.
    assert (ours - answer(exact)).norm() < 0.05 * answer(exact).norm()
    assert all(parameter.grad is not None for parameter in adapter.trainable().values())


@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "int8-torchao") for name in QUANTIZABLE] + [(name, "int8-quanto") for name in ("dylora", "ia3", "glora")],
)
def test_a_quantized_base_is_adapted_as_its_own_numbers_are(name: str, precision: str) -> None:
    quantized = base()
    names = [layer.name for layer in layers_of(quantized) if layer.name.startswith("blocks")]
    quantize_linears(quantized, precision, names=names)
    plain = base()
    for layer in names:
        linear_of(plain, layer).weight.data = plain_weight(linear_of(quantized, layer))
    ours, reference = moved(attached(quantized, described(name))), moved(attached(plain, described(name)))
    for transformer in (quantized, plain):
        answer(transformer).square().mean().backward()
    # The same numbers multiplied in another order.
    torch.testing.assert_close(answer(quantized), answer(plain), rtol=1e-3, atol=1e-4)
    for key, parameter in ours.trainable().items():
        expected = reference.trainable()[key].grad
        assert parameter.grad is not None
        assert expected is not None
        cosine = nn.functional.cosine_similarity(parameter.grad.flatten(), expected.flatten(), dim=0)
        assert cosine > 0.999 or expected.norm() < 1e-6, key


def test_lengths_on_a_quantized_base_are_refused() -> None:
    transformer = base()
    names = [layer.name for layer in layers_of(transformer) if layer.name.startswith("blocks")]
    quantize_linears(transformer, "int8-torchao", names=names)
    with pytest.raises(ConfigError, match=r"weight_decompose \(DoRA\) cannot be trained on blocks.0.attn1.to_q"):
        attached(transformer, described("DoRA"))


@pytest.mark.parametrize("name", ["lokr", "dylora", "boft", "DoRA"])
def test_recomputing_blocks_gives_the_same_gradients(name: str) -> None:
    content = {**described(name), "dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2}
    gradients = []
    for recompute in (False, True):
        transformer = base().train()
        adapter = moved(attached(transformer, content))
        if recompute:
            transformer.enable_gradient_checkpointing()
        torch.manual_seed(4)
        answer(transformer).square().mean().backward()
        gradients.append({key: parameter.grad for key, parameter in adapter.trainable().items()})
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, rtol=0, atol=0)


def test_each_dropout_leaves_out_its_share_in_training_only() -> None:
    layer = "blocks.0.ffn.net.0.proj"
    for option, share in (("dropout", 0.5), ("rank_dropout", 0.5), ("module_dropout", 0.5)):
        transformer = base()
        adapter = moved(attached(transformer, {**described("lora"), option: share}))
        x = torch.randn(200, 64)
        target = linear_of(transformer, layer)
        whole = target(x)
        with adapter.disabled():
            bare = target(x)
        torch.testing.assert_close(whole - bare, adapter.acting(layer, x), rtol=1e-4, atol=1e-5)
        transformer.train()
        left = torch.stack([target(x) == bare for _ in range(20)])
        assert 0.3 < left.float().mean() < 0.7, option
        by_rows, by_passes = left.float().mean(1), left.float().mean((1, 2))
        assert (option == "rank_dropout") == bool(((by_rows == 0) | (by_rows == 1)).all() and 0 < by_passes[0] < 1)
        assert (option == "module_dropout") == bool(((by_passes == 0) | (by_passes == 1)).all())


def test_the_multiplier_is_part_of_what_acts() -> None:
    half, whole = base(), base()
    first = moved(attached(half, {**described("lokr"), "multiplier": 0.5}))
    second = moved(attached(whole, described("lokr")))
    x = torch.randn(5, 64)
    layer = "blocks.0.attn1.to_q"
    torch.testing.assert_close(2 * first.acting(layer, x), second.acting(layer, x))


def test_strength_multiplies_what_is_added_and_0_is_the_base() -> None:
    transformer = base()
    changes = moved(attached(base(), described("lokr"))).changes()
    bare = answer(transformer)
    with wearing(transformer, changes, strength=0.0):
        assert torch.equal(answer(transformer), bare)
    layer = linear_of(transformer, "blocks.0.attn1.to_q")
    x = torch.randn(5, 64)
    plain = layer(x)
    with wearing(transformer, changes):
        whole = layer(x) - plain
    with wearing(transformer, changes, strength=0.5):
        torch.testing.assert_close(layer(x) - plain, whole / 2, rtol=1e-3, atol=1e-5)
    assert torch.equal(answer(transformer), bare)


def test_while_disabled_or_held_the_adapter_gives_way() -> None:
    transformer = base()
    bare = answer(transformer)
    adapter = attached(transformer, described("lokr"))
    fresh = {key: parameter.detach().clone() for key, parameter in adapter.trainable().items()}
    moved(adapter)
    acting = answer(transformer)
    with adapter.disabled():
        assert torch.equal(answer(transformer), bare)
    with adapter.holding(fresh):
        assert torch.equal(answer(transformer), bare)
    assert torch.equal(answer(transformer), acting)
    adapter.load(fresh)
    assert torch.equal(answer(transformer), bare)
    assert not adapter.fixed()


def test_the_start_follows_from_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = attached(base(), described("loha"), seed=3).trainable()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    transformer = base(dtype=torch.bfloat16)
    torch.set_rng_state(state)
    second = attached(transformer, described("loha"), seed=3).trainable()
    assert torch.equal(torch.get_rng_state(), state)
    other = attached(base(), described("loha"), seed=4).trainable()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(
        first["lycoris_blocks_0_attn1_to_q.hada_w1_a"], other["lycoris_blocks_0_attn1_to_q.hada_w1_a"]
    )


def test_lokr_starts_from_small_changes_where_asked_to() -> None:
    transformer = base()
    adapter = attached(transformer, described("lokr, whole"), lokr_norm=1e-3)
    weight = linear_of(transformer, "blocks.0.ffn.net.0.proj").weight
    own = adapter.trainable()
    assert torch.equal(own["lycoris_blocks_0_ffn_net_0_proj.lokr_w1"], torch.ones(8, 8))
    drawn = own["lycoris_blocks_0_ffn_net_0_proj.lokr_w2"].detach()
    # 128 numbers: their deviation is known to about 6 %.
    assert 0.8 < float(drawn.std() / weight.std() / 1e-3) < 1.2
    with pytest.raises(ConfigError, match="init_lokr_norm needs whole factors"):
        attached(base(), described("lokr"), lokr_norm=1e-3)
    with pytest.raises(ConfigError, match="no layer with algo lokr"):
        attached(base(), described("lora"), lokr_norm=1e-3)


def test_lycoris_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reeltune.machine.packages.version_of", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "reeltune\[lycoris\]"'):
        attached(base(), described("lora"))


def test_lycoris_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    attached(base(), REFERENCE_EXAMPLE)
    attached(base(), {**described("lokr"), "linear_dim": 10000, "dropout": 0.1})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_nothing_waits_for_the_device_in_training(name: str) -> None:
    transformer = base(dtype=torch.bfloat16).train()
    content = {**described(name), "dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2}
    moved(attached(transformer, content))
    with Reads() as reads:
        answer(transformer, torch.bfloat16).float().square().mean().backward()
    assert reads.count == 0
    with Reads() as reads:
        float(torch.ones(()))
    assert reads.count == 1


def test_how_many_layers_start_from_a_file_is_said_where_it_is_not_all(caplog: pytest.LogCaptureFixture) -> None:
    changes = attached(base(), described("lora")).changes()
    adapter = attached(base(), described("lora"))
    logging.getLogger("reeltune").propagate = True
    with caplog.at_level(logging.INFO, logger="reeltune"):
        adapter.start_from(changes)
        assert not caplog.records
        del changes["blocks.0.attn1.to_q"]
        adapter.start_from(changes)
    assert [record.message for record in caplog.records] == ["init_lora: 9 of 10 layers start from the file"]
