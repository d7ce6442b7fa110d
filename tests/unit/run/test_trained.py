"""What is trained: told in words and numbers before anything is loaded, refused where it is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.errors import ConfigError
from reeltune.estimate.adapters import lycoris_parameters
from reeltune.estimate.parameters import parameters
from reeltune.estimate.sizes import SIZES
from reeltune.families.wan.variants import WAN_21
from reeltune.run.outlook.cost import cost_outlook
from reeltune.run.outlook.trained import trained_outlook
from reeltune.run.outlook.trained_notes import trained_notes
from reeltune.run.trained_layers import check_trained, trained_layers
from reeltune.run.trained_words import layers_in_words
from unit.run.made_up import LARGE, basis_of, config_of, of_one

BASE = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
LOKR = {
    "algo": "lokr",
    "multiplier": 1.0,
    "linear_dim": 10000,
    "linear_alpha": 1,
    "factor": 16,
    "full_matrix": True,
    "apply_preset": {"target_module": ["Attention", "FeedForward"]},
}


def lycoris(**changes: Any) -> dict[str, Any]:
    return {"lora_type": "lycoris", "lycoris_config": LOKR | changes}


def small(**changes: Any) -> dict[str, Any]:
    rest = {"linear_dim": 8, "linear_alpha": 4, "factor": None, "full_matrix": None}
    return lycoris(**rest | changes)


FULL: dict[str, Any] = {"model_type": "full"}
# By hand: 30 blocks of 8 layers with 1536 inputs and outputs.
PAIRS = 30 * 8 * (1536 + 1536)


@pytest.mark.parametrize(
    ("options", "kind", "where", "layers"),
    [
        ({}, "LoRA, rank 16, alpha 16", "attention of all blocks", 240),
        ({"use_dora": True, "lora_alpha": 8}, "DoRA, rank 16, alpha 8", "attention of all blocks", 240),
        ({"lora_init_type": "olora"}, "LoRA, rank 16, alpha 16, started as OLoRA", "attention of all blocks", 240),
        (
            {"peft_lora_target_modules": ["attention", "ffn"], "lora_blocks": "0-3, 8, -1"},
            "LoRA, rank 16, alpha 16",
            "attention, feed-forward of blocks 0-3, 8, 29",
            60,
        ),
        (
            {"peft_lora_target_modules": ["to_q", "proj_out"]},
            "LoRA, rank 16, alpha 16",
            "attn1.to_q, attn2.to_q of all blocks; proj_out",
            61,
        ),
        (
            {"peft_lora_target_modules": ["all-linear"]},
            "LoRA, rank 16, alpha 16",
            "attention, feed-forward of all blocks; all outside the blocks",
            306,
        ),
        (lycoris(), "LyCORIS LoKr, factor 16", "attention, feed-forward of all blocks", 300),
        (small(algo="loha"), "LyCORIS LoHa, rank 8, alpha 4", "attention, feed-forward of all blocks", 300),
        (small(algo="diag-oft"), "LyCORIS diagonal OFT, blocks of 8", "attention, feed-forward of all blocks", 300),
        (
            small(algo="lora", weight_decompose=True, apply_preset={"target_module": ["WanAttention"]}),
            "LyCORIS LoRA, rank 8, alpha 4, decomposed as in DoRA",
            "attention of all blocks",
            240,
        ),
        (
            lycoris(
                apply_preset={
                    "target_module": ["Attention", "FeedForward"],
                    "module_algo_map": {"FeedForward": {"algo": "ia3"}},
                }
            ),
            "LyCORIS LoKr, factor 16, with IA3 for some layers",
            "attention, feed-forward of all blocks",
            300,
        ),
        (FULL, "the whole transformer", "", None),
    ],
)
def test_what_is_trained_is_told_in_words(options: dict[str, Any], kind: str, where: str, layers: int | None) -> None:
    trained = trained_outlook(basis_of(of_one(LARGE), **options))
    assert (trained.kind, trained.where, trained.layers) == (kind, where, layers)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 16 * PAIRS),
        ({"use_dora": True}, 16 * PAIRS + 240 * 1536),
        ({"lora_rank": 4, "lora_blocks": "3"}, 4 * PAIRS // 30),
        # A factor of 16 leaves 96 of 1536: 16 x 16 and 96 x 96.
        (lycoris(apply_preset={"target_module": ["Attention"]}), 240 * (16 * 16 + 96 * 96)),
        (FULL, parameters(SIZES["1.3B"])),
    ],
)
def test_what_is_trained_is_counted(options: dict[str, Any], count: int) -> None:
    assert basis_of(of_one(LARGE), **options).trained_parameters == count


def test_lycoris_is_counted_as_its_own_arithmetic_has_it() -> None:
    basis = basis_of(of_one(LARGE), **small(algo="glora"))
    described = lycoris_of(small(algo="glora")["lycoris_config"])
    chosen = chosen_for_lycoris(basis.base_layers, described, WAN_21)
    assert basis.trained_parameters == lycoris_parameters(chosen) > 0


@pytest.mark.parametrize("options", [{}, small(algo="loha"), FULL])
def test_of_a_model_of_unknown_size_the_kind_is_told_and_no_number(options: dict[str, Any]) -> None:
    basis = basis_of(of_one(LARGE), size=None, **options)
    trained = trained_outlook(basis)
    assert trained.kind
    assert (trained.where, trained.layers, trained.parameters) == ("", None, None)
    assert list(trained_notes(basis)) == [] or options == small(algo="loha")


@pytest.mark.parametrize(
    ("options", "precision"),
    [
        ({}, "bf16, with the adapter in float32"),
        (FULL, "bf16, from float32 masters that the optimizer moves"),
        (FULL | {"mixed_precision": "no"}, "float32"),
    ],
)
def test_precisions_are_told(options: dict[str, Any], precision: str) -> None:
    assert trained_outlook(basis_of(of_one(LARGE), **options)).precision == precision


def test_training_all_weights_costs_their_gradients_too() -> None:
    adapter, full = (cost_outlook(basis_of(of_one(LARGE), **options), None) for options in ({}, FULL))
    assert adapter
    assert full
    # Forward, gradients of inputs and recomputation are three passes of the linear layers; gradients of weights a
    # fourth. Attention, the larger part here, stays.
    assert 1.05 < full.step_tflop / adapter.step_tflop < 4 / 3


def notes_of(**options: Any) -> dict[str, tuple[str, str]]:
    return {note.about: (note.kind, note.text) for note in trained_notes(basis_of(of_one(LARGE), **options))}


def test_a_plain_lora_needs_no_word() -> None:
    assert notes_of() == notes_of(use_dora=True) == notes_of(lora_init_type="gaussian") == {}


def test_starts_from_the_bases_weights_say_what_files_hold() -> None:
    kind, text = notes_of(lora_init_type="pissa", lora_rank=4)["lora_init_type"]
    assert (kind, "files hold a LoRA of rank 8" in text) == ("fact", True)


def test_masters_are_told_with_their_size() -> None:
    # 1.42 billion weights of 4 bytes.
    assert "float32 masters, 5.7 GB beside the base" in notes_of(**FULL)["model_type"][1]
    in_float32 = notes_of(**FULL, mixed_precision="no")
    assert "model_type" not in in_float32
    # Weights and two moments, 12 bytes for each.
    assert "copies 17.0 GB to the host's memory" in in_float32["checkpointing_steps"][1]


def test_what_no_loader_knows_is_told() -> None:
    assert "are read by no program" in notes_of(**small(algo="ia3"))["lora_type"][1]
    columns = small(algo="lora", weight_decompose=True, wd_on_output=False)
    assert "are read by ComfyUI, and" in notes_of(**columns)["lora_type"][1]
    assert (
        "are read by the library lycoris-lora and by ComfyUI"
        in notes_of(**small(algo="boft", apply_preset={"target_module": ["Attention"]}))["lora_type"][1]
    )


def test_who_reads_lycoris_is_told() -> None:
    assert "by the library lycoris-lora and by ComfyUI" in notes_of(**lycoris())["lora_type"][1]
    for options, word in (
        (small(algo="ia3"), "ComfyUI has no rule for IA3"),
        (small(algo="diag-oft", rescaled=True), "diagonal OFT with rescaled"),
    ):
        notes = notes_of(**options)
        assert "ComfyUI" not in notes["lora_type"][1]
        assert notes["lycoris_config"][0] == "trap"
        assert word in notes["lycoris_config"][1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"peft_lora_target_modules": ["attn1.to_qq"]}, "no layer's name ends in 'attn1.to_qq'; nearest is attn1.to_q"),
        ({"lora_blocks": "28-31"}, "there is no block 31"),
        (lycoris(apply_preset={"target_module": ["CrossAttention2"]}), "target_module: no linear layer is inside"),
        (
            {"lora_init_type": "pissa", "lora_rank": 2000},
            "lora_rank is 2000, and blocks.0.attn1.to_q has 1536 directions",
        ),
    ],
)
def test_what_matches_nothing_is_refused_before_anything_is_loaded(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_trained(config_of(pretrained_model_name_or_path=BASE, **options))
    # Where nothing tells the size of the model it is refused once the model is there.
    check_trained(config_of(pretrained_model_name_or_path="someone/unknown", **options))


def test_the_whole_model_trains_all_its_layers() -> None:
    assert len(trained_layers(config_of(pretrained_model_name_or_path=BASE, **FULL))) == 306


def test_a_single_block_is_one_block() -> None:
    layers = [layer for layer in basis_of(of_one(LARGE)).base_layers if layer.name.startswith("blocks.7.")]
    assert layers_in_words(layers, WAN_21, blocks=30) == "attention, feed-forward of block 7"
