"""From a manifest to filled caches: each caption and clip is encoded once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.filesize import decimal

from reeltune.cache.check import Usable, check_entries, look_for_entries
from reeltune.cache.collect import contents_of
from reeltune.cache.entries import remove_stale_drafts
from reeltune.cache.fill import fill_latents, fill_text
from reeltune.cache.keys import digest_of, text_key
from reeltune.cache.latents import LatentEntry, Refused
from reeltune.cache.masks import MaskEntry
from reeltune.cache.ondemand import Encoder
from reeltune.cache.references import User, write_reference
from reeltune.cache.store import TensorStore
from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, Sample, samples_of
from reeltune.contracts.family import Family
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.progress import Track
from reeltune.data.batches import Item
from reeltune.data.manifest import require_usable
from reeltune.estimate.disk import latent_entry_bytes
from reeltune.run.broken import remember_broken, without_broken
from reeltune.run.clip_entries import ClipCache, Items, clip_caches, entries_of
from reeltune.run.mask_entries import fill_and_judge, mask_entries_of, name_of, tell_spoiled, without_spoiled
from reeltune.run.preflight import require_room, require_writable
from reeltune.run.rendering_plan import prompts_to_encode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Everything that the loop reads: what became of each file, items by their cached clips, the encoded prompts.

    items, held_out: in the order of the used rows of the manifest. encoder: makes the clips that are encoded while
    training goes on.
    """

    manifest: Manifest
    items: tuple[Item, ...]
    held_out: tuple[Item, ...]
    text: TensorStore
    prompt_keys: dict[str, str]
    encoder: Encoder | None = None

    @property
    def samples(self) -> list[Sample]:
        """Return what is trained, in the order of the items."""
        return samples_of(self.manifest.trained)

    @property
    def fingerprint(self) -> str:
        """Name the data by its encoded clips, masks and captions, in order."""
        masks = [[item.mask_key] if item.mask else [] for item in self.items]
        parts = zip(self.items, masks, strict=True)
        return digest_of([[item.latent_key, *mask, *item.caption_keys] for item, mask in parts])

    def close(self) -> None:
        """Let go of the autoencoder, where it stayed in memory."""
        if self.encoder:
            self.encoder.close()


def fill_caches(
    config: Config,
    datasets: Datasets,
    manifest: Manifest,
    *,
    family: Family,
    device: torch.device,
    track: Track,
    files: Sequence[Path] = (),
    every_clip: bool = False,
) -> Prepared:
    """Encode every caption and clip that is not encoded yet: first the text encoder is in memory, then the autoencoder.

    A clip that turns out to be damaged is left out, and its row says so.
    files: the configuration's, by which it is known who needs the entries.
    every_clip: also those that training would encode when it comes to them.
    Raises ShortageError before encoding when a cache folder cannot be written or its disk is too small; DataError when
    no clip is left.
    """
    samples = samples_of(manifest.rows)
    text = TensorStore(datasets.text.cache_folder, config.data.compress_disk_cache)
    caches = clip_caches(config, datasets, family.facts)
    _open_folders(text, caches)
    entries, unread = entries_of(samples, caches, encoder=family.video_fingerprint(), track=track)
    masks, spoiled = mask_entries_of(entries, family.facts.geometry)
    encoder = family.text_fingerprint()
    prompt_keys = {prompt: text_key(prompt, encoder=encoder) for prompt in _prompts(config, samples)}
    # Before anything is looked for, so that what is found is not collected meanwhile.
    user = User(tuple(files), config.reporting.run_folder)
    _write_references(user, [*entries, *masks.values()], text, prompt_keys.values())
    lasting = {name: mask for name, mask in masks.items() if not caches[mask.sample.dataset_id].is_redrawn}
    spoiled |= fill_and_judge(lasting, track=track)
    tell_spoiled(spoiled)
    entries = [entry for entry in entries if name_of(entry.sample) not in spoiled]
    now = [entry for entry in entries if every_clip or caches[entry.sample.dataset_id].fills_ahead(entry.sample)]
    clips, later = _look(entries, now, track)
    _tell(clips, later, _look_at_text(text, prompt_keys, track), _folders(text, caches))
    _require_room(entries, family.facts.geometry)
    batch_size = config.data.text_encoder_batch_size
    fill_text(prompt_keys, text, family=family, device=device, track=track, batch_size=batch_size)
    broken = fill_latents(now, family=family, device=device, track=track)
    _quarantine(broken.values(), caches)
    refused = {origin: one.reason for origin, one in {**unread, **broken}.items()}
    trained = tuple(without_broken(without_spoiled(row, spoiled), refused) for row in manifest.trained)
    held_out = tuple(without_broken(row, refused) for row in manifest.held_out)
    require_usable(trained)
    on_the_spot = Encoder(family, device, refuse=lambda one: _quarantine([one], caches))
    items = Items(caches, on_the_spot, prompt_keys, family.video_fingerprint(), masks)
    usable = items.of([entry for entry in entries if entry.sample.file.origin not in refused])
    # One file may be in several datasets, so entries are told apart by their place: trained ones first.
    count = len(samples_of(trained))
    return Prepared(Manifest(trained, held_out), usable[:count], usable[count:], text, prompt_keys, on_the_spot)


