"""How what was trained is loaded again, as lines of Python for a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reeltune.contracts.outcome import ResultKind

WEIGHTS = "pytorch_lora_weights.safetensors"

_IMPORTS = ("import torch", "from diffusers import {names}", "from diffusers.utils import export_to_video")


def loading_lines(kind: ResultKind, *, base: str, repo: str) -> list[str]:
    """Return the lines that import what is needed and make a pipeline, `pipe`, with what was trained in it."""
    return _LINES[kind](base, repo)


def _lora(base: str, repo: str) -> list[str]:
    return [
        *_imports("DiffusionPipeline"),
        "",
        _pipeline(base),
        f'pipe.load_lora_weights("{repo}", weight_name="{WEIGHTS}")',
    ]


def _lycoris(base: str, repo: str) -> list[str]:
    return [
        *_imports("DiffusionPipeline"),
        "from huggingface_hub import hf_hub_download",
        "from lycoris import create_lycoris_from_weights",
        "",
        _pipeline(base),
        f'weights = hf_hub_download("{repo}", "{WEIGHTS}")',
        "network, _ = create_lycoris_from_weights(1.0, weights, pipe.transformer)",
        "network.apply_to()",
        'network.to("cuda", torch.bfloat16)',
    ]


def _merged(base: str, repo: str) -> list[str]:
    return [
        f"# No loader knows this kind of adapter: merge it first. hf download {repo} --local-dir adapter",
        f"# reeltune export adapter/{WEIGHTS} --format merged --base {base} --output merged",
        *_imports("AutoModel, DiffusionPipeline"),
        "",
        'transformer = AutoModel.from_pretrained("merged", dtype=torch.bfloat16)',
        f"pipe = DiffusionPipeline.from_pretrained({base!r}, transformer=transformer, dtype=torch.bfloat16)",
    ]


def _transformer(base: str, repo: str) -> list[str]:
    return [
        *_imports("AutoModel, DiffusionPipeline"),
        "",
        f'transformer = AutoModel.from_pretrained("{repo}", subfolder="transformer", dtype=torch.bfloat16)',
        f"pipe = DiffusionPipeline.from_pretrained({base!r}, transformer=transformer, dtype=torch.bfloat16)",
    ]


_LINES: Mapping[ResultKind, Callable[[str, str], list[str]]] = {
    "lora": _lora,
    "lycoris": _lycoris,
    "lycoris-to-merge": _merged,
    "full": _transformer,
}


def _imports(names: str) -> list[str]:
    return [line.format(names=names) for line in _IMPORTS]


def _pipeline(base: str) -> str:
    return f"pipe = DiffusionPipeline.from_pretrained({base!r}, dtype=torch.bfloat16)"
