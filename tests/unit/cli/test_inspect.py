"""`reeltune inspect`: a page that fits, the same for programs, and exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.adapters import about
from reeltune.adapters.changes import Change, LowRank
from reeltune.adapters.layouts import write_adapter
from reeltune.cli.export import FORMATS as FORMATS_IN_HELP
from reeltune.cli.main import main
from reeltune.config.model import ModelOptions
from reeltune.contracts.adapter_report import (
    AdapterReport,
    BlockChange,
    Contents,
    Exported,
    LayerChange,
    Part,
    Strength,
    TransformerReport,
)
from reeltune.families import family_facts
from reeltune.report.adapter_page import adapter_lines, transformer_lines
from reeltune.report.bars import ASCII, bar, bar_marks
from reeltune.report.export_page import LOADING, export_lines
from reeltune.report.outlook_layout import Paper
from reeltune.run.exporting.names import FORMATS

CONTENTS = Contents("output/cartoons/pytorch_lora_weights.safetensors", 11_796_480, 47_200_000, ("float32",))

REPORT = AdapterReport(
    contents=CONTENTS,
    layout="diffusers (PEFT's names)",
    kinds=("LoRA",),
    base="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    base_fingerprint="8b1f",
    fits="Wan-AI/Wan2.1-T2V-1.3B-Diffusers (1536 wide, 30 blocks)",
    ranks=(16,),
    alphas=(8.0,),
    scales=(0.5,),
    trained_alpha=None,
    step=400,
    settings=(("title", "cartoons"),),
    layers=240,
    of_layers=306,
    parts=(Part("self-attention", 120, 120), Part("cross-attention", 120, 120), Part("feed-forward", 0, 60)),
    blocks=tuple(BlockChange(index, 8, Strength(index / 10, None)) for index in range(30)),
    largest=(LayerChange("blocks.29.attn1.to_q", "LoRA", Strength(1.5, None)),),
    measured="",
    warnings=("Block 29 is changed 20 times as much as the median block.",),
)


def text(report: AdapterReport, width: int = 80, encoding: str = "utf-8") -> str:
    return "\n".join(line.plain for line in adapter_lines(report, Paper(width, encoding)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A LoRA for one layer of a transformer 8 wide."""
    change: dict[str, Change] = {"blocks.0.attn1.to_q": LowRank(torch.ones(2, 8), torch.ones(8, 2))}
    path = tmp_path / "small.safetensors"
    write_adapter(path, change, "diffusers", about(step=3), family_facts(ModelOptions()))
    return path


@pytest.mark.parametrize("width", [76, 80, 120])
def test_the_page_fits_its_paper(width: int) -> None:
    assert max(map(len, text(REPORT, width).splitlines())) <= width


def test_the_page_says_what_the_file_is() -> None:
    page = text(REPORT, 120)
    assert "LoRA in output/cartoons/pytorch_lora_weights.safetensors" in page
    assert "alpha           8; effective scale 0.5" in page
    assert "240 of 306: self-attention 120 of 120, cross-attention 120 of 120\n" in page
    assert "11.8 million in float32" in page
    assert "Block 29 is changed 20 times" in page
    ours = text(replace(REPORT, alphas=(16.0,), scales=(1.0,), trained_alpha=8.0), 120)
    assert "alpha           16; effective scale 1; trained with 8, which is multiplied into the tensors" in ours
    unsaid = text(replace(REPORT, base=None, alphas=()), 120)
    assert "not named in the file" in unsaid
    assert "none in the file, so taken as the rank" in unsaid


def test_bars_are_as_long_as_their_blocks_change() -> None:
    """Thirty blocks stand in two columns of fifteen; the last has the longest bar, the first none."""
    lines = text(REPORT).splitlines()
    first, last = (next(line for line in lines if line.startswith(f"  {name} ")) for name in (" 0", "14"))
    assert "15 " in first
    assert "29 " in last
    assert len(bar(1.0, 20)) == 20
    assert first[4:].lstrip(" ").startswith("0.00")
    half, whole = (last[start:].count("█") for start in (0, last.index("29")))
    assert half - whole == pytest.approx(whole * 14 / 29, abs=1)


def test_a_stream_without_blocks_gets_ascii() -> None:
    page = text(replace(REPORT, kinds=("LoRA",)), encoding="ascii")
    assert page.isascii()
    assert "####" in page
    assert bar_marks("ascii") == ASCII
    assert bar(0.001, 10, ASCII) == "#"


def test_few_blocks_and_no_numbers_are_a_page_too() -> None:
    unknown = BlockChange(None, 1, Strength(None, None))
    page = text(replace(REPORT, blocks=(unknown,), largest=(), warnings=(), scales=(), step=None))
    assert "outside" in page
    assert "not known" in page
    assert "alpha" not in page


def test_a_transformers_page_fits_and_says_what_it_is() -> None:
    report = TransformerReport(CONTENTS, "a folder, diffusers' names", "64 wide, 3 blocks", 3, 64, files=2)
    page = [line.plain for line in transformer_lines(report, Paper(76))]
    assert page[0].startswith("A whole transformer in")
    assert "  size            47.2 MB in 2 files" in page


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_says_how_it_is_loaded(format: str) -> None:
    exported = Exported("here/there", format, "owner/base", 240, 0.02, "bfloat16", 1000, "SomeTransformer")
    page = "\n".join(line.plain for line in export_lines(exported, Paper(120)))
    assert LOADING.keys() == FORMATS_IN_HELP.keys() == set(FORMATS)
    assert "here" in page.partition("To load it")[2]
    assert "rounding to bfloat16: 2 % of the change." in page
    lossy = " ".join(line.plain.strip() for line in export_lines(replace(exported, error=1.234), Paper(120)))
    assert "123 % of the change" in lossy
    assert "--dtype float32 keeps all of it" in lossy


def test_the_command_shows_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(file)]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"LoRA in {file}"[:40])
    assert "3 steps" in page


def test_programs_get_all_of_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(file), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["what"], record["ranks"], record["step"]) == ("adapter", [2], 3)
    assert record["blocks"] == [{"number": 0, "layers": 1, "strength": {"size": 16.0, "share": None}}]


def test_what_is_wrong_ends_with_2_and_a_sentence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    for words in (["inspect", "nowhere"], ["inspect", str(file)], ["inspect", str(file), "lora_rank=4"]):
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.err.startswith("reeltune: ")
        assert not said.out


def test_looking_at_a_file_needs_no_model_library(file: Path) -> None:
    run = f"from reeltune.cli.main import main; main(['inspect', {str(file)!r}])"
    code = f"import sys; {run}; print('MODULES', *sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout
    modules = set(said.rpartition("MODULES")[2].split())
    assert "torch" in modules
    assert not {"diffusers", "transformers", "peft"} & modules
