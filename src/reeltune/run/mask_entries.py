"""Which of the samples have a mask, where each lies on the grid of the latents, and which samples it spoils."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reeltune.cache.contents import ContentFingerprints
from reeltune.cache.keys import mask_key
from reeltune.cache.latents import LatentEntry
from reeltune.cache.masks import MaskEntry, fill_masks
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.progress import Track
from reeltune.data.masks import KIND

log = logging.getLogger(__name__)

SampleName = tuple[str, str]
"""What tells a sample from all others: its dataset, and its id there."""


def name_of(sample: Sample) -> SampleName:
    """Return what a sample is told from all others by."""
    return sample.dataset_id, sample.id


def mask_entries_of(
    entries: Sequence[LatentEntry], geometry: LatentGeometry
) -> tuple[dict[SampleName, MaskEntry], dict[SampleName, str]]:
    """Return where the mask of each sample that has one lies, and why the samples whose mask cannot be read are not
    trained. Files that are new are read whole, once.
    """
    folders = {entry.store.folder for entry in entries if entry.sample.mask}
    memories = {folder: ContentFingerprints(folder / "contents.json") for folder in folders}
    found: dict[SampleName, MaskEntry] = {}
    faults: dict[SampleName, str] = {}
    for entry in entries:
        sample, name = entry.sample, name_of(entry.sample)
        if not sample.mask:
            continue
        try:
            content = memories[entry.store.folder].of(sample.mask.file, lambda file: file.path)
        except OSError as error:
            faults[name] = f"{sample.mask.file.origin} cannot be read: {error.strerror or error}"
            continue
        key = mask_key(sample.placement, content=content, geometry=geometry)
        found[name] = MaskEntry(sample, key, entry.store, geometry)
    for memory in memories.values():
        memory.save()
    return found, faults


def fill_and_judge(masks: Mapping[SampleName, MaskEntry], *, track: Track) -> dict[SampleName, str]:
    """Make the masks that are lacking; return, by sample, why it cannot be trained with its mask, where it cannot."""
    reasons = fill_masks(list(masks.values()), track=track)
    return {name: reason for name, reason in zip(masks, reasons, strict=True) if reason}


def tell_spoiled(spoiled: Mapping[SampleName, str]) -> None:
    """Say which samples are left out because of their masks."""
    for (_, sample), reason in spoiled.items():
        log.warning("left out: %s: %s: %s", sample, KIND, reason)


def without_spoiled(row: ManifestRow, spoiled: Mapping[SampleName, str]) -> ManifestRow:
    """Return a row that says why its sample is left out, where its mask is at fault."""
    if row.sample is None or name_of(row.sample) not in spoiled:
        return row
    return replace(row, sample=None, reason=f"{KIND}: {spoiled[name_of(row.sample)]}")
