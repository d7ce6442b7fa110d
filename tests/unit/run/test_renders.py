"""From options to videos: which prompts, sizes, seeds and weights, and what each request says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from reeltune.cache.store import TensorStore
from reeltune.config.load import load_config
from reeltune.config.prompts import BUILT_IN
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest
from reeltune.contracts.family import SkipLayers
from reeltune.errors import ConfigError
from reeltune.families.wan.family import Wan
from reeltune.families.wan.variants import WAN_21
from reeltune.run import renders as module
from reeltune.run.prepare import Prepared
from reeltune.run.rendering_plan import plan_rendering, prompts_to_encode
from reeltune.run.renders import attention_of, make_renders
from reeltune.train.render import Renders
from reeltune.train.shown import Show

CPU = torch.device("cpu")


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    return load_config([], needed | {"max_train_steps": 100} | options)


def names(**options: Any) -> list[str]:
    return [video.name for video in plan_rendering(config_of(**options), WAN_21).videos]


def test_the_built_in_prompts_come_first_then_the_users_then_the_main_one(tmp_path: Path) -> None:
    library = tmp_path / "library.json"
    library.write_text('{"chef_<token>": "a cook"}', encoding="utf-8")
    built_in = [prompt.name for prompt in BUILT_IN]
    options = {"validation_prompt_library": True, "user_prompt_library": str(library), "validation_prompt": "a cat"}
    assert names(**options) == [*built_in, "chef_token", "validation"]
    assert names(user_prompt_library={"chef": "a cook"}) == ["chef"]
    assert names() == []
    assert names(**options, validation_disable=True) == []


def test_each_prompt_is_made_in_each_size_with_each_seed() -> None:
    config = config_of(
        validation_prompt="a cat", validation_resolution="100x70,480", num_validation_images=2, validation_seed=5
    )
    videos = plan_rendering(config, WAN_21).videos
    assert [(video.name, video.width, video.height, video.seed) for video in videos] == [
        ("validation-96x64-1", 96, 64, 5),
        ("validation-96x64-2", 96, 64, 6),
        ("validation-480x480-1", 480, 480, 5),
        ("validation-480x480-2", 480, 480, 6),
    ]


def test_sizes_that_become_one_are_made_once() -> None:
    assert names(validation_prompt="a", validation_resolution="832x480,840x488") == ["validation"]


@pytest.mark.parametrize(
    ("options", "seed"), [({"seed": 3}, 3), ({"seed": 3, "validation_seed": 0}, 0), ({"validation_seed": 9}, 9)]
)
def test_the_seed_is_the_runs_unless_another_is_asked_for(options: dict[str, int], seed: int) -> None:
    (video,) = plan_rendering(config_of(validation_prompt="a", **options), WAN_21).videos
    assert video.seed == seed


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ("raw",)),
        ({"use_ema": True}, ("raw", "ema")),
        ({"use_ema": True, "ema_validation": "ema_only"}, ("ema",)),
        ({"use_ema": True, "ema_validation": "none"}, ("raw",)),
    ],
)
def test_weights_are_shown_as_asked(options: dict[str, Any], shown: tuple[str, ...]) -> None:
    plan = plan_rendering(config_of(validation_prompt="a", num_validation_images=3, **options), WAN_21)
    assert plan.shown == shown
    assert plan.renders_per_time == 3 * len(shown)


def test_guidance_doubles_the_passes_and_frames_are_usable() -> None:
    options = {"validation_prompt": "a", "validation_num_inference_steps": 20, "validation_num_video_frames": 75}
    guided = plan_rendering(config_of(**options, validation_guidance=1.5), WAN_21)
    plain = plan_rendering(config_of(**options, validation_guidance=1.0), WAN_21)
    assert (guided.passes, plain.passes, guided.frames) == (40, 20, 73)


@pytest.mark.parametrize(
    ("options", "benchmark"),
    [({"validation_prompt": "a"}, True), ({"validation_prompt": "a", "disable_benchmark": True}, False), ({}, False)],
)
def test_the_bare_base_is_rendered_where_there_is_a_prompt_unless_switched_off(
    options: dict[str, Any], benchmark: bool
) -> None:
    assert plan_rendering(config_of(**options), WAN_21).benchmark is benchmark


def test_texts_are_encoded_once_each_and_none_where_nothing_is_rendered() -> None:
    config = config_of(validation_prompt="a", user_prompt_library={"x": "b", "y": "a"}, validation_negative_prompt="n")
    assert prompts_to_encode(config) == ["b", "a", "n"]
    assert prompts_to_encode(config_of(validation_negative_prompt="n")) == []


def test_a_nickname_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match="Validation.*'validation'|validation.*'Validation'"):
        names(validation_prompt="a", user_prompt_library={"Validation": "b"})


def test_planning_needs_no_torch() -> None:
    code = "import sys, reeltune.run.rendering_plan; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout == "False\n"


OPTIONS = {"validation_prompt": "a", "validation_negative_prompt": "n", "validation_num_video_frames": 5}


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Identity() for _ in range(12))


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Two encoded texts, `a` and `n`."""
    store = TensorStore(tmp_path / "text")
    store.write("key-a", torch.full((2, 4), 1.0))
    store.write("key-n", torch.full((3, 4), 2.0))
    return Prepared(Manifest(()), items=(), held_out=(), text=store, prompt_keys={"a": "key-a", "n": "key-n"})


