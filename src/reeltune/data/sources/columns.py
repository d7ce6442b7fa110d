"""Which column of a table says what: the one that is set, else found by a usual name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reeltune.errors import DataError

CAPTIONS = ("caption", "captions", "text", "prompt", "description")
"""Names of the caption's column, in the order in which they are looked for."""

_EITHER = ("file_name", "path", "file")
PICTURES_ONLY = ("image", "images", "img", "picture", "png", "jpg", "jpeg", "webp")
MEDIA: Mapping[str, tuple[str, ...]] = {
    "video": ("video", "videos", "clip", "mp4", "webm", *_EITHER),
    "image": (*PICTURES_ONLY, *_EITHER),
}
"""Names of the column of clips or pictures in tables that may hold them."""

PATHS = ("url", "path", "file", "filename", "file_name", "video", "image")
"""Names of the column of paths in csv_file."""

LISTED = ("file_name", "filename", "path", "file", "video", "image")
"""Names of the column of file names in metadata.csv."""


def choose_column(there: Sequence[str], wanted: str | None, usual: Sequence[str], *, option: str, place: str) -> str:
    """Return the column that is set, else the first of the usual names. Raises DataError where there is none."""
    if wanted is not None and wanted in there:
        return wanted
    known = {name.lower(): name for name in reversed(there)}
    found = [known[name] for name in usual if name in known] if wanted is None else []
    if found:
        return found[0]
    missing = f"no column {wanted}" if wanted is not None else f"none of the columns {', '.join(usual)}"
    raise DataError(f"{place} has {missing}; set {option} to one of: {', '.join(there) or 'it has no columns'}")
