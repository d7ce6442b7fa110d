"""Paths as options give them: checked for what no file system can hold, before anything looks there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

LONGEST_PART = 255
"""Bytes of one name, in all usual file systems."""

LONGEST = 4000
"""Bytes of a whole path, with room left for the names of the files in a folder."""


def check_place(text: str) -> str:
    """Return the path of a file or folder as it is. Raises ValueError where it can be none."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{Path(text).parts[0]} is nobody's home folder here") from None
    if any(len(os.fsencode(part)) > LONGEST_PART for part in path.parts) or len(os.fsencode(path)) > LONGEST:
        raise ValueError("it is longer than a path can be")
    return text


Place = Annotated[str, AfterValidator(check_place)]
"""The path of a file or folder, which need not exist."""