@contextmanager
def showing() -> Iterator[Show]:
    """Show what is there."""
    yield lambda shown: nullcontext()


def renders_of(wan: Wan, prepared: Prepared, **options: Any) -> Renders | None:
    return make_renders(
        config_of(**options),
        family=wan,
        transformer=Blocks(),
        prepared=prepared,
        showing=showing,
        device=CPU,
    )


def test_a_request_says_what_the_options_say(wan: Wan, prepared: Prepared) -> None:
    renders = renders_of(
        wan,
        prepared,
        **OPTIONS,
        validation_num_inference_steps=7,
        validation_guidance=5.2,
        validation_flow_shift=2.0,
        validation_resolution="96x64",
        validation_guidance_skip_layers=[9],
        validation_guidance_skip_layers_start=0.0,
        validation_guidance_skip_layers_stop=1.0,
    )
    assert renders
    assert (renders.folder, renders.benchmark_folder) == (Path("o/x/validation"), Path("o/x/benchmark"))
    (named,) = renders.requests
    request = named.request
    assert torch.equal(request.prompt, torch.full((2, 4), 1.0))
    assert torch.equal(request.negative, torch.full((3, 4), 2.0))
    assert (request.width, request.height, request.frames, request.steps) == (96, 64, 5, 7)
    assert (request.guidance, request.flow_shift, request.seed) == (5.2, 2.0, 42)
    assert request.skip_layers == SkipLayers((9,), 0.0, 1.0)
    assert request.attention is None


def test_without_a_prompt_there_are_no_renders(wan: Wan, prepared: Prepared) -> None:
    assert renders_of(wan, prepared) is None
    assert renders_of(wan, prepared, **OPTIONS, validation_disable=True) is None


@pytest.mark.parametrize(
    "change",
    [
        {"validation_num_inference_steps": 31},
        {"validation_guidance": 4.0},
        {"validation_seed": 8},
        {"validation_resolution": "96x64"},
        {"validation_num_video_frames": 9},
        {"validation_flow_shift": 2.0},
        {"validation_guidance_skip_layers": [3]},
        {"validation_randomize": True},
        {"validation_noise_scheduler": "euler"},
        {"pretrained_model_name_or_path": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_bare_bases_video_depends_on_changes_its_fingerprint(
    wan: Wan, prepared: Prepared, change: dict[str, Any]
) -> None:
    assert fingerprint(wan, prepared, **OPTIONS | change) != fingerprint(wan, prepared, **OPTIONS)


def test_other_options_and_other_words_for_the_same_keep_or_change_the_fingerprint(
    wan: Wan, prepared: Prepared
) -> None:
    own = fingerprint(wan, prepared, **OPTIONS)
    assert fingerprint(wan, prepared, **OPTIONS, learning_rate=1e-5, validation_steps=3) == own
    other_text = replace(prepared, prompt_keys={"a": "key-n", "n": "key-n"})
    assert fingerprint(wan, other_text, **OPTIONS) != own


def fingerprint(wan: Wan, prepared: Prepared, **options: Any) -> str:
    renders = renders_of(wan, prepared, **options)
    assert renders
    return renders.requests[0].fingerprint


@pytest.mark.parametrize(
    ("device", "lacks", "backend"), [("cuda", None, "sage"), ("cuda", "a package", None), ("cpu", None, None)]
)
def test_a_kernel_is_used_where_it_can_run(
    monkeypatch: pytest.MonkeyPatch, device: str, lacks: str | None, backend: str | None
) -> None:
    monkeypatch.setattr(module, "lacking", lambda name: lacks)
    model = config_of(attention_mechanism="sageattention").model
    assert attention_of(model, torch.device(device)) == backend
    assert attention_of(config_of().model, torch.device(device)) is None
