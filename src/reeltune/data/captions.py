"""Where the words of a clip come from: a text file beside it, its own name, or one caption for all."""

from __future__ import annotations

from pathlib import Path

from reeltune.config.datasets import ClipDataset
from reeltune.errors import DataError


def read_captions(file: Path, dataset: ClipDataset) -> tuple[str, ...]:
    """Return the captions of one clip, stripped; empty when there are none.

    Raises DataError when a caption file is there but cannot be read as UTF-8.
    """
    if dataset.caption_strategy == "textfile":
        return _from_text(caption_file(file))
    words = file.stem.replace("_", " ") if dataset.caption_strategy == "filename" else dataset.instance_prompt or ""
    return _without_blanks([words])


def caption_file(file: Path) -> Path:
    """Return the text file that belongs to a clip: clip.txt beside clip.mp4."""
    return file.with_suffix(".txt")


def missing_caption(file: Path, dataset: ClipDataset) -> str:
    """Say where a caption was looked for, and so where to write one."""
    if dataset.caption_strategy == "textfile":
        return f"write one into {caption_file(file)}, which is missing or empty"
    if dataset.caption_strategy == "filename":
        return f"the name {file.name} has no words; rename the file"
    return f"set instance_prompt in the dataset {dataset.id}"


def _from_text(path: Path) -> tuple[str, ...]:
    try:
        # utf-8-sig takes the mark that some editors put in front of UTF-8, and plain UTF-8 as well.
        return _without_blanks(path.read_text(encoding="utf-8-sig").split("\n"))
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8 in a text editor") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; make it a readable text file") from error


def _without_blanks(lines: list[str]) -> tuple[str, ...]:
    return tuple(stripped for line in lines if (stripped := line.strip()))
