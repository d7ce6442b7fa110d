"""Which mask belongs to which clip: the file of the same name below the folder of masks. No torch.

A picture is the mask of all frames, a video that of each frame by its position. Either has the clip's own size, so that
it can be cut exactly as the clip is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from reeltune.config.datasets import ClipDataset
from reeltune.config.masks import MaskDataset
from reeltune.contracts.clip import ClipInfo, FileRef, ManifestRow, Mask, Sample
from reeltune.contracts.progress import Track
from reeltune.data.inspection import inspect
from reeltune.data.kinds import PICTURES, VIDEOS
from reeltune.data.memory import ClipMemory
from reeltune.data.scan import MEMORY
from reeltune.data.sources.local import check_folder, file_ref, list_files
from reeltune.errors import DataError, UnreadableFile

KIND = "mask"
"""Opens the reason of a clip that is left out because of its mask."""

_TO_TRAIN_WHOLE = "take the mask away to train the clip whole"


def with_masks(
    rows: Sequence[ManifestRow], dataset: ClipDataset, masks: MaskDataset, track: Track
) -> tuple[ManifestRow, ...]:
    """Return the rows of a dataset with the mask of each clip; a clip whose mask does not fit is left out, and why.

    A clip without a mask stays as it is. What is found out about masks is remembered beside the clips.
    Raises DataError where the folder of masks is missing, cannot be read, or holds none for these clips.
    """
    by_name = _masks_by_name(masks.folder)
    wanted = {row.sample.file: by_name.get(_stem(row.sample.file.name), ()) for row in rows if row.sample}
    if wanted and not any(wanted.values()):
        raise DataError(
            f"{masks.id}: no mask in {masks.instance_data_dir} belongs to a clip of {dataset.id}; a mask has the name "
            f"of its clip, such as {_stem(next(iter(wanted)).name)}.png. Rename them, or take conditioning_data away."
        )
    infos = _look_at([files[0] for files in wanted.values() if len(files) == 1], dataset, masks, track)
    return tuple(_masked(row, wanted.get(row.sample.file, ()), infos) if row.sample else row for row in rows)


@dataclass(frozen=True)
class MaskCount:
    """How many of a dataset's clips that are trained have a mask."""

    masked: int
    clips: int

    @property
    def lacks_many(self) -> bool:
        """Tell whether more than a tenth have none."""
        return 10 * (self.clips - self.masked) > self.clips


def count_masks(samples: Sequence[Sample]) -> MaskCount:
    """Count the clips, whatever the number of their windows."""
    clips = {sample.file: sample.mask for sample in samples}
    return MaskCount(sum(mask is not None for mask in clips.values()), len(clips))


def _masks_by_name(folder: Path) -> Mapping[str, Sequence[FileRef]]:
    check_folder(folder)
    found: dict[str, list[FileRef]] = {}
    for path in list_files(folder):
        if path.suffix.lower() in (*VIDEOS, *PICTURES):
            file = file_ref(path, folder)
            found.setdefault(_stem(file.name), []).append(file)
    return found


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _look_at(
    files: Sequence[FileRef], dataset: ClipDataset, masks: MaskDataset, track: Track
) -> Mapping[FileRef, ClipInfo | UnreadableFile]:
    # Two clips, such as a.mp4 and a.mov, may have one mask.
    several = list(dict.fromkeys(files))
    memory = ClipMemory(dataset.cache_folder / MEMORY)
    try:
        infos = inspect(several, memory=memory, fetch=lambda file: file.path)
        return dict(zip(several, track(infos, f"reading {masks.id}", total=len(several), unit="masks"), strict=True))
    finally:
        memory.save()


def _masked(
    row: ManifestRow, files: Sequence[FileRef], infos: Mapping[FileRef, ClipInfo | UnreadableFile]
) -> ManifestRow:
    sample = row.sample
    assert sample
    if not files:
        return row
    reason = next(_misfits(sample, files, infos), "")
    if reason:
        return replace(row, sample=None, reason=f"{KIND}: {reason}")
    info = infos[files[0]]
    assert isinstance(info, ClipInfo)
    return replace(row, sample=replace(sample, mask=Mask(files[0], still=info.frames == 1)))


def _misfits(
    sample: Sample, files: Sequence[FileRef], infos: Mapping[FileRef, ClipInfo | UnreadableFile]
) -> Iterator[str]:
    """Yield what is wrong with a clip's mask, and what would admit the clip."""
    if len(files) > 1:
        yield f"{', '.join(file.origin for file in files)} are all masks of this clip; keep one"
        return
    place, mask, clip = files[0].origin, infos[files[0]], sample.info
    if isinstance(mask, UnreadableFile):
        yield f"{place} cannot be read: {mask.reason}; or {_TO_TRAIN_WHOLE}"
        return
    if (mask.width, mask.height) != (clip.width, clip.height):
        yield (
            f"{place} is {mask.width}x{mask.height}, the clip is {clip.width}x{clip.height}; make it that size, "
            f"or {_TO_TRAIN_WHOLE}"
        )
    if mask.frames not in (1, clip.frames):
        yield (
            f"{place} has {mask.frames} frames, the clip has {clip.frames}; give it as many, or one picture for all "
            f"of them, or {_TO_TRAIN_WHOLE}"
        )
