"""`reeltune export FILE --format ...`: an adapter in another layout, or merged into its base."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from reeltune.errors import ConfigError

LINE = "write an adapter in another layout, or merged into its base"

FORMATS = {
    "diffusers": "a LoRA file for load_lora_weights",
    "comfyui": "a file for ComfyUI's models/loras",
    "lycoris": "a file for lycoris-lora",
    "merged": "a whole transformer folder, base and adapter together",
    "merged-comfyui": "the same in one file, for ComfyUI's models/diffusion_models",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="an adapter file of any layout, or a run folder")
    parser.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        metavar="FORMAT",
        help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()),
    )
    parser.add_argument("--output", type=Path, metavar="PATH", help="where to; default beside FILE")
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="a folder, a .safetensors file or a repository; default the base that FILE names, where one is needed",
    )
    parser.add_argument("--strength", type=float, default=1.0, metavar="S", help="multiplied into it; default 1")
    parser.add_argument(
        "--dtype",
        choices=("bf16", "fp16", "float32"),
        help="number type of what is written; default float32, of a merged model that of its base",
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Write the other form, and say where it is and how to load it."""
    if words:
        raise ConfigError(f"command line: {' '.join(words)} is too much; see reeltune export --help")
    if not math.isfinite(arguments.strength):
        raise ConfigError(f"--strength {arguments.strength}: a number is needed, such as 0.8")
    from reeltune.cli.train import quiet_threads

    quiet_threads()
    from reeltune.cli.data.page import paper, show
    from reeltune.cli.failures import before_training
    from reeltune.report.console import track
    from reeltune.report.export_page import export_lines
    from reeltune.run.exporting.export import export

    with before_training():
        exported = export(
            arguments.file.expanduser(),
            format=arguments.format,
            output=arguments.output and arguments.output.expanduser(),
            base=arguments.base,
            strength=arguments.strength,
            number_type=arguments.dtype,
            track=track,
        )
    show(export_lines(exported, paper()))
    return 0
