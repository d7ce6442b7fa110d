"""Failures of the machine in words: a full disk, a missing permission, a GPU without room."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reeltune.errors import ShortageError

FULL = "Make room on that disk, or name a folder on another one: output_dir=..., or the cache folders of the datasets."
LOCKED = "Give read and write permission there, or name another file or folder."
IN_THE_WAY = "A file stands where a folder is needed, there or above it: move it away, or name another folder."

ADVICE: Mapping[int, str] = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: LOCKED,
    errno.EPERM: LOCKED,
    errno.EROFS: LOCKED,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
}
"""What to do about an error of the operating system, for those that a user can mend."""

OUT_OF_MEMORY = (
    "the GPU's memory is not enough: {reason}. "
    "Lower train_batch_size, resolution or video.num_frames, or set gradient_checkpointing=true."
)


def explain(error: BaseException) -> str | None:
    """Return what happened, to which file, and what to do; None when this is not the machine's fault."""
    if isinstance(error, OSError) and (advice := ADVICE.get(error.errno or 0)):
        return f"{error.filename or 'a file'}: {error.strerror}. {advice}"
    if _is_out_of_memory(error):
        # The first two sentences say what was asked for; torch goes on with an account of the whole memory.
        return OUT_OF_MEMORY.format(reason=". ".join(str(error).split(". ")[:2]).rstrip("."))
    return None


@contextmanager
def before_training() -> Iterator[None]:
    """Raise the operating system's errors as ShortageError: nothing has been trained yet."""
    try:
        yield
    except OSError as error:
        raise ShortageError(explain(error) or str(error)) from error


def _is_out_of_memory(error: BaseException) -> bool:
    # By name: commands that need no torch must not import it to look at an error.
    return any((kind.__module__, kind.__name__) == ("torch", "OutOfMemoryError") for kind in type(error).__mro__)
