"""Every key of the quickstart's configuration makes a difference, or the loader says why it makes none.

Each row names another value for a key and what is then put together, or done, differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers import effects
from helpers.quickstart import GIVEN, WEBHOOK, Quickstart, Run, quickstart_in
from reeltune.cache.store import TensorStore
from reeltune.config.load import Loaded
from reeltune.config.prompts import BUILT_IN
from reeltune.contracts.family import SkipLayers
from reeltune.data.batches import Stored
from reeltune.errors import ConfigError
from reeltune.manual.compatibility_rows import SNIPPETS
from reeltune.run.assemble import checkpoints_of
from reeltune.run.resume import choose_start

Observe = Callable[[Run], Any]


@dataclass(frozen=True)
class Works:
    """Another value of the key makes a difference.

    observe: what is looked at. gives: what it gives with the file's value, and with the other; None: two different
    things. beside, clips: options, and keys of the dataset of clips, that both have.
    """

    other: Any
    observe: Observe
    gives: tuple[Any, Any] | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    clips: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inert:
    """The loader says that the file's value changes nothing, for this reason. then: what it does beside its like."""

    reason: str
    then: Works | None = None


@dataclass(frozen=True)
class OneValue:
    """The file's value does what it says; another one is refused, or reported as inert, for this reason."""

    other: Any
    reason: str
    observe: Observe
    gives: Any


LOHA = {
    "algo": "loha",
    "multiplier": 1.0,
    "linear_dim": 2,
    "linear_alpha": 1,
    "apply_preset": {"target_module": ["Attention"]},
}
LOKR = LOHA | {"algo": "lokr", "factor": 4}
INT8 = {"base_model_precision": "int8-quanto"}
OWN_SIZE = "every dataset sets its own"


def trained(run: Run) -> tuple[str, int]:
    """Return what is trained, and on how many layers: attention has eight in each of the twelve blocks."""
    one = run.loop.state.trained
    return type(one).__name__, len({name.split(".lora_")[0].split(".hada_")[0] for name in one.trainable()})


def trained_kinds(run: Run) -> set[str]:
    """Return how the names of trained tensors begin, which differs by algorithm."""
    return {name.rpartition(".")[2].partition("_")[0] for name in run.loop.state.trained.trainable()}


def skip_layers(run: Run) -> SkipLayers:
    assert run.request.skip_layers
    return run.request.skip_layers


def start(run: Run) -> int | None:
    """Return the step that the run goes on from, where its folder has a checkpoint of step 3."""
    checkpoints = checkpoints_of(run.config)
    checkpoints.path(3).mkdir(parents=True, exist_ok=True)
    return choose_start(run.config)


def results(run: Run) -> tuple[str, str, str]:
    assert run.loop.renders
    keeping = run.loop.keeping
    return str(keeping.checkpoints.folder), keeping.results.run_name, str(run.loop.renders.folder)


def shown(run: Run) -> tuple[str, tuple[str, ...]]:
    assert run.loop.renders
    return run.loop.keeping.results.main, tuple(run.loop.renders.shown)


def benchmark(run: Run) -> Path | None:
    assert run.loop.renders
    return run.loop.renders.benchmark_folder


def videos(run: Run) -> int:
    assert run.loop.renders
    return len(run.loop.renders.requests)


def optimizer(run: Run) -> tuple[str, str]:
    kind = type(run.loop.state.optimizer)
    return kind.__module__.partition(".")[0], kind.__name__


def text_parts(run: Run) -> list[str]:
    return effects.names_of([run.family.parts.text_encoder, run.family.parts.tokenizer])


def base_parts(run: Run) -> list[str]:
    parts = run.family.parts
    assert isinstance(parts.transformer, Path)
    assert isinstance(parts.vae, Path)
    return effects.names_of([parts.transformer, parts.vae, parts.scheduler])


def suffixes(run: Run) -> set[str]:
    latents = run.prepared.items[0].latents
    assert isinstance(latents, Stored)
    assert isinstance(latents.store, TensorStore)
    return {store.path("new").suffix for store in (run.prepared.text, latents.store)}


def first_rate(run: Run) -> tuple[float, float]:
    """Return the optimizer's own rate, and that of the first step."""
    return run.loop.state.optimizer.param_groups[0]["lr"], run.loop.schedule.rate(0)


def measured(run: Run) -> tuple[int, int, int] | None:
    """Return the interval, the noise levels and the clips of each measurement."""
    evaluation = run.loop.evaluation
    return evaluation and (evaluation.every.steps, evaluation.levels, len(evaluation.clips["held-out"]))


