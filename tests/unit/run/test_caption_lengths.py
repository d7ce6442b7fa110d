"""The tokens of a caption are those that the text encoder is given, counted without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.errors import ModelError
from reeltune.families import family_token_counter
from reeltune.families.wan.encoders import load_tokenizer
from reeltune.families.wan.tokens import TokenCounter, clean
from reeltune.run.caption_lengths import Lengths, caption_lengths

CAPTIONS = ["a cat", "", "  a &amp;amp; b\n\n c ", "schÃ¶n", "猫 on a mat", "cartoon " * 700]


def config_of(model: Path | str) -> Config:
    return load_config(
        [],
        {
            "data_backend_config": "d.json",
            "output_dir": "o",
            "max_train_steps": 1,
            "pretrained_model_name_or_path": str(model),
        },
    )


@pytest.mark.parametrize("caption", CAPTIONS)
def test_captions_are_cleaned_as_the_pipeline_cleans_them(caption: str) -> None:
    assert clean(caption) == prompt_clean(caption)


def test_tokens_are_those_of_the_models_own_tokenizer(tiny_model: Path) -> None:
    count = family_token_counter(config_of(tiny_model).model)
    assert count
    own = load_tokenizer(tiny_model / "tokenizer")
    assert count(CAPTIONS) == [len(own(prompt_clean(caption)).input_ids) for caption in CAPTIONS]
    assert max(count(CAPTIONS)) > 512


def test_where_the_tokenizer_is_not_here_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert family_token_counter(config_of(tmp_path / "model").model) is None
    assert caption_lengths(["a"], config_of(tmp_path / "model")) is None


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read as a tokenizer"):
        TokenCounter(tmp_path / "tokenizer.json")


def test_what_is_cut_is_told(tiny_model: Path) -> None:
    lengths = caption_lengths(["a cat", "a cat", CAPTIONS[-1]], config_of(tiny_model))
    assert lengths
    assert (lengths.limit, lengths.cut, len(lengths.tokens)) == (512, [CAPTIONS[-1]], 2)
    assert caption_lengths([], config_of(tiny_model)) is None


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({"a": 3, "b": 5}, "half of the captions have 4 tokens or fewer, the longest has 5; none is cut at the 512"),
        ({"a": 513}, "half of the captions have 513 tokens or fewer, the longest has 513; 1 is cut at the 512"),
        ({"a": 512, "b": 600, "c": 700}, "the longest has 700; 2 are cut at the 512"),
    ],
)
def test_lengths_in_words(tokens: dict[str, int], words: str) -> None:
    assert words in Lengths(tokens, 512).in_words()


def test_counting_needs_no_torch(tiny_model: Path) -> None:
    code = f"""import sys
from pathlib import Path
from reeltune.families.wan.tokens import TokenCounter
print(TokenCounter(Path({str(tiny_model / "tokenizer/tokenizer.json")!r}))(["a cat"])[0] > 1)
print({{'torch', 'transformers', 'diffusers'}} & sys.modules.keys())"""
    outcome = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert outcome.stdout.split("\n")[:2] == ["True", "set()"]
