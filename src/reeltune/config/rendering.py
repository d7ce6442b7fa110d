"""Videos made along the way, to judge the run by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reeltune.config.json_text import parse_json
from reeltune.config.option import Section, option
from reeltune.config.places import Place
from reeltune.config.sizes import parse_sizes

Layers = tuple[Annotated[int, Field(ge=0)], ...]


def check_sizes(value: Any) -> str:
    """Return sizes as a text. Raises ValueError when they cannot be read."""
    parse_sizes(value)
    return str(value)


def read_layers(value: Any) -> Any:
    """Return one layer, a list of layers, or a text of either as a list."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise ValueError("a list of layer numbers is needed, such as [9]") from error
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


class RenderingOptions(Section):
    validation_disable: bool = option(False, "Render no videos at all.")
    validation_prompt: str | None = option(None, "Prompt of the validation video; unset renders none.")
    validation_negative_prompt: str = option("", "What the validation video is steered away from.")
    validation_prompt_library: bool = option(False, "Render the built-in prompts too.")
    user_prompt_library: Place | dict[str, str] | None = option(
        None,
        "JSON file of further prompts, nickname: prompt; or such an object itself.",
        example="config/user_prompt_library.json",
    )
    validation_steps: int = option(
        100,
        "Render every this many optimizer steps, and at the end; 0 renders at the end only.",
        unit="steps",
        ge=0,
        also=("validation_step_interval",),
    )
    disable_benchmark: bool = option(False, "Do not render the prompts once with the bare base model before training.")
    validation_resolution: Annotated[str, BeforeValidator(check_sizes, json_schema_input_type=str | int)] = option(
        "832x480",
        "Size of the validation videos: width x height, one number for a square, or several with commas between.",
        unit="pixels",
        example="832x480",
    )
    validation_num_video_frames: int = option(
        81, "Length of the validation video; rounded down to 4k+1.", unit="frames", ge=1
    )
    validation_num_inference_steps: int = option(30, "Denoising steps of a validation video.", ge=1)
    validation_guidance: float = option(
        5.0, "How strongly the prompt is followed; 1 switches guidance off and halves the time.", ge=1
    )
    validation_guidance_skip_layers: Annotated[
        Layers | None, BeforeValidator(read_layers, json_schema_input_type=Layers | int | str | None)
    ] = option(None, "Blocks that the pass for the negative prompt leaves out (skip-layer guidance).", example=[9])
    validation_guidance_skip_layers_start: float = option(
        0.01, "Share of the denoising steps from which on those blocks are left out.", ge=0, le=1
    )
    validation_guidance_skip_layers_stop: float = option(
        0.2, "Share of the denoising steps from which on no block is left out any more.", ge=0, le=1
    )
    validation_noise_scheduler: Literal["unipc", "euler"] = option(
        "unipc",
        "How videos are denoised: unipc as the model's own configuration has it, or euler on beta-distributed levels.",
        refused={
            "ddim": "it is made for another kind of model; unipc and euler fit",
            "ddpm": "it is made for another kind of model; unipc and euler fit",
            "euler-a": "it is made for another kind of model; unipc and euler fit",
            "dpm++": "it is not available; unipc and euler are",
        },
    )
    validation_seed: int | None = option(None, "Noise of the validation video; unset takes seed.", ge=0, lt=2**63)
    validation_randomize: bool = option(False, "Draw other noise for the videos of each step.")
    num_validation_images: int = option(1, "Videos of each prompt, with one seed after the other.", ge=1)
    validation_flow_shift: float | None = option(
        None, "Shift of the rendering schedule; unset takes the model's own.", gt=0
    )
    ema_validation: Literal["comparison", "ema_only", "none"] = option(
        "comparison", "With use_ema: render both raw and averaged weights, the average alone, or the raw alone."
    )

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Return (width, height) of the videos, as asked."""
        return parse_sizes(self.validation_resolution)
