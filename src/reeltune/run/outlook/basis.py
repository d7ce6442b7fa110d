"""What every part of the outlook is worked out from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset
from reeltune.config.root import Config
from reeltune.contracts.clip import Bucket, Manifest, samples_of
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.contracts.outlook import Mean
from reeltune.data.sampler import Group
from reeltune.estimate.adapters import lycoris_parameters
from reeltune.estimate.flops import Recomputation, TrainedPart
from reeltune.estimate.parameters import lora_parameters, parameters
from reeltune.routing.plan import Segment, tokens_per_block
from reeltune.run.plan import Plan, make_order, plain, segments_of
from reeltune.run.rendering_plan import RenderingPlan
from reeltune.run.trained_layers import lycoris_among, trained_among


@dataclass(frozen=True)
class Basis:
    """A run before it starts. dimensions: None when nothing on this machine tells the model's size.

    base_layers: all linear layers of the transformer; none when its size is not known.
    """

    config: Config
    datasets: Datasets
    manifest: Manifest
    plan: Plan
    rendering: RenderingPlan
    facts: Facts
    dimensions: Dimensions | None
    base_layers: tuple[LinearLayer, ...] = ()

    @cached_property
    def groups(self) -> list[Group]:
        """Return what may share a batch, with how much of it an epoch shows on average."""
        return make_order(self.config, self.datasets, samples_of(self.manifest.trained)).groups

    @cached_property
    def samples(self) -> dict[Bucket, Mean]:
        """Return how many samples of each bucket an epoch has on average, repeats counted."""
        return self._by_bucket(lambda group: group.samples)

    @property
    def priors(self) -> set[str]:
        """Return the datasets on which the base model's own answers are trained."""
        return {dataset.id for dataset in self.datasets.trained if dataset.is_regularisation_data}

    @property
    def largest(self) -> Bucket:
        """Return the bucket with the most tokens."""
        return max(self.samples, key=self.tokens)

    def tokens(self, bucket: Bucket) -> int:
        """Return the video tokens of one sample."""
        return self.facts.geometry.tokens_of(bucket)

    def batches(self, bucket: Bucket) -> Mean:
        """Return the micro-batches of an epoch, on average."""
        return self._by_bucket(lambda group: group.batches)[bucket]

    def _by_bucket(self, count: Callable[[Group], Fraction]) -> dict[Bucket, Mean]:
        counts: defaultdict[Bucket, Fraction] = defaultdict(Fraction)
        for group in self.groups:
            counts[group.bucket] += count(group)
        return {bucket: plain(number) for bucket, number in counts.items()}

    @property
    def rendered(self) -> list[Bucket]:
        """Return the shape of each video of one time, in order."""
        return [Bucket(video.width, video.height, self.rendering.frames) for video in self.rendering.videos]

    @cached_property
    def measured(self) -> tuple[ClipDataset, ...]:
        """Return the datasets of which something is held out and measured."""
        rows = self.manifest.held_out if self.config.evaluation.eval_steps_interval else ()
        names = {row.dataset_id for row in rows}
        return tuple(dataset for dataset in self.datasets.clips if dataset.id in names)

    @property
    def used_datasets(self) -> tuple[ClipDataset, ...]:
        """Return the datasets whose files are looked at: those that are trained, then those that are measured."""
        return (*self.datasets.trained, *(one for one in self.measured if isinstance(one, EvalDataset)))

    @property
    def recomputation(self) -> Recomputation:
        """Return what the backward pass computes anew."""
        return "full" if self.config.training.gradient_checkpointing else "none"

    @property
    def recomputed_every(self) -> int:
        """Return of how many blocks one is computed anew, where any is."""
        return self.config.training.gradient_checkpointing_interval

    @property
    def value_bytes(self) -> int:
        """Return the bytes of a number in activations, encoded texts, and what is not quantized."""
        return 2 if self.config.model.compute_type == "bf16" else 4

    @property
    def trained_part(self) -> TrainedPart:
        """Return whether an adapter is trained or the base itself."""
        return "full" if self.config.model.model_type == "full" else "adapter"

    @cached_property
    def layers(self) -> tuple[LinearLayer, ...]:
        """Return the linear layers that are trained, or that an adapter sits on; none when they are not known."""
        return trained_among(self.config, self.base_layers, self.facts)

    @cached_property
    def trained_parameters(self) -> int | None:
        """Return how many weights are trained; None when the model's size is not known."""
        if self.dimensions is None:
            return None
        if self.trained_part == "full":
            return parameters(self.dimensions)
        adapter = self.config.adapter
        if adapter.lora_type == "lycoris":
            return lycoris_parameters(lycoris_among(self.config, self.base_layers, self.facts))
        return lora_parameters(self.layers, rank=adapter.lora_rank, lengths=adapter.use_dora)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Return the routes; none when tokens are not routed, or the model's depth is not known."""
        return segments_of(self.config, self.dimensions.layers) if self.dimensions else ()

    def tokens_by_block(self, bucket: Bucket) -> tuple[int, ...]:
        """Return the video tokens of one sample that each block works on. The model's size must be known."""
        assert self.dimensions
        return tokens_per_block(self.segments, self.dimensions.layers, self.tokens(bucket))