CHECKS: Mapping[str, Works | Inert | OneValue] = {
    "resume_from_checkpoint": Works("", start, (3, None), {"output_dir": "output/resumed"}),
    "quantize_via": Inert(
        "nothing is quantized", Works("accelerator", effects.place_of_quantizing, ("cpu", "meta"), INT8)
    ),
    "attention_mechanism": Works("diffusers", effects.attention_of_videos, ("sage", None)),
    "data_backend_config": Works(
        "config/other.json",
        lambda run: {row.dataset_id for row in run.manifest.rows},
        ({"disney-black-and-white"}, {"others"}),
    ),
    "aspect_bucket_rounding": Works(1, effects.bucket_of_every_width),
    "seed": Works(43, effects.randomness),
    "minimum_image_size": Inert(OWN_SIZE, Works(130, effects.clips_used, (3, 2), clips={"minimum_image_size": None})),
    "offload_during_startup": Works(False, effects.times_loaded, (2, 1)),
    "disable_benchmark": Works(True, benchmark, (Path("output/wan/benchmark"), None)),
    "output_dir": Works(
        "output/a",
        results,
        (("output/wan", "wan", "output/wan/validation"), ("output/a", "a", "output/a/validation")),
    ),
    "lora_type": Works("lycoris", trained, (("Lora", 96), ("Lycoris", 96)), {"lycoris_config": LOHA}),
    "lycoris_config": Inert(
        "is not used: lora_type is standard",
        Works(LOKR, trained_kinds, ({"hada"}, {"lokr"}), {"lora_type": "lycoris", "lycoris_config": LOHA}),
    ),
    "max_train_steps": Works(7, lambda run: run.loop.pace.total_steps, (400_000, 7)),
    # Two buckets of two clips and of one: two batches a pass.
    "num_train_epochs": Works(1, lambda run: run.loop.pace.total_steps, (400_000, 2), {"ignore_final_epochs": False}),
    "checkpointing_steps": Works(300, lambda run: run.loop.pace.checkpoint.due(1000), (True, False)),
    "checkpoints_total_limit": Works(2, effects.checkpoints_left, (5, 2), {"output_dir": "output/kept"}),
    "hub_model_id": Works(
        "mine", lambda run: effects.told_outside(run).repositories, (["wan-disney"], ["mine"]), {"report_to": None}
    ),
    "push_to_hub": Works("false", lambda run: effects.is_uploaded(run, "Results after step 1"), (True, False)),
    "push_checkpoints_to_hub": Works("false", lambda run: effects.is_uploaded(run, "Checkpoint of"), (True, False)),
    "tracker_project_name": Works(
        "mice",
        lambda run: effects.told_outside(run).tracked,
        ([("lora-training", "wan-adamW")], [("mice", "wan-adamW")]),
    ),
    "tracker_run_name": Works(
        "mouse",
        lambda run: effects.told_outside(run).tracked,
        ([("lora-training", "wan-adamW")], [("lora-training", "mouse")]),
    ),
    "report_to": Works("csv", lambda run: len(effects.told_outside(run).tracked), (1, 0)),
    "model_type": Works("full", lambda run: trained(run)[0], ("Lora", "FullModel")),
    "pretrained_model_name_or_path": Works(
        "models/other",
        base_parts,
        (
            ["tiny/transformer", "tiny/vae", "tiny/scheduler"],
            ["other/transformer", "other/vae", "other/scheduler"],
        ),
    ),
    "pretrained_t5_model_name_or_path": Works(
        "models/other",
        text_parts,
        (["tiny/text_encoder", "tiny/tokenizer"], ["other/text_encoder", "other/tokenizer"]),
    ),
    "model_family": OneValue("flux", "wan", lambda run: type(run.family).__name__, "Wan"),
    "train_batch_size": Works(1, lambda run: max(batch.size for batch in run.loop.read_batches(0, 2)), (2, 1)),
    "gradient_checkpointing": Works(False, effects.passes_of_a_block, (2, 1)),
    "gradient_accumulation_steps": Works(
        2, lambda run: (run.loop.pace.accumulation, run.plan.epochs), ((1, 200_000.0), (2, 400_000.0))
    ),
    "caption_dropout_probability": Works(0, effects.is_any_caption_dropped, (True, False)),
    "resolution_type": Inert(
        OWN_SIZE,
        Works(
            "pixel",
            effects.buckets,
            ({"128x64x17", "96x96x17"}, {"160x96x17", "96x96x17"}),
            clips={"resolution_type": None},
        ),
    ),
    "resolution": Inert(
        OWN_SIZE,
        Works(
            128,
            effects.buckets,
            ({"640x352x17", "480x480x17"}, {"160x96x17", "128x128x17"}),
            clips={"resolution": None},
        ),
    ),
    "validation_seed": Works(7, lambda run: run.request.seed, (42, 7)),
    "validation_steps": Works(30, lambda run: run.loop.pace.render.due(100), (True, False)),
    "validation_resolution": Works(
        "480x832", lambda run: (run.request.width, run.request.height), ((832, 480), (480, 832))
    ),
    "validation_prompt": Works("a mouse", lambda run: run.request.prompt.tolist()),
    "validation_negative_prompt": Works("a duck", lambda run: run.request.negative.tolist()),
    "validation_guidance": Works(4, lambda run: run.request.guidance, (5.2, 4.0)),
    "validation_num_inference_steps": Works(12, lambda run: run.request.steps, (40, 12)),
    "validation_num_video_frames": Works(17, lambda run: run.request.frames, (81, 17)),
    "mixed_precision": Works("no", effects.number_type, (torch.bfloat16, torch.float32)),
    "optimizer": Works("torch-adamw", optimizer, (("optimi", "Lion"), ("torch", "AdamW"))),
    "learning_rate": Works(1e-4, first_rate, ((5e-5, 5e-5), (1e-4, 1e-4))),
    "max_grad_norm": Works(
        1.0, effects.clipped, (pytest.approx([0.01, 0.004], rel=1e-6), pytest.approx([1.0, 0.004], rel=1e-6))
    ),
    # The norm of (3, 0.004) is 3.0000027, so scaling it to 0.01 divides both by 300.
    "grad_clip_method": Works(
        "norm", effects.clipped, (pytest.approx([0.01, 0.004], rel=1e-6), pytest.approx([0.01, 0.004 / 300], rel=1e-4))
    ),
    "lr_scheduler": Works("linear", first_rate, ((5e-5, 5e-5), (5e-5, pytest.approx(5e-5 / 400_000)))),
    "lr_warmup_steps": Works(100, first_rate, ((5e-5, 5e-5), (5e-5, pytest.approx(5e-7)))),
    # Eight layers of attention and two of feed-forward in each of the twelve blocks.
    "base_model_precision": Works("int8-quanto", effects.quantized_layers, (0, 120)),
    # Two clips share a bucket, the third has one of its own.
    "vae_batch_size": Works(2, effects.clips_at_a_time, ([1, 1, 1], [2, 1])),
    "webhook_config": Works(None, lambda run: set(effects.told_outside(run).posts), ({WEBHOOK}, set())),
    "compress_disk_cache": Works(False, suffixes, ({".zst"}, {".safetensors"})),
    "use_ema": Works(False, lambda run: run.loop.state.ema is not None, (True, False)),
    "ema_validation": Works("comparison", shown, (("ema", ("ema",)), ("raw", ("raw", "ema")))),
    "ema_update_interval": Works(1, effects.does_the_average_follow_the_first_step, (False, True)),
    "delete_problematic_images": Works(
        "false",
        effects.is_quarantine_kept,
        (True, False),
        {"output_dir": "output/damaged"},
        {"instance_data_dir": "datasets/damaged"},
    ),
    "disable_bucket_pruning": Works(False, effects.clips_used, (3, 2)),
    "validation_guidance_skip_layers": Works([2, 3], lambda run: skip_layers(run).layers, ((9,), (2, 3))),
    "validation_guidance_skip_layers_start": Works(0.5, lambda run: skip_layers(run).start, (0.0, 0.5)),
    "validation_guidance_skip_layers_stop": Works(0.5, lambda run: skip_layers(run).stop, (1.0, 0.5)),
    "lora_rank": Works(
        4, lambda run: {min(tensor.shape) for tensor in run.loop.state.trained.trainable().values()}, ({16}, {4})
    ),
    "flow_schedule_shift": Works(1, effects.noise_levels),
    "validation_prompt_library": Works(True, videos, (1, 1 + len(BUILT_IN))),
    "ignore_final_epochs": Inert(
        "num_train_epochs is 0",
        Works(False, lambda run: run.loop.pace.total_steps, (400_000, 2), {"num_train_epochs": 1}),
    ),
}
"""By key of the quickstart's configuration."""

