"""What a run will do and what it will take, worked out before it starts: the page that `plan` shows. No torch.

Every number is derived from options, clips and arithmetic; nothing is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.contracts.notes import Note

Mean = int | float
"""A number of things on average: whole wherever it is."""


@dataclass(frozen=True)
class Component:
    """A part of the base model. state: `here`, `in the hub's cache`, or `to be fetched`."""

    name: str
    source: str
    state: str


@dataclass(frozen=True)
class Trained:
    """What is trained on what. base_parameters is None when the base's size is not known yet.

    layers, where: the linear layers that an adapter sits on, counted and in words.
    """

    kind: str
    layers: int | None
    parameters: int | None
    base: str
    base_parameters: int | None
    precision: str
    quantized: str
    optimizer: str
    average: str
    where: str = ""


@dataclass(frozen=True)
class LeftOut:
    """Files that are left out for one reason. example: the first of them, with its own reason in full."""

    count: int
    reason: str
    example: str


@dataclass(frozen=True)
class DatasetOutlook:
    """What becomes of a dataset's files. windows: samples that the used files give.

    rates: how clips are brought to the training rate, one sentence for each way.
    """

    id: str
    folder: str
    held_out: bool
    found: int
    used: int
    windows: int
    repeats: int
    captions: int
    left_out: tuple[LeftOut, ...]
    rates: tuple[str, ...]


@dataclass(frozen=True)
class BucketOutlook:
    """One shape that is trained. samples, batches: of an epoch, on average, repeats counted. tokens: of one sample."""

    width: int
    height: int
    frames: int
    samples: Mean
    batches: Mean
    tokens: int


@dataclass(frozen=True)
class DatasetShare:
    """Which part of the steps is of a dataset."""

    id: str
    share: float


@dataclass(frozen=True)
class Length:
    """How long the run is. ended_by: the option that ends it. done: steps that a checkpoint holds already.

    samples, batches_per_epoch: of an epoch, on average. shares: where there are several datasets. is_even: whether an
    epoch is one whole pass over each of them.
    """

    total_steps: int
    ended_by: str
    done: int
    samples: Mean
    batch_size: int
    accumulation: int
    batches_per_epoch: Mean
    epochs: float
    checkpoints: int
    shares: tuple[DatasetShare, ...] = ()
    is_even: bool = True


@dataclass(frozen=True)
class Rate:
    """The learning rate after a share of the run, in percent."""

    percent: int
    step: int
    rate: float


@dataclass(frozen=True)
class RateCurve:
    """values: evenly spread over the run, for a picture. name: with what is worth knowing about its course."""

    name: str
    rates: tuple[Rate, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class NoiseLevels:
    """How often which noise level is trained. density: from clean to noise, evenly spread, with a mean of 1.

    shift: in training. median: of the noise level. rendered_shift: of the videos, in words. drawn: from which density
    and how, in words. offsets: of single datasets, in words. loss: in words where it is not the plain square.
    """

    shift: str
    median: float
    density: tuple[float, ...]
    rendered_shift: str
    drawn: str = ""
    offsets: str = ""
    loss: str = ""


@dataclass(frozen=True)
class Routed:
    """Blocks `first` to `last`, both included, that see `tokens` tokens of the largest bucket's."""

    first: int
    last: int
    tokens: int


@dataclass(frozen=True)
class Routing:
    """Token routing. saving: share of a step's operations that is left out."""

    segments: tuple[Routed, ...]
    all_tokens: int
    saving: float


@dataclass(frozen=True)
class StepBound:
    """The least times on a GPU: of a step, of the videos of one time, of one measurement, and of the whole run."""

    gpu: str
    step_s: float
    renders_s: float
    evaluation_s: float
    run_s: float


@dataclass(frozen=True)
class Cost:
    """tflop: operations of one optimizer step, mean over the buckets, recomputation included; of one time of videos;
    of one measurement of the held-out clips.

    render_share: of the time of the whole run, on the first GPU of the bounds; None without videos.
    """

    step_tflop: float
    render_tflop: float
    evaluation_tflop: float
    bounds: tuple[StepBound, ...]
    render_share: float | None


@dataclass(frozen=True)
class RenderOutlook:
    """videos: each time. times: over the whole run, the end and the base model included."""

    prompts: int
    videos: int
    times: int
    sizes: tuple[tuple[int, int], ...]
    frames: int
    steps: int
    scheduler: str


@dataclass(frozen=True)
class EvaluationOutlook:
    """The loss on held-out clips. clips: that are measured of all these datasets. held_out: files that are held out.

    pooled: whether all are measured as one dataset. levels: of noise, at which each clip is measured.
    passes: through the transformer, each time. times: over the whole run, the start and the end included.
    """

    datasets: tuple[str, ...]
    clips: int
    held_out: int
    pooled: bool
    levels: int
    passes: int
    times: int


@dataclass(frozen=True)
class DiskNeed:
    """need_bytes: what is still to be written below a folder. free_bytes: on its disk. option: names the folder."""

    what: str
    folder: str
    need_bytes: int
    free_bytes: int
    option: str


@dataclass(frozen=True)
class MemoryNeed:
    """GPU memory at one stage, and what it is made of. less_with: options that would make it less, in words."""

    stage: str
    need_bytes: int
    parts: tuple[tuple[str, int], ...]
    less_with: str


@dataclass(frozen=True)
class Card:
    """The GPU that the run would use."""

    name: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Outlook:
    """The whole page. Parts that cannot be known yet, or that the run does not have, are None."""

    run: str
    components: tuple[Component, ...]
    trained: Trained
    datasets: tuple[DatasetOutlook, ...]
    buckets: tuple[BucketOutlook, ...]
    length: Length
    rates: RateCurve
    noise: NoiseLevels
    routing: Routing | None
    cost: Cost | None
    renders: RenderOutlook | None
    evaluation: EvaluationOutlook | None
    disk: tuple[DiskNeed, ...]
    memory: tuple[MemoryNeed, ...]
    card: Card | None
    notes: tuple[Note, ...]
