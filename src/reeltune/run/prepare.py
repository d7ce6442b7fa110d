"""From datasets to a manifest, and from a manifest to filled caches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from reeltune.cache.fill import LatentEntry, fill_latents, fill_text
from reeltune.cache.keys import ContentFingerprints, digest_of, latent_key
from reeltune.cache.store import TensorStore
from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, Sample, samples_of
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import Family
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.progress import Track
from reeltune.data.batches import Item
from reeltune.data.manifest import require_usable
from reeltune.data.scan import scan
from reeltune.run.plan import minimum_size_of, sizing_of
from reeltune.run.preflight import require_room, require_writable

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Prepared:
    """Everything that the loop reads: what became of each file, items by their cached clips, the encoded prompts.

    items: in the order of the used rows.
    """

    rows: tuple[ManifestRow, ...]
    items: tuple[Item, ...]
    text: TensorStore
    prompt_keys: dict[str, str]

    @property
    def samples(self) -> list[Sample]:
        return samples_of(self.rows)

    @property
    def fingerprint(self) -> str:
        """Name the data by its encoded clips and captions, in order."""
        return digest_of([[item.latent_key, *item.caption_keys] for item in self.items])


def make_manifest(config: Config, datasets: Datasets, facts: Facts, track: Track) -> tuple[ManifestRow, ...]:
    """Look at every file of every dataset. Raises DataError when nothing can be trained."""
    rows = [
        row
        for dataset in datasets.videos
        for row in scan(
            dataset,
            sizing=sizing_of(dataset, config),
            minimum_image_size=minimum_size_of(dataset, config),
            geometry=facts.geometry,
            model_fps=facts.fps,
            track=track,
        )
    ]
    require_usable(rows)
    return tuple(rows)


def fill_caches(
    config: Config,
    datasets: Datasets,
    rows: Sequence[ManifestRow],
    *,
    family: Family,
    device: torch.device,
    track: Track,
) -> Prepared:
    """Encode every caption and clip that is not encoded yet: first the text encoder is in memory, then the autoencoder.

    A clip that turns out to be damaged is left out, and its row says so. Raises ShortageError before encoding when a
    cache folder cannot be written or its disk is too small; DataError when no clip is left.
    """
    samples = samples_of(rows)
    text = TensorStore(Path(datasets.text.cache_dir).expanduser())
    require_writable(text.folder, "cache_dir of the text embeds")
    entries = _latent_entries(datasets, samples, family.video_fingerprint(), track)
    _require_room(entries, family.facts.geometry)
    prompt_keys = fill_text(_prompts(config, samples), text, family=family, device=device, track=track)
    refused = fill_latents(entries, family=family, device=device, track=track)
    rows = tuple(_without(row, refused) for row in rows)
    require_usable(rows)
    items = tuple(_item(entry, prompt_keys) for entry in entries if entry.sample.file.path not in refused)
    return Prepared(rows, items, text, prompt_keys)


def _without(row: ManifestRow, refused: Mapping[Path, str]) -> ManifestRow:
    return ManifestRow(row.path, None, refused[row.path]) if row.path in refused else row


def _prompts(config: Config, samples: Sequence[Sample]) -> list[str]:
    """Return every text that the run will need: captions, the empty one, and those of the validation videos."""
    rendering = config.rendering
    captions = [caption for sample in samples for caption in sample.captions]
    if not rendering.validation_prompt:
        return ["", *captions]
    return ["", rendering.validation_prompt, rendering.validation_negative_prompt, *captions]


def _latent_entries(datasets: Datasets, samples: Sequence[Sample], encoder: str, track: Track) -> list[LatentEntry]:
    """Return where each sample's encoding lies, in the order of the samples."""
    stores = {video.id: TensorStore(Path(video.cache_dir_vae).expanduser()) for video in datasets.videos}
    contents = {name: ContentFingerprints(store.folder / "contents.json") for name, store in stores.items()}
    for name, store in stores.items():
        require_writable(store.folder, f"cache_dir_vae of {name}")
    entries = [
        LatentEntry(sample, _key_of(sample, contents[sample.dataset_id], encoder), stores[sample.dataset_id])
        for sample in track(samples, "fingerprinting clips", len(samples), "clips")
    ]
    for memory in contents.values():
        memory.save()
    return entries


def _key_of(sample: Sample, contents: ContentFingerprints, encoder: str) -> str:
    return latent_key(sample, content=contents.of(sample.file), encoder=encoder)


def _require_room(entries: Sequence[LatentEntry], geometry: LatentGeometry) -> None:
    missing = [entry for entry in entries if not entry.store.path(entry.key).exists()]
    for store in {entry.store for entry in missing}:
        size = sum(_latent_bytes(entry.sample, geometry) for entry in missing if entry.store == store)
        require_room(store.folder, size, "the encoded clips")


def _latent_bytes(sample: Sample, geometry: LatentGeometry) -> int:
    bucket = sample.placement.bucket
    shape = geometry.latent_shape(frames=bucket.frames, height=bucket.height, width=bucket.width)
    return FLOAT32_BYTES * math.prod(shape)


def _item(entry: LatentEntry, prompt_keys: dict[str, str]) -> Item:
    return Item(
        id=entry.sample.id,
        bucket=entry.sample.placement.bucket,
        latents=entry.store,
        latent_key=entry.key,
        caption_keys=tuple(prompt_keys[caption] for caption in entry.sample.captions),
    )
