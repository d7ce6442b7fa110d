"""Where each sample's encoding lies, and how the loop will read it: from the cache, or made when it is trained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reeltune.cache.contents import ContentFingerprints
from reeltune.cache.keys import latent_key
from reeltune.cache.latents import LatentEntry, Refused
from reeltune.cache.masks import FreshMask, MaskEntry
from reeltune.cache.ondemand import Encoder, FreshEachEpoch, OnDemand
from reeltune.cache.store import TensorStore
from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset, shows_random_parts
from reeltune.config.root import Config
from reeltune.contracts.clip import FileRef, Placement, Sample
from reeltune.contracts.facts import Facts
from reeltune.contracts.progress import Track
from reeltune.data.batches import Item, LatentReader, Stored
from reeltune.data.placement import Rules, place
from reeltune.data.sources import open_source
from reeltune.errors import UnreadableFile
from reeltune.randomness import Draws
from reeltune.run.mask_entries import SampleName, name_of
from reeltune.run.rules import rules_of

_READERS = 4
"""Files whose bytes are read at once."""


@dataclass(frozen=True)
class ClipCache:
    """The encoded clips of one dataset. rules, draws: place its clips anew where each epoch shows other parts."""

    dataset: ClipDataset
    store: TensorStore
    fetch: Callable[[FileRef], Path]
    batch_size: int
    rules: Rules
    draws: Draws
    on_demand: bool

    @property
    def is_redrawn(self) -> bool:
        """Tell whether each epoch shows other parts of the clips."""
        dataset = self.dataset
        if isinstance(dataset, EvalDataset) or not dataset.vae_cache_clear_each_epoch:
            return False
        return shows_random_parts(dataset)

    @property
    def is_prior(self) -> bool:
        """Tell whether the base model's own answers are trained on these clips."""
        return not isinstance(self.dataset, EvalDataset) and self.dataset.is_regularisation_data

    @property
    def sigma_offset(self) -> float:
        """Return what is added to the logit of the noise levels that these clips are trained at."""
        return 0.0 if isinstance(self.dataset, EvalDataset) else self.dataset.timestep_sampling_offset

    def fills_ahead(self, sample: Sample) -> bool:
        """Tell whether a sample is encoded before training, as all are that are measured."""
        return sample.held_out or not (self.on_demand or self.is_redrawn)


def clip_caches(config: Config, datasets: Datasets, facts: Facts) -> dict[str, ClipCache]:
    """Return the cache of each dataset of clips, by the dataset's id."""
    options = config.data
    return {
        dataset.id: ClipCache(
            dataset,
            TensorStore(dataset.cache_folder, options.compress_disk_cache),
            open_source(dataset).fetch,
            dataset.vae_batch_size or options.vae_batch_size,
            rules_of(dataset, config, facts),
            Draws(config.training.seed),
            # What is measured is measured before the first step, and again and again.
            on_demand=options.vae_cache_ondemand and not isinstance(dataset, EvalDataset),
        )
        for dataset in datasets.clips
    }


def entries_of(
    samples: Sequence[Sample], caches: Mapping[str, ClipCache], *, encoder: str, track: Track
) -> tuple[list[LatentEntry], dict[str, Refused]]:
    """Return where each sample's encoding lies, in order, and, by origin, the files that cannot be read.

    Files that are new are read whole, once.
    """
    folders = {name: cache.store.folder for name, cache in caches.items()}
    by_folder = {folder: ContentFingerprints(folder / "contents.json") for folder in folders.values()}
    memories = {name: by_folder[folder] for name, folder in folders.items()}
    files = {(sample.dataset_id, sample.file): sample for sample in samples}
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="contents")
    try:
        read = pool.map(lambda sample: _content(sample, memories, caches), files.values())
        contents = dict(zip(files, track(read, "fingerprinting clips", len(files), "clips"), strict=True))
    finally:
        # First: a thread that still reads would add to what is being written.
        pool.shutdown(cancel_futures=True)
        for memory in by_folder.values():
            memory.save()
    found: list[LatentEntry] = []
    refused: dict[str, Refused] = {}
    for sample in samples:
        content = contents[sample.dataset_id, sample.file]
        if isinstance(content, Refused):
            refused.setdefault(sample.file.origin, content)
            continue
        cache = caches[sample.dataset_id]
        key = latent_key(sample, content=content, encoder=encoder)
        found.append(LatentEntry(sample, key, cache.store, cache.fetch, content, cache.batch_size))
    return found, refused


