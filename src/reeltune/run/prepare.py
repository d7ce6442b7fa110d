"""From a manifest to filled caches: each caption and clip is encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reeltune.cache.fill import LatentEntry, fill_latents, fill_text
from reeltune.cache.keys import ContentFingerprints, digest_of, latent_key
from reeltune.cache.store import TensorStore
from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, ManifestRow, Sample, samples_of
from reeltune.contracts.family import Family
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.progress import Track
from reeltune.data.batches import Item, Stored
from reeltune.data.manifest import require_usable
from reeltune.estimate.disk import latent_entry_bytes
from reeltune.run.preflight import require_room, require_writable
from reeltune.run.rendering_plan import prompts_to_encode


@dataclass(frozen=True)
class Prepared:
    """Everything that the loop reads: what became of each file, items by their cached clips, the encoded prompts.

    items, held_out: in the order of the used rows of the manifest.
    """

    manifest: Manifest
    items: tuple[Item, ...]
    held_out: tuple[Item, ...]
    text: TensorStore
    prompt_keys: dict[str, str]

    @property
    def samples(self) -> list[Sample]:
        """Return what is trained, in the order of the items."""
        return samples_of(self.manifest.trained)

    @property
    def fingerprint(self) -> str:
        """Name the data by its encoded clips and captions, in order."""
        return digest_of([[item.latent_key, *item.caption_keys] for item in self.items])


def fill_caches(
    config: Config,
    datasets: Datasets,
    manifest: Manifest,
    *,
    family: Family,
    device: torch.device,
    track: Track,
) -> Prepared:
    """Encode every caption and clip that is not encoded yet: first the text encoder is in memory, then the autoencoder.

    A clip that turns out to be damaged is left out, and its row says so. Raises ShortageError before encoding when a
    cache folder cannot be written or its disk is too small; DataError when no clip is left.
    """
    compress = config.data.compress_disk_cache
    samples = samples_of(manifest.rows)
    text = TensorStore(Path(datasets.text.cache_dir).expanduser(), compress)
    require_writable(text.folder, "cache_dir of the text embeds")
    stores = {one.id: TensorStore(Path(one.cache_dir_vae).expanduser(), compress) for one in datasets.clips}
    entries = _latent_entries(stores, samples, family.video_fingerprint(), track)
    _require_room(entries, family.facts.geometry)
    prompt_keys = fill_text(_prompts(config, samples), text, family=family, device=device, track=track)
    refused = fill_latents(entries, family=family, device=device, track=track)
    trained = tuple(_without(row, refused) for row in manifest.trained)
    held_out = tuple(_without(row, refused) for row in manifest.held_out)
    require_usable(trained)
    # One file may be in several datasets, so entries are told apart by their place: trained ones first.
    usable = [_item(entry, prompt_keys) if entry.sample.file.path not in refused else None for entry in entries]
    count = len(samples_of(manifest.trained))
    return Prepared(
        Manifest(trained, held_out),
        items=tuple(filter(None, usable[:count])),
        held_out=tuple(filter(None, usable[count:])),
        text=text,
        prompt_keys=prompt_keys,
    )


def _without(row: ManifestRow, refused: Mapping[Path, str]) -> ManifestRow:
    return replace(row, sample=None, reason=refused[row.path]) if row.path in refused else row


def _prompts(config: Config, samples: Sequence[Sample]) -> list[str]:
    """Return every text that the run will need: captions, the empty one, and those of the validation videos."""
    return ["", *prompts_to_encode(config), *(caption for sample in samples for caption in sample.captions)]


def _latent_entries(
    stores: Mapping[str, TensorStore], samples: Sequence[Sample], encoder: str, track: Track
) -> list[LatentEntry]:
    """Return where each sample's encoding lies, in the order of the samples. stores: by dataset."""
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
    missing = [entry for entry in entries if not entry.store.has_file(entry.key)]
    for store in {entry.store for entry in missing}:
        shapes = [geometry.shape_of(entry.sample.placement.bucket) for entry in missing if entry.store == store]
        require_room(store.folder, sum(map(latent_entry_bytes, shapes)), "the encoded clips")


def _item(entry: LatentEntry, prompt_keys: dict[str, str]) -> Item:
    return Item(
        id=entry.sample.id,
        bucket=entry.sample.placement.bucket,
        latents=Stored(entry.store, entry.key),
        latent_key=entry.key,
        caption_keys=tuple(prompt_keys[caption] for caption in entry.sample.captions),
    )
