"""Publishing on the Hugging Face hub, beside the loop: adapter files of checkpoints, and the results at the end.

The newest weights are at the top of the repository and the earlier ones in its history. A checkpoint that is rotated
away while it waits is kept by hard links, which cost no room.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from reeltune.contracts.events import CheckpointSaved, Event, RunFinished, RunStarted, SampleRendered
from reeltune.report.background import Background, TryAgain
from reeltune.whole_files import whole_file

log = logging.getLogger(__name__)

ADAPTER_FILES = (
    "pytorch_lora_weights.safetensors",
    "lycoris_config.json",
    "transformer/*",
    "comfyui/*.safetensors",
    "ema/*.safetensors",
    "raw/*.safetensors",
    "ema/lycoris_config.json",
    "raw/lycoris_config.json",
    "ema/transformer/*",
    "raw/transformer/*",
)
"""What is published of a run folder or a checkpoint; a star also stands for folders."""

WAIT_S = 600.0
"""How long the end of a run waits for uploads."""


@runtime_checkable
class WriteCard(Protocol):
    def __call__(self, *, repo: str, videos: Sequence[str]) -> str:
        """Return README.md. repo: with the owner's name. videos: their paths in the repository."""
        ...


class HubSink:
    """Uploads a run to a repository of models, which it makes when there is none.

    repo: `name`, of whoever is logged in, or `owner/name`. folder: of the run. push_results: upload at the end.
    write_card: None leaves README.md out. connect: gives the hub's client.
    """

    def __init__(
        self,
        repo: str,
        *,
        folder: Path,
        push_checkpoints: bool,
        private: bool,
        write_card: WriteCard | None,
        push_results: bool = True,
        connect: Callable[[], Any] | None = None,
        wait_s: float = WAIT_S,
        background: Background | None = None,
    ) -> None:
        self._repo = repo
        self._folder = folder
        self._push_checkpoints = push_checkpoints
        self._push_results = push_results
        self._private = private
        self._write_card = write_card
        self._connect = connect or hub_client
        self._wait_s = wait_s
        self._background = background or Background("push_to_hub", waits=(2.0, 10.0, 30.0))
        self._api: Any = None
        self._full_name: str | None = None
        self._videos: tuple[int, list[Path]] = (-1, [])

    def receive(self, event: Event) -> None:
        match event:
            case RunStarted():
                # At once, so that a missing permission is known before days of training.
                self._background.submit("repository", lambda: _tried(self._open))
            case CheckpointSaved() if self._push_checkpoints:
                place = self._kept(event)
                upload = partial(self._upload_checkpoint, event.step, place)
                self._background.submit("checkpoint", lambda: _tried(upload), instead=True)
            case SampleRendered():
                step, videos = self._videos
                self._videos = (event.step, [*videos, event.path] if step == event.step else [event.path])
            case RunFinished() if self._push_results:
                self._background.submit("results", lambda: _tried(lambda: self._upload_results(event.step)))
                # By itself: what the hub does not like about a card must not cost the weights.
                self._background.submit("model card", lambda: _tried(self._upload_card))

    def close(self) -> None:
        self._background.close(self._wait_s)
        for place in self._folder.glob(_kept_name("*")):
            shutil.rmtree(place, ignore_errors=True)

    def _open(self) -> str:
        """Return the repository's full name, after making it if need be."""
        if self._full_name is not None:
            return self._full_name
        self._api = self._connect()
        made = self._api.create_repo(self._repo, repo_type="model", private=self._private, exist_ok=True)
        name: str = made.repo_id
        log.info("publishing to the hub's repository %s", name)
        self._full_name = name
        return name

    def _kept(self, event: CheckpointSaved) -> Path:
        """Give the adapter files of a checkpoint second names, under which rotation leaves them alone."""
        place = self._folder / _kept_name(str(event.step))
        try:
            for name in adapter_files(event.path):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                os.link(event.path / name, place / name)
        except OSError as error:
            log.debug("%s: no hard links, so it is uploaded from its place", event.path, exc_info=error)
            shutil.rmtree(place, ignore_errors=True)
            return event.path
        return place

    def _upload_checkpoint(self, step: int, place: Path) -> None:
        self._upload(place, ADAPTER_FILES, f"Checkpoint of step {step}")
        for kept in self._folder.glob(_kept_name("*")):
            # Those of earlier steps, never uploaded, are of no use any more either; later ones still wait.
            if int(kept.name.split("-")[1].split(".")[0]) <= step:
                shutil.rmtree(kept, ignore_errors=True)

    def _upload_results(self, step: int) -> None:
        self._upload(self._folder, ADAPTER_FILES, f"Results after step {step}")

    def _upload_card(self) -> None:
        step, paths = self._videos
        videos = [path.relative_to(self._folder).as_posix() for path in paths if path.is_relative_to(self._folder)]
        if self._write_card is not None:
            with whole_file(self._folder / "README.md") as draft:
                draft.write_text(self._write_card(repo=self._open(), videos=videos), encoding="utf-8")
            videos = ["README.md", *videos]
        if videos:
            self._upload(self._folder, videos, "Model card")

    def _upload(self, folder: Path, patterns: Sequence[str], message: str) -> None:
        name = self._open()
        self._api.upload_folder(
            repo_id=name,
            repo_type="model",
            folder_path=str(folder),
            allow_patterns=list(patterns),
            commit_message=message,
        )
        log.info("uploaded to %s: %s", name, message)


def adapter_files(folder: Path) -> list[str]:
    """Return which files of a run folder or a checkpoint are published, by the rule that the hub's client has."""
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in ADAPTER_FILES)]


def hub_client() -> Any:
    """Return the hub's client, with bars switched off: they would be drawn into ours."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(library_name="reeltune")


def _kept_name(step: str) -> str:
    # Named as a draft, so that the next run clears away what a killed one leaves.
    return f".upload-{step}.writing"


def _tried(action: Callable[[], object]) -> None:
    """Do it, and turn into TryAgain what waiting may mend: all but refusals and mistakes of ours."""
    try:
        action()
    except (ValueError, TypeError, AssertionError):
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            hint = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write"
            raise PermissionError(f"the hub answers {status}. {hint}") from error
        if status is not None and 400 <= status < 500 and status not in (408, 429):
            raise
        raise TryAgain(f"{type(error).__name__}: {error}") from error