TREAD = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]}
MEASURED = {"eval_steps_interval": 100}

ELSEWHERE: Mapping[str, tuple[Any, Works | Inert | OneValue]] = {
    # 128x64x17 has 5 x 4 x 8 tokens, half of which go around blocks 2 to 10.
    "tread_config": (TREAD, Works(None, effects.tokens_kept, ([(2, 10, 80)], []))),
    "user_prompt_library": ("config/user_prompt_library.json", Works(None, videos, (2, 1))),
    "eval_steps_interval": (100, Works(0, measured, ((100, 28, 3), None))),
    "eval_timesteps": (28, Works(5, measured, ((100, 28, 3), (100, 5, 3)), MEASURED)),
    "num_eval_images": (4, Works(1, measured, ((100, 28, 3), (100, 28, 1)), MEASURED)),
    "evaluation_type": ("clip", Inert("scores by CLIP judge pictures")),
    "flow_schedule_auto_shift": (True, Works(False, effects.noise_levels)),
    "text_encoder_1_precision": ("no_change", Works("int8-quanto", lambda run: run.family.text_fingerprint())),
    "text_encoder_2_precision": ("no_change", Inert("one text encoder")),
    "base_model_default_dtype": (
        "bf16",
        Inert(
            "base_model_precision is no_change",
            Works("fp32", effects.number_type, (torch.bfloat16, torch.float32), INT8),
        ),
    ),
    "validation_noise_scheduler": (
        "unipc",
        Works("euler", lambda run: run.request.noise_scheduler, ("unipc", "euler")),
    ),
    "sageattention_usage": (
        "inference",
        OneValue("training", "has no backward pass", effects.attention_of_videos, "sage"),
    ),
    "pretrained_transformer_model_name_or_path": (
        "models/other",
        Works(None, lambda run: base_parts(run)[0], ("other/transformer", "tiny/transformer")),
    ),
    "pretrained_transformer_name_or_path": (
        "models/other",
        Works(None, lambda run: base_parts(run)[0], ("other/transformer", "tiny/transformer")),
    ),
    "pretrained_transformer_subfolder": (
        "none",
        Inert(
            "pretrained_transformer_model_name_or_path is not set",
            Works(
                "finetuned",
                lambda run: base_parts(run)[0],
                ("other", "other/finetuned"),
                {"pretrained_transformer_model_name_or_path": "models/other"},
            ),
        ),
    ),
    "pretrained_vae_model_name_or_path": (
        "models/other",
        Works(None, lambda run: base_parts(run)[1], ("other/vae", "tiny/vae")),
    ),
    "masked_loss_probability": (0.5, Inert("no dataset names masks with conditioning_data")),
}
"""By key of the page's other snippets: the page's value, or one like it, and the check."""


