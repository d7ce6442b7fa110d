"""What is worth knowing of what is trained, and of the files that it becomes."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal

from reeltune.config.adapter_contradictions import FROM_BASE
from reeltune.config.optimizer_checks import settings_of
from reeltune.contracts.notes import Note
from reeltune.estimate.activations import FLOAT32_BYTES
from reeltune.estimate.memory import whole_model
from reeltune.estimate.optimizers import state_bytes
from reeltune.run.outlook.basis import Basis
from reeltune.run.trained_layers import lycoris_among
from reeltune.run.trained_words import not_in_comfyui, result_kind


def trained_notes(basis: Basis) -> Iterator[Note]:
    """Yield a note for each thing that a reader of the options would not expect."""
    adapter = basis.config.adapter
    if basis.trained_part == "full":
        yield from _masters(basis)
    elif adapter.lora_type == "lycoris":
        yield from _lycoris(basis)
    elif adapter.lora_init_type in FROM_BASE:
        rank = adapter.lora_rank
        kind = "DoRA" if adapter.use_dora else "plain LoRA"
        text = (
            f"the base is never changed, so files hold a LoRA of rank {2 * rank}: what was learned, less the start of "
            f"rank {rank}; any program reads it as a {kind}"
        )
        yield Note("fact", "lora_init_type", text)


def _masters(basis: Basis) -> Iterator[Note]:
    if basis.dimensions is None:
        return
    weights = whole_model(basis.dimensions, value_bytes=basis.value_bytes)
    size = decimal(FLOAT32_BYTES * (weights.parameters - weights.in_base))
    if weights.parameters > weights.in_base:
        text = f"the optimizer moves float32 masters, {size} beside the base in bf16: bf16 alone would lose small steps"
        yield Note("fact", "model_type", text)
    chosen, average = basis.config.optimization, FLOAT32_BYTES * basis.config.average.use_ema
    kept = FLOAT32_BYTES + state_bytes(chosen.optimizer, settings_of(chosen)) + average
    text = (
        f"each save first copies {decimal(weights.parameters * kept)} to the host's memory: weights, optimizer, average"
    )
    yield Note("fact", "checkpointing_steps", text)


def _lycoris(basis: Basis) -> Iterator[Note]:
    chosen = lycoris_among(basis.config, basis.base_layers, basis.facts)
    problems = sorted({problem for one in chosen if (problem := not_in_comfyui(one))})
    readers = [] if result_kind(basis.config) == "lycoris-to-merge" else ["the library lycoris-lora"]
    readers += [] if problems else ["ComfyUI"]
    text = (
        f"diffusers' load_lora_weights does not know LyCORIS: its files are read by "
        f"{' and by '.join(readers) or 'no program'}, and `reeltune export` merges them into the base for all others"
    )
    yield Note("fact", "lora_type", text)
    for problem in problems:
        yield Note("trap", "lycoris_config", f"ComfyUI has no rule for {problem}: no file for it is written")
