"""LyCORIS descriptions: what is read, what is refused and where, and which layers follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.lycoris import inert_lycoris_keys, lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.config.lycoris_sizes import split, split_in_powers
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError
from reeltune.families.wan.variants import WAN_21

LORA: dict[str, Any] = {"algo": "lora", "multiplier": 1, "linear_dim": 4, "linear_alpha": 2}
EXAMPLE = """{
  "algo": "lokr",
  "multiplier": 1.0,
  "linear_alpha": 1,
  "full_matrix": true,  // no linear_dim
  "factor": 16,
  "apply_preset": {
    "target_module": ["Attention", "FeedForward"],
    "module_algo_map": {"Attention": {"factor": 16}, "FeedForward": {"factor": 8}}
  }
}
"""


def layers() -> tuple[LinearLayer, ...]:
    """Two blocks as Wan has them, with one layer outside."""
    inside = [
        LinearLayer(
            f"blocks.{block}.{name}",
            inputs=64,
            outputs=96,
            inside=(
                ("blocks", "ModuleList"),
                (f"blocks.{block}", "WanTransformerBlock"),
                (f"blocks.{block}.{name.split('.')[0]}", "FeedForward" if "ffn" in name else "WanAttention"),
            ),
        )
        for block in range(2)
        for name in ("attn1.to_q", "attn2.to_out.0", "ffn.net.2")
    ]
    return (*inside, LinearLayer("proj_out", inputs=64, outputs=64))


def chosen(content: Mapping[str, Any]) -> dict[str, Any]:
    found = chosen_for_lycoris(layers(), lycoris_of(dict(content)), WAN_21)
    return {one.layer.name: one.settings for one in found}


def with_preset(**preset: Any) -> dict[str, Any]:
    return {**LORA, "apply_preset": preset}


def problems(content: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        lycoris_of(content)
    return str(refused.value)


def test_the_reference_example_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lycoris_config.json"
    path.write_text(EXAMPLE, encoding="utf-8")
    config = lycoris_of(str(path))
    assert (config.algo, config.multiplier, config.linear_dim, config.full_matrix) == ("lokr", 1.0, 4, True)
    assert config.apply_preset.module_algo_map["FeedForward"].factor == 8
    assert config == lycoris_of(json.loads(EXAMPLE.replace("// no linear_dim", "")))
    assert config == lycoris_of(EXAMPLE)
    assert not inert_lycoris_keys(str(path))


def test_every_problem_of_a_file_is_listed_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "lycoris_config.json"
    path.write_text(
        """{
  "algo": "lokrr",
  "linear_dim": 0,
  "linear_alpha": true,
  "ful_matrix": true,
  "train_norm": true,
  "preset": "attn-mlp",
  "apply_preset": {
    "target_modul": ["Attention"],
    "lora_prefix": "lora",
    "name_algo_map": {
      "blocks": {"factr": 2,
                 "factor": "big"}
    }
  }
}""",
        encoding="utf-8",
    )
    said = problems(str(path))
    for line, words in (
        (2, "algo"),
        (2, "nearest is lokr"),
        (3, "linear_dim"),
        (4, "linear_alpha"),
        (5, "unknown key; nearest is full_matrix"),
        (6, "norms are not adapted"),
        (7, 'write "apply_preset"'),
        (9, "unknown key; nearest is target_module"),
        (10, "lora_prefix"),
        (12, "nearest is factor"),
        (13, "a whole number is needed"),
        (1, "multiplier"),
    ):
        assert any(f"line {line})" in one and words in one for one in said.splitlines()), (line, words, said)


def test_a_file_without_an_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lycoris_config.json"
    path.write_text("[]", encoding="utf-8")
    assert "an object is needed" in problems(str(path))
    assert "does not exist" in problems(str(tmp_path / "absent.json"))
    assert "is not JSON" in problems("{algo")


def test_what_a_description_must_have() -> None:
    said = problems({})
    assert all(f"{name} (lycoris_config): this option is needed" in said for name in LORA)


def test_other_names_mean_the_same() -> None:
    config = lycoris_of({**LORA, "algo": "LoCon", "dora_wd": "true", "wd_on_out": False, "dropout": None})
    assert (config.algo, config.weight_decompose, config.wd_on_output, config.dropout) == ("lora", True, False, 0.0)
    assert lycoris_of({**LORA, "algo": "boft", "constrain": 0.5}).constraint == 0.5
    assert "given twice, as dora_wd too" in problems({**LORA, "dora_wd": True, "weight_decompose": False})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"algo": "ia3", "multiplier": 0.5}, "multiplier (lycoris_config): is 0.5, and ia3 needs 1"),
        ({"algo": "diag-oft", "multiplier": 2}, "is 2, and diag-oft needs 1: half of a rotation is none"),
        ({"algo": "boft", "weight_decompose": True}, "is not possible with boft; lora, loha, lokr can"),
        ({"weight_decompose": True, "multiplier": 0.5}, "weight_decompose needs 1"),
        ({"algo": "dylora", "linear_dim": 6}, "is 6, which dylora cannot cut into blocks of 4"),
        ({"apply_preset": {"target_name": ["*.to_q"]}}, "is no regular expression"),
        ({"apply_preset": {"module_algo_map": {"Attention": {"algo": "ia3"}}}, "multiplier": 0.5}, "ia3 needs 1"),
        ({"multiplier": 0}, "greater than 0"),
        ({"linear_dim": True}, "a number is needed"),
        ({"algo": "tlora"}, "algo"),
    ],
)
def test_what_cannot_be_trained_is_refused(more: dict[str, Any], words: str) -> None:
    assert words in problems({**LORA, **more})


def test_keys_that_change_nothing_are_taken_and_said() -> None:
    content = {
        **LORA,
        "conv_dim": 8,
        "use_cp": True,
        "bypass_mode": True,
        "train_norm": False,
        "preset": "full",
        "factor": 4,
        "apply_preset": {"enable_conv": True, "unet_target_module": ["X"], "lora_prefix": "lycoris"},
    }
    notes = inert_lycoris_keys(content)
    assert {note.about.removeprefix("lycoris_config.") for note in notes} == {
        "conv_dim",
        "use_cp",
        "bypass_mode",
        "train_norm",
        "preset",
        "factor",
        "apply_preset.enable_conv",
        "apply_preset.unet_target_module",
        "apply_preset.lora_prefix",
    }
    assert {note.kind for note in notes} == {"inert"}
    assert lycoris_of(content).model_copy(update={"factor": None}) == lycoris_of({**LORA, "apply_preset": {}})


@pytest.mark.parametrize(
    ("more", "inert"),
    [
        ({"algo": "ia3"}, {"linear_dim", "linear_alpha"}),
        ({"algo": "full"}, {"linear_dim", "linear_alpha"}),
        ({"algo": "diag-oft"}, {"linear_alpha"}),
        ({"algo": "boft"}, {"linear_alpha"}),
        ({"algo": "lokr"}, set()),
        ({"algo": "dylora"}, set()),
        ({"dim": 8, "alpha": 1}, {"dim", "alpha"}),
        ({"wd_on_output": False}, {"wd_on_output"}),
        ({"wd_on_out": False}, {"wd_on_out"}),
        ({"wd_on_output": False, "dora_wd": True}, set()),
        ({"wd_on_output": False, "dora_wd": False}, {"wd_on_output"}),
        # Only written settings are told, not the rank that full_matrix stands for.
        ({"algo": "ia3", "linear_dim": None, "full_matrix": True}, {"linear_alpha", "full_matrix"}),
    ],
)
def test_settings_that_the_others_leave_without_effect_are_said(more: dict[str, Any], inert: set[str]) -> None:
    content = {key: value for key, value in {**LORA, **more}.items() if value is not None}
    notes = inert_lycoris_keys(content)
    assert {note.about.removeprefix("lycoris_config.") for note in notes} == inert
    assert {note.kind for note in notes} <= {"inert"}


def test_settings_of_a_map_count_for_all_and_are_said_by_themselves() -> None:
    by_class = {"A": {"algo": "lora", "weight_decompose": True}, "B": {"alpha": 2, "wd_on_output": True}}
    notes = inert_lycoris_keys(
        {**LORA, "algo": "ia3", "wd_on_output": False, "apply_preset": {"module_algo_map": by_class}}
    )
    below = "lycoris_config.apply_preset.module_algo_map.B"
    assert [note.about for note in notes] == [f"{below}.alpha", f"{below}.wd_on_output"]


def test_names_beside_the_default_target_are_pointed_out() -> None:
    notes = inert_lycoris_keys(with_preset(target_name=["proj_out"]))
    assert [(note.kind, note.about) for note in notes] == [("trap", "lycoris_config.apply_preset.target_name")]
    assert not inert_lycoris_keys(with_preset(target_name=["proj_out"], target_module=[]))


def test_without_a_preset_every_linear_layer_is_adapted() -> None:
    assert list(chosen(LORA)) == [layer.name for layer in layers()]


def test_classes_are_found_under_todays_names() -> None:
    assert list(chosen(with_preset(target_module=["Attention"]))) == [
        f"blocks.{block}.{name}" for block in range(2) for name in ("attn1.to_q", "attn2.to_out.0")
    ]
    assert chosen(with_preset(target_module=["Attention"])) == chosen(with_preset(target_module=["WanAttention"]))


def test_settings_come_from_the_innermost_class_then_from_all_then_from_lycoris() -> None:
    found = chosen(
        {
            **with_preset(
                target_module=["WanTransformerBlock"],
                module_algo_map={
                    "WanTransformerBlock": {"algo": "loha", "dim": 2},
                    "FeedForward": {"factor": 8},
                },
            ),
            "factor": 3,
        }
    )
    outer, inner = found["blocks.0.attn1.to_q"], found["blocks.0.ffn.net.2"]
    assert (outer.algo, outer.dim, outer.alpha, outer.factor) == ("loha", 2, 2.0, 3)
    assert (inner.algo, inner.dim, inner.alpha, inner.factor) == ("loha", 4, 2.0, 8)
    assert (inner.use_scalar, inner.wd_on_output, inner.block_size) == (False, True, 4)
    assert None not in inner.model_dump().values()


def test_an_alpha_of_0_is_the_dim() -> None:
    assert {settings.alpha for settings in chosen({**LORA, "linear_alpha": 0}).values()} == {4.0}


def test_names_are_regular_expressions_or_shell_patterns() -> None:
    by_name = {"name_algo_map": {r"blocks\.1\..*to_q": {"dim": 8}}, "target_module": []}
    assert {name: one.dim for name, one in chosen(with_preset(**by_name)).items()} == {"blocks.1.attn1.to_q": 8}
    shell = with_preset(target_module=[], target_name=["*.to_q"], use_fnmatch=True, exclude_name=["blocks.0.*"])
    assert list(chosen(shell)) == ["blocks.1.attn1.to_q"]


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        (
            {"target_module": ["FeedFoward"]},
            "target_module: no linear layer is inside a FeedFoward; nearest is FeedForward",
        ),
        (
            {"module_algo_map": {"SingleStreamBlock": {}}},
            "module_algo_map: no linear layer is inside a SingleStreamBlock",
        ),
        ({"target_name": ["attn1"]}, "target_name: no linear layer is called 'attn1'"),
        ({"exclude_name": ["text"]}, "exclude_name: no linear layer is called 'text'"),
        ({"target_module": []}, "leaves no layer to adapt"),
        ({"exclude_name": ["blocks", "proj"]}, "leaves no layer to adapt"),
    ],
)
def test_a_preset_that_matches_nothing_is_an_error(preset: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        chosen(with_preset(**preset))
    assert words in str(refused.value)


def test_classes_without_linear_layers_are_no_error() -> None:
    assert chosen(with_preset(target_module=["Linear", "Conv2d", "LayerNorm"])) == chosen(LORA)


def test_a_size_that_boft_cannot_cut_is_refused_with_what_would_fit() -> None:
    with pytest.raises(ConfigError, match=r"blocks.0.attn1.to_q: boft cannot cut its 96 outputs .* dim 6 would"):
        chosen({**LORA, "algo": "boft"})
    assert chosen({**LORA, "algo": "boft", "linear_dim": 6})


def test_sizes_split_at_the_factor_where_it_divides_and_below_it_where_not() -> None:
    assert [split(128, factor) for factor in (-1, 2, 4, 16, 100)] == [(8, 16), (2, 64), (4, 32), (8, 16), (8, 16)]
    assert [split(127, factor) for factor in (-1, 16)] == [(1, 127), (1, 127)]
    assert split_in_powers(96, 6) == (6, 16)
    assert split_in_powers(96, 4) is None


def test_settings_of_layers_that_a_class_takes_first_are_an_error() -> None:
    preset = {"target_module": ["Attention"], "name_algo_map": {"blocks.0.attn1.to_q": {"algo": "full"}}}
    with pytest.raises(ConfigError, match="these settings would not be used"):
        chosen(with_preset(**preset))
    # Named by their module, or without the class, they are.
    named = chosen(with_preset(target_module=["FeedForward"], name_algo_map=preset["name_algo_map"]))
    assert named["blocks.0.attn1.to_q"].algo == "full"


def test_many_layers_that_do_not_fit_are_told_by_a_few() -> None:
    odd = [LinearLayer(f"blocks.{block}.attn1.to_q", inputs=64, outputs=96) for block in range(9)]
    with pytest.raises(ConfigError, match="and 6 layers more"):
        chosen_for_lycoris(odd, lycoris_of({**LORA, "algo": "boft"}), WAN_21)
