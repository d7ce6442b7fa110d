"""A family of models that is two layers: proof that the loop needs nothing of Wan, and a loop in milliseconds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.clip import Bucket
from reeltune.contracts.events import Event, EventSink
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import RenderRequest
from reeltune.contracts.geometry import LatentGeometry
from reeltune.objective.flow import FlowMatching
from reeltune.randomness import Draws
from reeltune.tensor_files import save_tensors
from reeltune.train.audience import Audience
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.clipping import clipping
from reeltune.train.ema import Ema
from reeltune.train.loop import Keeping, Loop, Pace
from reeltune.train.optimizers import build_optimizer
from reeltune.train.render import NamedRequest, Renders
from reeltune.train.results import Results
from reeltune.train.schedule import Every, Schedule
from reeltune.train.shown import by_file
from reeltune.train.state import TrainState

BUCKET = Bucket(width=32, height=32, frames=5)


class ToyTransformer(nn.Module):
    """Mixes channels, adds the text, and knows the noise level."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(4, 8)
        self.outward = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        hidden = self.inward(x.movedim(1, -1)) + text.mean((1, 2)).view(-1, 1, 1, 1, 1)
        return self.outward(torch.tanh(hidden * (1 + sigma.view(-1, 1, 1, 1, 1)))).movedim(-1, 1)


@dataclass
class Toy:
    """The toy family. fail_render: what its renderer raises."""

    fail_render: Exception | None = None
    facts: Facts = field(
        default_factory=lambda: Facts(LatentGeometry(4, 8, 4, (1, 2, 2)), 16.0, 8, ("inward", "outward"), (), "layers")
    )

    def text_fingerprint(self) -> str:
        return "toy text"

    def name_in_release(self, name: str) -> str:
        return name

    def write_pipeline(self, folder: Path, transformer: Path) -> None:
        raise NotImplementedError

    def base_fingerprint(self) -> str:
        return "toy base"

    def video_fingerprint(self) -> str:
        return "toy video"

    def rounding_error(self, transformer: nn.Module, device: torch.device) -> float | None:
        return None

    def text_encoder(self, device: torch.device) -> Any:
        raise NotImplementedError

    def video_encoder(self, device: torch.device) -> Any:
        raise NotImplementedError

    def video_decoder(self, device: torch.device) -> Any:
        raise NotImplementedError

    def load_transformer(self, device: torch.device) -> nn.Module:
        torch.manual_seed(1)
        return ToyTransformer().requires_grad_(False).to(device)

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> torch.Tensor:
        return transformer(noised.x_t, noised.sigma, batch.text)

    @contextmanager
    def renderer(self, transformer: nn.Module, device: torch.device):
        def render(request: RenderRequest, adapter: Path | None) -> np.ndarray:
            torch.rand(3)  # a renderer that uses up randomness must not change training
            if self.fail_render:
                raise self.fail_render
            return np.zeros((5, 32, 32, 3), np.uint8)

        yield render


@dataclass(frozen=True)
class ToyPublisher:
    """Writes the trained tensors as they are, twice."""

    lora: Lora

    def write(self, folder: Path, run_name: str, *, step: int) -> None:
        for place in self.places(run_name):
            save_tensors(folder / place, {name: tensor.detach() for name, tensor in self.lora.trainable().items()})

    def prove(self, scratch: Path) -> None: ...

    def places(self, run_name: str) -> tuple[Path, ...]:
        return (Path("pytorch_lora_weights.safetensors"), Path("comfyui") / f"{run_name}.safetensors")

    def write_main(self, folder: Path, step: int) -> Path:
        self.write(folder, "shown", step=step)
        return folder / self.places("shown")[0]


@dataclass
class Ears:
    """Remembers all it hears."""

    heard: list[Event] = field(default_factory=list)
    closed: bool = False

    def receive(self, event: Event) -> None:
        self.heard.append(event)

    def close(self) -> None:
        self.closed = True

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


def toy_batch(position: int, *, size: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(position)
    return Batch(
        latents=torch.randn(size, 4, 2, 4, 4, generator=generator),
        text=torch.randn(size, 3, 6, generator=generator),
        ids=tuple(f"clip-{position}-{index}" for index in range(size)),
        bucket=BUCKET,
    )


def toy_batches(start: int, end: int) -> Generator[Batch, None, None]:
    for position in range(start, end):
        yield toy_batch(position)


def toy_loop(
    folder: Path,
    *,
    family: Toy | None = None,
    steps: int = 6,
    accumulation: int = 1,
    checkpoint_every: int = 2,
    render_every: int = 0,
    dropout: float = 0.25,
    sinks: Sequence[EventSink] = (),
    **changes: Any,
) -> Loop:
    """Return a loop over toy parts; `changes` replaces fields of it."""
    family = family or Toy()
    transformer = family.load_transformer(torch.device("cpu"))
    options = AdapterOptions(lora_rank=2, lora_dropout=dropout)
    lora = attach_lora(transformer.train(), options, family.facts.adapter_targets, seed=0)
    optimizer = build_optimizer("optimi-lion", list(lora.trainable().values()), learning_rate=1e-2)
    draws = Draws(0)
    state = TrainState(lora, optimizer, Ema(lora.trainable(), decay=0.9, interval=1))
    parts: dict[str, Any] = {
        "pace": Pace(steps, 2, accumulation, Every(checkpoint_every), Every(render_every)),
        "family": family,
        "transformer": transformer,
        "state": state,
        "objective": FlowMatching(draws),
        "read_batches": toy_batches,
        "schedule": Schedule("cosine", peak=1e-2, end=1e-4, warmup=2, total=steps),
        "clip": clipping("value", 0.5),
        "draws": draws,
        "keeping": Keeping(Checkpoints(folder, 10), Results("toy", "raw", ToyPublisher(lora)), {}),
        "renders": toy_renders(folder, family, transformer, state) if render_every else None,
        "device": torch.device("cpu"),
        "audience": Audience(sinks),
    }
    return Loop(**(parts | changes))


def toy_renders(folder: Path, family: Toy, transformer: nn.Module, state: TrainState) -> Renders:
    assert isinstance(state.trained, Lora)
    text = torch.zeros(1, 6)
    request = RenderRequest(text, text, 32, 32, 5, 1, 1.0, 0, None)
    return Renders(
        folder / "validation",
        [NamedRequest("a/b:c", request)],
        ("raw", "ema"),
        16.0,
        by_file(state, ToyPublisher(state.trained).write_main, scratch=folder),
        lambda: family.renderer(transformer, torch.device("cpu")),
    )
