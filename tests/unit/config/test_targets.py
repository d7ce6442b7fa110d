"""Groups, names, patterns and ranges of blocks say which layers a LoRA adapts; what means nothing is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.adapter import AdapterOptions
from reeltune.config.targets import check_targets, chosen_layers
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError
from reeltune.families.wan.description import FACTS

BLOCKS = 12
INSIDE = [f"blocks.{block}.{name}" for block in range(BLOCKS) for name in FACTS.block_layers]
LAYERS = tuple(LinearLayer(name, 64, 64) for name in [*FACTS.outer_layers, *INSIDE])


def chosen(targets: Any = None, blocks: str | None = None) -> list[str]:
    options = AdapterOptions(peft_lora_target_modules=targets, lora_blocks=blocks)
    check_targets(options)
    return [layer.name for layer in chosen_layers(LAYERS, options, FACTS)]


def refusal(targets: Any = None, blocks: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        chosen(targets, blocks)
    return str(caught.value)


def blocks_of(names: list[str]) -> set[int]:
    return {int(name.split(".")[1]) for name in names}


def test_unset_is_the_eight_linears_of_both_attentions_in_every_block() -> None:
    names = chosen()
    assert names == chosen("attention") == chosen(["attention"])
    assert len(names) == 8 * BLOCKS
    assert all(".attn1." in name or ".attn2." in name for name in names)


def test_groups_are_the_parts_of_all_linear_layers_and_come_in_the_models_order() -> None:
    assert chosen("ffn") == [name for name in INSIDE if ".ffn." in name]
    assert chosen(["ffn", "attention"]) == INSIDE
    assert chosen("all-linear") == [layer.name for layer in LAYERS]


@pytest.mark.parametrize(
    ("entry", "count"),
    [("to_q", 24), ("attn1.to_q", 12), ("ffn.net.2", 12), ("proj_out", 1), ("linear_1", 2), ("blocks.3.attn1.to_k", 1)],
)
def test_the_end_of_a_name_means_all_layers_that_end_in_it_at_a_dot(entry: str, count: int) -> None:
    names = chosen([entry])
    assert len(names) == count
    assert all(f".{name}".endswith(f".{entry}") for name in names)


def test_the_end_of_a_name_is_whole_parts() -> None:
    # blocks.N.ffn.net.0.proj, and not condition_embedder.time_proj.
    assert chosen(["proj"]) == [name for name in INSIDE if name.endswith("net.0.proj")]
    assert "no layer's name ends in 'o_q'" in refusal(["o_q"])


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("*.attn1.*", 48), ("blocks.1?.attn1.*", 8), ("blocks.[0-3].ffn.*", 8), ("condition_embedder.*", 5), ("*", 126)],
)
def test_a_pattern_is_of_whole_names(pattern: str, count: int) -> None:
    assert len(chosen([pattern])) == count
    assert "matches no layer" in refusal(["attn1.*"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", {5}),
        ("3-5, -1", {3, 4, 5, 11}),
        ("10-", {10, 11}),
        ("-2", {10}),
        ("-3 - -1", {9, 10, 11}),
        ("-3--1", {9, 10, 11}),
        ("-3-", {9, 10, 11}),
        ("9 - -1,0", {0, 9, 10, 11}),
        (" 0-11 ", set(range(12))),
    ],
)
def test_blocks_are_counted_from_both_ends_and_both_ends_of_a_range_are_in_it(text: str, expected: set[int]) -> None:
    assert blocks_of(chosen(blocks=text)) == expected


def test_with_blocks_nothing_outside_them_is_adapted() -> None:
    assert chosen("all-linear", "0") == [name for name in INSIDE if name.startswith("blocks.0.")]
    assert "proj_out" in refusal(["attention", "proj_out"], "0")
    assert "lora_blocks keeps" in refusal(["proj_out"], "0")
    assert "lora_blocks keeps" in refusal(["blocks.4.*"], "0-3")


@pytest.mark.parametrize("text", ["", "a", "3-5-7", "1,,2", "- 5", "3..5", "*"])
def test_what_is_no_range_is_refused_before_the_layers_are_known(text: str) -> None:
    with pytest.raises(ConfigError, match="lora_blocks.*\n.*is no block and no range"):
        check_targets(AdapterOptions(lora_blocks=text))


@pytest.mark.parametrize("text", ["7-3", "-1 - -4"])
def test_a_range_that_runs_backwards_is_refused_before_the_layers_are_known(text: str) -> None:
    with pytest.raises(ConfigError, match="ends before it starts"):
        check_targets(AdapterOptions(lora_blocks=text))


def test_every_range_outside_the_model_is_named() -> None:
    message = refusal(blocks="12, -13, 4, 9 - -6")
    assert "on a model of 12 blocks: 3 problems" in message
    assert "there is no block 12; blocks are 0 to 11, or -12 to -1 from the end" in message
    assert "'9 - -6' ends before it starts: blocks 9 to 6" in message


def test_every_entry_that_matches_nothing_is_named_with_what_is_nearest() -> None:
    message = refusal(["atention", "attention", "attn1.to_w", "blocks.99.*"])
    assert "3 problems" in message
    assert "'atention'; nearest is attention" in message
    assert "'attn1.to_w'; nearest is attn1.to_" in message
    assert "'blocks.99.*' matches no layer" in message


@pytest.mark.parametrize("targets", [[], "", "  ", "[]"])
def test_an_empty_list_is_refused(targets: Any) -> None:
    assert "nothing would be trained" in refusal(targets)


@pytest.mark.parametrize("targets", [[""], "attention,,ffn", "attention,", ["."]])
def test_an_empty_entry_is_refused(targets: Any) -> None:
    assert "an entry is empty" in refusal(targets)


def test_the_command_line_takes_names_with_commas_or_a_json_list() -> None:
    assert chosen("attention, ffn") == chosen('["attention", "ffn"]') == INSIDE
    assert chosen(",".join(["to_q"] * 100)) == chosen("to_q")  # longer than a file's name may be
    assert "is no JSON list" in refusal('["attention"')
    assert "a list of names is needed" in refusal("[1]")


def test_a_file_holds_a_list_and_its_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps(["attention", "ffn.net.2"], indent=1))
    assert len(chosen(str(path))) == 9 * BLOCKS
    path.write_text('[\n  "attention", // both\n  "fnn",\n]')
    assert f"{path}, line 3: no layer's name ends in 'fnn'; nearest is ffn" in refusal(str(path))
    path.write_text('{"attention": true}')
    assert f"{path}: a list of names is needed" in refusal(str(path))
    assert "does not exist" in refusal(str(tmp_path / "other.json"))


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_text('["to_q"]')
    assert len(chosen(str(path))) == 24
