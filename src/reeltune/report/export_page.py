"""What `export` says in the end: where the result is, that it is the same, and how to load it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.filesize import decimal
from rich.text import Text

from reeltune.contracts.adapter_report import Exported
from reeltune.report.outlook_layout import MARGIN, Paper, printable, title, wrapped

EXACT = 1e-4
"""A smaller share of a change is what summing in another order leaves."""


MUCH = 0.05
"""A larger share is worth a word: small changes of large weights are lost in 8 bits of precision."""


def export_lines(exported: Exported, paper: Paper) -> list[Text]:
    """Return the lines."""
    exported = printable(exported, paper.encoding)
    lines = [title(f"{exported.path} ({decimal(exported.size_bytes)}, {exported.number_type})")]
    for sentence in (_proof(exported), _belongs(exported)):
        lines += wrapped(sentence, paper, first=" " * MARGIN, indent=MARGIN) if sentence else []
    return [
        *lines,
        Text(),
        title("To load it"),
        *(Text(f"{' ' * MARGIN}{line}") for line in LOADING[exported.format](exported)),
    ]


def _proof(exported: Exported) -> str:
    """Say what was compared, and what rounding has changed."""
    layers = f"Read back: it changes {exported.changed} layers as the adapter does"
    if exported.error < EXACT:
        return f"{layers}."
    advice = "; --dtype float32 keeps all of it" if exported.error > MUCH else ""
    lost = 100 * exported.error
    share = f"{lost:.0f}" if lost >= 10 else f"{lost:.2g}"
    return f"{layers}, but for rounding to {exported.number_type}: {share} % of the change{advice}."


def _belongs(exported: Exported) -> str:
    return f"The base is {exported.base}." if exported.base else "The file does not name its base."


def _diffusers(exported: Exported) -> list[str]:
    path = Path(exported.path)
    return [
        *_pipeline(exported),
        f'pipe.load_lora_weights("{path.parent}", weight_name="{path.name}")',
    ]


def _lycoris(exported: Exported) -> list[str]:
    return [
        "from lycoris import create_lycoris_from_weights",
        f'network, _ = create_lycoris_from_weights(1.0, "{exported.path}", pipe.transformer)',
        "network.merge_to()",
    ]


def _merged(exported: Exported) -> list[str]:
    kind = exported.transformer_class
    return [
        "import torch",
        f"from diffusers import DiffusionPipeline, {kind}",
        f'transformer = {kind}.from_pretrained("{exported.path}", dtype={_torch_type(exported)})',
        f'pipe = DiffusionPipeline.from_pretrained("{exported.base}", transformer=transformer, '
        f"dtype={_torch_type(exported)})",
    ]


def _comfyui(folder: str, node: str) -> Callable[[Exported], list[str]]:
    return lambda exported: [
        f"cp {exported.path} ComfyUI/models/{folder}/",
        f"In ComfyUI: the node {node}.",
    ]


def _pipeline(exported: Exported) -> list[str]:
    base = exported.base or "path/to/the/base/model"
    return [
        "import torch",
        "from diffusers import DiffusionPipeline",
        f'pipe = DiffusionPipeline.from_pretrained("{base}", dtype=torch.bfloat16)',
    ]


def _torch_type(exported: Exported) -> str:
    return f"torch.{exported.number_type}"


LOADING: Mapping[str, Callable[[Exported], list[str]]] = {
    "diffusers": _diffusers,
    "comfyui": _comfyui("loras", '"LoraLoaderModelOnly" at strength 1'),
    "lycoris": _lycoris,
    "merged": _merged,
    "merged-comfyui": _comfyui("diffusion_models", '"Load Diffusion Model"'),
}
"""Lines to type, by format."""