def _prompts(config: Config, samples: Sequence[Sample]) -> list[str]:
    """Return every text that the run will need: captions, the empty one, and those of the validation videos."""
    captions = (caption for sample in samples for caption in sample.captions)
    return list(dict.fromkeys(["", *prompts_to_encode(config), *captions]))


def _folders(text: TensorStore, caches: Mapping[str, ClipCache]) -> list[Path]:
    return list(dict.fromkeys([text.folder, *(cache.store.folder for cache in caches.values())]))


def _open_folders(text: TensorStore, caches: Mapping[str, ClipCache]) -> None:
    require_writable(text.folder, "cache_dir of the text embeds")
    for name, cache in caches.items():
        require_writable(cache.store.folder, f"cache_dir_vae of {name}")
    for folder in _folders(text, caches):
        remove_stale_drafts(folder)


def _write_references(
    user: User, entries: Sequence[LatentEntry | MaskEntry], text: TensorStore, texts: Iterable[str]
) -> None:
    needed: dict[Path, set[str]] = {text.folder: set(texts)}
    for entry in entries:
        needed.setdefault(entry.store.folder, set()).add(entry.key)
    for folder, keys in needed.items():
        write_reference(folder, user, keys)


def _look(entries: Sequence[LatentEntry], now: Sequence[LatentEntry], track: Track) -> tuple[Usable, Usable]:
    """Check what is needed now, and look for what is encoded later, which is checked when it is read."""
    checked = {(entry.store, entry.key) for entry in now}
    later = [(entry.store, entry.key) for entry in entries if (entry.store, entry.key) not in checked]
    places = [(entry.store, entry.key) for entry in now]
    return check_entries(places, track=track, title="checking encoded clips", unit="clips"), look_for_entries(later)


def _look_at_text(text: TensorStore, keys: Mapping[str, str], track: Track) -> Usable:
    places = [(text, key) for key in keys.values()]
    return check_entries(places, track=track, title="checking encoded captions", unit="captions")


def _tell(clips: Usable, later: Usable, captions: Usable, folders: Collection[Path]) -> None:
    orphans = [entry for folder in folders for entry in contents_of(folder).orphans]
    size = decimal(sum(entry.size_bytes for entry in orphans))
    remedy = "`reeltune cache gc` with the same options removes them"
    rest = f"; {len(orphans)} entries ({size}) nobody needs: {remedy}" if orphans else ""
    trained = f"; when they are trained: {later}" if later != Usable() else ""
    log.info("encoded clips: %s%s; captions: %s%s", clips, trained, captions, rest)


def _require_room(entries: Sequence[LatentEntry], geometry: LatentGeometry) -> None:
    missing = {(entry.store, entry.key): entry for entry in entries if not entry.has_file()}.values()
    for store in {entry.store for entry in missing}:
        shapes = [geometry.shape_of(entry.bucket) for entry in missing if entry.store == store]
        require_room(store.folder, sum(map(latent_entry_bytes, shapes)), "the encoded clips")


def _quarantine(broken: Iterable[Refused], caches: Mapping[str, ClipCache]) -> None:
    """Remember the files that no later start need open."""
    for one in broken:
        if one.lasting:
            remember_broken({one.sample.file: one.reason}, caches[one.sample.dataset_id].store.folder)
