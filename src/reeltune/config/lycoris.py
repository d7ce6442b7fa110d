"""The description of a LyCORIS adapter: a JSON object of its own, read with `lora_type` lycoris."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from reeltune.config.option import Section, option
from reeltune.contracts.notes import Note

Algo: TypeAlias = Literal["lora", "loha", "lokr", "full", "ia3", "dylora", "diag-oft", "boft", "glora"]


class LayerSettings(Section):
    """What may be set for some layers apart from the others, in `module_algo_map` and `name_algo_map`."""

    algo: Algo | None = option(None, "Algorithm; locon is another name of lora.")
    dim: int | None = option(None, "Rank, block size of OFT, or whatever else the algorithm calls its size.", ge=1)
    alpha: float | None = option(None, "The change is scaled by alpha / dim.", ge=0)
    factor: int | None = option(None, "LoKr: size of the smaller Kronecker factor; -1 takes the most even one.", ge=-1)
    full_matrix: bool | None = option(None, "LoKr: keep the larger factor whole instead of as a product.")
    decompose_both: bool | None = option(None, "LoKr: keep the smaller factor as a product too.")
    unbalanced_factorization: bool | None = option(None, "LoKr: exchange the factors of the outputs.")
    constraint: float | None = option(None, "OFT: how far a rotation may go; 0 is no limit.", ge=0)
    rescaled: bool | None = option(None, "OFT: train a factor for each output as well.")
    block_size: int | None = option(None, "DyLoRA: ranks that are trained together.", ge=1)
    train_on_input: bool | None = option(None, "IA3: scale the layer's inputs instead of its outputs.")
    use_scalar: bool | None = option(None, "Train one factor for the whole change, which starts at 0.")
    rs_lora: bool | None = option(None, "Scale by alpha / sqrt(dim).")
    weight_decompose: bool | None = option(
        None, "DoRA: train the lengths of the weight's rows apart from their directions.", also=("dora_wd",)
    )
    wd_on_output: bool | None = option(None, "DoRA: lengths of rows, one for each output; false is of columns.")


class Preset(Section):
    """Which layers are adapted, and which of them differently."""

    target_module: tuple[str, ...] = option((), "Class names of modules: all linear layers inside are adapted.")
    target_name: tuple[str, ...] = option((), "Names of layers, or patterns of names.")
    module_algo_map: dict[str, LayerSettings] = option({}, "Settings for the layers inside modules of a class.")
    name_algo_map: dict[str, LayerSettings] = option({}, "Settings for the layers of a name or pattern.")
    exclude_name: tuple[str, ...] = option((), "Names or patterns of modules that are left alone.")
    use_fnmatch: bool = option(False, "Patterns are those of file names; false: regular expressions from the start.")


class LycorisConfig(LayerSettings):
    """A whole description. Unset settings are lycoris' own defaults.

    linear_dim, linear_alpha: `dim` and `alpha` for all layers that set none.
    """

    algo: Algo = option(..., "Algorithm.")  # pyright: ignore[reportIncompatibleVariableOverride]
    multiplier: float = option(..., "Strength of the adapter while it is trained; files are right at strength 1.", gt=0)
    linear_dim: int = option(..., "Rank, or the algorithm's own size; may be left out with full_matrix.", ge=1)
    linear_alpha: float = option(..., "The change is scaled by alpha / dim.", ge=0)
    dropout: float = option(0.0, "Share of the single values that a change adds dropped in training.", ge=0, lt=1)
    rank_dropout: float = option(
        0.0,
        "Share of a change's outputs, each dropped for a whole pass, in training.",
        ge=0,
        lt=1,
    )
    module_dropout: float = option(0.0, "Share of the layers whose change is dropped in training.", ge=0, lt=1)
    apply_preset: Preset = option(Preset(), "Which layers are adapted; unset is every linear layer.")


def lycoris_of(value: str | dict[str, Any]) -> LycorisConfig:
    """Read a description: an object, its JSON text, or the name of a JSON file that holds one.

    Raises ConfigError that lists every problem, with its line in a file.
    """
    from reeltune.config.lycoris_reading import read_lycoris

    return read_lycoris(value)[0]


def inert_lycoris_keys(value: str | dict[str, Any]) -> list[Note]:
    """Return a note for each key of a description that changes nothing, or does more than its words say.

    Raises ConfigError as `lycoris_of` does.
    """
    from reeltune.config.lycoris_reading import read_lycoris

    return read_lycoris(value)[1]