@dataclass(frozen=True)
class Items:
    """How samples become what the loop reads. fingerprint: of the autoencoder. masks: of the samples that have one."""

    caches: Mapping[str, ClipCache]
    encoder: Encoder
    prompt_keys: Mapping[str, str]
    fingerprint: str
    masks: Mapping[SampleName, MaskEntry]

    def of(self, entries: Sequence[LatentEntry]) -> tuple[Item, ...]:
        """Return the samples of these entries as the loop sees them."""
        lasting = frozenset(
            entry.key for entry in entries if entry.sample.held_out or not self._cache(entry).is_redrawn
        )
        return tuple(self._item(entry, lasting) for entry in entries)

    def _item(self, entry: LatentEntry, lasting: frozenset[str]) -> Item:
        sample, cache = entry.sample, self._cache(entry)
        mask = self.masks.get(name_of(sample))
        return Item(
            id=sample.id,
            bucket=entry.bucket,
            latents=self._reader(entry, lasting),
            latent_key=entry.key,
            caption_keys=tuple(self.prompt_keys[caption] for caption in sample.captions),
            dataset_id=sample.dataset_id,
            prior=cache.is_prior,
            sigma_offset=cache.sigma_offset,
            mask=_mask_reader(mask, cache) if mask else None,
            mask_key=mask.key if mask else "",
        )

    def _cache(self, entry: LatentEntry) -> ClipCache:
        return self.caches[entry.sample.dataset_id]

    def _reader(self, entry: LatentEntry, lasting: Collection[str]) -> LatentReader:
        """Return how the loop reads a sample. lasting: keys that are not to be removed."""
        cache = self._cache(entry)
        if entry.sample.held_out:
            return Stored(entry.store, entry.key)
        if cache.is_redrawn:
            draw = partial(_placed, entry.sample, cache)
            return FreshEachEpoch(entry, self.encoder, draw, partial(_key_of, entry, self.fingerprint), lasting)
        return OnDemand(entry, self.encoder) if cache.on_demand else Stored(entry.store, entry.key)


def _mask_reader(mask: MaskEntry, cache: ClipCache) -> LatentReader:
    """Return how the loop reads a mask: where the clip is cut anew in each epoch, its mask is, in the same way."""
    if cache.is_redrawn:
        return FreshMask(mask.sample, partial(_placed, mask.sample, cache), mask.geometry)
    return Stored(mask.store, mask.key)


def _placed(sample: Sample, cache: ClipCache, epoch: int) -> Placement:
    placements = place(sample.info, cache.rules, draws=cache.draws, name=sample.file.name, epoch=epoch)
    # Another epoch changes neither whether a clip is admitted nor how many windows it has.
    assert not isinstance(placements, str), placements
    return placements[sample.window]


def _key_of(entry: LatentEntry, fingerprint: str, placement: Placement) -> str:
    return latent_key(replace(entry.sample, placement=placement), content=entry.content, encoder=fingerprint)


def _content(
    sample: Sample, memories: Mapping[str, ContentFingerprints], caches: Mapping[str, ClipCache]
) -> str | Refused:
    try:
        return memories[sample.dataset_id].of(sample.file, caches[sample.dataset_id].fetch)
    except UnreadableFile as error:
        return Refused(sample, error.reason, lasting=False)
    except OSError as error:
        return Refused(sample, f"{error.strerror or error}; give read permission, or start again", lasting=False)
