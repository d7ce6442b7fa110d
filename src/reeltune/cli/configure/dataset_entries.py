"""The dataset file: read, and edited where its first folder of clips or pictures stands, or made new."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reeltune.cli.configure.files import ABSENT, Change, Draft, Edit, OptionsFile, edited, text_of
from reeltune.cli.configure.folder import Folder
from reeltune.cli.configure.settings import Answers, Setting
from reeltune.cli.source import find_datasets
from reeltune.config.document import read_document
from reeltune.errors import ConfigError


@dataclass(frozen=True)
class DatasetsFile:
    """A dataset file as it is now. named: as the configuration will name it.

    entry, index: the first local dataset in use, and its place in the list; None in a new file.
    note: why it is another one than the configuration names now, empty where it is that one.
    """

    named: str
    text: str = ""
    entry: Mapping[str, Any] | None = None
    index: int = 0
    note: str = ""

    @property
    def path(self) -> Path:
        return Path(self.named).expanduser()


def find_datasets_file(options: OptionsFile, wished: str | None) -> DatasetsFile:
    """Read the dataset file that a run would use now, or return a new one where there is none. Raises ConfigError.

    wished: the file that the command line names. Nothing that lies elsewhere stands in for it, or for a new
    configuration's own: what is written there is shared with no other configuration.
    """
    present = options.values.get("data_backend_config")
    if wished or not present:
        named = wished or str(usual_place(options.path))
        return _read(named, Path(named).expanduser())
    named = str(present)
    path, notes = find_datasets(named)
    return replace(_read(str(path), path), note=notes[0].text) if notes else _read(named, path)


def usual_place(options: Path) -> Path:
    """Return where the dataset file of a new configuration goes: beside it, and shared with no other configuration."""
    own = "multidatabackend.json" if options.name == "config.json" else f"{options.stem}.datasets.json"
    return options.with_name(own)


def _read(named: str, path: Path) -> DatasetsFile:
    if not path.exists():
        return DatasetsFile(named)
    entries = read_document(path).content
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if _is_used(entry):
            return DatasetsFile(named, text_of(path), entry, index)
    raise ConfigError(
        f'{path} has no local folder of clips in use. Add an entry with "dataset_type": "video" to it, or have a new '
        f"file written beside it: data_backend_config={path.with_name('datasets.json')}"
    )


def edit_datasets(file: DatasetsFile, answers: Answers, options: Sequence[Setting]) -> Draft:
    """Return the dataset file with the folder, its captions and, for clips, the length of a sample.

    options: of the configuration; what the dataset sets for itself follows them.
    """
    settings = _dataset_settings(answers, file.entry or {})
    if file.entry is None:
        entry = _new_entry(answers.folder, settings)
        text = json.dumps([entry, _store()], indent=2, ensure_ascii=False) + "\n"
        return Draft(file.path, text, tuple(Change(setting) for setting in settings))
    edits = []
    for setting in [*settings, *_contradicting(file.entry, answers, options)]:
        keys = tuple(setting.name.split("."))
        edits.append(Edit((file.index, *keys), setting, _inside(file.entry, keys)))
    return edited(file.path, file.text, edits)


def _is_used(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.get("dataset_type", "video") not in ("video", "image"):
        return False
    if entry.get("type", "local") != "local":
        return False
    return not (entry.get("disabled") or entry.get("disable"))


def _dataset_settings(answers: Answers, entry: Mapping[str, Any]) -> list[Setting]:
    folder = answers.folder
    settings = [Setting("instance_data_dir", str(folder.path), f"your {folder.noun}s; nothing is written there")]
    if folder.kind != entry.get("dataset_type", "video"):
        settings.append(Setting("dataset_type", folder.kind, f"{folder.noun}s are what is in that folder"))
    captions = answers.captions
    if captions:
        settings.append(Setting("caption_strategy", captions.strategy, "where captions come from"))
        if captions.instance_prompt:
            settings.append(Setting("instance_prompt", captions.instance_prompt, f"the caption of every {folder.noun}"))
        if captions.allow_missing:
            settings.append(Setting("allow_missing_captions", True, "what has no caption is left out"))
    if answers.frames:
        settings.append(Setting("video.num_frames", answers.frames, "the length of a sample"))
    return settings


def _contradicting(entry: Mapping[str, Any], answers: Answers, options: Sequence[Setting]) -> Iterator[Setting]:
    """Yield what the dataset says for itself that would undo an answer, with the value that does not."""
    if answers.frames and _inside(entry, ("video", "min_frames")) is not ABSENT:
        yield Setting("video.min_frames", answers.frames, "clips of that length are long enough")
    for setting in options:
        if setting.name in ("resolution", "resolution_type") and setting.name in entry:
            yield setting


def _inside(entry: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value: Any = entry
    for key in keys:
        value = value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _new_entry(folder: Folder, settings: Sequence[Setting]) -> dict[str, Any]:
    name = re.sub(r"[^\w.-]+", "-", folder.name).strip("-.") or "clips"
    name = f"{name}-clips" if name == _store()["id"] else name
    entry: dict[str, Any] = {
        "id": name,
        "type": "local",
        "dataset_type": "video",
        "cache_dir_vae": f"cache/vae/wan/{name}",
    }
    for setting in settings:
        outer, _, inner = setting.name.rpartition(".")
        (entry.setdefault(outer, {}) if outer else entry)[inner] = setting.value
    return entry


def _store() -> dict[str, Any]:
    return {
        "id": "text-embeds",
        "type": "local",
        "dataset_type": "text_embeds",
        "default": True,
        "cache_dir": "cache/text/wan",
    }