@pytest.fixture(scope="module")
def quickstart(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    with quickstart_in(tmp_path_factory.mktemp("every-key"), tiny_model) as quickstart:
        yield quickstart


def test_no_key_of_the_configuration_is_forgotten() -> None:
    assert CHECKS.keys() == GIVEN.keys()
    assert len(GIVEN) == 63


def test_no_key_of_the_snippets_is_forgotten() -> None:
    rows = [row for snippet in SNIPPETS for row in snippet.rows if row.place == "configuration"]
    keys = {name.removeprefix("--") for row in rows for name in row.given}
    assert keys - GIVEN.keys() == ELSEWHERE.keys()


@pytest.mark.parametrize("key", CHECKS)
def test_a_key_makes_a_difference_or_is_reported(quickstart: Quickstart, key: str) -> None:
    confirm(quickstart, key, GIVEN[key], CHECKS[key])


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_key_of_a_snippet_makes_a_difference_or_is_reported(quickstart: Quickstart, key: str) -> None:
    confirm(quickstart, key, *ELSEWHERE[key])


def test_no_key_is_inert_but_those_that_say_so(quickstart: Quickstart) -> None:
    said = inert(quickstart.load({}, {}))
    assert said.keys() & GIVEN.keys() == {key for key, check in CHECKS.items() if isinstance(check, Inert)}


def confirm(quickstart: Quickstart, key: str, own: Any, check: Works | Inert | OneValue) -> None:
    # Where the file has the value itself, nothing is added to it.
    as_given = {} if key in GIVEN else {key: own}
    if isinstance(check, Works):
        confirm_works(quickstart, key, as_given, check)
    elif isinstance(check, Inert):
        assert check.reason in inert(quickstart.load(as_given, {}))[key]
        if check.then:
            assert key not in inert(quickstart.load({**as_given, **check.then.beside}, check.then.clips))
            confirm_works(quickstart, key, as_given, check.then)
    else:
        assert check.observe(quickstart.run(as_given, {})) == check.gives
        assert check.reason in refusal(quickstart, key, check.other)


def confirm_works(quickstart: Quickstart, key: str, as_given: Mapping[str, Any], check: Works) -> None:
    own = check.observe(quickstart.run({**as_given, **check.beside}, check.clips))
    other = check.observe(quickstart.run({**as_given, **check.beside, key: check.other}, check.clips))
    if check.gives is None:
        assert own != other
    else:
        assert own == check.gives[0]
        assert other == check.gives[1]


def inert(loaded: Loaded) -> dict[str, str]:
    """Return what the loader says has no effect, with the reasons."""
    return {note.about: note.text for note in loaded.notes if note.kind == "inert" or note.about == "lycoris_config"}


def refusal(quickstart: Quickstart, key: str, value: Any) -> str:
    """Return why a value is not taken, or has no effect."""
    try:
        return inert(quickstart.load({key: value}, {}))[key]
    except ConfigError as error:
        return str(error)
