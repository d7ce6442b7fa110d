"""The two files: read, edited as texts so that nothing else in them changes, and written whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reeltune.cli.configure.edit import find_places, set_value
from reeltune.cli.configure.settings import Setting
from reeltune.config.document import KeyPath, read_document
from reeltune.config.load import read_options
from reeltune.config.root import canonical_names, opposite_names
from reeltune.errors import ConfigError, ReeltuneError
from reeltune.whole_files import whole_file

ABSENT = object()
"""Stands for the value of a key that a file does not have."""


@dataclass(frozen=True)
class OptionsFile:
    """A configuration file as it is now.

    keys, values: by the options' own names, how each is written in the file, and what it says.
    """

    path: Path
    text: str = "{\n}\n"
    keys: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        return not self.keys


@dataclass(frozen=True)
class Change:
    """One value of a file that will be another. before: ABSENT where the file does not have it."""

    setting: Setting
    before: Any = ABSENT


@dataclass(frozen=True)
class Edit:
    """A value to set at a place of a file."""

    key: KeyPath
    setting: Setting
    before: Any


@dataclass(frozen=True)
class Draft:
    """What a file will say, and what changes in it."""

    path: Path
    text: str
    changes: tuple[Change, ...]


def read_options_file(path: Path) -> OptionsFile:
    """Read a configuration file, or return an empty one where there is none. Raises ConfigError."""
    if not path.exists():
        return OptionsFile(path)
    document = read_document(path)
    read_options(document)
    names = canonical_names()
    keys = {names.get(bare) or bare: key for key in document.content for bare in [key.removeprefix("--")]}
    values = {own: document.content[key] for own, key in keys.items()}
    return OptionsFile(path, text_of(path), keys, values)


def edit_options(file: OptionsFile, settings: Iterable[Setting]) -> Draft:
    """Return the configuration file with these settings."""
    return edited(file.path, file.text, [_in_options(file, setting) for setting in settings if _applies(file, setting)])


def edited(path: Path, text: str, edits: Iterable[Edit]) -> Draft:
    """Return a file with these values; what says the same already is left as it is written."""
    changes = []
    for edit in edits:
        value, before = edit.setting.value, edit.before
        # 1 equals True, and "steps: true" is not what anyone means.
        if before == value and isinstance(before, bool) == isinstance(value, bool):
            continue
        text = set_value(text, edit.key, value)
        changes.append(Change(edit.setting, before))
    return Draft(path, text, tuple(changes))


def try_drafts(options: Draft, datasets: Draft, show_plan: Callable[[Sequence[Path]], None]) -> None:
    """Show the plan of files that are not written yet. What it raises names the files as they will be."""
    with tempfile.TemporaryDirectory(prefix="reeltune-configure-") as folder:
        config, data = Path(folder) / "config.json", Path(folder) / "datasets.json"
        data.write_text(datasets.text, encoding="utf-8")
        # The names in both files are relative to the working folder, so only this one has to differ.
        config.write_text(set_value(options.text, (_key_of_datasets(options.text),), str(data)), encoding="utf-8")
        try:
            show_plan([config])
        except ReeltuneError as error:
            message = str(error).replace(str(config), str(options.path)).replace(str(data), str(datasets.path))
            raise ConfigError(message) from error


def write_drafts(options: Draft, datasets: Draft) -> list[Path]:
    """Write the files that change, all of them or none; return which."""
    changed = [draft for draft in (datasets, options) if draft.changes]
    _write(changed)
    return [draft.path for draft in changed]


def _write(drafts: Sequence[Draft]) -> None:
    if not drafts:
        return
    first, *rest = drafts
    # Resolved: a file that is a link stays one.
    with whole_file(first.path.resolve()) as place:
        place.write_bytes(first.text.encode())
        # Inside: a disk that is full for the second file leaves the first one as it was.
        _write(rest)


def text_of(path: Path) -> str:
    # As bytes: line ends stay as they are.
    return path.read_bytes().decode("utf-8-sig")


def _applies(file: OptionsFile, setting: Setting) -> bool:
    return setting.when == "always" or (setting.when == "present") == (setting.name in file.keys)


def _in_options(file: OptionsFile, setting: Setting) -> Edit:
    key = file.keys.get(setting.name, setting.name)
    if key.removeprefix("--") in opposite_names():
        setting = replace(setting, value=not setting.value)
    return Edit((key,), setting, file.values.get(setting.name, ABSENT))


def _key_of_datasets(text: str) -> str | int:
    return next(key for key in find_places(text).parts if str(key).removeprefix("--") == "data_backend_config")
