"""What a run that is put together has, or does, because of one option: looked at where the option ends up."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from helpers.quickstart import CPU, Run, track
from reeltune.cache.fill import fill_latents
from reeltune.cache.store import TensorStore
from reeltune.cli.listeners import listeners
from reeltune.contracts.events import CheckpointSaved, RunFinished, RunStarted
from reeltune.data.buckets import bucket_size
from reeltune.errors import DataError
from reeltune.families import filling
from reeltune.families.quantizing import Quantizing
from reeltune.families.wan import autoencoder
from reeltune.machine import packages
from reeltune.report import hub, webhook
from reeltune.report.console import TrainingConsole
from reeltune.run import means, renders, training
from reeltune.run.assemble import checkpoints_of
from reeltune.run.clip_entries import clip_caches, entries_of
from reeltune.run.rules import sizing_of
from reeltune.train.loop import Loop
from reeltune.train.shown import in_place
from reeltune.train.state import Snapshot


def clips_used(run: Run) -> int:
    try:
        return len(run.prepared.items)
    except DataError:
        return 0


def buckets(run: Run) -> set[str]:
    return {str(sample.placement.bucket) for row in run.manifest.trained if (sample := row.sample)}


def bucket_of_every_width(run: Run) -> list[tuple[int, int]]:
    """Return the frame size of clips of 480 rows and many widths, at a resolution that tells aspects apart."""
    dataset = run.loaded.datasets.clips[0].model_copy(update={"resolution": 1000.0})
    return [bucket_size(width, 480, sizing_of(dataset, run.config)) for width in range(480, 960)]


def checkpoints_left(run: Run) -> int:
    """Return how many of seven checkpoints are kept."""
    checkpoints = checkpoints_of(run.config)
    for step in range(1, 8):
        checkpoints.save(Snapshot(step, {"raw": {"a": torch.zeros(1)}}, {}, {}), {}, lambda folder: None)
    left = len(checkpoints.steps())
    shutil.rmtree(checkpoints.folder)
    return left


def is_quarantine_kept(run: Run) -> bool:
    """Start the run with a damaged clip in it, and stop before its first step."""
    folder = run.config.reporting.run_folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "run", lambda self: None)
        training.train(run.loaded, run.means, track=track, sinks_for=lambda folder: [])
    kept = (folder / "quarantine.jsonl").exists()
    shutil.rmtree(folder)
    return kept


def times_loaded(run: Run) -> int:
    """Return how often the autoencoder is loaded when it is needed twice."""
    loaded = []

    def load_vae(folder: Path, device: torch.device, **options: Any) -> nn.Module:
        loaded.append(folder)
        return real(folder, device, **options)

    real = autoencoder.load_vae
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "load_vae", load_vae)
        for _ in range(2):
            with run.family.video_encoder(CPU):
                pass
    return len(loaded)


def place_of_quantizing(run: Run) -> str:
    """Return where the base is loaded to be quantized, on its way to another device than the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        # What has no values cannot be looked at.
        patch.setattr(filling, "require_finite", lambda name, value: None)
        patch.setattr(Quantizing, "finish", lambda self, module, layer, device: _stop_at(module.get_submodule(layer)))
        with pytest.raises(StopIteration) as stopped:
            run.family.load_transformer(torch.device("meta"))
    return stopped.value.value


def _stop_at(layer: nn.Module) -> None:
    raise StopIteration(next(layer.parameters()).device.type)


def attention_of_videos(run: Run) -> str | None:
    """Return the kernel that videos would be made with on a GPU, where its package is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renders, "lacking", lambda name: None)
        made = renders.make_renders(
            run.config,
            family=run.family,
            transformer=run.loop.transformer,
            prepared=run.prepared,
            showing=in_place(run.loop.state),
            device=torch.device("cuda"),
        )
    assert made
    return made.requests[0].request.attention


def clips_at_a_time(run: Run) -> list[int]:
    """Return how many clips each call of the autoencoder takes, largest first."""
    sizes: list[int] = []

    def encode(self: AutoencoderKLWan, frames: Tensor) -> Any:
        sizes.append(len(frames))
        return real(self, frames)

    real = AutoencoderKLWan.encode
    store = TensorStore(run.prepared.text.folder / "once-more")
    caches = clip_caches(run.config, run.loaded.datasets, run.family.facts)
    found, _ = entries_of(run.prepared.samples, caches, encoder="", track=track)
    # By name: two of the clips are the same bytes, and would be encoded once.
    entries = [replace(entry, store=store, key=entry.sample.file.path.stem) for entry in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoencoderKLWan, "encode", encode)
        fill_latents(entries, family=run.family, device=CPU, track=track)
    shutil.rmtree(store.folder)
    return sorted(sizes, reverse=True)


def passes_of_a_block(run: Run) -> int:
    """Return how often one training step asks the first block."""
    asked: list[object] = []
    block = run.loop.transformer.get_submodule("blocks.0")
    handle = block.register_forward_pre_hook(lambda *words: asked.append(words))
    batch = next(run.loop.read_batches(0, 1))
    noised = run.loop.objective.noise(batch, step=0, first_index=0)
    run.loop.objective.loss(run.family.predict(run.loop.transformer, noised, batch), noised).sum().backward()
    run.loop.state.optimizer.zero_grad()
    handle.remove()
    return len(asked)


def is_any_caption_dropped(run: Run) -> bool:
    empty = run.prepared.text.read(run.prepared.prompt_keys[""])
    return any(
        torch.equal(text[: len(empty)], empty) and not text[len(empty) :].any()
        for batch in run.loop.read_batches(0, 60)
        for text in batch.text
    )


def clipped(run: Run) -> list[float]:
    """Return what clipping leaves of a gradient of 3 and 0.004."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 0.004])
    run.loop.clip([parameter])
    return parameter.grad.tolist()


