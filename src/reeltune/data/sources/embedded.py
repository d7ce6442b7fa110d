"""The clips that lie inside the parquet files of a published dataset."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from io import IOBase
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry
from reeltune.data.kinds import is_media
from reeltune.data.sources import shards
from reeltune.data.sources.columns import PICTURES_ONLY
from reeltune.data.sources.mirror import Mirror, is_whole, shortage
from reeltune.data.sources.shards import Columns, ShardRow
from reeltune.data.sources.trees import Tree
from reeltune.data.sources.tries import Broken, Refused, tried, words_of
from reeltune.errors import DataError, UnreadableFile
from reeltune.remembered import remembered
from reeltune.whole_files import whole_file

T = TypeVar("T")


@dataclass(frozen=True)
class _Clip:
    """One row of a shard as a file."""

    shard: FileRef
    columns: Columns
    row: ShardRow
    file: FileRef

    @property
    def group(self) -> tuple[str, int]:
        return self.shard.name, self.row.group


class EmbeddedClips:
    """The rows of some shards, in their order. A clip has the name that its row gives it, where no other has it too."""

    def __init__(self, dataset: ClipDataset, tree: Tree, found: Sequence[FileRef], mirror: Mirror) -> None:
        self._dataset, self._tree, self._found, self._mirror = dataset, tree, found, mirror
        self._locks: defaultdict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)

    @property
    def entries(self) -> list[Entry]:
        """Return all rows. Raises DataError where the shards cannot be read."""
        words = self._dataset.caption_strategy == "huggingface"
        return [Entry(clip.file, clip.row.captions if words else None) for clip in self._clips.values()]

    @property
    def are_held(self) -> bool:
        """Tell whether the shards hold the clips, rather than name them. Raises DataError where they are unreadable."""
        # Only the first is asked: the shards of one split have the same columns.
        return self._columns(self._found[0]).is_held

    def fetch(self, file: FileRef) -> Path:
        """Return the path of a clip's bytes, taken out of their shard unless they are. Raises UnreadableFile."""
        clip = self._clips[file.name]
        with self._locks[clip.group]:
            if not is_whole(file):
                try:
                    tried(lambda: self._take_out(clip))
                except (Broken, Refused) as error:
                    raise UnreadableFile(file.path, str(error)) from error
                except OSError as error:
                    raise shortage(error, self._mirror.folder) from error
        if not is_whole(file):
            raise UnreadableFile(file.path, f"its row in {clip.shard.origin} holds no bytes; put them there")
        return file.path

    def _take_out(self, wanted: _Clip) -> None:
        """Write the clips of one row group that are not there yet: to read one, all of them are read."""
        clips = {clip.row.index: clip.file for clip in self._groups[wanted.group]}
        with self._tree.open(wanted.shard) as stream:
            contents = shards.clips_of(stream, wanted.columns, wanted.row.group)
            for index in range(len(clips)):
                content = _worded(wanted.shard, lambda: next(contents))
                if content is not None and not is_whole(clips[index]):
                    with whole_file(clips[index].path) as draft:
                        draft.write_bytes(content)

    @cached_property
    def _groups(self) -> Mapping[tuple[str, int], list[_Clip]]:
        groups: defaultdict[tuple[str, int], list[_Clip]] = defaultdict(list)
        for clip in self._clips.values():
            groups[clip.group].append(clip)
        return groups

    @cached_property
    def _clips(self) -> dict[str, _Clip]:
        clips: dict[str, _Clip] = {}
        for shard in self._found:
            columns = self._columns(shard)
            for number, row in enumerate(self._rows(shard)):
                clip = self._clip(shard, columns, row, number, taken=clips)
                clips[clip.file.name] = clip
        return clips

    def _rows(self, shard: FileRef) -> list[ShardRow]:
        columns = self._columns(shard)

        def look() -> list[tuple[Any, ...]]:
            rows = self._read(shard, lambda stream: list(shards.list_rows(stream, columns)))
            return [(row.group, row.index, row.path, row.captions) for row in rows]

        rows = remembered(self._mirror.folder, self._key("rows", shard), look)
        return [ShardRow(group, index, path, tuple(captions)) for group, index, path, captions in rows]

    def _columns(self, shard: FileRef) -> Columns:
        def look() -> dict[str, Any]:
            return asdict(self._read(shard, lambda stream: shards.choose_columns(stream, self._dataset, shard.origin)))

        found = remembered(self._mirror.folder, self._key("columns", shard), look)
        return Columns(**{**found, "captions": tuple(found["captions"])})

    def _key(self, what: str, shard: FileRef) -> tuple[str, ...]:
        dataset = self._dataset
        asked = (dataset.dataset_type, dataset.caption_strategy, dataset.video_column, dataset.image_column)
        return what, shard.origin, shard.stamp, repr((*asked, dataset.caption_column))

    def _read(self, shard: FileRef, action: Callable[[IOBase], T]) -> T:
        """Return what an action makes of an open shard. Raises DataError where it cannot be read."""

        def read() -> T:
            with self._tree.open(shard) as stream:
                return _worded(shard, lambda: action(stream))

        try:
            return tried(read)
        except (Broken, Refused) as error:
            raise DataError(str(error)) from error

    def _clip(
        self, shard: FileRef, columns: Columns, row: ShardRow, number: int, *, taken: Mapping[str, object]
    ) -> _Clip:
        own = PurePosixPath(row.path.replace("\\", "/"))
        if not is_media(own):
            own = PurePosixPath(f"{own.name or number}{self._usual_kind(columns)}")
        leads_out = own.is_absolute() or ".." in own.parts
        name = f"{shard.name}#{number}/{own.name}" if leads_out or str(own) in taken else str(own)
        version = f"{shard.stamp}#{number}"
        file = FileRef(Path(), -1, 0, f"{shard.origin}#{number}", version, name)
        return _Clip(shard, columns, row, self._mirror.placed(file))

    def _usual_kind(self, columns: Columns) -> str:
        """Return an extension for clips whose rows give them no name; readers look at the bytes."""
        is_picture = self._dataset.dataset_type == "image" or columns.media.lower() in PICTURES_ONLY
        return ".png" if is_picture else ".mp4"


def _worded(shard: FileRef, action: Callable[[], T]) -> T:
    """Turn what a damaged file, or the way to it, raises into what can be said and tried again."""
    from pyarrow import ArrowInvalid

    try:
        return action()
    except (DataError, Broken, Refused):
        raise
    except (ArrowInvalid, StopIteration) as error:
        raise Refused(f"{shard.origin} is damaged, or no parquet file: {words_of(error)}; fetch it anew") from error
    except Exception as error:
        raise Broken(f"{shard.origin} cannot be read: {words_of(error)}") from error