def does_the_average_follow_the_first_step(run: Run) -> bool:
    ema = copy.deepcopy(run.loop.state.ema)
    assert ema
    before = [tensor.clone() for tensor in ema.shadow.values()]
    with torch.no_grad():
        for parameter in ema._parameters.values():
            parameter += 1
    ema.update(1)
    return not all(map(torch.equal, before, ema.shadow.values()))


def randomness(run: Run) -> tuple[list[float], ...]:
    """Return where the adapter starts, and the noise levels and the noise of the first batch."""
    start = next(iter(run.loop.state.trained.trainable().values()))
    batch = next(run.loop.read_batches(0, 1))
    noised = run.loop.objective.noise(batch, step=0, first_index=0)
    return start[0].tolist(), noised.sigma.tolist(), noised.target.flatten()[:4].tolist()


def noise_levels(run: Run) -> list[float]:
    batch = next(run.loop.read_batches(0, 1))
    return run.loop.objective.noise(batch, step=0, first_index=0).sigma.tolist()


def tokens_kept(run: Run) -> list[tuple[int, int, int]]:
    """Return the first and last block of each route of the first batch, and the tokens that each sample keeps there."""
    batch = next(run.loop.read_batches(0, 1))
    kept = run.loop.objective.noise(batch, step=0, first_index=0).kept
    return [(one.first, one.last, one.ids.shape[1]) for one in kept]


def quantized_layers(run: Run) -> int:
    return sum(type(module).__name__ == "QLinear" for module in run.loop.transformer.modules())


def number_type(run: Run) -> torch.dtype:
    return run.loop.transformer.get_parameter("patch_embedding.weight").dtype


class Outside:
    """Stands in for trackers, webhooks and the hub, and remembers what reaches them."""

    def __init__(self) -> None:
        self.tracked: list[tuple[str, str]] = []
        self.repositories: list[str] = []
        self.uploads: list[str] = []
        self.posts: list[str] = []

    def post(self, address: str, body: bytes, **others: Any) -> None:
        self.posts.append(address)

    def init(self, *, project: str, name: str, **others: Any) -> Any:
        self.tracked.append((project, name))
        nothing = lambda *words, **others: None  # noqa: E731
        return SimpleNamespace(define_metric=nothing, log=nothing, finish=nothing, url="")

    def create_repo(self, name: str, **others: Any) -> Any:
        self.repositories.append(name)
        return SimpleNamespace(repo_id=f"me/{name}")

    def upload_folder(self, *, commit_message: str, **others: Any) -> None:
        self.uploads.append(commit_message)


@contextmanager
def outside() -> Iterator[Outside]:
    """Be logged in everywhere, with every tracker installed, for as long as the block lasts."""
    world = Outside()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_TOKEN", "WANDB_API_KEY"):
            patch.setenv(name, "secret")
        patch.setattr(packages, "version_of", lambda name: "99")
        patch.setitem(sys.modules, "wandb", world)
        patch.setattr(hub, "hub_client", lambda: world)
        patch.setattr(webhook, "post", world.post)
        yield world


def told_outside(run: Run) -> Outside:
    """Tell the listeners of a run of its start, a checkpoint and its end; return what reached the world."""
    folder = run.config.reporting.run_folder
    folder.mkdir(parents=True, exist_ok=True)
    with outside() as world:
        sinks = listeners(run.config, means.find_means(run.config), folder)
        heard = [sink for sink in sinks if not isinstance(sink, TrainingConsole)]
        for event in (RunStarted(0, 1), CheckpointSaved(1, folder, 0.1), RunFinished(1, stopped=False)):
            for sink in heard:
                sink.receive(event)
        for sink in heard:
            sink.close()
    return world


def is_uploaded(run: Run, opening: str) -> bool:
    return any(message.startswith(opening) for message in told_outside(run).uploads)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return what of each path follows the models' folder."""
    return [path.relative_to("models").as_posix() for path in paths]
